from __future__ import annotations

import asyncio
import io
import random
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image
from telethon import TelegramClient, errors, functions, types

from petdata.demo.servers.telegram import TelegramServer
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
from petdata.demo.servers.telegram_faults import TelegramFaults
from petdata.demo.servers.telegram_login import Account
from petdata.demo.servers.telegram_objects import access_hash

T = TypeVar("T")

STARTED_AT = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
PETS = 1_000_000_001


def jpeg(seed: int, size: int = 60_000) -> bytes:
    """Bytes that are not a real picture, of a length that no part divides."""
    return b"\xff\xd8" + random.Random(seed).randbytes(size) + b"\xff\xd9"


def message(message_id: int, text: str = "", **more: Any) -> StubMessage:
    sent_at = STARTED_AT + timedelta(minutes=message_id)
    return StubMessage(message_id, sent_at, text or f"post {message_id}", **more)


def channel(*messages: StubMessage, channel_id: int = PETS, **more: Any) -> StubChannel:
    held = {held.message_id: held for held in messages}
    return StubChannel(channel_id, f"pets_{channel_id % 100}", "Питомцы", held, **more)


def input_channel(channel_id: int = PETS) -> types.InputPeerChannel:
    return types.InputPeerChannel(channel_id, access_hash("channel", channel_id))


@asynccontextmanager
async def connected(server: TelegramServer, **more: Any) -> AsyncIterator[TelegramClient]:
    client = TelegramClient(server.session(), 1, "hash", receive_updates=False, **more)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


def ask(
    server: TelegramServer, question: Callable[[TelegramClient], Awaitable[T]], **more: Any
) -> T:
    async def run() -> T:
        async with connected(server, **more) as client:
            return await question(client)

    return asyncio.run(run())


def ids_of(server: TelegramServer, **options: Any) -> list[int]:
    async def collect(client: TelegramClient) -> list[int]:
        return [
            found.id
            async for found in client.iter_messages(input_channel(), wait_time=0, **options)
        ]

    return ask(server, collect)


# History

GAPS = [k for k in range(1, 361) if k % 7 and k % 50 != 1]  # ids 7, 14, ... and 1, 51, ... are gone


@pytest.fixture(scope="module")
def long_history() -> Any:
    with TelegramServer([channel(*map(message, GAPS))]) as server:
        yield server


def test_the_whole_history_comes_in_both_directions(long_history: TelegramServer) -> None:
    assert len(GAPS) == 302
    assert ids_of(long_history) == GAPS[::-1]
    assert ids_of(long_history, reverse=True) == GAPS


def test_a_history_resumes_exactly_at_every_cursor() -> None:
    """Both ways, from each id, present or not."""
    present = [k for k in GAPS if k <= 160]

    async def resume(client: TelegramClient) -> None:
        for cursor in range(163):
            later = [k for k in present if k > cursor]
            found = client.iter_messages(input_channel(), reverse=True, min_id=cursor, wait_time=0)
            assert [m.id async for m in found] == later, cursor
            if cursor:
                earlier = [k for k in present if k < cursor][::-1]
                found = client.iter_messages(input_channel(), offset_id=cursor, wait_time=0)
                assert [m.id async for m in found] == earlier, cursor

    with TelegramServer([channel(*map(message, present))]) as server:
        ask(server, resume)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": 3}, [360, 359, 358]),
        ({"limit": 3, "reverse": True}, [2, 3, 4]),
        ({"min_id": 355}, [360, 359, 358, 356]),
        ({"max_id": 6}, [5, 4, 3, 2]),
        ({"min_id": 9, "max_id": 16}, [15, 13, 12, 11, 10]),
        ({"min_id": 9, "max_id": 16, "reverse": True}, [10, 11, 12, 13, 15]),
        ({"offset_id": 10, "limit": 2, "add_offset": 3}, [5, 4]),
        ({"offset_id": 10, "limit": 3, "add_offset": -2}, [11, 10, 9]),
        ({"offset_date": STARTED_AT + timedelta(minutes=10), "limit": 2}, [9, 8]),
    ],
)
def test_windows_of_a_history(
    long_history: TelegramServer, options: dict[str, Any], expected: list[int]
) -> None:
    assert ids_of(long_history, **options) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"offset_id": 10, "limit": 100, "min_id": 4, "max_id": 9}, [8, 6, 5]),
        ({"offset_id": 5, "add_offset": -100, "limit": 100}, None),  # all of the hundred before
        ({"offset_id": 359, "add_offset": -100, "limit": 100}, [360, 359]),
        ({"offset_id": 2, "limit": 100}, []),
        ({"offset_id": 5, "add_offset": -1, "limit": 1}, [5]),
        ({"limit": 1, "min_id": 360}, []),
    ],
)
def test_limits_apply_to_the_window_that_the_offset_gives(
    long_history: TelegramServer, fields: dict[str, int], expected: list[int] | None
) -> None:
    asked = {"offset_id": 0, "add_offset": 0, "min_id": 0, "max_id": 0} | fields
    request = functions.messages.GetHistoryRequest(
        input_channel(), offset_date=None, hash=0, **asked
    )
    page = ask(long_history, lambda client: client(request))
    if expected is None:
        expected = [k for k in GAPS if k >= 5][:100][::-1]
    assert [found.id for found in page.messages] == expected
    assert page.count == len(GAPS)


