"""Telegram Desktop exports: result.json and its photos as the messages that a harvest would give.

The file is read twice, never held: once to find the chats and to be sure that it is whole, then
message by message.
"""

from __future__ import annotations

import re
import stat
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO, Final

from crawlers.telegram.export_file import JsonCursor
from crawlers.telegram.export_messages import (
    NotUnderstood,
    Post,
    infer_albums,
    photo_file,
    read_post,
)
from crawlers.telegram.messages import Message
from petdata.errors import CorruptFile, PetdataError, Reason, RejectedPhoto, StorageFailure
from petdata.limits import Limits

FILE_NAME: Final = "result.json"
CHANNEL_TYPES: Final = (
    "public_channel",
    "private_channel",
    "public_supergroup",
    "private_supergroup",
)
# The others that Telegram Desktop writes are counted by these names and not read.
OTHER_TYPES: Final = ("saved_messages", "replies", "personal_chat", "bot_chat", "private_group")
_NOT_MESSAGES: Final = ("service", "unsupported")
_PAGES: Final = ("messages.html", "export_results.html")
_ADDRESS = re.compile("export:([0-9]{1,13})/([0-9]{1,10})")
_OLD_ID_SHIFT: Final = 2**33  # older writers add this to a channel's id, to tell it from users'
_MAX_CHANNEL_ID: Final = 2**40  # Telegram's are below 10**12


@dataclass(frozen=True, kw_only=True)
class Export:
    folder: Path
    channels: tuple[ExportChannel, ...]
    skipped: Mapping[str, int]  # how many other chats, by type


