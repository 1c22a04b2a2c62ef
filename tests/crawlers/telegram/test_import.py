"""The import of Telegram Desktop exports, as users run it, beside the live harvest of the same."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from channel_makers import BEGINNING, FUNDRAISING, Post, bytes_of, make_channel, photo
from desktop_exports import NOT_INCLUDED, TOO_LARGE, Record, posted_at_once, write_export
from harvests import (
    Harvest,
    command,
    harvest,
    harvest_well,
    photos_of,
    prepare,
    run,
    variables,
    write_channels,
)
from test_harvest import assert_posts
from test_nothing_personal import PEOPLE, everything_written, messages_about, person, secrets

from crawling import COMMAND, FAST, assert_verified, environment
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import plain_config
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel, StubDocument, StubMessage
from petdata.demo.servers.telegram_faults import TelegramFaults
from petdata.inspection import identity_at, verify_source
from petdata.records import Photo
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

MADE = [make_channel(1000 + n, f"channel_{n}", 167, seed=n) for n in range(3)]
CHANNELS = [posted_at_once(channel) for channel, _ in MADE]
LIVE = [post for _, posts in MADE for post in posts]
CHANNEL_ID = 1700


def channel(*messages: StubMessage) -> StubChannel:
    by_id = {message.message_id: message for message in messages}
    return StubChannel(CHANNEL_ID, "lost_pets", "Lost pets", by_id)


def post(message_id: int, second: int, text: str = "", **values: Any) -> StubMessage:
    """With a picture of its own unless told otherwise."""
    media = {"photo": photo(message_id)} | values
    return StubMessage(message_id, BEGINNING + timedelta(seconds=second), text, **media)


def allow(root: Path, *channels: StubChannel) -> None:
    names = (f'handle = "{channel.handle}"\nid = {channel.channel_id}' for channel in channels)
    write_channels(root, names)


def import_command(root: Path, folder: Path, *options: str) -> list[str]:
    channels = root.with_name(f"{root.name}.channels.toml")
    words = [sys.executable, "-m", "petdata.cli", "telegram", "import-export", str(folder)]
    return [*words, "--channels", str(channels), "--json", *options]


def import_well(root: Path, folder: Path, *options: str) -> dict[str, Any]:
    done = run(root, import_command(root, folder, *options))
    assert done.code == 0, done.stderr
    assert not list(verify_source(Workspace(root=root), "telegram"))
    return done.report


def pictures(root: Path) -> dict[str, list[str | None]]:
    """Identity -> hashes of what was sent, in order."""
    return {id: [p.original_sha256 for p in photos] for id, photos in photos_of(root).items()}


def posts_by_message(root: Path) -> dict[int, list[int]]:
    """First message of each current post -> the messages whose pictures it has."""
    found = {}
    number_of = {sha256(bytes_of(photo(n))).hexdigest(): n for n in range(1, 60)}
    for identity, hashes in pictures(root).items():
        place = int(identity.removeprefix(f"telegram/{CHANNEL_ID}-"))
        found[place] = [number_of[found_hash or ""] for found_hash in hashes]
    return found


def rows(root: Path) -> list[Photo]:
    return sorted(
        (photo for photos in photos_of(root).values() for photo in photos),
        key=lambda photo: photo.photo_id,
    )


def attributes(photo: Photo) -> dict[str, str]:
    return json.loads(photo.attributes) if photo.attributes else {}


# The same identities


def runs_of_albums(channel: StubChannel) -> list[list[StubMessage]]:
    """Parts of each album, cut where a foreign message stands between: these have no album's
    other marks against them, since each album has one caption and a second of its own."""
    runs: list[list[StubMessage]] = []
    before: StubMessage | None = None
    for _, message in sorted(channel.messages.items()):
        if message.grouped_id is not None:
            if before is None or before.grouped_id != message.grouped_id:
                runs.append([])
            runs[-1].append(message)
        before = message
    return runs


def inferred(channel: StubChannel, live: list[Post]) -> list[Post]:
    """What an export must give: albums that were split are as many posts as they have pieces."""
    albums = {
        f"telegram/{channel.channel_id}-{min(parts)}"
        for group in {m.grouped_id for m in channel.messages.values() if m.grouped_id}
        for parts in [[id for id, m in channel.messages.items() if m.grouped_id == group]]
    }
    posts = [post for post in live if post.identity_id not in albums]
    for parts in runs_of_albums(channel):
        shown = [part.photo for part in parts if part.photo is not None]
        if shown:
            posts.append(
                Post(
                    identity_id=f"telegram/{channel.channel_id}-{parts[0].message_id}",
                    photos=tuple(sha256(bytes_of(photo)).hexdigest() for photo in shown),
                    photo_ids=tuple(photo.photo_id for photo in shown),
                    texts=tuple(part.text for part in parts if part.text),
                )
            )
    return posts


def test_500_messages_in_three_channels(tmp_path: Path) -> None:
    """The same as live, but for albums that foreign messages split."""
    root, live_root = tmp_path / "workspace", tmp_path / "live"
    folder = write_export(tmp_path / "export", CHANNELS)
    allow(root, *CHANNELS)
    report = import_well(root, folder)
    expected = [
        post
        for channel, (_, live) in zip(CHANNELS, MADE, strict=True)
        for post in inferred(channel, live)
    ]
    assert_posts(root, expected)
    services = sum(m.service for channel in CHANNELS for m in channel.messages.values())
    assert report["messages"]["messages_skipped/service"] == services
    assert report["messages"]["read"] + services == sum(len(c.messages) for c in CHANNELS) >= 500
    with TelegramServer(CHANNELS) as server:
        prepare(live_root, server, CHANNELS)
        live_report = harvest_well(live_root)
    assert_posts(live_root, LIVE)
    assert report["listings"]["fundraising"] == live_report["listings"]["fundraising"]
    brought, live = photos_of(root), photos_of(live_root)
    split = {post.identity_id for post in LIVE} - {
        post.identity_id for post in LIVE if post in expected
    }
    assert 10 < len(split) < len(LIVE) / 3
    for identity in live.keys() - split:
        theirs, ours = live[identity], brought[identity]
        for name in ("sha256", "position", "species", "status", "closed", "description"):
            assert [getattr(p, name) for p in ours] == [getattr(p, name) for p in theirs], name
        assert [p.source_url for p in ours] == [p.source_url for p in theirs]
        assert [p.posted_on for p in ours] == [p.posted_on for p in theirs]
    assert {len(parts) for parts in runs_of_albums(CHANNELS[0])} >= {1, 2, 3}
    marked = {id for id, ps in brought.items() if "album_inferred" in attributes(ps[0])}
    assert marked == {
        f"telegram/{channel.channel_id}-{parts[0].message_id}"
        for channel in CHANNELS
        for parts in runs_of_albums(channel)
        if len(parts) > 1 and any(part.photo for part in parts)
    }


# (message, second, text, album); what an export gives, and what is live
LOST, FOUND = "Пропала кошка", "Найдена собака"
TWICE = channel(
    post(1, 100, LOST),
    post(2, 200, grouped_id=1),
    post(3, 200, FOUND, grouped_id=1),
    post(4, 300, LOST, grouped_id=2),  # split by a foreign post
    post(5, 305, FOUND),
    post(6, 300, grouped_id=2),
    post(7, 400, LOST, grouped_id=3),  # two captions
    post(8, 400, "С белыми лапами", grouped_id=3),
    post(9, 500, LOST),  # two posts in one second
    post(10, 500),
    post(11, 600, photo=None, video=True),  # a video and a post in one second
    post(12, 600, LOST),
    post(13, 700, grouped_id=4),  # split by a post of the same second, which is taken for a part
    post(14, 700, LOST),
    post(15, 700, grouped_id=4),
    post(16, 800, FOUND, grouped_id=5),
    post(17, 801, grouped_id=5),  # sending took a while
    post(18, 900, grouped_id=6),  # an appeal for money, split
    post(19, 905, LOST),
    post(20, 900, FUNDRAISING, grouped_id=6),
    post(21, 1000, FUNDRAISING, grouped_id=7),
    post(22, 1005, LOST),
    post(23, 1000, grouped_id=7),
    post(24, 1100, LOST, forwarded_from="Somebody"),  # of two origins in one second
    post(25, 1100, forwarded_from="Another"),
    post(26, 1200, grouped_id=8),
    post(27, 1200, LOST, grouped_id=8),
)
OF_EXPORT = {
    **{1: [1], 2: [2, 3], 4: [4], 5: [5], 6: [6], 7: [7], 8: [8], 9: [9, 10], 11: [12]},
    **{13: [13, 14, 15], 16: [16, 17], 18: [18], 19: [19], 22: [22], 23: [23], 24: [24]},
    **{25: [25], 26: [26, 27]},
}
OF_HARVEST = {
    **{1: [1], 2: [2, 3], 4: [4, 6], 5: [5], 7: [7, 8], 9: [9], 10: [10], 12: [12]},
    **{13: [13, 15], 14: [14], 16: [16, 17], 19: [19], 22: [22], 24: [24], 25: [25], 26: [26, 27]},
}


def test_the_live_channel_corrects_what_an_export_did_not_say(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = write_export(tmp_path / "export", [TWICE])
    allow(root, TWICE)
    import_well(root, folder)
    assert posts_by_message(root) == OF_EXPORT
    with TelegramServer([TWICE]) as server:
        server.write_session(root / "telegram" / "account")
        harvest_well(root)
        assert posts_by_message(root) == OF_HARVEST
        same = {
            first: shown for first, shown in OF_EXPORT.items() if OF_HARVEST.get(first) == shown
        }
        fetched = [n for first, shown in OF_HARVEST.items() if first not in same for n in shown]
        assert server.photo_requests() == {10_000 + n: 1 for n in fetched}
        assert len(same) == 9
        server.forget_requests()
        assert harvest_well(root)["photos"] == {}
        assert not server.photo_requests()
        assert posts_by_message(root) == OF_HARVEST
    assert import_well(root, folder)["listings"] == {}
    assert posts_by_message(root) == OF_HARVEST


def test_an_export_changes_nothing_of_what_was_harvested(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = write_export(tmp_path / "export", [TWICE])
    with TelegramServer([TWICE]) as server:
        prepare(root, server, [TWICE])  # by its handle: the harvest has learnt the id
        harvest_well(root)
    before = rows(root)
    report = import_well(root, folder)
    assert report["listings"] == report["photos"] == {}
    assert report["messages"]["harvested_before"] == len(TWICE.messages)
    assert rows(root) == before
    assert posts_by_message(root) == OF_HARVEST


def test_an_export_brings_what_a_harvest_had_not_reached(tmp_path: Path) -> None:
    """Also where a harvested post and the next one bear the same second."""
    root, lost_pets = tmp_path / "workspace", channel(post(1, 0, LOST), post(2, 50, FOUND))
    more = channel(*lost_pets.messages.values(), post(3, 50), post(4, 90, LOST))
    with TelegramServer([lost_pets]) as server:
        prepare(root, server, [lost_pets])
        harvest_well(root)
    import_well(root, write_export(tmp_path / "export", [more]))
    assert posts_by_message(root) == {1: [1], 2: [2], 3: [3], 4: [4]}


def test_posts_that_changed_between_export_and_harvest(tmp_path: Path) -> None:
    messages = [
        *(post(1, 10, LOST, grouped_id=1), post(2, 10, grouped_id=1)),
        *(post(3, 20, LOST), post(4, 30, LOST), post(5, 40, LOST)),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    allow(root, lost_pets)
    import_well(root, write_export(tmp_path / "export", [lost_pets]))
    with TelegramServer([lost_pets]) as server:
        server.write_session(root / "telegram" / "account")
        server.delete(CHANNEL_ID, 1, 5)
        server.put(CHANNEL_ID, replace(messages[2], text="Кошка нашлась, спасибо!"))
        server.put(CHANNEL_ID, replace(messages[3], photo=None, video=True))
        harvest_well(root, "--recheck", "0")
    assert posts_by_message(root) == {2: [2], 3: [3]}
    assert photos_of(root)[f"telegram/{CHANNEL_ID}-3"][0].status == "reunited"


def test_a_newer_export_supersedes_an_older_one(tmp_path: Path) -> None:
    messages = [
        *(post(1, 10, LOST), post(2, 20, LOST), post(3, 30, LOST), post(4, 30)),
        *(post(5, 40), post(6, 40)),
    ]
    root = tmp_path / "workspace"
    allow(root, channel())
    import_well(root, write_export(tmp_path / "older", [channel(*messages)]))
    assert posts_by_message(root) == {1: [1], 2: [2], 3: [3, 4], 5: [5, 6]}
    messages[1] = replace(messages[1], text=FUNDRAISING)
    messages[3] = replace(messages[3], text="Найден пёс")
    newer = [*messages[:4], messages[5], post(7, 50, LOST)]  # 5 was deleted
    report = import_well(root, write_export(tmp_path / "newer", [channel(*newer)]))
    assert posts_by_message(root) == {1: [1], 3: [3], 4: [4], 6: [6], 7: [7]}
    assert report["listings"]["gone"] == 1


# Again, and after a kill


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = write_export(tmp_path / "export", CHANNELS[:1])
    allow(root, CHANNELS[0])
    first = import_well(root, folder)
    before, shards = rows(root), sorted((root / "shards" / "telegram").iterdir())
    again = import_well(root, folder)
    assert again["photos"] == {}
    assert again["listings"] == {"unchanged": first["listings"]["new"]}
    assert rows(root) == before
    assert sorted((root / "shards" / "telegram").iterdir()) == shards


@pytest.mark.slow
def test_five_kills_and_it_goes_on(tmp_path: Path) -> None:
    root, whole = tmp_path / "workspace", tmp_path / "whole"
    folder = write_export(tmp_path / "export", CHANNELS)
    for each in (root, whole):
        allow(each, *CHANNELS)
    started = time.monotonic()
    import_well(whole, folder, "--shard-mb", "0.1")
    took, moments = time.monotonic() - started, random.Random(7)
    killed = 0
    for _ in range(30):
        running = subprocess.Popen(
            import_command(root, folder, "--shard-mb", "0.1"),
            env=variables(root),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stored = stored_photos(root)
        while running.poll() is None and stored_photos(root) == stored:
            time.sleep(0.01)  # until it has begun
        time.sleep(moments.uniform(0, took / 12))
        running.send_signal(signal.SIGKILL)
        killed += running.wait() == -signal.SIGKILL
        if killed == 5:
            break
    assert killed == 5
    assert stored_photos(root) < stored_photos(whole)
    import_well(root, folder, "--shard-mb", "0.1")
    assert [replace(p, fetched_at=None) for p in rows(root)] == [
        replace(p, fetched_at=None) for p in rows(whole)
    ]
    assert all(photo.listing_version == 1 for photo in rows(root))
    assert stored_photos(root) == stored_photos(whole)


def stored_photos(root: Path) -> int:
    path = root / "ledgers" / "telegram.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        try:
            query = "SELECT count(*) FROM photos WHERE outcome IN ('stored', 'kept')"
            return int(ledger.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # the tables are being made
            return 0


# What may not be taken, and what is not there


def test_a_channel_without_a_right_of_use(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write_channels(root, ['handle = "lost_pets"'])  # exports know ids only
    done = run(root, import_command(root, write_export(tmp_path / "export", [TWICE])))
    assert done.code == 2
    assert "none of the channels" in done.stderr
    assert "forbid to use data from the platform to train" in " ".join(done.stderr.split())
    assert photos_of(root) == {}
    root.with_name(f"{root.name}.channels.toml").write_text(f"[[channel]]\nid = {CHANNEL_ID}\n")
    done = run(root, import_command(root, tmp_path / "export"))
    assert done.code == 2
    assert "no basis, asserted_by, since, evidence" in done.stderr


def test_one_channel_of_several_chats(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    chat: Record = {"name": "Аглая", "type": "personal_chat", "id": 7_300_000_000, "messages": []}
    folder = write_export(tmp_path / "export", CHANNELS, others=[chat], about="")
    allow(root, CHANNELS[1])
    report = import_well(root, folder)
    (warning,) = report["warnings"]
    assert "1000, 1002: left out" in warning
    assert report["messages"]["chats_skipped/personal_chat"] == 1
    assert_posts(root, inferred(CHANNELS[1], MADE[1][1]))
    assert {photo.basis for photo in rows(root)} == {"own_channel"}


def test_takedowns_are_obeyed(tmp_path: Path) -> None:
    messages = [
        *(post(1, 10, LOST), post(2, 20, LOST), post(3, 20), post(4, 30, LOST)),
        *(post(5, 40, LOST), post(6, 50, LOST), post(7, 50)),
    ]
    root, lost_pets = tmp_path / "workspace", channel(*messages)
    workspace, today = Workspace(root=root), datetime.now(UTC).date()
    root.mkdir()
    for target in (
        "https://t.me/lost_pets/3",
        f"telegram/{CHANNEL_ID}-4",
        sha256(bytes_of(photo(5))).hexdigest(),
    ):
        add_takedown(workspace.takedowns, target, "asked", today)
    allow(root, lost_pets)
    folder = write_export(tmp_path / "export", [lost_pets])
    report = import_well(root, folder)
    assert posts_by_message(root) == {1: [1], 6: [6, 7]}
    assert report["listings"]["taken_down"] == 2
    assert report["photos"]["taken_down"] == 1
    for address in (f"https://t.me/c/{CHANNEL_ID}/7", "https://t.me/lost_pets/7"):
        assert identity_at(workspace, address) == f"telegram/{CHANNEL_ID}-6"
    # Forgotten as a part of one post, it does not come back as a post of its own.
    add_takedown(workspace.takedowns, f"telegram/{CHANNEL_ID}-6", "asked", today)
    for _ in range(2):
        with TelegramServer([lost_pets]) as server:
            server.write_session(root / "telegram" / "account")
            harvest_well(root)
        # Live, 2 and 3 are two posts.
        assert posts_by_message(root) == {1: [1], 2: [2]}


def test_a_forgotten_part_does_not_come_back_in_an_album(tmp_path: Path) -> None:
    lost_pets = channel(post(1, 0, LOST, grouped_id=1), post(2, 9, FOUND), post(3, 0, grouped_id=1))
    root = tmp_path / "workspace"
    allow(root, lost_pets)
    import_well(root, write_export(tmp_path / "export", [lost_pets]))
    assert posts_by_message(root) == {1: [1], 2: [2], 3: [3]}
    today = datetime.now(UTC).date()
    takedowns = Workspace(root=root).takedowns
    add_takedown(takedowns, f"telegram/{CHANNEL_ID}-3", "asked", today)
    with TelegramServer([lost_pets]) as server:
        server.write_session(root / "telegram" / "account")
        harvest_well(root)
    assert posts_by_message(root) == {2: [2]}


def test_files_that_the_export_lacks_are_counted(tmp_path: Path) -> None:
    broken = replace(photo(6), jpeg=b"\xff\xd8\xff no picture")
    picture = StubDocument(99, "image/jpeg", bytes_of(photo(7)), "cat.jpg")
    lost_pets = channel(
        *(post(n, 10 * n, LOST) for n in range(1, 6)),
        post(6, 60, LOST, photo=broken),
        post(7, 70, LOST, photo=None, document=picture),
        *(post(8, 80, LOST, grouped_id=1), post(9, 80, grouped_id=1)),
    )
    root = tmp_path / "workspace"
    allow(root, lost_pets)
    folder = write_export(
        tmp_path / "export", [lost_pets], sentences={10_001: NOT_INCLUDED, 10_002: TOO_LARGE}
    )
    for number in (3, 9):
        (lost,) = folder.rglob(f"photo_{number}@*.jpg")
        lost.unlink()
    text = (folder / "result.json").read_text()
    named = next(folder.rglob("photo_4@*.jpg")).relative_to(folder)
    assert str(named) in text
    (folder / "result.json").write_text(text.replace(str(named), "../../elsewhere.jpg"))
    report = import_well(root, folder)
    assert posts_by_message(root) == {5: [5], 7: [7], 8: [8]}
    dropped = {k: n for k, n in report["photos"].items() if k not in ("kept", "stored")}
    assert dropped == {"not_found": 4, "forbidden": 1, "truncated": 1}
    assert report["listings"]["too_few_photos"] == 5
    again = import_well(root, folder)  # what is still missing costs nothing
    assert posts_by_message(root) == {5: [5], 7: [7], 8: [8]}
    assert again["listings"]["unchanged"] == 7
    whole = {n: [n] for n in (1, 2, 3, 4, 5, 7)} | {8: [8, 9]}
    live = tmp_path / "live"
    shutil.copytree(root, live)
    allow(live, lost_pets)
    with TelegramServer([lost_pets]) as server:
        server.write_session(live / "telegram" / "account")
        harvest_well(live)
    assert posts_by_message(live) == whole
    # And so does a later export that has the files.
    later = write_export(tmp_path / "whole", [lost_pets])
    import_well(root, later)
    assert posts_by_message(root) == whole
    before = rows(root)
    import_well(root, later)
    assert rows(root) == before


# Nothing of people


def test_nothing_of_200_people_is_written(tmp_path: Path) -> None:
    people = [person(number) for number in range(PEOPLE)]
    made = [m for number, user in enumerate(people) for m in messages_about(number, user)]
    group = replace(channel(*made), is_group=True)
    cards = [
        {"user_id": u.user_id, "first_name": u.first_name, "last_name": u.last_name}
        | {"phone_number": f"+{u.phone}"}
        for u in people
    ]
    personal = [
        {"name": u.first_name, "type": "personal_chat", "id": u.user_id, "messages": []}
        for u in people
    ]
    sentences = {10_003: NOT_INCLUDED}
    root, folder = tmp_path / "workspace", tmp_path / "export"
    write_export(
        folder,
        [group],
        sentences=sentences,
        others=personal,
        about="",
        personal_information=cards[0],
        contacts={"about": "", "list": cards},
        frequent_contacts={"about": "", "list": cards},
    )
    planted = (folder / "result.json").read_text().lower()
    everybody = {secret.lower() for user in people for secret in secrets(user)}
    assert sum(secret in planted for secret in everybody) > 3 * PEOPLE
    write_channels(root, ["id = 5"])
    refused = run(root, import_command(root, folder))
    assert refused.code == 2
    allow(root, group)
    done = run(root, import_command(root, folder))
    assert done.code == 0, done.stderr
    # A contact has no photo; one file is missing.
    assert len(photos_of(root)) == PEOPLE - PEOPLE // 10 - 1
    written = everything_written(root)
    told = (done.stderr + refused.stderr + repr(done.report)).lower()
    found = {secret for secret in everybody if secret.encode() in written or secret in told}
    assert not found, sorted(found)[:20]


# Two sources at once


def start(root: Path, words: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, env=env, cwd=root.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_pet911_and_telegram_at_the_same_time(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    delays = TelegramFaults(delays_s={"upload.getFile": 1.0})
    with (
        Site(plain_config(30, seed=3, photo_pool=24)) as site,
        TelegramServer(CHANNELS[:1], faults=delays) as server,
    ):
        prepare(root, server, CHANNELS[:1])
        harvesting = start(root, command(root), variables(root))
        crawling = start(root, [*COMMAND, "--base-url", site.url, *FAST], environment(root))
        while not server.photo_requests():
            assert harvesting.poll() is None
            time.sleep(0.01)
        second = harvest(root)
        assert harvesting.poll() is None
        server.set_faults(TelegramFaults())
        assert second.code == 75
        assert f"telegram is being collected by process {harvesting.pid}" in second.stderr
        ended = [process.communicate(timeout=120) for process in (harvesting, crawling)]
        assert (harvesting.returncode, crawling.returncode) == (0, 0), ended
    assert_posts(root, MADE[0][1])
    assert_verified(root)
    assert petdata(root, "shards", "verify").code == 0
    status = petdata(root, "status", "--json").report
    photos = Counter({source["source"]: source["current_photos"] for source in status["sources"]})
    assert photos["telegram"] == sum(len(post.photos) for post in MADE[0][1])
    assert photos["pet911"] > 30


def petdata(root: Path, *words: str) -> Harvest:
    done = subprocess.run(
        [sys.executable, "-m", "petdata.cli", *words],
        env=environment(root),
        cwd=root.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Harvest(
        done.returncode, done.stderr, json.loads(done.stdout) if "--json" in words else {}
    )


def test_import_and_harvest_take_turns(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    folder = write_export(tmp_path / "export", CHANNELS[:1])
    delays = TelegramFaults(delays_s={"upload.getFile": 1.0})
    with TelegramServer(CHANNELS[:1], faults=delays) as server:
        prepare(root, server, CHANNELS[:1])
        allow(root, CHANNELS[0])
        harvesting = start(root, command(root), variables(root))
        while not server.photo_requests():
            assert harvesting.poll() is None
            time.sleep(0.01)
        refused = run(root, import_command(root, folder))
        harvesting.send_signal(signal.SIGTERM)
        harvesting.communicate(timeout=60)
    assert refused.code == 75
    assert f"process {harvesting.pid}" in refused.stderr
