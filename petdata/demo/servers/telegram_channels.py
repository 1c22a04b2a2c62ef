"""What the channels of a local Telegram server hold: plain values, nothing of Telethon.

`messages` may be any mapping, so that thousands of messages need not exist before they are asked
for; photos may be functions, called when their bytes are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

HOME_DC: Final = 2  # the data centre that the server says it is

Content = bytes | Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class StubUser:
    """A person: all of it is what must never be kept."""

    user_id: int
    first_name: str
    last_name: str = ""
    username: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class StubContact:
    """Somebody's card, sent as a message."""

    phone: str
    first_name: str
    last_name: str = ""
    user_id: int = 0


@dataclass(frozen=True, slots=True)
class ChannelPost:
    """Where a forwarded message was posted first."""

    channel_id: int
    message_id: int
    title: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class StubEntity:
    """A marked part of a text, counted in UTF-16 code units."""

    kind: str  # Telethon's class name without "MessageEntity", lower case: "mention", "texturl"
    offset: int
    length: int
    url: str = ""  # of a "texturl"
    user: StubUser | None = None  # of a "mentionname"


@dataclass(frozen=True, slots=True)
class StubPhoto:
    photo_id: int
    jpeg: Content  # what the largest size holds
    width: int = 1280
    height: int = 960
    size: int | None = None  # None: the length of `jpeg`, or a guess where that is a function
    sizes: tuple[str, ...] = ("i", "m", "x", "y")  # Telegram's letters; the last is the largest
    dc_id: int = HOME_DC

    @property
    def listed_size(self) -> int:
        if self.size is not None:
            return self.size
        return len(self.jpeg) if isinstance(self.jpeg, bytes) else self.width * self.height // 6


@dataclass(frozen=True, slots=True)
class StubDocument:
    """A file: a picture "sent as file", or anything else."""

    document_id: int
    mime_type: str
    content: Content
    file_name: str = ""
    size: int | None = None  # None: the length of `content`, or 1 where that is a function
    dc_id: int = HOME_DC

    @property
    def listed_size(self) -> int:
        if self.size is not None:
            return self.size
        return len(self.content) if isinstance(self.content, bytes) else 1


@dataclass(frozen=True, slots=True)
class StubMessage:
    message_id: int
    sent_at: datetime  # with time zone, whole seconds
    text: str = ""
    entities: tuple[StubEntity, ...] = ()
    grouped_id: int | None = None
    photo: StubPhoto | None = None
    document: StubDocument | None = None
    video: bool = False
    contact: StubContact | None = None
    forwarded_from: str | StubUser | ChannelPost | None = None  # a hidden user's name; a user; ...
    sender: StubUser | None = None  # None: the channel itself
    signature: str | None = None
    reply_to: int | None = None
    edited_at: datetime | None = None
    protected: bool = False
    service: bool = False  # "channel created" and the like


@dataclass(frozen=True, slots=True)
class StubChannel:
    channel_id: int
    handle: str
    title: str
    messages: Mapping[int, StubMessage]
    protected: bool = False
    is_group: bool = False


def read(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()
