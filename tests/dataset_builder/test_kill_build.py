"""What a build leaves that is killed at its N-th system call, at any moment, or out of space."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from disk_faults import CALLS, CAUSES, Fault, everything_fails_from, faults_of_each_kind
from kill_matrix import (
    READING,
    WRITING,
    Command,
    Moment,
    Uninterrupted,
    at_once,
    kill,
    kinds,
    needs_strace,
    sample,
)
from worlds import Animal, add, photo

from dataset_builder.build import build
from dataset_builder.options import BuildOptions
from petdata.workspace import Workspace

SEED = 20261128
EVERY = 10**6
FOR_DELETING = ("open", "openat", "unlink", "unlinkat", "rmdir")  # possible on a full disk
RELEASES = "releases/pets"
BUILT = "releases/pets/1.1.0"
BESIDE = "releases/pets/.1.1.0.tmp"
BY_DUCKDB = ("open", "openat", "pread64")  # besides what the build itself does
SAVES_TIME = (  # what is written or worked out again where it cannot be read
    f"{RELEASES}/1.0.0/manifest.json",
    f"{RELEASES}/1.0.0/metadata/byte_index.parquet",
    "cache/hash-variants-1.npz",
)
PETS = [
    Animal("pet911/rl500001", [photo(1), photo(1, 1)]),
    Animal("lcw/17", [photo(2), photo(2, 1)]),
    Animal("dogfacenet/1", [photo(3)]),
]
ADDED = Animal("pet911/rl600001", [photo(4)])


@dataclass(frozen=True)
class World:
    """A workspace with pets@1.0.0 and an animal that came later, and its uninterrupted build."""

    before: Path
    uninterrupted: Uninterrupted


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    before = tmp_path_factory.mktemp("before") / "workspace"
    before.mkdir()
    (before / "secret.key").write_text("07" * 32)
    (before / "secret.key").chmod(0o600)
    workspace = Workspace(root=before)
    add(workspace, PETS)
    first = build(workspace, BuildOptions())
    assert first.folder == before / RELEASES / "1.0.0"
    add(workspace, [ADDED])
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return World(before, run_uninterrupted(building(before, root)))


def building(before: Path, root: Path) -> Command:
    """A build of 1.1.0 in a copy of that workspace, which is made once."""
    if not root.exists():
        shutil.copytree(before, root)
    words = [sys.executable, "-m", "petdata.cli", "build"]
    return Command(words, root, {"PETDATA_HOME": str(root)})


def run_uninterrupted(command: Command) -> Uninterrupted:
    """Its calls on what it makes. Other threads only read; strace counts each thread for itself."""
    done, calls = command.trace(CALLS)
    assert done.returncode == 0, done.stderr
    made = [call for call in calls if call.path.startswith(("cache", "releases"))]
    main = made[0].thread
    assert not [call for call in made if call.thread != main and call.changes]
    own = [call for call in made if call.thread == main]
    return Uninterrupted(command.root, own, frozenset(call.path for call in own))


def moments(world: World) -> list[Moment]:
    return [moment for moment in world.uninterrupted.moments if moment.call not in READING]


def aimed(uninterrupted: Uninterrupted, moment: Moment) -> tuple[Moment, frozenset[str]]:
    """The moment by a number that it has in every build, and the files to count it among.

    DuckDB's threads share out who opens and reads what: over all files such calls have another
    number each time, on one file they have not.
    """
    if moment.call not in BY_DUCKDB:
        return moment, uninterrupted.paths
    path = uninterrupted.calls[moment.place].path
    before = uninterrupted.calls[: moment.place]
    earlier = [call for call in before if (call.name, call.path) == (moment.call, path)]
    return replace(moment, number=len(earlier) + 1), frozenset({path})


def comes_up(uninterrupted: Uninterrupted, fault: Fault) -> bool:
    """In every build: of what DuckDB does with a file that it reads only the first call is sure."""
    path = Path(uninterrupted.calls[fault.moment.place].path)
    is_read = path.is_relative_to(BESIDE) and path.match("[!.]*.parquet")
    if fault.moment.call not in BY_DUCKDB or not is_read:
        return True
    return aimed(uninterrupted, fault.moment)[0].number == 1


def go_on(world: World, root: Path, *, linked: bool = True) -> None:
    """Build once more: the same release, byte for byte, and nothing else is there."""
    build(Workspace(root=root), BuildOptions())
    expected = world.uninterrupted.root
    assert contents(root).keys() == contents(expected).keys()
    assert contents(root, BUILT) == contents(expected, BUILT)
    assert_untouched(world, root)
    if linked:
        assert links(root) == links(expected)


def assert_untouched(world: World, root: Path) -> None:
    """Shards and the earlier release are what they were."""
    for folder in (f"{RELEASES}/1.0.0", "shards"):
        assert contents(root, folder) == contents(world.before, folder), folder


def contents(root: Path, folder: str = ".") -> dict[str, bytes]:
    """Folders are empty. But for what SQLite keeps beside a ledger that is read."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in (root / folder).rglob("*")
        if not path.name.endswith(("-shm", "-wal"))
    }


def links(root: Path) -> list[str]:
    """Files that the two releases share."""
    return [
        str(path.relative_to(root / BUILT))
        for path in sorted((root / BUILT).rglob("*.parquet"))
        if path.stat().st_nlink > 1
        and path.samefile(root / RELEASES / "1.0.0" / path.relative_to(root / BUILT))
    ]


