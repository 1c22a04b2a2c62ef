"""Telethon's end: channels are resolved, messages and photos read. Nothing of people is kept."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final

from telethon import TelegramClient, errors, types
from telethon.tl.functions.channels import GetChannelsRequest
from telethon.tl.functions.contacts import ResolveUsernameRequest

from crawlers.telegram.messages import Message, hide_entities, message_of
from crawlers.telegram.session import is_loopback
from petdata.errors import PetdataError, Reason, RejectedPhoto

PART_BYTES: Final = 512 * 1024  # the most that Telegram gives at once
MESSAGES_AT_ONCE: Final = 100
HISTORY_WAIT_S: Final = 1.0  # between two requests of history
PHOTO_TRIES: Final = 3  # with a new file reference each
FRESH: Final = 300  # messages whose media are remembered
STALE: Final = (
    errors.FileReferenceEmptyError,
    errors.FileReferenceExpiredError,
    errors.FileReferenceInvalidError,
    errors.FilerefUpgradeNeededError,
)


class ChannelRefused(PetdataError):
    """A channel cannot be read, or must not be; the other channels go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A channel as this account can ask for it."""

    channel_id: int
    access_hash: int
    handles: frozenset[str] = frozenset()  # lower case, all that lead to it now


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """A photo, or a picture sent as a file, as a message shows it right now."""

    media_id: str  # equal wherever it is reposted
    dc_id: int
    location: Any  # of its largest size, with a file reference

    def address(self, channel_id: int, message_id: int) -> str:
        """`photo:<media>@<channel>/<message>`"""
        return f"photo:{self.media_id}@{channel_id}/{message_id}"

    def stands_at(self, address: str) -> bool:
        """Exports don't say which media it was."""
        return address.startswith("export:") or address == self.address(*message_of(address))


class LiveChannels:
    """Reads over one connected client, one request at a time."""

    def __init__(self, client: TelegramClient, max_photo_bytes: int, counts: Counter[str]) -> None:
        self.client = client
        self.max_photo_bytes = max_photo_bytes
        self.counts = counts  # of "requests"
        # Media of messages read lately, whose file references still hold.
        self._fresh: OrderedDict[tuple[int, int], Media] = OrderedDict()
        self.wait_s = 0.0 if is_loopback(client) else HISTORY_WAIT_S

    # Channels

    async def resolve(self, handle: str) -> Resolved:
        """The expensive call: Telegram allows it some 200 times a day. Raises ChannelRefused."""
        self.counts["requests"] += 1
        try:
            found = await self.client(ResolveUsernameRequest(handle))
        except (errors.UsernameNotOccupiedError, errors.UsernameInvalidError) as error:
            raise ChannelRefused(f"@{handle}: Telegram knows no channel of that name") from error
        if not isinstance(found.peer, types.PeerChannel):
            raise ChannelRefused(f"@{handle} is no channel")
        channels = [chat for chat in found.chats if chat.id == found.peer.channel_id]
        return self._readable(channels[0] if channels else None, f"@{handle}")

    async def look_up(self, channel: Resolved, name: str) -> Resolved:
        """Whether a channel that was resolved before may still be read. Raises ChannelRefused,
        or ChannelInvalidError where another account had resolved it."""
        self.counts["requests"] += 1
        peer = types.InputChannel(channel.channel_id, channel.access_hash)
        try:
            found = await self.client(GetChannelsRequest([peer]))
        except (errors.ChannelPrivateError, errors.ChannelPublicGroupNaError) as error:
            raise ChannelRefused(f"{name} is private, or has banned this account") from error
        return self._readable(found.chats[0] if found.chats else None, name)

    def _readable(self, channel: Any, name: str) -> Resolved:
        if not isinstance(channel, types.Channel):
            raise ChannelRefused(f"{name} is no channel, or none that this account may read")
        if channel.noforwards:
            raise ChannelRefused(f"{name} protects its content from being saved: it is left alone")
        handles = [channel.username, *(other.username for other in channel.usernames or ())]
        return Resolved(
            channel_id=channel.id,
            access_hash=channel.access_hash or 0,
            handles=frozenset(handle.lower() for handle in handles if handle),
        )

    # Messages

    async def history(self, channel: Resolved, *, after: int) -> AsyncIterator[Message]:
        """Messages with ids above `after`, ascending. Service messages among them have no text."""
        reading = self.client.iter_messages(
            _peer(channel), reverse=True, min_id=after, wait_time=self.wait_s
        )
        number = 0
        async for message in reading:
            if number % MESSAGES_AT_ONCE == 0:
                self.counts["requests"] += 1
            number += 1
            if message.id > after:  # Telethon does not look again
                self._remember(channel, message)
                yield read_message(message, channel.channel_id)

    async def messages(self, channel: Resolved, ids: Iterable[int]) -> list[Message]:
        """Those of these ids that still exist."""
        found = await self._raw_messages(channel, list(ids))
        return [read_message(message, channel.channel_id) for message in found]

    async def _raw_messages(self, channel: Resolved, ids: list[int]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(ids), MESSAGES_AT_ONCE):
            self.counts["requests"] += 1
            part = ids[start : start + MESSAGES_AT_ONCE]
            found += await self.client.get_messages(_peer(channel), ids=part)
        messages = [message for message in found if isinstance(message, types.Message)]
        for message in messages:
            self._remember(channel, message)
        return messages

    def _remember(self, channel: Resolved, message: Any) -> None:
        media = media_of(message)
        if media is not None:
            self._fresh[channel.channel_id, message.id] = media
            if len(self._fresh) > FRESH:
                self._fresh.popitem(last=False)

    # Photos

    async def photo(self, channel: Resolved, address: str) -> bytes:
        """The largest size of a message's photo. Raises RejectedPhoto.

        File references live for hours: a message that was not read lately is asked for again.
        """
        _, message_id = message_of(address)
        for attempt in range(PHOTO_TRIES):
            media = self._fresh.pop((channel.channel_id, message_id), None)
            if media is None:
                await self._raw_messages(channel, [message_id])
                media = self._fresh.pop((channel.channel_id, message_id), None)
            if media is None:
                raise RejectedPhoto(Reason.NOT_FOUND, "the message has it no longer")
            if not media.stands_at(address):
                raise RejectedPhoto(Reason.NOT_FOUND, "the message has another photo by now")
            try:
                return await self.download(media)
            except STALE:
                if attempt == PHOTO_TRIES - 1:
                    raise
        raise AssertionError

    async def download(self, media: Media) -> bytes:
        """Until Telegram has no more, whatever size it declared. Raises RejectedPhoto."""
        sink = _Sink(self.max_photo_bytes)
        try:
            await self.client.download_file(
                media.location, sink, dc_id=media.dc_id, part_size_kb=PART_BYTES // 1024
            )
        finally:
            self.counts["requests"] += sink.writes
        return b"".join(sink.parts)


