"""Killing a process, or failing its disk, at its N-th system call on files of a workspace.

strace does it. It counts `when=N` per system call and thread, among the calls that `-P` lets
through, and does not carry out the call at which it kills: every kill is read back from its trace.
(Not with --seccomp-bpf: strace 6.1 injects nothing into a call that it sees there.)
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow.parquet as pq
import pytest

from petdata.inspection import verify_source
from petdata.workspace import Workspace

# "?": a name that some processors lack. Opening counts where it makes a file.
WRITING: Final = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range")
SYNCING: Final = ("fsync", "fdatasync", "sync_file_range")
CHANGING: Final = (
    *(*WRITING, *SYNCING, "ftruncate", "fallocate", "openat", "?open", "?creat"),
    *("?rename", "renameat", "renameat2", "?unlink", "unlinkat", "?mkdir", "mkdirat"),
    *("?link", "linkat", "?rmdir"),
)
READING: Final = ("read", "readv", "pread64", "preadv")
DEADLINE_S: Final = 300.0  # for one process, on a busy machine
AT_ONCE: Final = 2  # processes
HIDE_PANDAS: Final = str(Path(__file__).with_name("without_pandas"))

# 4711 pwrite64(5</w/ledgers/pet911.sqlite-wal>, ""..., 24, 32) = 24
# 4711 rename("/w/shards/.part-00000.parquet.tmp", "/w/shards/part-00000.parquet") = 0
_LINE: Final = re.compile(
    r"(?P<thread>\d+) +(?P<name>\w+)\((?:AT_FDCWD<[^>]*>, )?"
    r'(?:\d+<(?P<open>/[^>]*)>|"(?P<path>[^"]*)")'
    r'(?:, (?:AT_FDCWD<[^>]*>, )?"(?P<target>/[^"]*)")?(?P<rest>.*)'
)
_RESULT: Final = re.compile(r".*\) += (?P<result>\S+)")
_LENGTH_AND_OFFSET: Final = re.compile(
    r'.*"\.{0,3}, (?P<length>\d+)(?:, (?P<offset>\d+))?(?:\)| <)'
)


@cache
def why_no_strace() -> str | None:
    """Why nothing can be killed here; None: it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    trial = ["strace", "-f", "-qq", "-o", os.devnull, "-P", "/", sys.executable, "-c", ""]
    tried = subprocess.run(trial, capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


def needs_strace() -> pytest.MarkDecorator:
    return pytest.mark.skipif(why_no_strace() is not None, reason=str(why_no_strace()))


# Runs and their traces


@dataclass(frozen=True, slots=True)
class Call:
    """A system call on a file of the workspace, as strace printed it."""

    thread: int
    name: str
    path: str  # inside the workspace; of a rename the new one
    rest: str  # further arguments and the result
    result: str | None  # "?", or none at all: it was killed there

    @property
    def file(self) -> str:
        """Which file by its role: shards and segments are not told apart."""
        return re.sub(r"\d{5,}", "N", self.path)

    @property
    def changes(self) -> bool:
        """Not a look at what is there already."""
        if self.name in ("open", "openat"):
            return "O_CREAT" in self.rest
        return self.name not in READING


@dataclass(frozen=True, slots=True)
class Command:
    """A program that collects into the workspace `root`; run again, it goes on."""

    words: Sequence[str]
    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of ours

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": HIDE_PANDAS, **self.environment}

    def run(self) -> subprocess.CompletedProcess[str]:
        return self._run(self.words)

    def trace(
        self,
        calls: Iterable[str] = CHANGING,
        *,
        paths: Iterable[str] = (),
        inject: Iterable[str] = (),
        text: int = 0,
    ) -> tuple[subprocess.CompletedProcess[str], list[Call]]:
        """Run it and list its calls on files of the workspace.

        `paths`, inside the workspace, are the only ones that are traced, and that the faults to
        `inject` are counted on. `text`: how many bytes of what is written the trace shows.
        """
        lines = self.root.with_name(f"{self.root.name}.trace")
        strace = ["strace", "-f", "-y", "-qq", "-o", str(lines), "-s", str(text)]
        strace += ["-e", f"trace={','.join(calls)}", "-e", "signal=none"]
        for path in sorted(paths):
            strace += ["-P", str(self.root / path)]
        for fault in inject:
            strace += ["-e", f"inject={fault}"]
        done = self._run([*strace, *self.words])
        return done, list(_parse(lines.read_text(errors="replace"), self.root))

    def start(self) -> subprocess.Popen[bytes]:
        """To be waited for, or killed, by whoever starts it."""
        silent = subprocess.DEVNULL
        return subprocess.Popen(
            self.words, stdout=silent, stderr=silent, cwd=self.root.parent, env=self.variables
        )

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
            cwd=self.root.parent,
            env=self.variables,
        )


