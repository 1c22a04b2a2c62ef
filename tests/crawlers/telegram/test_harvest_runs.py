"""Runs that stop early, and runs that come back: nothing is lost, nothing asked for twice."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from channel_makers import BEGINNING, FUNDRAISING, jpeg, make_channel, photo
from harvests import command, harvest, harvest_well, photos_of, prepare, variables, write_channels
from test_harvest import assert_posts

from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel, StubDocument, StubMessage
from petdata.demo.servers.telegram_faults import TelegramFaults
from petdata.inspection import channels_status, identity_at
from petdata.ledger import Ledger
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

CHANNEL_ID = 1700


def channel(
    *messages: StubMessage, handle: str = "lost_pets", protected: bool = False
) -> StubChannel:
    by_id = {message.message_id: message for message in messages}
    return StubChannel(CHANNEL_ID, handle, "Lost pets", by_id, protected)


def post(message_id: int, number: int | None, text: str = "", **values: object) -> StubMessage:
    """A message with picture `number`."""
    return StubMessage(
        message_id=message_id,
        sent_at=BEGINNING,
        text=text,
        photo=photo(number) if number is not None else None,
        **values,  # type: ignore[arg-type]
    )


def identities(root: Path) -> dict[str, list[int]]:
    """Post -> versions of its current photos."""
    return {
        identity.removeprefix(f"telegram/{CHANNEL_ID}-"): [p.listing_version or 0 for p in photos]
        for identity, photos in photos_of(root).items()
    }


def outcomes(root: Path) -> dict[str, tuple[str, str | None]]:
    ledger = Workspace(root=root).ledger("telegram")
    with Ledger(ledger, source="telegram", read_only=True) as opened:
        rows = opened.query("SELECT source_id, outcome, reason FROM listings")
    return {row[0].partition("-")[2]: (row[1], row[2]) for row in rows}


# Floods


@pytest.mark.parametrize(
    "flood", [("messages.getHistory", 2), ("upload.getFile", 40), ("contacts.resolveUsername", 1)]
)
def test_a_long_wait_ends_the_run_with_75_and_loses_nothing(
    tmp_path: Path, flood: tuple[str, int]
) -> None:
    made, posts = make_channel(CHANNEL_ID, "lost_pets", 150, seed=7)
    root = tmp_path / "workspace"
    with TelegramServer([made], faults=TelegramFaults(floods={flood: 7200})) as server:
        prepare(root, server, [made])
        stopped = harvest(root)
        assert stopped.code == 75
        assert "wait 7,200 s, until 20" in stopped.stderr
        assert stopped.report["outcome"] == "TryLater"
        before = server.photo_requests()
        server.set_faults(TelegramFaults())
        harvest_well(root)
        fetched = server.photo_requests()
        assert set(fetched.values()) == {1}
        assert sorted(fetched) == sorted(id for post in posts for id in post.photo_ids)
        assert before <= fetched
    assert_posts(root, posts)


def test_a_wait_within_the_limit_is_slept(tmp_path: Path) -> None:
    only = channel(post(1, 1, "Пропала кошка"))
    root = tmp_path / "workspace"
    with TelegramServer([only], faults=TelegramFaults(floods={("upload.getFile", 1): 2})) as server:
        prepare(root, server, [only])
        assert harvest(root, "--max-wait", "1").code == 75
        started = time.monotonic()
        server.set_faults(TelegramFaults(floods={("upload.getFile", 1): 2}))
        harvest_well(root, "--max-wait", "2")
        assert time.monotonic() - started >= 2
    assert identities(root) == {"1": [1]}


# Interruptions


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_it_goes_on(tmp_path: Path, stop: signal.Signals) -> None:
    made, posts = make_channel(CHANNEL_ID, "lost_pets", 120, seed=3)
    root = tmp_path / "workspace"
    with TelegramServer([made], faults=TelegramFaults(delays_s={"upload.getFile": 0.05})) as server:
        prepare(root, server, [made])
        running = subprocess.Popen(
            command(root), env=variables(root), cwd=tmp_path, stderr=subprocess.PIPE, stdout=-3
        )
        while not server.photo_requests().total() > 10:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(stop)
        _, stderr = running.communicate(timeout=60)
        assert running.returncode == 130, stderr
        assert b"Traceback" not in stderr
        server.set_faults(TelegramFaults())
        harvest_well(root)
        assert set(server.photo_requests().values()) <= {1, 2}  # 2: the one under way
        assert sum(n - 1 for n in server.photo_requests().values()) <= 1
    assert_posts(root, posts)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    only = channel(post(1, 1))
    root = tmp_path / "workspace"
    with TelegramServer([only]) as server:
        prepare(root, server, [only])
    done = harvest(root)
    assert done.code == 75
    assert "connection to Telegram failed" in done.stderr


def test_an_account_that_was_logged_out(tmp_path: Path) -> None:
    only = channel(post(1, 1))
    root = tmp_path / "workspace"
    with TelegramServer([only], authorised=False) as server:
        prepare(root, server, [only])
        done = harvest(root)
    assert done.code == 2
    assert "petdata telegram login" in done.stderr


# Changes


def test_edited_posts_supersede_and_deleted_ones_leave_a_tombstone(tmp_path: Path) -> None:
    messages = [
        post(1, 1, "Пропала кошка"),
        post(2, 2, "Найдена собака"),
        post(3, 3, "Пропал кот", grouped_id=5),
        post(4, 4, grouped_id=5),
        post(5, 5, "Пропал пёс"),
        post(6, 6, "Пропал щенок"),
        post(7, 7, FUNDRAISING),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        assert identities(root) == {"1": [1], "2": [1], "3": [1, 1], "5": [1], "6": [1]}
        server.put(CHANNEL_ID, replace(messages[0], text="Кошка нашлась, дома! Спасибо"))
        server.delete(CHANNEL_ID, 2, 3)  # a post, and the first part of an album
        server.put(CHANNEL_ID, replace(messages[4], photo=photo(50)))  # another picture
        server.put(CHANNEL_ID, replace(messages[5], text=FUNDRAISING))
        server.put(CHANNEL_ID, replace(messages[6], text="Пропала собака"))
        server.forget_requests()
        harvest_well(root)
        assert identities(root) == {"1": [2], "3": [2], "5": [2], "7": [1]}
        assert outcomes(root)["2"] == ("gone", None)
        assert outcomes(root)["6"] == ("dropped", "fundraising")
        photos = photos_of(root)
        assert (photos["telegram/1700-1"][0].status, photos["telegram/1700-1"][0].closed) == (
            "reunited",
            True,
        )
        # What had been kept came from its shard.
        assert server.photo_requests() == {10_050: 1, 10_007: 1}
        server.forget_requests()
        assert harvest_well(root)["photos"] == {}
        assert not server.photo_requests()


def test_recheck_reads_old_posts_again(tmp_path: Path) -> None:
    messages = [post(id, id, "Пропала кошка") for id in range(1, 6)]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root, "--rescan", "0")
        server.delete(CHANNEL_ID, 2)
        server.put(CHANNEL_ID, replace(messages[3], text="Пропал кот, мейн-кун"))
        harvest_well(root, "--rescan", "0")
        assert identities(root) == {str(id): [1] for id in range(1, 6)}
        server.forget_requests()
        harvest_well(root, "--rescan", "0", "--recheck", "0")
        assert [r.ids for r in server.requests_of("channels.getMessages")] == [(1, 2, 3, 4, 5)]
    assert identities(root) == {"1": [1], "3": [1], "4": [2], "5": [1]}


def test_a_repost_is_not_fetched_again(tmp_path: Path) -> None:
    """The same media in another post: another identity with the same bytes, fetched once."""
    lost_pets = channel(
        post(1, 1, "Пропала кошка"),
        post(2, 1, "Повтор: пропала кошка", forwarded_from="Somebody"),
    )
    root = tmp_path / "workspace"
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        report = harvest_well(root)
        assert report["photos"]["reposted"] == 1
        assert server.photo_requests() == {10_001: 1}
        server.put(CHANNEL_ID, post(3, 1, "Всё ещё не найдена кошка"))  # from a shard by now
        harvest_well(root)
        assert server.photo_requests() == {10_001: 1}
    found = photos_of(root)
    assert len({photo.sha256 for photos in found.values() for photo in photos}) == 1
    assert len(found) == 3


# What may not be collected


def test_protected_channels_and_posts_are_left_alone(tmp_path: Path) -> None:
    closed = channel(post(1, 1, "Пропала кошка"), protected=True)
    root = tmp_path / "workspace"
    with TelegramServer([closed]) as server:
        prepare(root, server, [closed])
        done = harvest(root)
        assert done.code == 1
        assert "@lost_pets protects its content" in done.stderr
        assert not server.requests_of("messages.getHistory")
    half_open = channel(post(1, 1, "Пропала кошка", protected=True), post(2, 2, "Пропал кот"))
    root = tmp_path / "other"
    with TelegramServer([half_open]) as server:
        prepare(root, server, [half_open])
        harvest_well(root)
        assert server.photo_requests() == {10_002: 1}
    assert outcomes(root) == {"1": ("dropped", "opted_out"), "2": ("kept", None)}


def test_takedowns_are_obeyed(tmp_path: Path) -> None:
    messages = [
        post(1, 1, "Пропала кошка"),
        post(2, 2, "Пропал кот", grouped_id=9),
        post(3, 3, grouped_id=9),
        post(4, 4, "Пропал пёс"),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    today = datetime.now(UTC).date()
    workspace = Workspace(root=root)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        add_takedown(workspace.takedowns, "https://t.me/s/Lost_Pets/3?single", "asked", today)
        add_takedown(workspace.takedowns, f"telegram/{CHANNEL_ID}-4", "asked", today)
        harvest_well(root)
        assert server.photo_requests() == {10_001: 1}
    assert identities(root) == {"1": [1]}
    assert identity_at(workspace, "https://t.me/lost_pets/1") == f"telegram/{CHANNEL_ID}-1"
    assert identity_at(workspace, f"https://t.me/c/{CHANNEL_ID}/1") == f"telegram/{CHANNEL_ID}-1"
    assert identity_at(workspace, "https://t.me/lost_pets/99") is None


def test_names_that_are_no_channel(tmp_path: Path) -> None:
    only = channel(post(1, 1, "Пропала кошка"))
    root = tmp_path / "workspace"
    with TelegramServer([only]) as server:
        prepare(root, server, [only])
        write_channels(root, ['handle = "lost_pets"', 'handle = "nobody_here"'])
        report = harvest_well(root)
        assert "@nobody_here: Telegram knows no channel" in report["warnings"][0]
        write_channels(root, ['handle = "lost_pets"\nid = 77'])
        done = harvest(root)
        assert done.code == 1
        assert "has the id 1700, not 77" in done.stderr


# Trouble with photos


def test_broken_and_vanishing_photos_cost_only_themselves(tmp_path: Path) -> None:
    broken = replace(photo(1), jpeg=b"\xff\xd8\xff no picture")
    cut = replace(photo(2), jpeg=jpeg(2)[:-300])
    file = StubDocument(77, "image/png", jpeg(3), "cat.png")  # a JPEG in truth
    sticker = StubDocument(78, "video/mp4", b"video")
    messages = [
        replace(post(1, None, "Пропала кошка"), photo=broken),
        replace(post(2, None, "Пропала кошка"), photo=cut),
        replace(post(3, None, "Пропала кошка"), document=file),
        replace(post(4, None, "Пропала кошка"), document=sticker),
        post(5, 5, "Пропала кошка"),
        post(6, 6, "Пропала кошка"),
    ]
    faults = TelegramFaults(expired={10_005: 9, 10_006: 2})
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    with TelegramServer([lost_pets], faults=faults) as server:
        prepare(root, server, [lost_pets])
        report = harvest_well(root)
        assert report["photos"]["truncated"] == 2
        assert report["photos"]["postponed"] == 1  # its reference expired three times
        assert identities(root) == {"3": [1], "6": [1]}
        server.set_faults(TelegramFaults())
        for _ in range(3):
            harvest_well(root)
    # Given up after three runs, and begun anew when the post was read again.
    assert identities(root) == {"3": [1], "5": [2], "6": [1]}


def test_only_so_many_messages(tmp_path: Path) -> None:
    made, posts = make_channel(CHANNEL_ID, "lost_pets", 100, seed=5)
    root = tmp_path / "workspace"
    with TelegramServer([made]) as server:
        prepare(root, server, [made])
        report = harvest_well(root, "--max-messages", "30")
        assert report["messages"]["read"] == 30
        (state,) = channels_status(Workspace(root=root))
        assert 0 < state.cursor <= 40
        harvest_well(root, "--max-messages", "30")
        harvest_well(root)
        assert set(server.photo_requests().values()) == {1}
    assert_posts(root, posts)
