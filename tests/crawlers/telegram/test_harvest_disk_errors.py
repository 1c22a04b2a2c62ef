"""A disk that is full or fails under a harvest: one line, exit code 1, and going on after."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from disk_faults import CALLS, CAUSES, Fault, everything_fails_from, faults_of_each_kind
from kill_harvests import LEDGER, SESSION, SMALL, SMALL_POSTS, Harvests
from kill_matrix import (
    Call,
    Uninterrupted,
    assert_whole,
    at_once,
    kinds,
    needs_strace,
    run_uninterrupted,
)

pytestmark = needs_strace()

SEED = 20261128
EVERY = 10**6
# Where nothing is said, and nothing is lost: see tests/disk_faults.py. A session that SQLite cannot
# open for writing it opens for reading.
PASSED_OVER = {
    ("openat", "ledgers"),
    ("fdatasync", "ledgers"),
    ("pread64", f"{LEDGER}-journal"),
    ("openat", SESSION),
    ("write", "runs/harvest-telegram.log"),
}


@pytest.fixture(scope="module")
def harvests() -> Iterator[Harvests]:
    with Harvests(SMALL, SMALL_POSTS) as harvests:
        yield harvests


@pytest.fixture(scope="module")
def uninterrupted(harvests: Harvests, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(harvests.command(root), CALLS)


def check(
    faults: Sequence[Fault], harvests: Harvests, uninterrupted: Uninterrupted, folder: Path
) -> None:
    """Each fault ends in exit code 1 and one line naming a file and a cause, and can be mended."""
    sys.stdout.write(f"failed at\n{kinds(fault.moment for fault in faults)}")

    def work(task: tuple[int, Fault]) -> None:
        number, fault = task
        root = folder / f"fault-{number}"
        command = harvests.command(root)
        done, calls = command.trace(CALLS, paths=uninterrupted.paths, inject=fault.injections)
        failed = [place for place, call in enumerate(calls) if "INJECTED" in call.rest]
        said = f"{fault}: {done.returncode} {done.stderr}"
        assert failed, said
        assert "Traceback" not in done.stderr, said
        if done.returncode == 0:
            assert may_be_passed_over(calls, failed[0]), said
            assert_whole(root, uninterrupted.root)
            harvests.stop(root)
            return
        assert done.returncode == 1, said
        last = done.stderr.splitlines()[-1]
        assert str(root) in last, said
        assert any(cause in last for cause in CAUSES), said
        harvests.go_on(uninterrupted.root, root)

    at_once(work, list(enumerate(faults)))


def may_be_passed_over(calls: Sequence[Call], failed: int) -> bool:
    """Once all is committed SQLite only tidies up, and would do it at the next start as well."""
    on_log = [place for place, call in enumerate(calls) if call.path == f"{LEDGER}-wal"]
    written = max(place for place in on_log if calls[place].name == "pwrite64")
    committed = min(place for place in on_log if place > written)
    return failed > committed or (calls[failed].name, calls[failed].file) in PASSED_OVER


@pytest.mark.parametrize("size", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_one_call_fails(
    harvests: Harvests, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    faults = random.Random(SEED).sample(faults_of_each_kind(uninterrupted), size)
    check(faults, harvests, uninterrupted, tmp_path)


@pytest.mark.parametrize("size", [1, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_the_session_cannot_be_read(
    harvests: Harvests, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    """Telethon's own SQLite file."""
    every = [
        fault
        for fault in faults_of_each_kind(uninterrupted)
        if fault.moment.file.startswith(SESSION)
    ]
    faults = random.Random(SEED).sample(every, min(size, len(every)))
    check(faults, harvests, uninterrupted, tmp_path)


@pytest.mark.parametrize("size", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(
    harvests: Harvests, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    moments = random.Random(SEED).sample(uninterrupted.moments, size)
    faults = [
        everything_fails_from(moment, error, uninterrupted)
        for moment, error in zip(moments, ["ENOSPC", "EIO"] * (size // 2), strict=True)
    ]
    check(faults, harvests, uninterrupted, tmp_path)
