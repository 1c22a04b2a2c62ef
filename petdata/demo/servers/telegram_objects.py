"""Channels, messages and people as Telethon's TL objects."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from telethon.tl import patched, types

from petdata.demo.servers.telegram_channels import (
    ChannelPost,
    StubChannel,
    StubContact,
    StubDocument,
    StubEntity,
    StubMessage,
    StubPhoto,
    StubUser,
)

FOUNDED_AT: Final = datetime(2019, 3, 1, tzinfo=UTC)
LONGEST_SIDE: Final = {"s": 100, "m": 320, "x": 800, "y": 1280, "w": 2560}
STRIPPED: Final = bytes.fromhex("011e28") + bytes(range(40))  # version, height, width, scan
VIDEO_BYTES: Final = 65_536

_ENTITY_CLASSES: Final = {
    name.removeprefix("MessageEntity").lower(): getattr(types, name)
    for name in dir(types)
    if name.startswith("MessageEntity")
}


class RequestFailed(Exception):
    """Telegram's answer to a request that it refuses."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


ReferenceOf = Callable[[int], bytes]  # of a photo or document, as of now


def access_hash(kind: str, number: int) -> int:
    """The same for every server, so that a client may keep it."""
    (value,) = struct.unpack("<q", sha256(f"{kind}/{number}".encode()).digest()[:8])
    return int(value) or 1


def user_object(user: StubUser, *, is_self: bool = False) -> Any:
    return types.User(
        id=user.user_id,
        is_self=is_self,
        access_hash=access_hash("user", user.user_id),
        first_name=user.first_name,
        last_name=user.last_name or None,
        username=user.username,
        phone=user.phone,
    )


def channel_object(channel: StubChannel) -> Any:
    return types.Channel(
        id=channel.channel_id,
        title=channel.title,
        photo=types.ChatPhotoEmpty(),
        date=FOUNDED_AT,
        broadcast=not channel.is_group,
        megagroup=channel.is_group,
        noforwards=channel.protected,
        access_hash=access_hash("channel", channel.channel_id),
        username=channel.handle,
        participants_count=1000,
    )


def full_channel_object(channel: StubChannel) -> Any:
    return types.messages.ChatFull(
        full_chat=types.ChannelFull(
            id=channel.channel_id,
            about="",
            read_inbox_max_id=0,
            read_outbox_max_id=0,
            unread_count=0,
            chat_photo=types.PhotoEmpty(0),
            notify_settings=types.PeerNotifySettings(),
            bot_info=[],
            pts=1,
            participants_count=1000,
        ),
        chats=[channel_object(channel)],
        users=[],
    )


def message_object(channel: StubChannel, message: StubMessage, reference_of: ReferenceOf) -> Any:
    common = {
        "id": message.message_id,
        "peer_id": types.PeerChannel(channel.channel_id),
        "date": message.sent_at,
        "post": not channel.is_group,
        "from_id": types.PeerUser(message.sender.user_id) if message.sender else None,
    }
    if message.service:
        return patched.MessageService(action=types.MessageActionChannelCreate("—"), **common)
    return patched.Message(
        **common,
        message=message.text,
        media=_media(channel, message, reference_of),
        entities=[_entity(entity) for entity in message.entities] or None,
        noforwards=message.protected,
        fwd_from=_forward(message),
        post_author=message.signature,
        reply_to=types.MessageReplyHeader(reply_to_msg_id=message.reply_to)
        if message.reply_to
        else None,
        edit_date=message.edited_at,
        grouped_id=message.grouped_id,
    )


def page_object(
    channel: StubChannel,
    messages: Iterable[tuple[int, StubMessage | None]],
    reference_of: ReferenceOf,
    *,
    count: int,
    skipped: int | None = None,
) -> Any:
    """Messages with the people and channels that they speak of; None is a deleted one."""
    found, users, chats = [], {}, {channel.channel_id: channel_object(channel)}
    for message_id, message in messages:
        if message is None:
            found.append(patched.MessageEmpty(message_id, peer_id=None))
            continue
        found.append(message_object(channel, message, reference_of))
        for user in _people(message):
            users[user.user_id] = user_object(user)
        origin = message.forwarded_from
        if isinstance(origin, ChannelPost) and origin.channel_id not in chats:
            chats[origin.channel_id] = channel_object(
                StubChannel(origin.channel_id, f"channel{origin.channel_id}", origin.title, {})
            )
    return types.messages.ChannelMessages(
        pts=1,
        count=count,
        messages=found,
        topics=[],
        chats=list(chats.values()),
        users=list(users.values()),
        offset_id_offset=skipped,
    )


