"""Corners of a harvest: the edges of what is read again, every door of a takedown, rare errors."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from channel_makers import FUNDRAISING, photo
from harvests import harvest, harvest_well, photos_of, prepare, write_channels
from telethon import errors
from telethon.errors.common import AuthKeyNotFound, InvalidBufferError, TypeNotFoundError
from test_harvest_runs import CHANNEL_ID, channel, identities, outcomes, post

from crawlers.telegram.session import plain_errors
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel
from petdata.demo.servers.telegram_faults import TelegramFaults
from petdata.errors import PetdataError
from petdata.inspection import channels_status, identity_at
from petdata.ledger import Ledger
from petdata.presentation import print_takedown
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

TODAY = datetime(2026, 11, 1, tzinfo=UTC).date()


# The edges of what is read


@pytest.mark.parametrize("most", [1, 5])
def test_few_messages_a_run_still_come_to_the_end(tmp_path: Path, most: int) -> None:
    """An album needs twenty more messages to be known complete: the run reads on that far."""
    album = [post(id, id, "Пропала кошка" if id == 1 else "", grouped_id=5) for id in range(1, 8)]
    singles = [post(id, id, "Пропал кот") for id in range(8, 40)]
    root, lost_pets = tmp_path / "workspace", channel(*album, *singles)
    cursors = [0]
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        for _ in range(3):
            harvest_well(root, "--max-messages", str(most))
            (state,) = channels_status(Workspace(root=root))
            cursors.append(state.cursor)
    assert cursors == sorted(set(cursors))


def test_parts_that_follow_the_cursor_belong_to_their_album(tmp_path: Path) -> None:
    """The newest album was read while it was being sent, and nothing is to be read again."""
    root, lost_pets = tmp_path / "workspace", channel(post(5, 5, "Пропала кошка", grouped_id=3))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root, "--rescan", "0")
        server.put(CHANNEL_ID, post(6, 6, grouped_id=3))
        harvest_well(root, "--rescan", "0")
        assert identities(root) == {"5": [2, 2]}
        assert server.photo_requests() == {10_005: 1, 10_006: 1}


def test_an_album_of_which_only_a_video_is_left_is_gone(tmp_path: Path) -> None:
    messages = [
        post(3, 3, "Пропала кошка", grouped_id=3),
        post(4, None, grouped_id=3, video=True),
        post(5, 5, "Пропал кот"),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        server.delete(CHANNEL_ID, 3)
        harvest_well(root)
    assert identities(root) == {"5": [1]}
    assert outcomes(root)["3"] == ("gone", None)


def test_a_first_part_deleted_and_the_other_replaced_is_one_identity(tmp_path: Path) -> None:
    messages = [post(3, 3, "Пропала кошка", grouped_id=3), post(4, 4, grouped_id=3)]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        server.delete(CHANNEL_ID, 3)
        server.put(CHANNEL_ID, replace(messages[1], photo=photo(9), text="Пропала кошка"))
        harvest_well(root)
    assert len(photos_of(root)) == 1


def test_what_could_not_be_fetched_is_tried_once_a_run(tmp_path: Path) -> None:
    root, lost_pets = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    with TelegramServer([lost_pets], faults=TelegramFaults(expired={10_001: 99})) as server:
        prepare(root, server, [lost_pets])
        for _ in range(2):
            assert harvest_well(root)["photos"] == {"postponed": 1}
        assert outcomes(root) == {"1": ("pending", None)}


def test_refused_posts_that_were_read_again_are_not_due_at_once(tmp_path: Path) -> None:
    root, lost_pets = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        server.put(CHANNEL_ID, post(1, 1, FUNDRAISING))
        harvest_well(root)
        with Ledger(Workspace(root=root).ledger("telegram"), source="telegram") as ledger:
            ledger.write("UPDATE listings SET checked_at = 0")
        server.forget_requests()
        for _ in range(2):
            harvest_well(root, "--rescan", "0", "--recheck", "1")
        assert len(server.requests_of("channels.getMessages")) == 1


# Handles


def test_a_handle_that_moved_on_is_not_followed(tmp_path: Path) -> None:
    """What was asserted, and every address so far, is about the channel that had it."""
    root, before = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    with TelegramServer([before]) as server:
        prepare(root, server, [before])
        harvest_well(root)
    renamed = channel(post(1, 1, "Пропала кошка"), post(2, 2, "Пропал кот"), handle="our_pets")
    heir = StubChannel(1999, "lost_pets", "Others", {1: post(1, 7, "Пропал пёс")})
    with TelegramServer([renamed, heir]) as server:
        prepare(root, server, [before])
        done = harvest(root)
        assert done.code == 1
        assert "@lost_pets is another channel by now (id 1999, before 1700)" in done.stderr
        assert not server.requests_of("messages.getHistory")
        write_channels(root, ['handle = "our_pets"'])
        harvest_well(root)
    assert {p.source_url for photos in photos_of(root).values() for p in photos} == {
        "https://t.me/lost_pets/1",
        "https://t.me/our_pets/2",
    }


# Takedowns


def test_a_link_to_any_part_finds_the_post(tmp_path: Path) -> None:
    messages = [
        post(3, 3, "Пропала кошка", grouped_id=3),
        post(4, None, grouped_id=3, video=True),
        post(6, 6, grouped_id=3),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    workspace = Workspace(root=root)
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        for part in (3, 4, 6):
            link = f"https://t.me/lost_pets/{part}"
            assert identity_at(workspace, link) == f"telegram/{CHANNEL_ID}-3"
            assert identity_at(workspace, f"telegram/{CHANNEL_ID}-{part}") == (
                f"telegram/{CHANNEL_ID}-3"
            )
        assert identity_at(workspace, "https://t.me/lost_pets/5") is None
        print_takedown(workspace, "https://t.me/lost_pets/4", "asked")
        harvest_well(root, "--rescan", "0")
    assert not identities(root)


def test_a_link_finds_what_is_kept_rather_than_a_tombstone(tmp_path: Path) -> None:
    """An export may have made a post of its own of what is a part of an album."""
    root = tmp_path / "workspace"
    lost_pets = channel(post(3, 3, "Пропала кошка", grouped_id=3), post(4, 4, grouped_id=3))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
    with Ledger(Workspace(root=root).ledger("telegram"), source="telegram") as ledger:
        ledger.write(
            "INSERT INTO listings SELECT ?, url, 'gone', NULL, version, NULL, content_hash, "
            "record, 0, 0, NULL, run_id, first_seen_at, checked_at FROM listings",
            f"{CHANNEL_ID}-4",
        )
    found = identity_at(Workspace(root=root), "https://t.me/lost_pets/4")
    assert found == f"telegram/{CHANNEL_ID}-3"


def test_a_link_with_the_handle_is_obeyed_where_only_the_id_is_given(tmp_path: Path) -> None:
    root, lost_pets = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
        write_channels(root, [f"id = {CHANNEL_ID}"])
        add_takedown(Workspace(root=root).takedowns, "https://t.me/Lost_Pets/2", "asked", TODAY)
        server.put(CHANNEL_ID, post(2, 2, "Пропал кот"))
        server.put(CHANNEL_ID, post(3, 3, "Пропал пёс"))
        harvest_well(root)
    assert identities(root) == {"1": [1], "3": [1]}


# Errors


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (errors.FloodPremiumWaitError(None, capture=7200), 75, "wait 7,200 s"),
        (errors.TimedOutError(None, "Timeout"), 75, "trouble of its own (TimedOut)"),
        (errors.RpcCallFailError(None), 75, "trouble of its own (RpcCallFail)"),
        (AuthKeyNotFound(), 2, "petdata telegram login"),
        (errors.AuthKeyDuplicatedError(None), 2, "petdata telegram login"),
        (InvalidBufferError((-429).to_bytes(4, "little", signed=True)), 75, "connection"),
        (TypeNotFoundError(7, "Аделаида".encode()), 1, "newer than this Telethon"),
    ],
)
def test_rare_errors_say_what_to_do(raised: Exception, code: int, words: str) -> None:
    with pytest.raises(PetdataError) as caught, plain_errors():
        raise raised
    assert caught.value.exit_code == code
    assert words in str(caught.value)
    assert "Аделаида" not in str(caught.value)
    assert "xd0" not in str(caught.value)


def test_short_waits_without_end_are_no_crash(tmp_path: Path) -> None:
    """Telethon gives up after some tries, by default with a ValueError."""
    root, lost_pets = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    floods = {("messages.getHistory", call): 1 for call in range(1, 9)}
    with TelegramServer([lost_pets], faults=TelegramFaults(floods=floods)) as server:
        prepare(root, server, [lost_pets])
        done = harvest(root)
        assert done.code == 75
        assert "wait 1 s" in done.stderr


def test_a_session_that_the_server_has_forgotten(tmp_path: Path) -> None:
    root, lost_pets = tmp_path / "workspace", channel(post(1, 1, "Пропала кошка"))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        with closing(sqlite3.connect(root / "telegram" / "account.session")) as session, session:
            session.execute("UPDATE sessions SET auth_key = ?", (bytes(range(256)),))
        done = harvest(root)
    assert done.code == 2
    assert "petdata telegram login" in done.stderr
