"""What an import leaves that is killed at its N-th system call, at any moment, or out of space."""

from __future__ import annotations

import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import import_for_kill_tests
import pyarrow.parquet as pq
import pytest
from disk_faults import CAUSES, Fault, everything_fails_from
from kill_matrix import (
    CHANGING,
    SYNCING,
    WRITING,
    Call,
    Command,
    Moment,
    Uninterrupted,
    assert_whole,
    at_once,
    kill,
    kinds,
    needs_strace,
    read_content,
    run_uninterrupted,
    sample,
)

from petdata.inspection import current_rows, list_shards
from petdata.ledger import Ledger
from petdata.workspace import Workspace
from pictures_for_tests import jpeg

pytestmark = needs_strace()

SEED = 20261128
EVERY = 10**6
PAIRS = "shards/petface/lists/verification_pairs.parquet"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(importing(data, root), CHANGING)


def write_data(data: Path) -> None:
    """A PetFace of three cats, nine photos: one is cut off, one stands twice."""
    names = [f"cat/{cat:06d}/{photo:02d}.png" for cat in range(3) for photo in range(3)]
    for number, name in enumerate(names):
        path = data / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    (data / "images" / names[4]).write_bytes(jpeg(4)[:-300])
    (data / "images" / names[8]).write_bytes(jpeg(6))
    lists = data / "split/cat"
    lists.mkdir(parents=True)
    (lists / "train.csv").write_text(f"filename,label\n{names[0]},0\n{names[1]},0\n")
    pairs = f"{names[3]},{names[5]},1\n{names[3]},{names[8]},0\n"
    (lists / "verification.csv").write_text(f"filename1,filename2,label\n{pairs}")


def importing(data: Path, root: Path) -> Command:
    return Command([sys.executable, import_for_kill_tests.__file__, str(root), str(data)], root)


def go_on(data: Path, uninterrupted: Path, root: Path) -> None:
    """Run once more: in the end all is there, in the very same shards."""
    done = importing(data, root).run()
    assert done.returncode == 0, f"{root}: {done.stderr}"
    assert_same(root, uninterrupted)


def assert_same(root: Path, uninterrupted: Path) -> None:
    assert_whole(root, uninterrupted)
    found, expected = Workspace(root=root), Workspace(root=uninterrupted)
    assert current_rows(found, "petface") == current_rows(expected, "petface")
    fingerprints = [
        [(shard.name, shard.rows, shard.fingerprint) for shard in list_shards(which, "petface")]
        for which in (found, expected)
    ]
    assert fingerprints[0] == fingerprints[1]
    assert pq.read_table(root / PAIRS).equals(pq.read_table(uninterrupted / PAIRS))


def kill_and_go_on(
    moment: Moment, *, data: Path, uninterrupted: Uninterrupted, folder: Path, torn: bool = False
) -> None:
    root = folder / f"{moment.call}-{moment.number}"
    assert kill(importing(data, root), moment, uninterrupted.paths, torn=torn), moment
    go_on(data, uninterrupted.root, root)


def test_the_uninterrupted_import_is_what_these_tests_need(uninterrupted: Uninterrupted) -> None:
    assert len(read_content(uninterrupted.root).rows) == 7
    assert len(list_shards(Workspace(root=uninterrupted.root), "petface")) >= 3
    pairs = pq.read_table(uninterrupted.root / PAIRS).to_pylist()
    kept = [(pair["photo_id_1"] or "", pair["photo_id_2"], pair["is_same"]) for pair in pairs]
    ids = sorted(photo_id for photo_id, _ in read_content(uninterrupted.root).rows)
    assert {photo_id for first, second, _ in kept for photo_id in (first, second)} <= set(ids)
    assert [is_same for _, _, is_same in kept] == [True, False]
    assert [second.split("/")[1] for _, second, _ in kept] == ["cat-000001", "cat-000002"]


