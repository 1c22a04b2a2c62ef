"""A disk that is full or fails under a crawl: one line, exit code 1, and going on after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from disk_faults import CALLS, Fault, everything_fails_from, fail_and_go_on, faults_of_each_kind
from kill_matrix import Command, Uninterrupted, needs_strace, run_uninterrupted

from kill_crawls import SMALL_SHARDS, SMALL_SITE, crawl, go_on
from petdata.demo.servers.site import Site

pytestmark = needs_strace()

SEED = 20261124


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(SMALL_SITE) as site:
        yield site


@pytest.fixture(scope="module")
def uninterrupted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(crawl(root, site, *SMALL_SHARDS), CALLS)


def check(faults: list[Fault], uninterrupted: Uninterrupted, site: Site, folder: Path) -> None:
    def command(root: Path) -> Command:
        return crawl(root, site, *SMALL_SHARDS)

    going_on = partial(go_on, uninterrupted.root, site, SMALL_SHARDS)
    fail_and_go_on(faults, uninterrupted, command, going_on, folder)


@pytest.mark.parametrize("size", [4, pytest.param(80, marks=pytest.mark.slow)])
def test_one_call_fails(
    site: Site, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    faults = random.Random(SEED).sample(faults_of_each_kind(uninterrupted), size)
    check(faults, uninterrupted, site, tmp_path)


@pytest.mark.parametrize("size", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(
    site: Site, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    generator = random.Random(SEED)
    faults = [
        everything_fails_from(generator.choice(uninterrupted.moments), error, uninterrupted)
        for error in ["ENOSPC", "EIO"] * (size // 2)
    ]
    check(faults, uninterrupted, site, tmp_path)