def _parse(lines: str, root: Path) -> Iterator[Call]:
    for line in lines.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        path = Path(match["target"] or match["open"] or match["path"])
        if path.is_relative_to(root):
            result = _RESULT.match(match["rest"])
            yield Call(
                thread=int(match["thread"]),
                name=match["name"],
                path=str(path.relative_to(root)),
                rest=match["rest"],
                result=result["result"] if result else None,
            )


# Moments


@dataclass(frozen=True, slots=True)
class Moment:
    """The N-th of one system call."""

    call: str
    number: int
    file: str  # what it works on in an uninterrupted run
    place: int  # among all calls of that run

    @property
    def kind(self) -> tuple[str, str]:
        return self.call, self.file

    def __str__(self) -> str:
        return f"{self.call} {self.number} ({self.file})"


@dataclass(frozen=True, slots=True)
class Uninterrupted:
    """A run that came to its end: what is expected of every other, and its moments."""

    root: Path
    calls: list[Call]
    paths: frozenset[str]  # that it used

    @property
    def moments(self) -> list[Moment]:
        """Those at which something changes, in order."""
        return [moment for moment in self.all_moments if self.calls[moment.place].changes]

    @property
    def all_moments(self) -> list[Moment]:
        seen: Counter[str] = Counter()
        found = []
        for place, call in enumerate(self.calls):
            seen[call.name] += 1
            found.append(Moment(call.name, seen[call.name], call.file, place))
        return found


def run_uninterrupted(command: Command, calls: Sequence[str] = CHANGING) -> Uninterrupted:
    done, traced = command.trace(calls)
    assert done.returncode == 0, done.stderr
    assert len({call.thread for call in traced}) == 1  # else N would count something else
    temporary = {
        str(Path(call.path).with_name(f".{Path(call.path).name}.tmp"))
        for call in traced
        if call.name.startswith("rename")
    }
    paths = frozenset(call.path for call in traced) | temporary
    return Uninterrupted(command.root, traced, paths)


def sample(every: Sequence[Moment], size: int, seed: int) -> list[Moment]:
    """First ones of their kind as far as they go, then any others; in order."""
    generator = random.Random(seed)
    first = list({moment.kind: moment for moment in reversed(every)}.values())
    chosen = set(generator.sample(first, min(size, len(first))))
    rest = [moment for moment in every if moment not in chosen]
    chosen.update(generator.sample(rest, min(size - len(chosen), len(rest))))
    return [moment for moment in every if moment in chosen]


def kinds(chosen: Iterable[Moment]) -> str:
    """How many of which kind, one a line."""
    counted = Counter(moment.kind for moment in chosen)
    lines = [f"{number:5} {call} {file}" for (call, file), number in sorted(counted.items())]
    return "\n".join([f"{counted.total():5} in {len(counted)} kinds", *lines, ""])


Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