class ExportChannel:
    """One channel of an export. Its name and its members are not read."""

    def __init__(self, *, channel_id: int, type: str, folder: Path, offset: int) -> None:
        self.channel_id = channel_id  # as in Message
        self.type = type  # one of CHANNEL_TYPES
        # Records of the latest reading without a message: service, unsupported, not_understood,
        # out_of_order.
        self.skipped: Counter[str] = Counter()
        self._folder = folder
        self._offset = offset  # of its messages in the file
        # Where the records of photos are, for those read so far, ascending.
        self._photo_ids = array("q")
        self._photo_offsets = array("q")

    @property
    def messages(self) -> Iterator[Message]:
        """All messages by ascending id; from the first one each time."""
        self.skipped.clear()
        return infer_albums(self._posts(self.skipped))

    def read_photo(self, address: str, limits: Limits | None = None) -> bytes:
        """The file behind the `photo` of one of the messages, now or of an earlier run.

        Raises RejectedPhoto: not_found, forbidden, too_many_bytes, unreachable.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found[1]) != self.channel_id:
            raise RejectedPhoto(Reason.NOT_FOUND, f"it is not of channel {self.channel_id}")
        record = self._photo_record(int(found[2]))
        return _read_file(self._folder, photo_file(record) or "", limits or Limits())

    def _posts(self, skipped: Counter[str]) -> Iterator[Post]:
        last_id = 0
        with _open(self._folder) as file:
            cursor = JsonCursor(file, self._folder / FILE_NAME, self._offset)
            for place, offset in enumerate(cursor.elements()):
                record = cursor.take()
                kind = record.get("type") if isinstance(record, dict) else None
                if kind in _NOT_MESSAGES:
                    skipped[kind] += 1
                    continue
                try:
                    if not isinstance(record, dict) or kind != "message":
                        raise NotUnderstood("it is no message")
                    post = read_post(record, self.channel_id, place)
                except NotUnderstood:
                    skipped["not_understood"] += 1
                    continue
                if post.message.message_id <= last_id:
                    skipped["out_of_order"] += 1
                    continue
                last_id = post.message.message_id
                if post.message.photo is not None:
                    self._remember(last_id, offset)
                yield post

    def _remember(self, message_id: int, offset: int) -> None:
        if not self._photo_ids or message_id > self._photo_ids[-1]:
            self._photo_ids.append(message_id)
            self._photo_offsets.append(offset)

    def _photo_record(self, message_id: int) -> dict[str, Any]:
        if not self._photo_ids or message_id > self._photo_ids[-1]:
            for _ in self._posts(Counter()):  # which remembers the rest
                pass
        place = bisect_left(self._photo_ids, message_id)
        if place < len(self._photo_ids) and self._photo_ids[place] == message_id:
            with _open(self._folder) as file:
                offset = self._photo_offsets[place]
                record = JsonCursor(file, self._folder / FILE_NAME, offset).take()
            if isinstance(record, dict) and record.get("id") == message_id:
                return record
        raise RejectedPhoto(Reason.NOT_FOUND, f"the export has no photo {message_id}")


def read_export(folder: Path) -> Export:
    """Find the channels, reading all of result.json: a broken one is told before anything is taken.

    Raises CorruptFile where it is broken, PetdataError where the folder has none.
    """
    _require_json(folder)
    with _open(folder) as file:
        byte_order_mark = 3 if file.read(3) == b"\xef\xbb\xbf" else 0
        cursor = JsonCursor(file, folder / FILE_NAME, byte_order_mark)
        chats = _chats(cursor)
        cursor.expect_end()
    if not chats:
        raise CorruptFile(f"{folder / FILE_NAME} holds no chats: choose channels when exporting")
    channels = []
    skipped: Counter[str] = Counter()
    for chat in chats:
        channel_id = _channel_id(chat.id)
        if chat.type not in CHANNEL_TYPES:
            skipped[str(chat.type) if chat.type in OTHER_TYPES else "unknown"] += 1
        elif channel_id is None or chat.offset is None:
            skipped["not_understood"] += 1
        else:
            channels.append(
                ExportChannel(
                    channel_id=channel_id, type=str(chat.type), folder=folder, offset=chat.offset
                )
            )
    return Export(folder=folder, channels=tuple(channels), skipped=skipped)


# The file


@dataclass
class _Chat:
    type: object = None
    id: object = None
    offset: int | None = None  # of its messages, if they are a list

    def read_member(self, name: str, cursor: JsonCursor) -> None:
        if name == "messages" and cursor.upcoming() == b"[":
            self.offset = cursor.offset
            cursor.skip()
        elif name == "type":
            self.type = cursor.take()
        elif name == "id":
            self.id = cursor.take()
        else:
            cursor.skip()


def _chats(cursor: JsonCursor) -> list[_Chat]:
    """Of an export of everything: those in its lists. Of one chat: the root itself."""
    root, chats = _Chat(), []
    for name in cursor.members():
        if name in ("chats", "left_chats") and cursor.upcoming() == b"{":
            chats += list(_listed_chats(cursor))
        else:
            root.read_member(name, cursor)
    return chats if root.offset is None else [root, *chats]


def _listed_chats(cursor: JsonCursor) -> Iterator[_Chat]:
    for name in cursor.members():
        if name != "list" or cursor.upcoming() != b"[":
            cursor.skip()
            continue
        for _ in cursor.elements():
            chat = _Chat()
            if cursor.upcoming() == b"{":
                for member in cursor.members():
                    chat.read_member(member, cursor)
            else:
                cursor.skip()
            yield chat


def _channel_id(value: object) -> int | None:
    if type(value) is not int or not 1 <= value < _MAX_CHANNEL_ID:
        return None
    return value - _OLD_ID_SHIFT if _OLD_ID_SHIFT < value < _OLD_ID_SHIFT + 2**32 else value


def _require_json(folder: Path) -> None:
    if not folder.is_dir():
        raise PetdataError(f"{folder} is no folder: give the one that holds {FILE_NAME}")
    if not (folder / FILE_NAME).is_file():
        is_html = any((folder / page).exists() for page in _PAGES)
        raise PetdataError(
            f"{folder} {'is an HTML export' if is_html else f'holds no {FILE_NAME}'}: "
            'export from Telegram Desktop in the format "Machine-readable JSON"'
        )


@contextmanager
def _open(folder: Path) -> Iterator[BinaryIO]:
    path = folder / FILE_NAME
    try:
        file = path.open("rb")
    except OSError as error:
        raise StorageFailure(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield file


# Photos. Names of files may be people's, so no error tells them.


def _read_file(folder: Path, name: str, limits: Limits) -> bytes:
    """The file of that name in the folder, wherever the name would lead."""
    if not name or name.startswith("("):  # a sentence in the language of the app
        raise RejectedPhoto(Reason.NOT_FOUND, "the export was made without this file")
    windows = PureWindowsPath(name)  # which knows both kinds of slashes
    if windows.anchor or ".." in windows.parts:
        raise RejectedPhoto(Reason.FORBIDDEN, "its path leads out of the export")
    try:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve()):
            raise RejectedPhoto(Reason.FORBIDDEN, "its path leads out of the export")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise RejectedPhoto(Reason.FORBIDDEN, "it is not an ordinary file")
        limits.check_bytes(status.st_size)
        return path.read_bytes()
    except (ValueError, OSError, RuntimeError) as error:
        raise _rejected(error) from None  # the error tells the name


def _rejected(error: Exception) -> RejectedPhoto:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, ValueError) or number in (ENOENT, ENOTDIR, ENAMETOOLONG):
        return RejectedPhoto(Reason.NOT_FOUND, "the export lacks this file")
    if isinstance(error, RuntimeError) or number == ELOOP:  # before Python 3.13, and from it on
        return RejectedPhoto(Reason.FORBIDDEN, "its path leads round in circles")
    if number in (EACCES, EPERM):
        return RejectedPhoto(Reason.FORBIDDEN, "this file may not be read")
    return RejectedPhoto(Reason.UNREACHABLE, f"this file cannot be read: error {number}")