@pytest.mark.parametrize("size", [14, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(
    data: Path, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    chosen = sample(uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")
    work = partial(kill_and_go_on, data=data, uninterrupted=uninterrupted, folder=tmp_path)
    at_once(work, chosen)


@pytest.mark.parametrize("size", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_a_write(
    data: Path, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    writes = [moment for moment in uninterrupted.moments if moment.call in WRITING]
    work = partial(
        kill_and_go_on, data=data, uninterrupted=uninterrupted, folder=tmp_path, torn=True
    )
    at_once(work, sample(writes, size, SEED))


def test_a_shard_is_durable_before_the_ledger_names_it(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    done, calls = importing(data, root).trace(text=5000)
    assert done.returncode == 0, done.stderr
    for shard in list_shards(Workspace(root=root), "petface"):
        temporary = f"shards/petface/.{shard.name}.tmp"
        [synced] = places(calls, SYNCING, temporary)
        [renamed] = places(
            calls, ("rename", "renameat", "renameat2"), f"shards/petface/{shard.name}"
        )
        folder_synced = min(p for p in places(calls, SYNCING, "shards/petface") if p > renamed)
        named = places(calls, WRITING, "ledgers/petface.sqlite-wal", shard.name)
        assert (
            max(places(calls, WRITING, temporary)) < synced < renamed < folder_synced < min(named)
        )


def places(calls: list[Call], names: tuple[str, ...], path: str, text: str = "") -> list[int]:
    return [
        place
        for place, call in enumerate(calls)
        if call.name in names and call.path == path and text in call.rest and call.result != "-1"
    ]


@pytest.mark.parametrize("size", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_the_disk_fills_up(
    data: Path, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    """One line that names a file and the cause, exit code 1, and going on once there is room."""
    moments = random.Random(SEED).sample(uninterrupted.moments, size)

    def work(fault: Fault) -> None:
        root = tmp_path / f"{fault.moment.call}-{fault.moment.number}"
        done, _ = importing(data, root).trace(paths=uninterrupted.paths, inject=fault.injections)
        if done.returncode != 0:
            assert done.returncode == 1, done.stderr
            assert "Traceback" not in done.stderr, f"{fault}: {done.stderr}"
            last = done.stderr.splitlines()[-1]
            assert str(root) in last, f"{fault}: {last}"
            assert any(cause in last for cause in CAUSES), f"{fault}: {last}"
        go_on(data, uninterrupted.root, root)

    at_once(work, [everything_fails_from(moment, "ENOSPC", uninterrupted) for moment in moments])


# With all its processes, at moments that no system call chooses


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    data: Path, uninterrupted: Uninterrupted, tmp_path: Path, kills: int
) -> None:
    generator = random.Random(SEED)
    words = [sys.executable, "-m", "petdata.cli", "import", "petface", str(data)]
    options = ["--shard-mb", str(import_for_kill_tests.SHARD_MB), "--families", "cat"]
    for number in range(kills):
        root = tmp_path / f"killed-{number}"
        command = Command([*words, *options, "--workers", "2"], root, {"PETDATA_HOME": str(root)})
        process = command.start()
        time.sleep(generator.uniform(0.3, 3.0))
        children = children_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_gone(children)
        done = command.run()
        assert done.returncode == 0, done.stderr
        assert_same(root, uninterrupted.root)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def assert_gone(pids: list[int], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"{left} outlive the process that started them"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_order(
    data: Path, uninterrupted: Uninterrupted, tmp_path: Path, number: signal.Signals
) -> None:
    root = tmp_path / "workspace"
    command = importing(data, root)
    process = Command([*command.words, "slowly"], root).start()
    while not (root / "shards/petface/part-00000.parquet").exists():
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait() == 130
    [(outcome,)] = runs(root)
    assert outcome == "interrupted"
    go_on(data, uninterrupted.root, root)


def runs(root: Path) -> list[tuple[str | None]]:
    with Ledger(root / "ledgers/petface.sqlite", source="petface", read_only=True) as ledger:
        return [(row["outcome"],) for row in ledger.query("SELECT outcome FROM runs")]