def at_once(work: Callable[[Task], Outcome], tasks: Iterable[Task]) -> list[Outcome]:
    """`work` for every task, AT_ONCE at a time; the first failure is raised."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(work, tasks))


# Faults


def kill(command: Command, moment: Moment, paths: Iterable[str], *, torn: bool = False) -> bool:
    """Kill it at this moment. False where it ended without a call of that number.

    `torn`: half of what this call was to write is in the file, and nothing of it is right.
    """
    fault = f"{moment.call}:signal=KILL:when={moment.number}"
    done, calls = command.trace(paths=paths, inject=[fault])
    if done.returncode == 0:
        return False
    assert done.returncode == -signal.SIGKILL, f"{moment}: {done.returncode} {done.stderr}"
    last = calls[-1]
    assert last.name == moment.call, f"{moment}: killed at {last}"
    assert last.result in ("?", None), f"{moment}: killed after {last}"
    if torn:
        _write_half(command.root, last)
    return True


def _write_half(root: Path, call: Call) -> None:
    match = _LENGTH_AND_OFFSET.match(call.rest)
    assert call.name in WRITING, call
    assert match is not None, call
    with (root / call.path).open("r+b") as file:
        if match["offset"] is None:
            file.seek(0, os.SEEK_END)
        else:
            file.seek(int(match["offset"]))
        file.write(b"\xa5" * (int(match["length"]) // 2))


def durable_addresses(root: Path) -> set[str]:
    """What the ledger has read or taken, and so must never be asked for again."""
    if not root.exists():
        return set()
    copy = root.with_name(f"{root.name}.copy")  # because reading recovers what a kill left
    shutil.copytree(root, copy)
    try:
        return _durable_addresses(next((copy / "ledgers").glob("*.sqlite"), None))
    finally:
        shutil.rmtree(copy)


def _durable_addresses(path: Path | None) -> set[str]:
    if path is None:
        return set()
    with closing(sqlite3.connect(path)) as ledger:
        if not ledger.execute("SELECT 1 FROM sqlite_schema WHERE name = 'photos'").fetchone():
            return set()
        addresses = ledger.execute(
            "SELECT address FROM photos WHERE outcome IN ('stored', 'kept') "
            "UNION ALL SELECT url FROM listings WHERE content_hash IS NOT NULL"
        )
        return {address for (address,) in addresses}


# What must be there in the end

Row = dict[str, Any]
Key = tuple[str, int]  # photo and version


@dataclass(frozen=True, slots=True)
class Content:
    rows: dict[Key, Row]  # of every shard, but for `fetched_at`
    current: set[Key]  # those that count: of the version that the ledger names


def source_of(root: Path) -> str:
    """The one source that these workspaces collect."""
    (ledger,) = (root / "ledgers").glob("*.sqlite")
    return ledger.stem


def read_content(root: Path) -> Content:
    """What a workspace holds; no row may stand in its shards twice."""
    source = source_of(root)
    rows: dict[Key, Row] = {}
    for path in sorted((root / "shards" / source).glob("*.parquet")):
        for row in pq.read_table(path).drop(["fetched_at"]).to_pylist():
            key = row["photo_id"], row["listing_version"]
            assert key not in rows, f"{key} stands twice, the second time in {path.name}"
            rows[key] = row
    uri = f"file:{root}/ledgers/{source}.sqlite?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as ledger:
        versions = dict(
            ledger.execute(
                "SELECT source_id, current_version FROM listings WHERE outcome != 'gone'"
            )
        )
    current = {key for key in rows if versions.get(key[0].split("/")[1]) == key[1]}
    return Content(rows, current)


_expected_content = cache(read_content)


def assert_whole(root: Path, uninterrupted: Path) -> None:
    """The workspace holds what an uninterrupted run left in its own, and nothing half done."""
    found, expected = read_content(root), _expected_content(uninterrupted)
    others = [key for key, row in found.rows.items() if expected.rows.get(key) != row]
    assert not others, f"{root}: no uninterrupted run has these rows: {others}"
    assert found.current == expected.current, f"{root}: {found.current ^ expected.current}"
    problems = list(verify_source(Workspace(root=root), source_of(root)))
    assert not problems, problems
    leftovers = [*root.rglob("*.tmp"), *root.rglob("*.segment")]
    assert not leftovers, leftovers