def test_a_history_grows_changes_and_shrinks_while_it_is_served() -> None:
    with TelegramServer([channel(message(1), message(2), message(3))]) as server:
        server.put(PETS, message(5))
        server.delete(PETS, 1, 3)
        server.put(PETS, replace(message(2, "changed"), edited_at=STARTED_AT))
        assert [held.message_id for held in server.messages(PETS)] == [2, 5]

        async def look(client: TelegramClient) -> list[Any]:
            found = await client.get_messages(input_channel(), limit=10)
            return [*found, *await client.get_messages(input_channel(), ids=[1, 2, 3, 9, 5])]

        five, two, one, two_again, three, nine, five_again = ask(server, look)
    assert (five.id, five_again.id, one, three, nine) == (5, 5, None, None, None)
    for found in (two, two_again):
        assert (found.id, found.message, found.edit_date) == (2, "changed", STARTED_AT)


def test_thousands_of_messages_take_no_time_and_are_made_when_asked_for() -> None:
    made: list[int] = []

    class Many:
        def __iter__(self) -> Any:
            return iter(range(1, 20_001))

        def get(self, key: int) -> StubMessage:
            made.append(key)
            return message(key)

    many: Any = Many()
    started = time.monotonic()
    with TelegramServer([StubChannel(PETS, "many", "Много", many)]) as server:
        assert ids_of(server, limit=250) == list(range(20_000, 19_750, -1))
    assert sorted(made) == list(range(19_751, 20_001))
    assert time.monotonic() - started < 5


def test_packed_and_compressed_requests_are_opened(long_history: TelegramServer) -> None:
    """Telethon puts several requests into one container, and compresses above 512 bytes."""
    long_history.forget_requests()
    asked = [[types.InputMessageID(k) for k in GAPS[start::3][:100]] for start in range(3)]
    requests = [functions.channels.GetMessagesRequest(input_channel(), ids) for ids in asked]
    assert all(len(bytes(request)) > 512 for request in requests)

    async def look(client: TelegramClient) -> Any:
        return await client(requests)

    pages = ask(long_history, look)
    expected = [GAPS[start::3][:100] for start in range(3)]
    assert [[found.id for found in page.messages] for page in pages] == expected
    logged = [list(r.ids) for r in long_history.requests_of("channels.getMessages")]
    assert sorted(logged) == sorted(expected)


# What messages carry


def test_an_album_keeps_its_parts_together_and_foreign_messages_apart() -> None:
    photos = [StubPhoto(100 + k, jpeg(k)) for k in range(3)]
    held = channel(
        message(1, "", grouped_id=77, photo=photos[0]),
        message(2, "something else"),
        message(3, "", grouped_id=77, photo=photos[1]),
        message(4, "caption", grouped_id=77, video=True),
        message(5, "", grouped_id=78, photo=photos[2]),
    )
    with TelegramServer([held]) as server:
        found = ask(server, lambda client: client.get_messages(input_channel(), limit=10))
    grouped = {m.id: (m.grouped_id, m.photo and m.photo.id, bool(m.video)) for m in found}
    assert grouped == {
        1: (77, 100, False),
        2: (None, None, False),
        3: (77, 101, False),
        4: (77, None, True),
        5: (78, 102, False),
    }


