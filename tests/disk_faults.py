"""A full or failing disk under a process that collects: the faults, and what must come of them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kill_matrix import (
    CHANGING,
    READING,
    Call,
    Command,
    Moment,
    Uninterrupted,
    assert_whole,
    at_once,
    kinds,
)

CALLS: Final = (*CHANGING, *READING)
LEDGER: Final = "ledgers/pet911.sqlite"
CAUSES: Final = (
    "No space left on device",
    "Input/output error",
    # as SQLite puts it
    *("disk is full", "disk I/O error", "unable to open database file", "malformed"),
    "no write-ahead log",
)
# Where nothing is said, and nothing is lost. SQLite passes over a folder that it cannot sync, but
# the ledger syncs it too; and over a journal that it cannot read, before anything is in it. A line
# of Scrapy's log is no photo.
PASSED_OVER: Final = {
    ("openat", "ledgers"),
    ("fdatasync", "ledgers"),
    ("pread64", f"{LEDGER}-journal"),
    ("write", "runs/crawl-pet911.log"),
}


@dataclass(frozen=True)
class Fault:
    """At this moment a call fails, or from then on calls do."""

    moment: Moment
    error: str
    stays: bool
    injections: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.error} at {self.moment}{' and from then on' if self.stays else ''}"


def faults_of_each_kind(uninterrupted: Uninterrupted) -> list[Fault]:
    """At the first and the last of each kind of call. Nothing that only reads meets a full disk."""
    changing = [moment for moment in uninterrupted.moments if moment.call not in READING]
    faults = []
    for error, moments in (("ENOSPC", changing), ("EIO", uninterrupted.all_moments)):
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
    deleting = ("unlink", "unlinkat", "rmdir")
    spared = (*READING, "open", "openat", *deleting) if error == "ENOSPC" else ()
    before = Counter(call.name for call in uninterrupted.calls[: moment.place])
    names = {call.name for call in uninterrupted.calls}.difference(spared)
    injections = [f"{name}:error={error}:when={before[name] + 1}+" for name in sorted(names)]
    return Fault(moment, error, True, tuple(injections))


def fail_and_go_on(
    faults: Sequence[Fault],
    uninterrupted: Uninterrupted,
    command: Callable[[Path], Command],
    go_on: Callable[[Path], None],
    folder: Path,
) -> None:
    """Each fault ends in exit code 1 and one line naming a file and a cause; `go_on` checks."""
    sys.stdout.write(f"failed at\n{kinds(fault.moment for fault in faults)}")

    def work(task: tuple[int, Fault]) -> bool:
        number, fault = task
        root = folder / f"fault-{number}"
        done, calls = command(root).trace(CALLS, paths=uninterrupted.paths, inject=fault.injections)
        failed = [place for place, call in enumerate(calls) if "INJECTED" in call.rest]
        said = f"{fault}: {done.returncode} {done.stderr}"
        assert "Traceback" not in done.stderr, said
        if done.returncode == 0:
            assert not failed or _may_be_passed_over(calls, failed[0]), said
            assert_whole(root, uninterrupted.root)
            return bool(failed)
        assert done.returncode == 1, said
        last = done.stderr.splitlines()[-1]
        assert str(root) in last, said
        assert any(cause in last for cause in CAUSES), said
        go_on(root)
        return True

    missed = at_once(work, list(enumerate(faults))).count(False)
    assert missed <= 1 + len(faults) // 20, f"{missed} of {len(faults)} ended before their fault"


def _may_be_passed_over(calls: Sequence[Call], failed: int) -> bool:
    """Once all is committed SQLite only tidies up, and would do it at the next start as well."""
    on_log = [place for place, call in enumerate(calls) if call.path == f"{LEDGER}-wal"]
    written = max(place for place in on_log if calls[place].name == "pwrite64")
    committed = min(place for place in on_log if place > written)
    return failed > committed or (calls[failed].name, calls[failed].file) in PASSED_OVER
