"""What a local Telegram server answers: history, messages, files."""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from PIL import Image
from telethon.tl import functions, types

from petdata.demo.servers.telegram_channels import (
    HOME_DC,
    StubChannel,
    StubDocument,
    StubMessage,
    StubPhoto,
    StubUser,
    read,
)
from petdata.demo.servers.telegram_faults import FileReferences, TelegramFaults
from petdata.demo.servers.telegram_objects import (
    LONGEST_SIDE,
    STRIPPED,
    VIDEO_BYTES,
    RequestFailed,
    access_hash,
    channel_object,
    full_channel_object,
    page_object,
    user_object,
    video_id,
)

MOST_MESSAGES: Final = 100  # in one answer
FILES_IN_MEMORY: Final = 16  # a download comes in parts; what is drawn is drawn once for all
PART_UNIT: Final = 4096  # offsets and limits are multiples of it
LARGEST_PART: Final = 2**20


class History:
    """One channel's messages as they are now."""

    def __init__(self, channel: StubChannel) -> None:
        self.channel = channel
        self.ids = sorted(channel.messages)
        self._changed: dict[int, StubMessage | None] = {}

    def get(self, message_id: int) -> StubMessage | None:
        if message_id in self._changed:
            return self._changed[message_id]
        return self.channel.messages.get(message_id)

    def put(self, message: StubMessage) -> None:
        place = bisect_left(self.ids, message.message_id)
        if self.ids[place : place + 1] != [message.message_id]:
            self.ids.insert(place, message.message_id)
        self._changed[message.message_id] = message

    def delete(self, message_id: int) -> None:
        self.ids.remove(message_id)
        self._changed[message_id] = None

    def newer(self, offset_id: int, offset_date: datetime | None) -> int:
        """How many messages come before the offset in an answer, which begins with the newest."""
        if offset_id:
            return len(self.ids) - bisect_left(self.ids, offset_id)
        if offset_date is not None and offset_date.timestamp() > 0:
            moment = offset_date
            return len(self.ids) - bisect_left(
                self.ids, True, key=lambda number: self._sent_at(number) >= moment
            )
        return 0

    def page(self, start: int, stop: int) -> list[int]:
        """Ids from the `start`-th newest on."""
        oldest, newest = len(self.ids) - max(0, stop), len(self.ids) - max(0, start)
        return self.ids[max(0, oldest) : max(0, newest)][::-1]

    def _sent_at(self, message_id: int) -> datetime:
        message = self.get(message_id)
        assert message is not None
        return message.sent_at


