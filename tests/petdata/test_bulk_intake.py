"""Local photos into shards: order, outcomes, going on, and what one bad photo costs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from petdata.bulk_intake import BulkConfig, BulkIntake, Original
from petdata.decoding_pool import DecodingPool, Refusal, examine
from petdata.errors import CorruptFile, PetdataError, Reason, RejectedPhoto
from petdata.inspection import current_rows, source_status, verify_source
from petdata.jpeg import CanonicalJpeg, Limits
from petdata.records import Photo, Species
from petdata.shards import read_photos
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace
from pictures_for_tests import jpeg

DEADLY = b"a photo that kills its decoder"


def original(identity: str, number: int, raw: bytes | None = None) -> Original:
    picture = jpeg(number) if raw is None else raw
    return Original(
        source_id=identity,
        address=f"{identity}/{number}.jpg",
        species=Species.CAT,
        read=lambda: picture,
    )


def run(root: Path, originals: Iterable[Original], **config: int) -> BulkIntake:
    settings = BulkConfig(**{"workers": 0, **config})
    with BulkIntake(Workspace(root=root), "lcw", settings) as intake:
        intake.take(originals)
    return intake


def rows(root: Path) -> list[Photo]:
    return list(read_photos(sorted((root / "shards/lcw").glob("part-*.parquet"))))


def outcomes(root: Path) -> dict[str, str]:
    """Address -> kept, or the reason."""
    with BulkIntake(Workspace(root=root), "lcw") as intake:
        found = intake.ledger.query("SELECT address, coalesce(reason, outcome) FROM photos")
        return {address: outcome for address, outcome in found}


def problems(root: Path) -> list[str]:
    return list(verify_source(Workspace(root=root), "lcw"))


def test_photos_become_rows_in_their_order(tmp_path: Path) -> None:
    run(tmp_path, [original("7", 1), original("7", 2), original("8", 3)])
    found = [(photo.identity_id, photo.position, photo.listing_version) for photo in rows(tmp_path)]
    assert found == [("lcw/7", 0, None), ("lcw/7", 1, None), ("lcw/8", 0, None)]
    assert rows(tmp_path)[0].attributes == '{"path": "7/1.jpg"}'
    assert problems(tmp_path) == []
    status = source_status(Workspace(root=tmp_path), "lcw")
    assert (status.identities, status.current_photos) == (2, 3)
    assert current_rows(Workspace(root=tmp_path), "lcw") == {"part-00000.parquet": {0, 1, 2}}


def test_one_bad_photo_costs_only_itself(tmp_path: Path) -> None:
    def cannot_be_read() -> bytes:
        raise RejectedPhoto(Reason.UNREACHABLE, "the file is gone")

    run(
        tmp_path,
        [
            original("7", 1),
            original("7", 2, jpeg(2)[:-300]),
            original("7", 3, b"<html>"),
            original("7", 4, jpeg(1)),
            Original(source_id="7", address="gone", species=Species.CAT, read=cannot_be_read),
            original("8", 5),
            original("9", 6, b""),
        ],
    )
    assert outcomes(tmp_path) == {
        "7/1.jpg": "kept",
        "7/2.jpg": "truncated",
        "7/3.jpg": "not_an_image",
        "7/4.jpg": "duplicate_in_identity",
        "gone": "unreachable",
        "8/5.jpg": "kept",
        "9/6.jpg": "not_an_image",
    }
    assert problems(tmp_path) == []
    assert source_status(Workspace(root=tmp_path), "lcw").listings == {"kept": 2, "dropped": 1}


def test_a_second_run_reads_nothing_again_and_takes_what_is_new(tmp_path: Path) -> None:
    def must_not_be_read() -> bytes:
        raise AssertionError("the ledger has this photo")

    known = Original(source_id="7", address="7/1.jpg", species=Species.CAT, read=must_not_be_read)
    run(tmp_path, [original("7", 1)])
    second = run(tmp_path, [known, original("7", 2), original("7", 3, jpeg(1))])
    assert second.counts["known"] == 1
    assert [photo.position for photo in rows(tmp_path)] == [0, 1]
    assert outcomes(tmp_path)["7/3.jpg"] == "duplicate_in_identity"  # of one in an earlier shard
    assert problems(tmp_path) == []


def test_a_shard_ends_where_it_is_full(tmp_path: Path) -> None:
    originals = [original(str(number // 2), number) for number in range(7)]
    run(tmp_path, originals, shard_bytes=len(jpeg(0)) + 1)
    shards = sorted((tmp_path / "shards/lcw").glob("part-*.parquet"))
    assert [len(list(read_photos([shard]))) for shard in shards] == [2, 2, 2, 1]
    assert problems(tmp_path) == []


def test_what_is_only_dropped_needs_no_shard(tmp_path: Path) -> None:
    originals = [original("7", number, b"") for number in range(5)]
    run(tmp_path, originals, shard_outcomes=2)
    assert len(outcomes(tmp_path)) == 5
    assert rows(tmp_path) == []


def test_takedowns_are_obeyed(tmp_path: Path) -> None:
    takedowns = Workspace(root=tmp_path).takedowns
    run(tmp_path / "other", [original("7", 2)])
    sha256 = rows(tmp_path / "other")[0].sha256
    for target in ("lcw/6", sha256):
        add_takedown(takedowns, target, "asked", date(2026, 11, 28))
    run(tmp_path, [original("6", 1), original("7", 2), original("7", 3)])
    assert outcomes(tmp_path) == {
        "6/1.jpg": "taken_down",
        "7/2.jpg": "taken_down",
        "7/3.jpg": "kept",
    }
    add_takedown(takedowns, "lcw/7", "asked", date(2026, 11, 28))
    run(tmp_path, [])
    assert current_rows(Workspace(root=tmp_path), "lcw") == {}


def test_an_identity_may_come_in_pieces(tmp_path: Path) -> None:
    """As the members of an archive may: other identities, and shards, lie between."""
    originals = [original(str(number % 2), number, jpeg(number % 4)) for number in range(6)]
    run(tmp_path, originals, shard_bytes=1)
    found = [(photo.identity_id, photo.position) for photo in rows(tmp_path)]
    assert found == [("lcw/0", 0), ("lcw/1", 0), ("lcw/0", 1), ("lcw/1", 1)]
    assert list(outcomes(tmp_path).values()).count("duplicate_in_identity") == 2


def test_a_shard_that_the_ledger_does_not_know(tmp_path: Path) -> None:
    """The next one in order is what a kill left; any other is somebody else's."""
    run(tmp_path, [original("7", 1)])
    shards = tmp_path / "shards/lcw"
    (shards / "part-00001.parquet").write_bytes(b"half a life")
    run(tmp_path, [])
    assert not (shards / "part-00001.parquet").exists()
    (shards / "part-00007.parquet").write_bytes(b"of other shards")
    with pytest.raises(CorruptFile, match=r"part-00007.parquet, which the ledger .* does not know"):
        run(tmp_path, [])