class _Sink:
    """A file in memory that takes no more than a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[bytes] = []
        self.size = 0
        self.writes = 0

    def write(self, part: bytes) -> int:
        self.writes += 1
        self.size += len(part)
        if self.size > self.limit:
            raise RejectedPhoto(Reason.TOO_MANY_BYTES, f"more than {self.limit:,} bytes")
        self.parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Telethon asks for it."""


def _peer(channel: Resolved) -> types.InputPeerChannel:
    return types.InputPeerChannel(channel.channel_id, channel.access_hash)


def read_message(message: Any, channel_id: int) -> Message:
    """What petdata takes of it: neither its author nor whoever it was forwarded from."""
    media = media_of(message)
    return Message(
        channel_id=channel_id,
        message_id=message.id,
        sent_at=message.date,
        text=hide_entities(
            message.message or "",
            [(_kind(entity), entity.offset, entity.length) for entity in message.entities or ()],
        )
        if isinstance(message, types.Message)
        else "",
        grouped_id=getattr(message, "grouped_id", None),
        photo=media.address(channel_id, message.id) if media is not None else None,
        has_media=media is not None or _is_video(message),
        is_protected=bool(getattr(message, "noforwards", False)),
    )


def _kind(entity: Any) -> str:
    return type(entity).__name__.removeprefix("MessageEntity").removeprefix("Input").lower()


def media_of(message: Any) -> Media | None:
    media = getattr(message, "media", None)
    if isinstance(media, types.MessageMediaPhoto) and media.ttl_seconds is None:
        return _photo(media.photo) if isinstance(media.photo, types.Photo) else None
    if isinstance(media, types.MessageMediaDocument) and isinstance(media.document, types.Document):
        return _picture(media.document)
    return None


def _photo(photo: Any) -> Media | None:
    sizes = [
        size
        for size in photo.sizes
        if isinstance(size, types.PhotoSize | types.PhotoSizeProgressive)
    ]
    if not sizes:
        return None
    largest = max(reversed(sizes), key=lambda size: size.w * size.h)  # Telegram's last of equals
    return Media(
        media_id=str(photo.id % 2**64),
        dc_id=photo.dc_id,
        location=types.InputPhotoFileLocation(
            photo.id, photo.access_hash, photo.file_reference, thumb_size=largest.type
        ),
    )


def _picture(document: Any) -> Media | None:
    others = (types.DocumentAttributeSticker, types.DocumentAttributeAnimated)
    if not document.mime_type.startswith("image/") or any(
        isinstance(attribute, others) for attribute in document.attributes
    ):
        return None
    return Media(
        media_id=f"d{document.id % 2**64}",
        dc_id=document.dc_id,
        location=types.InputDocumentFileLocation(
            document.id, document.access_hash, document.file_reference, thumb_size=""
        ),
    )


def _is_video(message: Any) -> bool:
    document = getattr(getattr(message, "media", None), "document", None)
    return isinstance(document, types.Document) and document.mime_type.startswith("video/")
