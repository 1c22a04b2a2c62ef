"""What a collection leaves that is killed at its N-th system call, or when the power is cut."""

from __future__ import annotations

import random
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from kill_matrix import (
    SYNCING,
    WRITING,
    Call,
    Moment,
    Uninterrupted,
    at_once,
    durable_addresses,
    kill,
    kinds,
    needs_strace,
    read_content,
    run_uninterrupted,
    sample,
)

from collect_for_kill_tests import picture_at
from collecting import collection, fetched, go_on

pytestmark = needs_strace()

SEED = 20261124
EVERY = 10**6
LEDGER = "ledgers/pet911.sqlite"
RECORD_HEAD = 4 + 32 + 32 * 32  # bytes of a segment's record before the JPEG


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(collection(root))


def kill_and_go_on(
    moment: Moment, *, uninterrupted: Uninterrupted, folder: Path, torn: bool = False
) -> None:
    root = folder / f"{moment.call}-{moment.number}"
    assert kill(collection(root), moment, uninterrupted.paths, torn=torn), moment
    go_on(uninterrupted.root, root)
    assert len(fetched(root)) <= len(fetched(uninterrupted.root)) + 1  # the one under way


def test_the_uninterrupted_collection_is_what_these_tests_need(
    uninterrupted: Uninterrupted,
) -> None:
    """A shard in the middle, one with photos of an earlier one, one at the end."""
    asked = fetched(uninterrupted.root)
    assert len(asked) == len(set(asked)) == 10
    versions = [version for _, version in read_content(uninterrupted.root).rows]
    assert versions == [1] * 6 + [2] * 4 + [1] * 3
    assert len(list(uninterrupted.root.glob("shards/pet911/*.parquet"))) == 3


@pytest.mark.parametrize("size", [40, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(uninterrupted: Uninterrupted, tmp_path: Path, size: int) -> None:
    chosen = sample(uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")
    work = partial(kill_and_go_on, uninterrupted=uninterrupted, folder=tmp_path)
    at_once(work, chosen)


@pytest.mark.parametrize("size", [6, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_a_write(
    uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    writes = [moment for moment in uninterrupted.moments if moment.call in WRITING]
    chosen = sample(writes, size, SEED)
    sys.stdout.write(f"killed in the middle of\n{kinds(chosen)}")
    work = partial(kill_and_go_on, uninterrupted=uninterrupted, folder=tmp_path, torn=True)
    at_once(work, chosen)


@pytest.mark.parametrize("size", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_again_while_going_on(
    uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    """The second kill may hit the recovery from the first."""
    generator = random.Random(SEED)

    def work(pair: tuple[Moment, int]) -> None:
        first, number = pair
        root = tmp_path / f"{first.call}-{first.number}"
        assert kill(collection(root), first, uninterrupted.paths), first
        durable, before = durable_addresses(root), len(fetched(root))
        fault = f"fsync,fdatasync,?rename,?unlink:signal=KILL:when={number}"
        collection(root).trace(paths=uninterrupted.paths, inject=[fault])
        assert not durable & set(fetched(root)[before:])
        go_on(uninterrupted.root, root)

    chosen = sample(uninterrupted.moments, size, SEED + 1)
    at_once(work, [(moment, generator.randint(1, 4)) for moment in chosen])


# What a power cut leaves: a killed process does not lose the page cache, so the order is read


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Call]]:
    """Every call, and enough of what is written to find names and hashes in SQLite's pages."""
    root = tmp_path_factory.mktemp("trace") / "workspace"
    done, calls = collection(root).trace(text=5000)
    assert done.returncode == 0, done.stderr
    return root, calls


def places(calls: list[Call], names: tuple[str, ...], path: str, text: str = "") -> list[int]:
    """Where calls of these names on this file stand in the trace."""
    return [
        place
        for place, call in enumerate(calls)
        if call.name in names and call.path == path and text in call.rest and call.result != "-1"
    ]


def first_after(found: list[int], place: int) -> int:
    return min(other for other in found if other > place)


def test_a_shard_is_durable_before_the_ledger_names_it(trace: tuple[Path, list[Call]]) -> None:
    root, calls = trace
    shards = sorted(path.name for path in (root / "shards/pet911").glob("*.parquet"))
    assert len(shards) == 3
    for name in shards:
        temporary = f"shards/pet911/.{name}.tmp"
        writes = places(calls, WRITING, temporary)
        [synced] = places(calls, SYNCING, temporary)
        [renamed] = places(calls, ("rename", "renameat", "renameat2"), f"shards/pet911/{name}")
        folder_synced = first_after(places(calls, SYNCING, "shards/pet911"), renamed)
        named = places(calls, WRITING, f"{LEDGER}-wal", name)
        committed = first_after(places(calls, SYNCING, f"{LEDGER}-wal"), named[-1])
        assert max(writes) < synced < renamed < folder_synced < min(named) < committed
        # and not a byte of the ledger is written while the shard is
        assert not any(
            writes[0] < place < folder_synced
            for place in places(calls, WRITING, f"{LEDGER}-wal") + places(calls, WRITING, LEDGER)
        )


def test_a_photo_is_durable_before_the_ledger_names_it(trace: tuple[Path, list[Call]]) -> None:
    """And the next photo comes only after that."""
    root, calls = trace
    kept = {row["original_sha256"]: row for row in read_content(root).rows.values()}
    segment = "ledgers/pet911.segments/00000000.segment"
    writes = places(calls, WRITING, segment)
    synced = places(calls, SYNCING, segment)
    ledger_synced = places(calls, SYNCING, f"{LEDGER}-wal")
    ends = []
    for address, written in zip(fetched(root), writes, strict=True):
        row = kept[sha256(picture_at(address)).hexdigest()]
        assert calls[written].result == str(RECORD_HEAD + len(row["image"]["bytes"]))
        named = places(calls, WRITING, f"{LEDGER}-wal", row["sha256"])[0]
        assert written < first_after(synced, written) < named
        ends.append(first_after(ledger_synced, named))
    assert all(end < written for end, written in zip(ends, writes[1:], strict=False))


def test_what_is_made_is_durable_before_a_photo_is_kept(trace: tuple[Path, list[Call]]) -> None:
    """Folders, the ledger, its log and the segment: the folder above each is synced."""
    root, calls = trace
    made = [call.path for call in calls if call.name.startswith("mkdir") and call.result == "0"]
    assert made == [".", "ledgers", "shards", "shards/pet911", "ledgers/pet911.segments"]
    made += [LEDGER, f"{LEDGER}-wal", "ledgers/pet911.segments/00000000.segment"]
    hashes = {row["sha256"] for row in read_content(root).rows.values()}
    kept = min(places(calls, WRITING, f"{LEDGER}-wal", photo)[0] for photo in hashes)
    for path in made[1:]:
        created = min(
            places(calls, ("mkdir", "mkdirat"), path)
            + places(calls, ("open", "openat"), path, "O_CREAT")
        )
        synced = places(calls, SYNCING, str(Path(path).parent))
        assert created < first_after(synced, created) < kept, path
