"""The intake against real SQLite, segments and Parquet; what must be in a shard is told by hand."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from petdata.errors import CorruptFile, LedgerBusy, ListingReason, Reason, RejectedPhoto
from petdata.inspection import current_rows, source_status, verify_source
from petdata.intake import Intake, IntakeConfig, Wanted
from petdata.ledger import Ledger
from petdata.listing import Listing, PhotoRef
from petdata.presentation import current_photos
from petdata.records import Photo, Species, Status
from petdata.shards import read_photos
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace
from pictures_for_tests import jpeg

SITE = "https://pet911.ru"


def make_listing(number: int = 1, photos: int = 3, **changes: object) -> Listing:
    source_id = f"rl{100000 + number}"
    listing = Listing(
        source="pet911",
        source_id=source_id,
        url=f"{SITE}/moskva/lost/cat/{source_id}",
        status=Status.LOST,
        closed=False,
        species=Species.CAT,
        photos=tuple(
            PhotoRef(position=n, address=f"{SITE}/cdn/{source_id}-{n}.webp") for n in range(photos)
        ),
        title="Пропала кошка",
        city="moskva",
        latitude=55.8,
        longitude=37.6,
        posted_on=date(2026, 1, 2),
        attributes={"city_name": "Москва"},
    )
    return replace(listing, **changes)  # type: ignore[arg-type]


def picture_of(wanted: Wanted) -> bytes:
    """The bytes that the imagined site serves at an address."""
    return jpeg(int.from_bytes(hashlib.sha256(wanted.address.encode()).digest()[:4], "big"))


def fetch_all(intake: Intake, listing: Listing) -> int:
    wanted = intake.take_listing(listing)
    for photo in wanted:
        intake.keep_photo(photo.key, intake.examine(picture_of(photo)))
    return len(wanted)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path)


def rows(workspace: Workspace) -> list[Photo]:
    return list(read_photos(sorted(workspace.shards("pet911").glob("*.parquet"))))


def assert_verified(workspace: Workspace) -> None:
    assert list(verify_source(workspace, "pet911")) == []


def test_a_listing_becomes_rows_with_everything_it_said(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        assert fetch_all(intake, make_listing()) == 3
    photos = rows(workspace)
    assert [photo.position for photo in photos] == [0, 1, 2]
    first = photos[0]
    assert first.identity_id == "pet911/rl100001"
    assert first.photo_id == f"pet911/rl100001/{first.sha256[:12]}"
    assert first.image is not None
    assert hashlib.sha256(first.image).hexdigest() == first.sha256
    assert (first.width, first.height) == (320, 240)
    assert (first.species, first.status, first.closed) == (Species.CAT, Status.LOST, False)
    assert (first.city, first.posted_on, first.listing_version) == (
        "moskva",
        date(2026, 1, 2),
        1,
    )
    assert first.latitude == pytest.approx(55.8)
    assert first.attributes == '{"city_name": "Москва"}'
    assert first.source_url == f"{SITE}/moskva/lost/cat/rl100001"
    assert_verified(workspace)


def test_a_second_visit_wants_nothing(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing())
    with Intake(workspace, "pet911") as intake:
        assert intake.take_listing(make_listing()) == []
        moved = make_listing(url=f"{SITE}/lost/dog/rl100001")
        assert intake.take_listing(moved) == []
    assert len(rows(workspace)) == 3


def test_the_same_bytes_twice_count_once_and_the_first_stays(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        wanted = intake.take_listing(make_listing())
        same, other = intake.examine(jpeg(1)), intake.examine(jpeg(2))
        for photo, canonical in zip(reversed(wanted), (same, other, same), strict=True):
            intake.keep_photo(photo.key, canonical)
    photos = rows(workspace)
    assert [photo.position for photo in photos] == [0, 1]
    assert source_status(workspace, "pet911").dropped == {Reason.DUPLICATE_IN_IDENTITY: 1}


def test_too_few_valid_photos_drop_the_listing(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        first, second = intake.take_listing(make_listing(photos=2))
        with pytest.raises(RejectedPhoto) as rejected:
            intake.examine(jpeg(1)[:-900])
        intake.drop_photo(first.key, rejected.value.reason, rejected.value.detail)
        intake.keep_photo(second.key, intake.examine(jpeg(2)))
        state = intake.ledger.listing_state("rl100001")
        assert state is not None
        assert (state.outcome, state.reason) == ("dropped", ListingReason.TOO_FEW_PHOTOS)
        assert intake.take_listing(make_listing(2, photos=1)) == []
    assert rows(workspace) == []
    assert not list(workspace.segments("pet911").iterdir())
    status = source_status(workspace, "pet911")
    assert status.dropped == {Reason.LISTING_DROPPED: 2, Reason.TRUNCATED: 1}


def test_no_more_than_max_photos_are_wanted(workspace: Workspace) -> None:
    config = IntakeConfig(max_photos=2)
    with Intake(workspace, "pet911", config) as intake:
        assert [w.key.position for w in intake.take_listing(make_listing(photos=5))] == [0, 1]
        fetch_all(intake, make_listing(photos=5))
    assert len(rows(workspace)) == 2
    assert source_status(workspace, "pet911").dropped == {Reason.OVER_MAX_PHOTOS: 3}


def test_a_changed_listing_is_written_whole_again_without_fetching_again(
    workspace: Workspace,
) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing(photos=3))
    before = {photo.sha256 for photo in rows(workspace)}
    changed = make_listing(photos=4, closed=True)
    with Intake(workspace, "pet911") as intake:
        assert [w.key.position for w in intake.take_listing(changed)] == [3]
        assert {p.listing_version for p in current_photos(workspace, "pet911")} == {1}
        fetch_all(intake, changed)
    written = rows(workspace)
    assert [photo.listing_version for photo in written] == [1, 1, 1, 2, 2, 2, 2]
    current = list(current_photos(workspace, "pet911"))
    assert [photo.listing_version for photo in current] == [2, 2, 2, 2]
    assert all(photo.closed for photo in current)
    assert before < {photo.sha256 for photo in current}
    assert_verified(workspace)


def test_a_change_before_the_shard_is_written_takes_the_stored_photos_along(
    workspace: Workspace,
) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing(photos=2))
        assert intake.take_listing(make_listing(photos=2, title="Другое")) == []
    assert [(photo.listing_version, photo.title) for photo in rows(workspace)] == [
        (2, "Другое"),
        (2, "Другое"),
    ]
    assert_verified(workspace)


def test_a_change_that_only_removes_photos_below_the_minimum_takes_the_listing_out(
    workspace: Workspace,
) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing())
    with Intake(workspace, "pet911") as intake:
        intake.take_listing(make_listing(photos=1))
    assert current_rows(workspace, "pet911") == {}
    assert_verified(workspace)


def test_a_removed_listing_leaves_a_tombstone_and_may_come_back(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing())
    with Intake(workspace, "pet911") as intake:
        intake.listing_gone("rl100001")
    assert current_rows(workspace, "pet911") == {}
    assert source_status(workspace, "pet911").listings == {"gone": 1}
    assert_verified(workspace)
    with Intake(workspace, "pet911") as intake:
        assert intake.take_listing(make_listing()) == []  # its photos are still there
    assert {p.listing_version for p in current_photos(workspace, "pet911")} == {2}


def test_a_photo_that_cannot_be_fetched_is_tried_in_three_runs(workspace: Workspace) -> None:
    for run in range(3):
        with Intake(workspace, "pet911") as intake:
            if run == 0:
                for photo in intake.take_listing(make_listing())[1:]:
                    intake.keep_photo(photo.key, intake.examine(picture_of(photo)))
            [missing] = intake.wanted("rl100001")
            intake.postpone_photo(missing.key, "HTTP 503")
        assert len(rows(workspace)) == (2 if run == 2 else 0)
    assert source_status(workspace, "pet911").dropped == {Reason.UNREACHABLE: 1}


def test_takedowns_are_obeyed_at_every_door(workspace: Workspace) -> None:
    day = date(2026, 11, 24)
    raw = jpeg(5)
    with Intake(workspace, "pet911") as intake:
        photo_id = f"pet911/rl100003/{intake.examine(jpeg(6)).sha256[:12]}"
    for target in (
        "pet911/rl100001",
        f"{SITE}/moskva/lost/cat/rl100002",
        hashlib.sha256(raw).hexdigest(),
        photo_id,
    ):
        add_takedown(workspace.takedowns, target, "asked", day)
    with Intake(workspace, "pet911") as intake:
        assert intake.take_listing(make_listing(1)) == []
        assert intake.discover([("rl100002", "https://pet911.ru/x")], walk_id=1) == []
        with pytest.raises(RejectedPhoto) as rejected:
            intake.examine(raw)
        assert rejected.value.reason is Reason.TAKEN_DOWN
        [first, *_] = intake.take_listing(make_listing(3))
        intake.keep_photo(first.key, intake.examine(jpeg(6)))
        row = intake.ledger.photo(first.key)
        assert row is not None
        assert row["reason"] == Reason.TAKEN_DOWN


def test_a_photo_taken_down_later_is_not_carried_into_the_next_version(
    workspace: Workspace,
) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing(photos=4))
    by_id, by_hash, *_ = rows(workspace)
    add_takedown(workspace.takedowns, by_id.photo_id, "asked", date(2026, 11, 24))
    add_takedown(workspace.takedowns, by_hash.sha256, "asked", date(2026, 11, 24))
    with Intake(workspace, "pet911") as intake:
        assert intake.take_listing(make_listing(photos=4, closed=True)) == []
    written = [photo.position for photo in current_photos(workspace, "pet911")]
    assert written == [2, 3]


def test_photos_stored_before_a_takedown_do_not_reach_a_shard(workspace: Workspace) -> None:
    intake = Intake(workspace, "pet911")
    fetch_all(intake, make_listing(1))
    fetch_all(intake, make_listing(2))
    intake.ledger.close()  # as if killed
    add_takedown(workspace.takedowns, "pet911/rl100001", "asked", date(2026, 11, 24))
    Intake(workspace, "pet911").close()
    assert {photo.identity_id for photo in rows(workspace)} == {"pet911/rl100002"}


def test_carried_photos_fill_shards_too(workspace: Workspace) -> None:
    config = IntakeConfig(shard_bytes=20_000)
    with Intake(workspace, "pet911", config) as intake:
        for number in range(6):
            fetch_all(intake, make_listing(number))
        before = len(intake.ledger.shards())
        for number in range(6):
            intake.take_listing(make_listing(number, closed=True))
        assert len(intake.ledger.shards()) > before + 1


def test_a_shard_is_written_as_soon_as_enough_bytes_are_settled(workspace: Workspace) -> None:
    with Intake(workspace, "pet911", IntakeConfig(shard_bytes=20_000)) as intake:
        for number in range(6):
            fetch_all(intake, make_listing(number))
        written = intake.ledger.shards()
        assert len(written) >= 2
    assert sum(1 for _ in current_photos(workspace, "pet911")) == 18
    assert not list(workspace.segments("pet911").iterdir())
    assert_verified(workspace)


def test_photos_of_a_lost_segment_are_wanted_again(workspace: Workspace) -> None:
    intake = Intake(workspace, "pet911")
    wanted = intake.take_listing(make_listing())
    for photo in wanted[:2]:
        intake.keep_photo(photo.key, intake.examine(picture_of(photo)))
    intake.ledger.close()  # as if killed
    for segment in workspace.segments("pet911").iterdir():
        segment.unlink()
    with Intake(workspace, "pet911") as intake:
        assert len(intake.wanted("rl100001")) == 3


def test_a_damaged_segment_is_an_error_that_names_it(workspace: Workspace) -> None:
    intake = Intake(workspace, "pet911")
    fetch_all(intake, make_listing())
    intake.ledger.close()
    [segment] = workspace.segments("pet911").iterdir()
    damaged = bytearray(segment.read_bytes())
    damaged[5000] ^= 1
    segment.write_bytes(damaged)
    with pytest.raises(CorruptFile, match=segment.name), Intake(workspace, "pet911"):
        pass
    segment.unlink()
    with Intake(workspace, "pet911") as intake:
        assert len(intake.wanted("rl100001")) == 3


def test_shards_that_the_ledger_does_not_know_are_never_touched(workspace: Workspace) -> None:
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing())
    [shard] = workspace.shards("pet911").iterdir()
    for ledger_file in workspace.ledgers.glob("pet911.sqlite*"):
        ledger_file.unlink()
    with pytest.raises(CorruptFile, match=shard.name):
        Intake(workspace, "pet911")
    assert shard.exists()


def test_a_second_writer_is_told_who_holds_the_ledger(workspace: Workspace) -> None:
    with Intake(workspace, "pet911"), pytest.raises(LedgerBusy) as busy:
        Intake(workspace, "pet911")
    assert str(os.getpid()) in str(busy.value)
    assert busy.value.exit_code == 75
    Intake(workspace, "pet911").close()


def test_the_lock_dies_with_its_process(workspace: Workspace) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from petdata.ledger import Ledger\n"
        "Ledger(Path(sys.argv[1]), source='pet911'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = workspace.ledger("pet911")
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    Ledger(path, source="pet911").close()


def test_a_reader_sees_a_running_collection(workspace: Workspace) -> None:
    with Intake(workspace, "pet911", command="crawl pet911") as intake:
        intake.take_listing(make_listing())
        status = source_status(workspace, "pet911")
        assert status.running is not None
        assert status.running.pid == os.getpid()
        assert status.listings == {"pending": 1}
    assert source_status(workspace, "pet911").running is None


def test_a_refusal_keeps_no_pixels_alive(workspace: Workspace) -> None:
    """The traceback of what the decoder raised would hold the frames that have them."""
    with Intake(workspace, "pet911") as intake, pytest.raises(RejectedPhoto) as rejected:
        intake.examine(jpeg(1)[:-200])
    frames = [entry.name for entry in rejected.traceback]
    assert frames[-1] == "_canonicalise"
    assert rejected.value.__context__ is None
    assert rejected.value.reason is Reason.TRUNCATED
