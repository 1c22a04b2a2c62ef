"""`Message`: what petdata takes of one Telegram message, live or from an export. Nothing of people.

Who wrote, forwarded or is mentioned never gets in here: the two readers, `harvest` and `export`,
leave names, handles and user ids behind, and put placeholders over entities of the text that name
a person, a phone or an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# Which placeholder stands for an entity of a text: by Telethon's class names without
# "MessageEntity", lower case, and by the names of Telegram Desktop's exports.
PLACEHOLDER_OF: Final = {
    "mention": "handle",
    "mentionname": "name",
    "inputmentionname": "name",
    "mention_name": "name",
    "phone": "phone",
    "email": "email",
    "url": "link",
    "link": "link",
    "texturl": "link",
    "text_link": "link",
    "bankcard": "card",
    "bank_card": "card",
}

_ADDRESS: Final = re.compile(r"(?:photo:[a-z]?\d+@|export:)(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    channel_id: int  # Telegram's, positive, as in t.me/c/<channel_id>/<message_id>
    message_id: int
    sent_at: datetime  # with time zone
    text: str = ""  # placeholders over entities that name somebody; not scrubbed yet
    grouped_id: int | None = None  # equal for the messages of one album
    album_inferred: bool = False  # exports have no grouped_id: this one is a guess
    photo: str | None = None  # address of the photo; None: there is none, or it is a video
    has_media: bool = False  # a photo or a video: what albums are made of
    is_protected: bool = False  # the channel forbids saving it


def hide_entities(text: str, entities: Iterable[tuple[str, int, int]]) -> str:
    """`text` with placeholders over entities that name somebody.

    Entities are (kind, offset, length); Telegram counts both in UTF-16 code units. Of those
    that overlap all is hidden, under the placeholder of the first.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    size = len(units) // 2
    named = [
        (max(offset, 0), min(offset + length, size), PLACEHOLDER_OF[kind])
        for kind, offset, length in entities
        if kind in PLACEHOLDER_OF
    ]
    parts, after = [], 0
    for start, end, placeholder in _joined(span for span in named if span[0] < span[1]):
        parts += [units[2 * after : 2 * start], f"[{placeholder}]".encode("utf-16-le")]
        after = end
    return b"".join([*parts, units[2 * after :]]).decode("utf-16-le", "replace")


def _joined(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Disjoint and sorted: spans that overlap are one, named after the first."""
    joined: list[tuple[int, int, str]] = []
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if joined and start < joined[-1][1]:
            before = joined.pop()
            start, end, name = before[0], max(end, before[1]), before[2]
        joined.append((start, end, name))
    return joined


def export_address(channel_id: int, message_id: int) -> str:
    """Of a photo in an export, which does not say which media it is."""
    return f"export:{channel_id}/{message_id}"


def message_of(address: str) -> tuple[int, int]:
    """Channel and message of a photo, wherever it was seen."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no photo of a message")
    return int(match[1]), int(match[2])