def test_people_stand_where_telegram_puts_them() -> None:
    olga = StubUser(501, "Ольга", "Тестова", "olga_t", "79000003344")
    pavel = StubUser(502, "Павел", phone="79000005566")
    held = channel(
        message(1, forwarded_from="Скрытая Персона", signature="Редактор Анна", reply_to=9),
        message(2, sender=olga, forwarded_from=pavel),
        message(3, forwarded_from=ChannelPost(42, 7, "Чужой канал", "Пётр")),
        message(4, contact=StubContact("+79000007788", "Зоя", "Карточкина", 503)),
        message(
            5,
            "Ольга: +7 900 000-33-44 тут",
            entities=(
                StubEntity("mentionname", 0, 5, user=olga),
                StubEntity("phone", 7, 16),
                StubEntity("texturl", 24, 3, url="https://example.com/olga"),
            ),
        ),
        message(6, service=True),
        message(7, protected=True),
        is_group=True,
    )
    with TelegramServer([held]) as server:

        async def look(client: TelegramClient) -> tuple[list[Any], Any]:
            found = await client.get_messages(input_channel(), limit=10, reverse=True)
            request = functions.messages.GetHistoryRequest(
                input_channel(), 0, None, 0, 100, 0, 0, 0
            )
            return found, await client(request)

        found, page = ask(server, look)
    one, two, three, four, five, six, _ = found
    assert (one.fwd_from.from_name, one.post_author) == ("Скрытая Персона", "Редактор Анна")
    assert one.reply_to.reply_to_msg_id == 9
    assert (two.from_id.user_id, two.fwd_from.from_id.user_id) == (501, 502)
    assert (three.fwd_from.from_id.channel_id, three.fwd_from.post_author) == (42, "Пётр")
    assert (four.media.phone_number, four.media.first_name) == ("+79000007788", "Зоя")
    marked = [
        (type(entity).__name__, five.get_entities_text()[k][1])
        for k, entity in enumerate(five.entities)
    ]
    assert marked == [
        ("MessageEntityMentionName", "Ольга"),
        ("MessageEntityPhone", "+7 900 000-33-44"),
        ("MessageEntityTextUrl", "тут"),
    ]
    assert (five.entities[0].user_id, five.entities[2].url) == (501, "https://example.com/olga")
    assert isinstance(six, types.MessageService)
    assert [m.noforwards for m in found if m.id != 6] == [False] * 5 + [True]
    people = {user.id: (user.first_name, user.last_name, user.phone) for user in page.users}
    assert people == {
        501: ("Ольга", "Тестова", "79000003344"),
        502: ("Павел", None, "79000005566"),
    }
    assert {chat.id for chat in page.chats} == {PETS, 42}


# Channels


def test_a_channel_is_resolved_and_described() -> None:
    held = [channel(message(1)), channel(channel_id=PETS + 1, protected=True)]
    with TelegramServer(held) as server:

        async def look(client: TelegramClient) -> None:
            open_one = await client.get_entity("pets_1")
            assert (open_one.id, open_one.title, open_one.noforwards) == (PETS, "Питомцы", False)
            assert open_one.access_hash == input_channel().access_hash
            closed_one = await client.get_entity(input_channel(PETS + 1))
            assert (closed_one.username, closed_one.noforwards) == ("pets_2", True)
            full = await client(functions.channels.GetFullChannelRequest(input_channel()))
            assert (full.full_chat.id, full.chats[0].username) == (PETS, "pets_1")
            by_other_letters = functions.contacts.ResolveUsernameRequest("Pets_1")
            assert (await client(by_other_letters)).chats[0].id == PETS
            with pytest.raises(errors.UsernameNotOccupiedError):
                await client(functions.contacts.ResolveUsernameRequest("nobody"))

        ask(server, look)
    resolved = [(r.handle, r.outcome) for r in server.requests_of("contacts.resolveUsername")]
    assert resolved == [("pets_1", "ok"), ("Pets_1", "ok"), ("nobody", "USERNAME_NOT_OCCUPIED")]