def test_a_collected_source_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(PetdataError, match="pet911 is collected"):
        BulkIntake(Workspace(root=tmp_path), "pet911")


def test_any_number_of_processes_gives_the_same_shards(tmp_path: Path) -> None:
    originals = [original(str(number // 3), number) for number in range(40)]
    size = 5 * len(jpeg(0))
    for workers in (1, 3):
        run(tmp_path / str(workers), originals, workers=workers, shard_bytes=size)
    assert rows(tmp_path / "1") == rows(tmp_path / "3")


def die_of_some(raw: bytes, limits: Limits) -> CanonicalJpeg | Refusal:
    if raw == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(raw, limits)


def test_a_photo_that_kills_its_decoder_costs_only_itself(tmp_path: Path) -> None:
    originals = [original("7", number) for number in range(1, 8)]
    originals[3] = original("7", 4, DEADLY)
    settings = BulkConfig(workers=2)
    with BulkIntake(Workspace(root=tmp_path), "lcw", settings, examine=die_of_some) as intake:
        intake.take(originals)
    assert len(rows(tmp_path)) == 6
    assert outcomes(tmp_path)["7/4.jpg"] == "corrupt"


def test_the_pool_bounds_what_is_under_way() -> None:
    raw = jpeg(1)
    with DecodingPool(workers=1) as pool:
        submitted = []
        while not pool.is_full:
            submitted.append(pool.submit(raw))
        assert len(submitted) == 16
        pool.result(submitted[0])
        assert not pool.is_full
        pool.submit(b"\0" * (64 * 2**20))
        assert pool.is_full
