"""`Message`: what petdata takes of one Telegram message, live or from an export. Nothing of people.

Who wrote, forwarded or is mentioned never gets in here: the two readers, `harvest` and `export`,
leave names, handles and user ids behind, and put placeholders over entities of the text that name
a person, a phone or an address.
"""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    channel_id: int  # Telegram's, positive, as in t.me/c/<channel_id>/<message_id>
    message_id: int
    sent_at: datetime  # with time zone
    text: str = ""  # placeholders over entities that name somebody; not scrubbed yet
    grouped_id: int | None = None  # equal for the messages of one album
    photo: str | None = None  # address of the photo; None: there is none, or it is a video
    has_media: bool = False  # a photo or a video: what albums are made of
    is_protected: bool = False  # the channel forbids saving it


def hide_entities(text: str, entities: Iterable[tuple[str, int, int]]) -> str:
    """`text` with placeholders over entities that name somebody.

    Entities are (kind, offset, length); Telegram counts both in UTF-16 code units.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    parts, after = [], 0
    for offset, end, kind in sorted(
        (offset, offset + length, kind)
        for kind, offset, length in entities
        if kind in PLACEHOLDER_OF
    ):
        if 2 * offset < after or end <= offset:  # overlaps the one before
            continue
        parts += [units[after : 2 * offset], f"[{PLACEHOLDER_OF[kind]}]".encode("utf-16-le")]
        after = 2 * end
    return b"".join([*parts, units[after:]]).decode("utf-16-le", "replace")