@needs_strace()
def test_the_uninterrupted_build_is_what_these_tests_need(world: World) -> None:
    root = world.uninterrupted.root
    assert_untouched(world, root)
    assert links(root) == ["data/dogfacenet/test-00000.parquet", "data/lcw/train-00000.parquet"]
    assert [path.name for path in (root / "cache").iterdir() if path.is_dir()] == []
    calls = {moment.call.removesuffix("at") for moment in moments(world)}
    assert {"write", "fsync", "rename", "mkdir", "link", "open", "unlink", "rmdir"} <= calls
    last = [moment for moment in moments(world) if moment.file.startswith(RELEASES)][-2:]
    assert [str(moment.file) for moment in last] == [BUILT, RELEASES]  # renamed, then synced


@needs_strace()
@pytest.mark.parametrize("size", [6, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(world: World, tmp_path: Path, size: int) -> None:
    chosen = sample(moments(world), size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")
    at_once(partial(kill_and_go_on, world, tmp_path, False), chosen)


@needs_strace()
@pytest.mark.parametrize("size", [1, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_a_write(world: World, tmp_path: Path, size: int) -> None:
    writes = [moment for moment in moments(world) if moment.call in WRITING]
    at_once(partial(kill_and_go_on, world, tmp_path, True), sample(writes, size, SEED))


def kill_and_go_on(world: World, folder: Path, torn: bool, moment: Moment) -> None:
    root = folder / f"{moment.call}-{moment.number}"
    command = building(world.before, root)
    counted, paths = aimed(world.uninterrupted, moment)
    assert kill(command, counted, paths, torn=torn), moment
    assert_untouched(world, root)
    if (root / BUILT).exists():
        renamed = next(m for m in moments(world) if m.file == BUILT)
        assert moment.place > renamed.place, f"{moment}: there before it was whole"
    go_on(world, root)


# Killed from the outside


@pytest.mark.parametrize("kills", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_at_random_moments(world: World, tmp_path: Path, kills: int) -> None:
    command = building(world.before, tmp_path / "timed")
    started = time.monotonic()
    assert command.run().returncode == 0
    seconds = time.monotonic() - started
    generator = random.Random(SEED)
    for number in range(kills):
        root = tmp_path / f"killed-{number}"
        process = building(world.before, root).start()
        time.sleep(generator.uniform(0.3, 0.95) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_untouched(world, root)
        go_on(world, root)


# Disks


@needs_strace()
@pytest.mark.parametrize("size", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_one_call_fails(world: World, tmp_path: Path, size: int) -> None:
    uninterrupted = world.uninterrupted
    sure = [fault for fault in faults_of_each_kind(uninterrupted) if comes_up(uninterrupted, fault)]
    chosen = random.Random(SEED).sample(sure, size)
    fail_and_go_on(world, [one_call(uninterrupted, fault) for fault in chosen], tmp_path)


def one_call(uninterrupted: Uninterrupted, fault: Fault) -> tuple[Fault, frozenset[str]]:
    moment, paths = aimed(uninterrupted, fault.moment)
    when = f"{moment.number}{'+' if fault.stays else ''}"
    return replace(fault, injections=(f"{moment.call}:error={fault.error}:when={when}",)), paths


@needs_strace()
@pytest.mark.parametrize("size", [2, pytest.param(16, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(world: World, tmp_path: Path, size: int) -> None:
    able = [moment for moment in moments(world) if moment.call not in FOR_DELETING]
    chosen = random.Random(SEED).sample(able, size)
    faults = [
        (everything_fails_from(moment, error, world.uninterrupted), world.uninterrupted.paths)
        for moment, error in zip(chosen, ["ENOSPC", "EIO"] * (size // 2), strict=True)
    ]
    fail_and_go_on(world, faults, tmp_path)


def fail_and_go_on(
    world: World, faults: Sequence[tuple[Fault, frozenset[str]]], folder: Path
) -> None:
    """One line that names a file and the cause, exit code 1, and the next build makes it good.

    With each fault the files that its calls are counted among.
    """
    sys.stdout.write(f"failed at\n{kinds(fault.moment for fault, _ in faults)}")

    def work(task: tuple[int, tuple[Fault, frozenset[str]]]) -> None:
        number, (fault, paths) = task
        root = folder / f"fault-{number}"
        command = building(world.before, root)
        done, calls = command.trace(CALLS, paths=paths, inject=fault.injections)
        failed = [call for call in calls if "INJECTED" in call.rest]
        said = f"{fault}: {done.returncode} {done.stderr}"
        assert failed, said
        assert "Traceback" not in done.stderr, said
        assert_untouched(world, root)
        if done.returncode == 0:
            assert may_be_passed_over(failed[0].name, failed[0].file), said
            assert (root / BUILT / "manifest.json").exists()
        else:
            assert done.returncode == 1, said
            last = done.stderr.splitlines()[-1]
            assert str(root) in last, said
            assert any(cause in last for cause in CAUSES), said
            if fault.error == "ENOSPC" and fault.moment.call not in FOR_DELETING:
                assert not list((root / RELEASES).glob(".*")), said
        go_on(world, root, linked=False)

    at_once(work, list(enumerate(faults)))


def may_be_passed_over(call: str, file: str) -> bool:
    """Where links are not possible files are copied; scratch that stays goes at the next build."""
    is_read = call in (*READING, "open", "openat")
    is_link = call in ("link", "linkat")
    return is_link or (is_read and file in SAVES_TIME) or file.startswith("cache/build-")


@needs_strace()
def test_a_shard_that_cannot_be_read_is_named(world: World, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    shard = "shards/lcw/part-00000.parquet"
    reading = [f"{call}:error=EIO:when=1+" for call in ("read", "pread64")]
    done, _ = building(world.before, root).trace(READING, paths=[shard], inject=reading)
    assert done.returncode == 1, done.stderr
    assert str(root / shard) in done.stderr.splitlines()[-1]
    assert_untouched(world, root)
    go_on(world, root)