def test_a_wrong_access_hash_opens_nothing() -> None:
    with TelegramServer([channel(message(1))]) as server:

        async def look(client: TelegramClient) -> None:
            wrong = types.InputPeerChannel(PETS, input_channel().access_hash + 1)
            for options in ({"limit": 1}, {"ids": [1]}):
                with pytest.raises(errors.ChannelInvalidError):
                    await client.get_messages(wrong, **options)

        ask(server, look)


# Files

PICTURE = jpeg(1, 700_000)


def photo_server(**faults: Any) -> TelegramServer:
    photos = channel(
        message(1, photo=StubPhoto(100, PICTURE)),
        message(2, photo=StubPhoto(101, lambda: jpeg(2), width=800, height=600)),
        message(3, photo=StubPhoto(102, jpeg(3, 128 * 1024 - 4))),  # a whole part
        message(4, document=StubDocument(200, "image/png", jpeg(4), "кот.png")),
    )
    return TelegramServer([photos], faults=TelegramFaults(**faults))


async def download(client: TelegramClient, message_id: int) -> bytes:
    found = await client.get_messages(input_channel(), ids=message_id)
    content = await client.download_media(found, file=bytes)
    assert isinstance(content, bytes)
    return content


def test_photos_and_documents_arrive_as_they_are() -> None:
    with photo_server() as server:

        async def fetch(client: TelegramClient) -> list[bytes]:
            return [await download(client, number) for number in (1, 2, 3, 4)]

        assert ask(server, fetch) == [PICTURE, jpeg(2), jpeg(3, 128 * 1024 - 4), jpeg(4)]
    parts = [(r.photo_id, r.size, r.offset) for r in server.requests_of("upload.getFile")]
    assert parts[:6] == [(100, "y", k * 128 * 1024) for k in range(6)]
    assert parts[6:] == [(101, "y", 0), (102, "y", 0), (102, "y", 128 * 1024), (None, "", 0)]
    assert server.photo_requests() == {100: 1, 101: 1, 102: 1}
    assert server.requests_of("upload.getFile")[-1].document_id == 200


def test_smaller_sizes_are_other_pictures() -> None:
    out = io.BytesIO()
    Image.effect_noise((1280, 640), 60).convert("RGB").save(out, "JPEG")
    photo = StubPhoto(100, out.getvalue(), width=1280, height=640)
    with TelegramServer([channel(message(1, photo=photo))]) as server:

        async def fetch(client: TelegramClient) -> dict[str, bytes]:
            found = await client.get_messages(input_channel(), ids=1)
            return {
                size.type: await client.download_media(found, bytes, thumb=size.type)
                for size in found.photo.sizes
            }

        contents = ask(server, fetch)
    assert list(contents) == ["i", "m", "x", "y"]
    assert contents["y"] == out.getvalue()
    sides = [Image.open(io.BytesIO(contents[letter])).size for letter in ("m", "x")]
    assert sides == [(320, 160), (800, 400)]


def test_a_reference_that_is_not_the_photos_is_refused() -> None:
    with photo_server() as server:

        async def look(client: TelegramClient) -> None:
            found = await client.get_messages(input_channel(), ids=[1, 2])
            found[0].photo.file_reference = found[1].photo.file_reference
            with pytest.raises(errors.FileReferenceExpiredError):
                await client.download_media(found[0], file=bytes)

        ask(server, look)
    assert server.photo_requests() == {}


def test_an_expired_reference_stays_so_until_the_message_is_fetched_again() -> None:
    with photo_server(expired={101: 2}) as server:

        async def look(client: TelegramClient) -> None:
            stale = []
            for _ in range(2):
                found = await client.get_messages(input_channel(), ids=2)
                again = await client.get_messages(input_channel(), ids=2)
                assert found.photo.file_reference == again.photo.file_reference
                stale.append(found)
                for _ in range(2):
                    with pytest.raises(errors.FileReferenceExpiredError):
                        await client.download_media(found, file=bytes)
            assert await download(client, 2) == jpeg(2)
            for found in stale:
                with pytest.raises(errors.FileReferenceExpiredError):
                    await client.download_media(found, file=bytes)
            server.expire(100)
            with pytest.raises(errors.FileReferenceExpiredError):
                await download(client, 1)
            assert await download(client, 1) == PICTURE

        ask(server, look)
    assert server.photo_requests() == {100: 1, 101: 1}


