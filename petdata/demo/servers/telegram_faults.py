"""What goes wrong on a local Telegram server, and what it remembers of its requests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class TelegramFaults:
    """Requests are named as in Telegram's documentation: "messages.getHistory"; counts begin at 1.

    An answer that breaks off counts as a call, and so does one that is refused.
    """

    # Photo or document -> how often its file reference has expired when it is used; each time it
    # stays so until the message is fetched again.
    expired: Mapping[int, int] = field(default_factory=dict)
    floods: Mapping[tuple[str, int], int] = field(default_factory=dict)  # (name, call) -> seconds
    dropped: Set[tuple[str, int]] = frozenset()  # the connection breaks in the middle of the answer
    listed_sizes: Mapping[int, int] = field(default_factory=dict)  # photo -> size that is not true
    delays_s: Mapping[str, float] = field(default_factory=dict)  # name -> before each answer


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRequest:
    name: str  # "upload.getFile"
    outcome: str  # "ok", "dropped", or the error: "FLOOD_WAIT_3"
    channel_id: int | None = None
    ids: tuple[int, ...] = ()
    offset_id: int | None = None
    add_offset: int | None = None
    limit: int | None = None
    min_id: int | None = None
    max_id: int | None = None
    handle: str | None = None
    photo_id: int | None = None
    document_id: int | None = None
    size: str | None = None  # the letter of the photo's size
    offset: int | None = None  # in the file
    is_last_part: bool = False


class FileReferences:
    """Which reference each photo and document has now, and which are refused."""

    def __init__(self, expired: Mapping[int, int]) -> None:
        self._left = dict(expired)
        self._renewals: dict[int, int] = {}
        self._refused: set[int] = set()

    def of_message(self, media_id: int) -> bytes:
        """What a message that is fetched now says."""
        if media_id in self._refused:
            self._refused.discard(media_id)
            self._renewals[media_id] = self._renewals.get(media_id, 0) + 1
            self._left[media_id] -= 1
        return self._current(media_id)

    def accepts(self, media_id: int, reference: bytes) -> bool:
        if reference != self._current(media_id):
            return False
        if self._left.get(media_id, 0) > 0:
            self._refused.add(media_id)
            return False
        return True

    def expire(self, media_id: int) -> None:
        self._left[media_id] = self._left.get(media_id, 0) + 1

    def _current(self, media_id: int) -> bytes:
        key = struct.pack("<qi", media_id, self._renewals.get(media_id, 0))
        return b"\x01" + sha256(key).digest()[:20]
