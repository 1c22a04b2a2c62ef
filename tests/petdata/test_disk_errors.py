"""A disk that is full or fails, at each kind of call: one line, exit code 1, and going on after."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from kill_matrix import (
    CHANGING,
    READING,
    Moment,
    Uninterrupted,
    assert_whole,
    at_once,
    durable_photos,
    kinds,
    needs_strace,
    run_uninterrupted,
)

from collecting import collection, fetched

pytestmark = needs_strace()

SEED = 20261124
EVERY = 10**6
LOG: Final = "ledgers/pet911.sqlite-wal"
CAUSES: Final = (
    "No space left on device",
    "Input/output error",
    # as SQLite puts it
    *("disk is full", "disk I/O error", "unable to open database file", "malformed"),
    "no write-ahead log",
)
# Where SQLite says nothing, and nothing is lost: it passes over a folder that cannot be synced, but
# the ledger syncs it too, and over a journal that cannot be read before there is anything in it.
PASSED_OVER: Final = {
    ("openat", "ledgers"),
    ("fdatasync", "ledgers"),
    ("pread64", "ledgers/pet911.sqlite-journal"),
}


@dataclass(frozen=True)
class Fault:
    """From this moment on, or only then, a call fails."""

    moment: Moment
    error: str
    stays: bool
    injections: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.error} at {self.moment}{' and from then on' if self.stays else ''}"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(collection(root), (*CHANGING, *READING))


def faults_of_each_kind(uninterrupted: Uninterrupted) -> list[Fault]:
    """At the first and the last of each kind; reading and looking never meet a full disk."""
    faults = []
    for error in ("ENOSPC", "EIO"):
        moments = uninterrupted.all_moments if error == "EIO" else uninterrupted.moments
        moments = [m for m in moments if error == "EIO" or m.call not in READING]
        first = {moment.kind: moment for moment in reversed(moments)}
        last = {moment.kind: moment for moment in moments}
        for moment in dict.fromkeys([*first.values(), *last.values()]):
            for stays in (False, True):
                when = f"{moment.number}{'+' if stays else ''}"
                injection = f"{moment.call}:error={error}:when={when}"
                faults.append(Fault(moment, error, stays, (injection,)))
    return faults


def everything_fails_from(moment: Moment, error: str, uninterrupted: Uninterrupted) -> Fault:
    """On a full disk nothing can be written any more, on a broken one nothing be done at all."""
    spared = (*READING, "open", "openat", "unlink", "unlinkat") if error == "ENOSPC" else ()
    before = Counter(call.name for call in uninterrupted.calls[: moment.place])
    names = {call.name for call in uninterrupted.calls}.difference(spared)
    injections = [f"{name}:error={error}:when={before[name] + 1}+" for name in sorted(names)]
    return Fault(moment, error, True, tuple(injections))


def fail_and_go_on(root: Path, fault: Fault, uninterrupted: Uninterrupted) -> None:
    command = collection(root)
    done, _ = command.trace(
        (*CHANGING, *READING), paths=uninterrupted.paths, inject=fault.injections
    )
    assert "Traceback" not in done.stderr, f"{fault}: {done.stderr}"
    if done.returncode == 0:  # it went on as if nothing had been, and nothing had
        assert may_pass_over(fault.moment, uninterrupted), f"{fault} was passed over"
        assert_whole(root, uninterrupted.root)
        return
    assert done.returncode == 1, f"{fault}: {done.returncode} {done.stderr}"
    [line] = done.stderr.splitlines()
    assert str(root) in line, f"{fault}: {line}"
    assert any(cause in line for cause in CAUSES), f"{fault}: {line}"
    durable, before = durable_photos(root), len(fetched(root))
    mended = command.run()
    assert mended.returncode == 0, f"{fault}: {mended.stderr}"
    assert not durable & set(fetched(root)[before:]), fault
    assert_whole(root, uninterrupted.root)


def may_pass_over(moment: Moment, uninterrupted: Uninterrupted) -> bool:
    """When all is committed SQLite only tidies up, and would do it at the next start as well."""
    places = [n for n, call in enumerate(uninterrupted.calls) if call.path == LOG]
    written = max(n for n in places if uninterrupted.calls[n].name == "pwrite64")
    committed = min(n for n in places if n > written)
    return moment.place > committed or moment.kind in PASSED_OVER


def run(faults: Iterable[Fault], folder: Path, uninterrupted: Uninterrupted) -> None:
    faults = list(faults)
    sys.stdout.write(f"failed at\n{kinds(fault.moment for fault in faults)}")
    roots = [folder / str(number) for number in range(len(faults))]
    at_once(lambda pair: fail_and_go_on(*pair, uninterrupted), zip(roots, faults, strict=True))


@pytest.mark.parametrize("size", [16, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_one_call_fails(uninterrupted: Uninterrupted, tmp_path: Path, size: int) -> None:
    faults = faults_of_each_kind(uninterrupted)
    assert {fault.moment.file for fault in faults} >= {
        "ledgers/pet911.sqlite",
        LOG,
        "ledgers/pet911.segments/N.segment",
        "shards/pet911/.part-N.parquet.tmp",
        "shards/pet911/part-N.parquet",
    }
    generator = random.Random(SEED)
    run(generator.sample(faults, min(size, len(faults))), tmp_path, uninterrupted)


@pytest.mark.parametrize("size", [6, pytest.param(80, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(uninterrupted: Uninterrupted, tmp_path: Path, size: int) -> None:
    moments = random.Random(SEED).sample(uninterrupted.moments, size)
    faults = [
        everything_fails_from(moment, error, uninterrupted)
        for moment, error in zip(moments, ["ENOSPC", "EIO"] * size, strict=False)
    ]
    run(faults, tmp_path, uninterrupted)