def test_telethon_renews_the_reference_of_a_document_itself() -> None:
    with photo_server(expired={200: 1}) as server:
        assert ask(server, lambda client: download(client, 4)) == jpeg(4)
    assert len(server.requests_of("channels.getMessages")) == 2


@pytest.mark.parametrize("listed", [1, 300_000, 5_000_000])
def test_a_listed_size_may_lie(listed: int) -> None:
    with photo_server(listed_sizes={100: listed}) as server:

        async def fetch(client: TelegramClient) -> tuple[int, bytes]:
            found = await client.get_messages(input_channel(), ids=1)
            largest = found.photo.sizes[-1]
            content = await client.download_media(found, file=bytes, thumb="y")
            return max(largest.sizes), content

        assert ask(server, fetch) == (listed, PICTURE)


def test_a_connection_that_breaks_in_a_download_is_taken_up_again() -> None:
    with photo_server(dropped={("upload.getFile", 3), ("upload.getFile", 7)}) as server:
        assert ask(server, lambda client: download(client, 1)) == PICTURE
    parts = server.requests_of("upload.getFile")
    part = 128 * 1024
    assert [(r.offset, r.outcome) for r in parts] == [
        (0, "ok"),
        (part, "ok"),
        (2 * part, "dropped"),
        (2 * part, "ok"),
        (3 * part, "ok"),
        (4 * part, "ok"),
        (5 * part, "dropped"),
        (5 * part, "ok"),
    ]
    assert server.photo_requests() == {100: 1}


def test_a_client_whose_connections_are_dropped_comes_back() -> None:
    with TelegramServer([channel(message(1))]) as server:

        async def look(client: TelegramClient) -> list[int]:
            first = await client.get_messages(input_channel(), limit=1)
            server.drop_connections()
            await asyncio.sleep(0.1)
            return [found.id for found in first + await client.get_messages(input_channel(), 1)]

        assert ask(server, look) == [1, 1]


def test_a_failure_of_the_server_itself_is_raised_at_its_end() -> None:
    def fail() -> bytes:
        raise ZeroDivisionError

    server = TelegramServer([channel(message(1, photo=StubPhoto(100, fail)))])

    async def fetch(client: TelegramClient) -> None:
        with pytest.raises(errors.BadRequestError):
            await download(client, 1)

    with pytest.raises(ZeroDivisionError), server:
        ask(server, fetch)


# Floods and delays


def test_a_short_flood_is_slept_through_and_a_long_one_raised() -> None:
    floods = {("messages.getHistory", 1): 1, ("messages.getHistory", 4): 3600}
    with TelegramServer([channel(message(1))], faults=TelegramFaults(floods=floods)) as server:

        async def look(client: TelegramClient) -> None:
            started = time.monotonic()
            for _ in range(2):
                assert len(await client.get_messages(input_channel(), limit=1)) == 1
            assert time.monotonic() - started >= 1
            with pytest.raises(errors.FloodWaitError) as raised:
                await client.get_messages(input_channel(), limit=1)
            assert raised.value.seconds == 3600

        ask(server, look)
    outcomes = [request.outcome for request in server.requests_of("messages.getHistory")]
    assert outcomes == ["FLOOD_WAIT_1", "ok", "ok", "FLOOD_WAIT_3600"]


def test_a_delayed_answer_is_late_and_faults_may_change() -> None:
    with TelegramServer([channel(message(1))]) as server:
        server.set_faults(TelegramFaults(delays_s={"messages.getHistory": 0.2}))
        started = time.monotonic()
        assert ids_of(server) == [1]
        assert time.monotonic() - started >= 0.2
        server.set_faults(TelegramFaults(floods={("messages.getHistory", 1): 3600}))
        with pytest.raises(errors.FloodWaitError):
            ids_of(server)
        assert ids_of(server) == [1]


# Login


