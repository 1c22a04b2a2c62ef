"""Messages grouped into posts: a message by itself, or the messages of one album.

Parts of an album carry one `grouped_id`; foreign messages may come between them, and nobody says
which part is the last. So a group stays open until the ids have moved on by more than a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from crawlers.telegram.messages import Message

MAX_PARTS: Final = 10  # of an album, Telegram's limit
WINDOW: Final = 20  # ids; parts of one album come together, so foreign messages between are few


@dataclass(frozen=True, kw_only=True, slots=True)
class Album:
    """One post. Messages that reply to one another are posts of their own."""

    messages: tuple[Message, ...]  # at least one, ascending by id

    @property
    def first(self) -> Message:
        return self.messages[0]

    @property
    def message_id(self) -> int:
        return self.first.message_id

    @property
    def last_id(self) -> int:
        return self.messages[-1].message_id

    @property
    def text(self) -> str:
        """Captions of all parts, a blank line between; a caption that is repeated stands once."""
        captions = (message.text.strip() for message in self.messages)
        return "\n\n".join(dict.fromkeys(caption for caption in captions if caption))

    @property
    def photos(self) -> tuple[Message, ...]:
        """The messages that have a photo."""
        return tuple(message for message in self.messages if message.photo is not None)

    @property
    def is_protected(self) -> bool:
        return any(message.is_protected for message in self.messages)

    @property
    def is_inferred(self) -> bool:
        return any(message.album_inferred for message in self.messages)


class AlbumWindow:
    """Albums out of the messages of one channel, added one at a time by ascending id.

    A cursor may move to `settled_id`: who starts again behind it, with a window `after` it, gets
    every album that has not been returned yet, whole, and some that have been, again.
    """

    def __init__(self, window: int = WINDOW, after: int = 0) -> None:
        if window < 1:
            raise ValueError(f"a window of {window} ids, at least 1 needed")
        self.window = window
        self.settled_id = after  # never inside an album; what was added up to here is returned
        self._last_id = after
        self._open: dict[int, list[Message]] = {}  # by grouped_id
        self._spans: list[tuple[int, int]] = []  # first and last id of albums beyond settled_id

    def add(self, message: Message) -> list[Album]:
        """The albums that are complete now, by ascending id."""
        if message.message_id <= self._last_id:
            raise ValueError(f"message {message.message_id} comes after {self._last_id}")
        self._last_id = message.message_id
        complete = [
            group
            for group in self._open.values()
            if message.message_id - group[-1].message_id > self.window
        ]
        for group in complete:
            self._close(group)
        group = [message]
        if message.grouped_id is not None:
            group = self._open.setdefault(message.grouped_id, [])
            group.append(message)
        if message.grouped_id is None or len(group) == MAX_PARTS:
            self._close(group)
            complete.append(group)
        return self._albums(complete)

    def flush(self) -> list[Album]:
        """The albums that were still open: no message follows."""
        complete = list(self._open.values())
        self._open.clear()
        return self._albums(complete)

    def _close(self, group: list[Message]) -> None:
        if group[0].grouped_id is not None:
            del self._open[group[0].grouped_id]

    def _albums(self, groups: list[list[Message]]) -> list[Album]:
        albums = [Album(messages=tuple(group)) for group in groups]
        albums.sort(key=lambda album: album.message_id)
        self._settle(albums)
        return albums

    def _settle(self, albums: list[Album]) -> None:
        """Move `settled_id` before the first open group, and before what that would cut in two.

        Two albums can be interleaved: of the complete one, too, no part may be left out when
        the open one is read again.
        """
        self._spans += [
            (album.message_id, album.last_id) for album in albums if len(album.messages) > 1
        ]
        settled = min(
            (group[0].message_id - 1 for group in self._open.values()), default=self._last_id
        )
        for first, last in sorted(self._spans, reverse=True):
            if first <= settled < last:
                settled = first - 1
        self._spans = [(first, last) for first, last in self._spans if last > settled]
        self.settled_id = settled


def group_albums(messages: Iterable[Message], window: int = WINDOW) -> Iterator[Album]:
    """Albums of one channel's messages, which ascend by id; each as soon as it is complete."""
    albums = AlbumWindow(window)
    for message in messages:
        yield from albums.add(message)
    yield from albums.flush()