class Answers:
    def __init__(
        self, channels: Iterable[StubChannel], faults: TelegramFaults, port: int, me: StubUser
    ) -> None:
        self.histories = {channel.channel_id: History(channel) for channel in channels}
        self.references = FileReferences(faults.expired)
        self._sizes = faults.listed_sizes
        self._port = port
        self._me = me
        self._files: dict[int, StubPhoto | StubDocument] = {}  # of messages that were handed out
        self._contents: OrderedDict[tuple[int, str], bytes] = OrderedDict()

    def answer(self, request: Any) -> Any:
        """May raise RequestFailed."""
        answer = _ANSWERS.get(type(request))
        if answer is None:
            raise RequestFailed(400, "INPUT_METHOD_INVALID")
        return answer(self, request)

    def config(self, _: Any) -> Any:
        now = datetime.now(UTC)
        numbers = dict.fromkeys(_NUMBERS_OF_CONFIG, 1000)
        return types.Config(
            date=now,
            expires=now + timedelta(hours=1),
            test_mode=False,
            this_dc=HOME_DC,
            dc_options=[types.DcOption(HOME_DC, "127.0.0.1", self._port)],
            dc_txt_domain_name="localhost",
            me_url_prefix="https://t.me/",
            **numbers,
        )

    def users(self, request: Any) -> Any:
        if not all(isinstance(user, types.InputUserSelf) for user in request.id):
            raise RequestFailed(400, "USER_ID_INVALID")
        return [user_object(self._me, is_self=True) for _ in request.id]

    def state(self, _: Any) -> Any:
        return types.updates.State(pts=1, qts=0, date=datetime.now(UTC), seq=1, unread_count=0)

    def difference(self, _: Any) -> Any:
        return types.updates.DifferenceEmpty(date=datetime.now(UTC), seq=1)

    def resolve(self, request: Any) -> Any:
        handle = request.username.casefold()
        for history in self.histories.values():
            if history.channel.handle.casefold() == handle:
                peer = types.PeerChannel(history.channel.channel_id)
                return types.contacts.ResolvedPeer(peer, [channel_object(history.channel)], [])
        raise RequestFailed(400, "USERNAME_NOT_OCCUPIED")

    def channels(self, request: Any) -> Any:
        found = [self._history(channel).channel for channel in request.id]
        return types.messages.Chats([channel_object(channel) for channel in found])

    def full_channel(self, request: Any) -> Any:
        return full_channel_object(self._history(request.channel).channel)

    def messages(self, request: Any) -> Any:
        history = self._history(request.channel)
        ids = [asked.id for asked in request.id if isinstance(asked, types.InputMessageID)]
        if len(ids) != len(request.id) or not ids:
            raise RequestFailed(400, "MESSAGE_IDS_EMPTY")
        return self._page(history, ids[:MOST_MESSAGES])

    def history(self, request: Any) -> Any:
        """`limit` messages from `add_offset` after the first that is older than the offset;
        of those, what lies between `min_id` and `max_id`."""
        history = self._history(request.peer)
        start = history.newer(request.offset_id, request.offset_date) + request.add_offset
        limit = min(request.limit, MOST_MESSAGES)
        ids = [
            number
            for number in history.page(start, start + limit)
            if number > request.min_id and (not request.max_id or number < request.max_id)
        ]
        return self._page(history, ids, skipped=max(0, start))

    def file(self, request: Any) -> Any:
        content = self._content(request.location)
        if request.offset % PART_UNIT or request.limit % PART_UNIT:
            raise RequestFailed(400, "OFFSET_INVALID")
        if not 0 < request.limit <= LARGEST_PART:
            raise RequestFailed(400, "LIMIT_INVALID")
        part = content[request.offset : request.offset + request.limit]
        return types.upload.File(types.storage.FileJpeg(), mtime=0, bytes=part)

    def _history(self, peer: Any) -> History:
        history = self.histories.get(getattr(peer, "channel_id", 0))
        if history is None or peer.access_hash != access_hash("channel", peer.channel_id):
            raise RequestFailed(400, "CHANNEL_INVALID")
        return history

    def _page(self, history: History, ids: list[int], skipped: int | None = None) -> Any:
        found = [(number, self._hand_out(history, number)) for number in ids]
        return page_object(
            history.channel,
            found,
            self.references.of_message,
            count=len(history.ids),
            skipped=skipped,
        )

    def _hand_out(self, history: History, message_id: int) -> StubMessage | None:
        message = history.get(message_id)
        if message is None:
            return None
        photo = message.photo
        if photo is not None:
            photo = replace(photo, size=self._sizes.get(photo.photo_id, photo.listed_size))
            self._files[photo.photo_id] = photo
        if message.document is not None:
            self._files[message.document.document_id] = message.document
        elif message.video:
            number = video_id(history.channel.channel_id, message_id)
            self._files[number] = StubDocument(number, "video/mp4", bytes(VIDEO_BYTES))
        return replace(message, photo=photo)

    def _content(self, location: Any) -> bytes:
        kind = "photo" if isinstance(location, types.InputPhotoFileLocation) else "document"
        if location.access_hash != access_hash(kind, location.id):
            raise RequestFailed(400, "FILE_ID_INVALID")
        file = self._files.get(location.id)
        if file is None or not self.references.accepts(location.id, location.file_reference):
            raise RequestFailed(400, "FILE_REFERENCE_EXPIRED")
        key = (location.id, location.thumb_size)
        if key not in self._contents:
            self._contents[key] = _draw(file, location.thumb_size)
            if len(self._contents) > FILES_IN_MEMORY:
                self._contents.popitem(last=False)
        return self._contents[key]


def _draw(file: StubPhoto | StubDocument, letter: str) -> bytes:
    if isinstance(file, StubDocument):
        return read(file.content)
    if letter not in file.sizes:
        raise RequestFailed(400, "LOCATION_INVALID")
    if letter == file.sizes[-1]:
        return read(file.jpeg)
    if letter == "i":
        return STRIPPED
    out = io.BytesIO()
    with Image.open(io.BytesIO(read(file.jpeg))) as picture:
        picture.thumbnail((LONGEST_SIDE[letter],) * 2)
        picture.save(out, "JPEG", quality=80)
    return out.getvalue()


_ANSWERS: Final[dict[type, Callable[[Answers, Any], Any]]] = {
    functions.help.GetConfigRequest: Answers.config,
    functions.users.GetUsersRequest: Answers.users,
    functions.updates.GetStateRequest: Answers.state,
    functions.updates.GetDifferenceRequest: Answers.difference,
    functions.contacts.ResolveUsernameRequest: Answers.resolve,
    functions.channels.GetChannelsRequest: Answers.channels,
    functions.channels.GetFullChannelRequest: Answers.full_channel,
    functions.channels.GetMessagesRequest: Answers.messages,
    functions.messages.GetHistoryRequest: Answers.history,
    functions.upload.GetFileRequest: Answers.file,
}
_NUMBERS_OF_CONFIG: Final = (
    "chat_size_max",
    "megagroup_size_max",
    "forwarded_count_max",
    "online_update_period_ms",
    "offline_blur_timeout_ms",
    "offline_idle_timeout_ms",
    "online_cloud_timeout_ms",
    "notify_cloud_delay_ms",
    "notify_default_delay_ms",
    "push_chat_period_ms",
    "push_chat_limit",
    "edit_time_limit",
    "revoke_time_limit",
    "revoke_pm_time_limit",
    "rating_e_decay",
    "stickers_recent_limit",
    "channels_read_media_period",
    "call_receive_timeout_ms",
    "call_ring_timeout_ms",
    "call_connect_timeout_ms",
    "call_packet_timeout_ms",
    "caption_length_max",
    "message_length_max",
    "webfile_dc_id",
)