def test_nothing_is_answered_before_login() -> None:
    account = Account(phone="79000009900", code="13579")
    with TelegramServer([channel(message(1))], account=account, authorised=False) as server:

        async def sign_in(client: TelegramClient) -> None:
            assert not await client.is_user_authorized()
            with pytest.raises(errors.AuthKeyUnregisteredError):
                await client.get_messages(input_channel(), limit=1)
            with pytest.raises(errors.PhoneNumberInvalidError):
                await client.send_code_request("+7 900 000-99-01")
            await client.send_code_request("+7 900 000-99-00")
            with pytest.raises(errors.PhoneCodeInvalidError):
                await client.sign_in("+79000009900", "00000")
            me = await client.sign_in("+79000009900", "13579")
            assert (me.phone, me.first_name, me.is_self) == ("79000009900", "Аделаида", True)
            assert len(await client.get_messages(input_channel(), limit=1)) == 1
            assert server.is_authorised

        ask(server, sign_in)
        assert ids_of(server) == [1]
        server.revoke()
        with pytest.raises(errors.AuthKeyUnregisteredError):
            ids_of(server)


def test_the_second_factor_is_checked() -> None:
    account = Account(password="длинный пароль")
    with TelegramServer([], account=account, authorised=False) as server:

        async def sign_in(client: TelegramClient) -> None:
            with pytest.raises(errors.AuthKeyUnregisteredError):
                await client(functions.account.GetPasswordRequest())
            await client.send_code_request(account.phone)
            with pytest.raises(errors.SessionPasswordNeededError):
                await client.sign_in(account.phone, account.code)
            assert not server.is_authorised
            with pytest.raises(errors.PasswordHashInvalidError):
                await client.sign_in(password="другой пароль")
            assert not server.is_authorised
            me = await client.sign_in(password="длинный пароль")
            assert me.id == account.user_id

        ask(server, sign_in)
        assert server.is_authorised


def test_a_session_file_serves_any_client_until_logged_out(tmp_path: Path) -> None:
    server = TelegramServer([channel(message(1), message(2))], authorised=False)
    path = server.write_session(tmp_path / "private" / "account")
    assert path == tmp_path / "private" / "account.session"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def client() -> TelegramClient:
        return TelegramClient(str(path), 1, "hash", receive_updates=False)

    async def log_in() -> None:
        one = client()
        await one.start(phone=lambda: server.account.phone, code_callback=lambda: "24680")
        await one.disconnect()

    async def log_out() -> None:
        one = client()
        await one.connect()
        assert await one.is_user_authorized()
        assert await one.log_out()

    with server:
        asyncio.run(log_in())
        script = (
            "import asyncio, sys; from telethon import TelegramClient\n"
            "async def main():\n"
            "    async with TelegramClient(sys.argv[1], 1, 'hash', receive_updates=False) as one:\n"
            "        print([m.id async for m in one.iter_messages('pets_1')])\n"
            "asyncio.run(main())"
        )
        seen = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        assert seen.stdout.strip() == "[2, 1]"
        asyncio.run(log_out())
        assert not server.is_authorised
        assert not path.exists()


def test_another_key_is_not_known() -> None:
    with TelegramServer([]) as server, TelegramServer([]) as other:

        async def connect() -> None:
            session = server.session()
            session.set_dc(2, "127.0.0.1", other.port)
            await TelegramClient(session, 1, "hash").connect()

        with pytest.raises(errors.AuthKeyNotFound):
            asyncio.run(connect())


# The whole


def test_a_large_harvest_asks_for_nothing_twice_and_takes_seconds() -> None:
    photos = {k: StubPhoto(1000 + k, jpeg(k, 40_000)) for k in range(1, 501)}
    held = channel(*(message(k, photo=photos[k]) for k in photos))
    started = time.monotonic()
    with TelegramServer([held]) as server:

        async def harvest(client: TelegramClient) -> int:
            count = 0
            async for found in client.iter_messages(input_channel(), reverse=True, wait_time=0):
                assert await client.download_media(found, file=bytes) == photos[found.id].jpeg
                count += 1
            return count

        assert ask(server, harvest) == 500
    assert time.monotonic() - started < 20
    assert server.photo_requests() == {1000 + k: 1 for k in photos}
    assert {request.outcome for request in server.requests} == {"ok"}
    offsets = [request.offset_id for request in server.requests_of("messages.getHistory")]
    assert offsets == [1, 101, 201, 301, 401, 501]
