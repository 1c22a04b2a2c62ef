"""A disk that is full or fails under a collection: one line, exit code 1, and going on after."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from disk_faults import CALLS, everything_fails_from, fail_and_go_on, faults_of_each_kind
from kill_matrix import Uninterrupted, needs_strace, run_uninterrupted

from collecting import collection, go_on

pytestmark = needs_strace()

SEED = 20261124
EVERY = 10**6


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(collection(root), CALLS)


@pytest.mark.parametrize("size", [16, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_one_call_fails(uninterrupted: Uninterrupted, tmp_path: Path, size: int) -> None:
    every = faults_of_each_kind(uninterrupted)
    assert {fault.moment.file for fault in every} >= {
        "ledgers/pet911.lock",
        "ledgers/pet911.sqlite",
        "ledgers/pet911.sqlite-wal",
        "ledgers/pet911.segments/N.segment",
        "shards/pet911/.part-N.parquet.tmp",
        "shards/pet911/part-N.parquet",
    }
    faults = random.Random(SEED).sample(every, min(size, len(every)))
    fail_and_go_on(faults, uninterrupted, collection, partial(go_on, uninterrupted.root), tmp_path)


@pytest.mark.parametrize("size", [6, pytest.param(80, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(uninterrupted: Uninterrupted, tmp_path: Path, size: int) -> None:
    moments = random.Random(SEED).sample(uninterrupted.moments, size)
    errors = ["ENOSPC", "EIO"] * (size // 2)
    faults = [
        everything_fails_from(moment, error, uninterrupted)
        for moment, error in zip(moments, errors, strict=True)
    ]
    fail_and_go_on(faults, uninterrupted, collection, partial(go_on, uninterrupted.root), tmp_path)