def video_id(channel_id: int, message_id: int) -> int:
    return channel_id << 24 | message_id


def _people(message: StubMessage) -> list[StubUser]:
    people = [message.sender, message.forwarded_from]
    people += [entity.user for entity in message.entities]
    return [person for person in people if isinstance(person, StubUser)]


def _forward(message: StubMessage) -> Any:
    match message.forwarded_from:
        case None:
            return None
        case str(name):
            return types.MessageFwdHeader(date=FOUNDED_AT, from_name=name)
        case StubUser(user_id=user_id):
            return types.MessageFwdHeader(date=FOUNDED_AT, from_id=types.PeerUser(user_id))
        case ChannelPost() as post:
            return types.MessageFwdHeader(
                date=FOUNDED_AT,
                from_id=types.PeerChannel(post.channel_id),
                channel_post=post.message_id,
                post_author=post.signature,
            )


def _entity(entity: StubEntity) -> Any:
    more: tuple[object, ...] = ()
    if entity.kind == "texturl":
        more = (entity.url,)
    elif entity.kind == "mentionname":
        more = (entity.user.user_id if entity.user else 0,)
    return _ENTITY_CLASSES[entity.kind](entity.offset, entity.length, *more)


def _media(channel: StubChannel, message: StubMessage, reference_of: ReferenceOf) -> Any:
    if message.photo is not None:
        return types.MessageMediaPhoto(photo=_photo(message, message.photo, reference_of))
    if message.document is not None:
        document = _document(message, message.document, reference_of, [])
        return types.MessageMediaDocument(document=document)
    if message.video:
        video = StubDocument(
            video_id(channel.channel_id, message.message_id), "video/mp4", b"", "", VIDEO_BYTES
        )
        attribute = types.DocumentAttributeVideo(duration=3.0, w=640, h=360)
        document = _document(message, video, reference_of, [attribute])
        return types.MessageMediaDocument(video=True, document=document)
    if message.contact is not None:
        return _contact(message.contact)
    return None


def _photo(message: StubMessage, photo: StubPhoto, reference_of: ReferenceOf) -> Any:
    return types.Photo(
        id=photo.photo_id,
        access_hash=access_hash("photo", photo.photo_id),
        file_reference=reference_of(photo.photo_id),
        date=message.sent_at,
        sizes=[_photo_size(photo, letter) for letter in photo.sizes],
        dc_id=photo.dc_id,
    )


def _photo_size(photo: StubPhoto, letter: str) -> Any:
    """Telegram gives larger sizes in a form that lists the bytes after each scan."""
    if letter == "i":
        return types.PhotoStrippedSize("i", STRIPPED)
    longest = max(photo.width, photo.height)
    scale = min(1.0, LONGEST_SIDE[letter] / longest)
    width, height = round(photo.width * scale), round(photo.height * scale)
    size = photo.listed_size
    if letter != photo.sizes[-1]:
        honest = len(photo.jpeg) if isinstance(photo.jpeg, bytes) else size
        return types.PhotoSize(letter, width, height, max(1, round(honest * min(scale, 0.9) ** 2)))
    if letter in ("y", "w"):
        width, height = photo.width, photo.height
        return types.PhotoSizeProgressive(letter, width, height, [size // 8, size // 3, size])
    return types.PhotoSize(letter, photo.width, photo.height, size)


def _document(
    message: StubMessage, document: StubDocument, reference_of: ReferenceOf, attributes: list[Any]
) -> Any:
    if document.file_name:
        attributes = [*attributes, types.DocumentAttributeFilename(document.file_name)]
    return types.Document(
        id=document.document_id,
        access_hash=access_hash("document", document.document_id),
        file_reference=reference_of(document.document_id),
        date=message.sent_at,
        mime_type=document.mime_type,
        size=document.listed_size,
        dc_id=document.dc_id,
        attributes=attributes,
    )


def _contact(contact: StubContact) -> Any:
    return types.MessageMediaContact(
        phone_number=contact.phone,
        first_name=contact.first_name,
        last_name=contact.last_name,
        vcard="",
        user_id=contact.user_id,
    )
