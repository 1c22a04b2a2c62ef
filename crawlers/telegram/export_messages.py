"""Records of an export's result.json as messages; pure.

Who wrote, forwarded, signed or is mentioned is left behind, and so are contacts and places. Who
wrote is compared between neighbours only, to tell albums, which exports don't mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from crawlers.telegram.albums import MAX_PARTS
from crawlers.telegram.messages import Message, hide_entities

ALBUM_SECONDS: Final = timedelta(seconds=1)  # at most, between neighbours of an album
_AUTHOR_FIELDS: Final = ("from_id", "from", "author", "forwarded_from")
_MAX_MESSAGE_ID: Final = 2**31 - 1
_MAX_TEXT: Final = 2**16  # characters; Telegram allows 4,096
_SECONDS = re.compile("[0-9]{1,11}")


class NotUnderstood(ValueError):
    """A record lacks what a message needs, or has it in another type."""


@dataclass(frozen=True, slots=True)
class Post:
    message: Message
    place: int  # among all records of the chat
    author: tuple[str | int | None, ...] = field(repr=False)  # for comparison, then forgotten


def read_post(record: dict[str, Any], channel_id: int, place: int) -> Post:
    """The record of a message; raises NotUnderstood."""
    message_id = record.get("id")
    if type(message_id) is not int or not 1 <= message_id <= _MAX_MESSAGE_ID:
        raise NotUnderstood("its id is none of a channel's message")
    file = photo_file(record)
    message = Message(
        channel_id=channel_id,
        message_id=message_id,
        sent_at=_sent_at(record),
        text=_text(record),
        photo=None if file is None else f"export:{channel_id}/{message_id}",
        has_media=file is not None or _has_video(record),
    )
    authors = (record.get(name) for name in _AUTHOR_FIELDS)
    return Post(message, place, tuple(a if isinstance(a, (str, int)) else None for a in authors))


def photo_file(record: dict[str, Any]) -> str | None:
    """Where the record says that its photo lies; a photo sent as a file is one as well."""
    photo = _string(record, "photo")
    if photo is not None:
        return photo
    is_picture = (_string(record, "mime_type") or "").startswith("image/")
    return _string(record, "file") if is_picture and not _string(record, "media_type") else None


def infer_albums(posts: Iterable[Post]) -> Iterator[Message]:
    """Messages with a `grouped_id` where neighbours look like one album.

    That is: by one author, each within a second of the one before, photos and videos only, ten at
    most, and one text at most. Single posts sent by a machine in one second look alike.
    """
    group: list[Post] = []
    for post in posts:
        if group and not _continues(group, post):
            yield from _grouped(group)
            group.clear()
        group.append(post)
    yield from _grouped(group)


def _continues(group: list[Post], post: Post) -> bool:
    last = group[-1]
    return (
        len(group) < MAX_PARTS
        and post.place == last.place + 1
        and post.author == last.author
        and post.message.has_media
        and last.message.has_media
        and abs(post.message.sent_at - last.message.sent_at) <= ALBUM_SECONDS
        and not (post.message.text and any(part.message.text for part in group))
    )


def _grouped(group: list[Post]) -> list[Message]:
    if len(group) < 2:
        return [post.message for post in group]
    grouped_id = group[0].message.message_id
    return [replace(post.message, grouped_id=grouped_id, album_inferred=True) for post in group]


def _sent_at(record: dict[str, Any]) -> datetime:
    """Older writers give only a local time and not its zone: it is taken as UTC."""
    seconds = record.get("date_unixtime")
    if isinstance(seconds, str) and _SECONDS.fullmatch(seconds):
        return datetime.fromtimestamp(int(seconds), UTC)
    try:
        sent_at = datetime.fromisoformat(_string(record, "date") or "")
        return sent_at.astimezone(UTC) if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise NotUnderstood("it has no date") from error


def _text(record: dict[str, Any]) -> str:
    """The text, put together from its parts, with placeholders over those that name somebody."""
    entities = record.get("text_entities")
    if entities is not None and not isinstance(entities, list):
        raise NotUnderstood("text_entities is no list")
    parts = entities or record.get("text") or []
    if isinstance(parts, str):
        parts = [parts]
    if not isinstance(parts, list):
        raise NotUnderstood("text is neither a string nor a list")
    text, spans, offset = [], [], 0
    for part in parts:
        kind, words = ("plain", part) if isinstance(part, str) else _entity(part)
        length = len(words.encode("utf-16-le", "surrogatepass")) // 2
        text.append(words)
        spans.append((kind, offset, length))
        offset += length
    if offset > _MAX_TEXT:
        raise NotUnderstood("its text is longer than Telegram allows")
    return hide_entities("".join(text), spans)


def _entity(part: object) -> tuple[str, str]:
    if isinstance(part, dict):
        kind, words = part.get("type"), part.get("text")
        if isinstance(kind, str) and isinstance(words, str):
            return kind, words
    raise NotUnderstood("a part of its text is none")


def _has_video(record: dict[str, Any]) -> bool:
    """A video that may stand in an album; animations, stickers and round messages may not."""
    if _string(record, "file") is None:
        return False
    media_type = _string(record, "media_type")
    is_video = (_string(record, "mime_type") or "").startswith("video/")
    return media_type == "video_file" or (is_video and not media_type)


def _string(record: dict[str, Any], name: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise NotUnderstood(f"{name} is no string")
    return value
