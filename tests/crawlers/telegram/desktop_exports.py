"""Telegram Desktop's end: the channels that the local server serves, as an export in JSON.

Field by field as tdesktop's export_output_json.cpp writes them. Of albums it keeps nothing but the
order and the seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from petdata.demo.servers.telegram_channels import (
    ChannelPost,
    StubChannel,
    StubEntity,
    StubMessage,
    StubUser,
    read,
)

NOT_INCLUDED: Final = "(File not included. Change data exporting settings to download.)"
TOO_LARGE: Final = "(File exceeds maximum size. Change data exporting settings to download.)"
_LOCAL: Final = timezone(timedelta(hours=3))  # of the computer that exports
_KINDS: Final = {"mentionname": "mention_name", "texturl": "text_link", "url": "link"}

Record = dict[str, Any]


def posted_at_once(channel: StubChannel) -> StubChannel:
    """Parts of an album bear one second, as they do on Telegram."""
    sent_at: dict[int, datetime] = {}
    messages = {}
    for message_id, message in sorted(channel.messages.items()):
        if message.grouped_id is not None:
            at = sent_at.setdefault(message.grouped_id, message.sent_at)
            message = replace(message, sent_at=at)
        messages[message_id] = message
    return replace(channel, messages=messages)


def write_export(
    folder: Path,
    channels: Sequence[StubChannel],
    *,
    sentences: Mapping[int, str] | None = None,
    others: Sequence[Record] = (),
    **root: Any,
) -> Path:
    """An export of everything, or where there is one channel and nothing else, of this chat.

    `sentences`: photo id -> what stands in place of the file; `others`: chats that are no channel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chats = [*others, *(_chat(folder, channel, sentences or {}) for channel in channels)]
    document = (
        chats[0]
        if len(chats) == 1 and not root
        else {**root, "chats": {"about": "", "list": chats}}
    )
    (folder / "result.json").write_text(json.dumps(document, ensure_ascii=False, indent=1))
    return folder


def _chat(folder: Path, channel: StubChannel, sentences: Mapping[int, str]) -> Record:
    messages = [message for _, message in sorted(channel.messages.items())]
    return {
        "name": channel.title,
        "type": "public_supergroup" if channel.is_group else "public_channel",
        "id": channel.channel_id,
        "messages": [_record(folder, channel, message, sentences) for message in messages],
    }


def _record(
    folder: Path, channel: StubChannel, message: StubMessage, sentences: Mapping[int, str]
) -> Record:
    record: Record = {"id": message.message_id, "type": "message"} | _dates(message)
    who = _who(channel, message)
    if message.service:
        record["type"] = "service"
        record |= {"actor": who["from"], "actor_id": who["from_id"], "action": "create_channel"}
        return record | {"title": channel.title, "text": "", "text_entities": []}
    record |= who
    if message.reply_to is not None:
        record["reply_to_message_id"] = message.reply_to
    record |= _media(folder, channel, message, sentences)
    parts = _parts(message)
    plain = [part["text"] if part["type"] == "plain" else part for part in parts]
    text = plain[0] if len(plain) == 1 and isinstance(plain[0], str) else plain or ""
    return record | {"text": text, "text_entities": parts}


def _dates(message: StubMessage) -> Record:
    dates = {"date": message.sent_at}
    if message.edited_at is not None:
        dates["edited"] = message.edited_at
    fields: Record = {}
    for name, at in dates.items():
        fields[name] = at.astimezone(_LOCAL).strftime("%Y-%m-%dT%H:%M:%S")
        fields[f"{name}_unixtime"] = str(int(at.timestamp()))
    return fields


def _who(channel: StubChannel, message: StubMessage) -> Record:
    sender = message.sender
    fields: Record = {
        "from": _name(sender) if sender else channel.title,
        "from_id": f"user{sender.user_id}" if sender else f"channel{channel.channel_id}",
    }
    if message.signature is not None:
        fields["author"] = message.signature
    origin = message.forwarded_from
    if isinstance(origin, str):
        fields["forwarded_from"] = origin
    elif isinstance(origin, StubUser):
        fields |= {"forwarded_from": _name(origin), "forwarded_from_id": f"user{origin.user_id}"}
    elif isinstance(origin, ChannelPost):
        fields |= {
            "forwarded_from": origin.title,
            "forwarded_from_id": f"channel{origin.channel_id}",
        }
    return fields


def _name(user: StubUser) -> str:
    return f"{user.first_name} {user.last_name}".strip()


def _media(
    folder: Path, channel: StubChannel, message: StubMessage, sentences: Mapping[int, str]
) -> Record:
    stamp = message.sent_at.astimezone(_LOCAL).strftime("%d-%m-%Y_%H-%M-%S")
    if (photo := message.photo) is not None:
        name = f"chats/{channel.handle}/photos/photo_{message.message_id}@{stamp}.jpg"
        written = sentences.get(photo.photo_id) or _write(folder, name, read(photo.jpeg))
        size = {"photo_file_size": photo.listed_size, "width": photo.width, "height": photo.height}
        return {"photo": written} | size
    if (document := message.document) is not None:
        name = f"chats/{channel.handle}/files/{document.file_name or document.document_id}"
        written = sentences.get(document.document_id) or _write(
            folder, name, read(document.content)
        )
        kind = {"mime_type": document.mime_type, "file_size": document.listed_size}
        return {"file": written, "file_name": document.file_name} | kind
    if message.video:
        kind = {"media_type": "video_file", "mime_type": "video/mp4"}
        return {"file": NOT_INCLUDED, "thumbnail": NOT_INCLUDED} | kind | {"duration_seconds": 9}
    if (contact := message.contact) is not None:
        card = {"first_name": contact.first_name, "last_name": contact.last_name}
        return {"contact_information": card | {"phone_number": f"+{contact.phone}"}}
    return {}


def _write(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def _parts(message: StubMessage) -> list[Record]:
    """The text cut at its entities, which count UTF-16 units and here do not overlap."""
    units = message.text.encode("utf-16-le")
    parts, after = [], 0
    for entity in sorted(message.entities, key=lambda entity: entity.offset):
        end = entity.offset + entity.length
        parts += [_plain(units[2 * after : 2 * entity.offset])]
        parts += [_marked(entity, units[2 * entity.offset : 2 * end].decode("utf-16-le"))]
        after = end
    parts += [_plain(units[2 * after :])]
    return [part for part in parts if part["text"]]


def _plain(units: bytes) -> Record:
    return {"type": "plain", "text": units.decode("utf-16-le")}


def _marked(entity: StubEntity, text: str) -> Record:
    part: Record = {"type": _KINDS.get(entity.kind, entity.kind), "text": text}
    if entity.kind == "texturl":
        part["href"] = entity.url
    if entity.user is not None:
        part["user_id"] = entity.user.user_id
    return part
