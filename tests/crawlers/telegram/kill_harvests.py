"""Harvests for tests that kill them, each of a server of its own, and what must come of them."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import harvests
from channel_makers import BEGINNING, FUNDRAISING, Post, photo
from kill_matrix import Command, assert_whole, durable_addresses

from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel, StubMessage

CHANNEL_ID = 1700
SMALL_SHARDS = ("--shard-mb", "0.01")  # 10 kB: three or four photos of SMALL
LEDGER = "ledgers/telegram.sqlite"
SESSION = "telegram/account.session"


def _message(message_id: int, text: str = "", grouped_id: int | None = None) -> StubMessage:
    return StubMessage(
        message_id=message_id,
        sent_at=BEGINNING + timedelta(minutes=message_id),
        text=text,
        grouped_id=grouped_id,
        photo=photo(message_id, side=128),
    )


# An album with a foreign post in it stays open until message 30, or what it hides is lost: the
# cursor must wait at 1. With the album the first shard is full; the last post goes into another.
SMALL = StubChannel(
    CHANNEL_ID,
    "lost_pets",
    "Lost pets",
    {
        message.message_id: message
        for message in (
            _message(1, "Пропала кошка, серая"),
            _message(2, "Найден пёс, рыжий", grouped_id=5),
            _message(3, "Пропал кот, чёрный"),
            _message(4, grouped_id=5),
            _message(30, "Пропала собака, белая"),
            _message(31, FUNDRAISING),
        )
    },
)
SMALL_POSTS = {1: 1, 2: 4, 3: 3, 30: 30, 31: 31}  # first message of a post -> its last


def post_spans(channel: StubChannel, posts: Sequence[Post]) -> dict[int, int]:
    """First message of each expected post -> its last that has a photo."""
    place = {m.photo.photo_id: m.message_id for m in channel.messages.values() if m.photo}
    return {
        int(post.identity_id.rpartition("-")[2]): max(place[id] for id in post.photo_ids)
        for post in posts
    }


def assert_cursor_waits(root: Path, spans: dict[int, int]) -> int:
    """The cursor has passed no post that the ledger does not know, and stands inside none."""
    cursor, known = _cursor_and_posts(root)
    passed = {first for first in spans if first <= cursor}
    assert passed <= known, f"{root}: the cursor {cursor} has passed {passed - known}"
    cut = {first for first in passed if spans[first] > cursor}
    assert not cut, f"{root}: the cursor {cursor} stands inside {cut}"
    return cursor


def _cursor_and_posts(root: Path) -> tuple[int, set[int]]:
    """Of the ledger as the next run will find it: where it stands, and first messages."""
    if not (root / LEDGER).exists():
        return 0, set()
    copy = root.with_name(f"{root.name}.cursor")  # reading recovers what a kill left
    shutil.copytree(root / "ledgers", copy)
    try:
        with closing(sqlite3.connect(copy / Path(LEDGER).name)) as ledger:
            if not ledger.execute("SELECT 1 FROM sqlite_schema WHERE name = 'photos'").fetchone():
                return 0, set()
            cursors = ledger.execute("SELECT cursor FROM channels").fetchall()
            read = ledger.execute(
                "SELECT source_id FROM listings WHERE content_hash IS NOT NULL "
                "OR outcome = 'dropped'"
            )
            known = {int(id.rpartition("-")[2]) for (id,) in read}
        return max((cursor for (cursor,) in cursors), default=0), known
    finally:
        shutil.rmtree(copy)


def durable_media(root: Path) -> set[int]:
    """Ids of the photos that the ledger has taken, and so must never be asked for again."""
    matches = [re.match(r"photo:(\d+)@", address) for address in durable_addresses(root)]
    return {int(match[1]) for match in matches if match is not None}


@dataclass
class Harvests:
    """Runs of one channel. Each workspace has a server of its own, so that requests are told apart.

    A context manager.
    """

    channel: StubChannel
    spans: dict[int, int]
    options: tuple[str, ...] = SMALL_SHARDS
    servers: dict[Path, TelegramServer] = field(default_factory=dict)
    _open: dict[Path, ExitStack] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)  # two Telegram sessions at once, in two threads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for root in list(self._open):
            self.stop(root)

    def command(self, root: Path) -> Command:
        """The next harvest into `root`, from its server; that starts with the first."""
        if root not in self.servers:
            server = self.servers[root] = TelegramServer([self.channel])
            with ExitStack() as stack:
                stack.enter_context(server)
                self._open[root] = stack.pop_all()
            harvests.prepare(root, server, [self.channel])
        words = harvests.command(root, *self.options)
        return Command(words, root, harvests.variables(root))

    def stop(self, root: Path) -> None:
        self._open.pop(root).close()

    def asked(self, root: Path) -> set[int]:
        """Ids of the photos of which any part was asked for."""
        requests = self.servers[root].requests_of("upload.getFile")
        return {request.photo_id for request in requests if request.photo_id is not None}

    def go_on(self, uninterrupted: Path, root: Path) -> None:
        """Harvest once more: no durable photo is asked for again, and in the end all is there."""
        assert_cursor_waits(root, self.spans)
        durable, server = durable_media(root), self.servers[root]
        server.forget_requests()
        done = self.command(root).run()
        assert done.returncode == 0, f"{root}: {done.stderr}"
        again = durable & self.asked(root)
        assert not again, f"{root}: {again} asked for again"
        assert max(server.photo_requests().values(), default=1) == 1
        assert_whole(root, uninterrupted)
        assert assert_cursor_waits(root, self.spans) == max(self.channel.messages)
        self.stop(root)
