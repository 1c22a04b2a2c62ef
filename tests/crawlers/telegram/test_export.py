"""Exports are written here as Telegram Desktop writes them, by hand and field by field."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawlers.telegram.export import Export, ExportChannel, read_export
from crawlers.telegram.messages import Message
from petdata.errors import CorruptFile, PetdataError, Reason, RejectedPhoto
from petdata.limits import Limits

CHANNEL = 1_234_567_890
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
# What no message may keep, one word for each field that can hold somebody.
PEOPLE = {
    "from": "Аделаида Ивановна",
    "from_id": "user777000777",
    "author": "Бенедикт Петров",
    "actor": "Владислава",
    "actor_id": "user777000778",
    "forwarded_from": "Геннадий Сидоров",
    "forwarded_from_id": "user777000779",
    "saved_from": "Дорофей",
    "via_bot": "@eleonora_bot",
    "reply_to_peer_id": "user777000780",
    "contact_information": {
        "first_name": "Жанна",
        "last_name": "Захарова",
        "phone_number": "+7 912 345-67-89",
    },
    "contact_vcard": "contacts/contact_1_Иннокентий.vcard",
    "location_information": {"latitude": 55.755864, "longitude": 37.617698},
    "place_name": "Дом Калерии",
    "address": "улица Лукерьи, 5",
    "reactions": [{"type": "emoji", "count": 1, "recent": [{"from": "Мирослава"}]}],
    "inline_bot_buttons": [[{"type": "url", "text": "Нинель", "data": "https://t.me/oksana"}]],
    "poll": {"question": "Прасковья?", "answers": [{"text": "Радмила"}]},
    "title": "Серафима",
    "performer": "Тихон",
    "file_name": "Ульяна.jpg",
    "members": ["Фаина", "Харитон"],
    "edited": "2026-11-01T15:00:00",
}
SECRETS = re.compile(
    "Аделаид|Иванов|7770007|Бенедикт|Владислав|Геннадий|Сидоров|Дорофе|eleonora|Жанн|Захаров|912|"
    "Иннокент|55.75|37.61|Калери|Лукер|Мирослав|Нинель|oksana|Прасков|Радмил|Серафим|Тихон|Ульян|"
    "Фаин|Харитон"
)


def record(message_id: int, text: object = "", /, **fields: Any) -> dict[str, Any]:
    """A message as the current writer leaves it."""
    seconds = fields.pop("seconds", 60 * message_id)
    sent_at = START + timedelta(seconds=seconds)
    plain = [{"type": "plain", "text": text}] if isinstance(text, str) and text else []
    return {
        "id": message_id,
        "type": "message",
        "date": sent_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "date_unixtime": str(int(sent_at.timestamp())),
        "from": "Канал",
        "from_id": f"channel{CHANNEL}",
        **fields,
        "text": text,
        "text_entities": fields.get("text_entities", plain),
    }


def photo(message_id: int, text: object = "", /, **fields: Any) -> dict[str, Any]:
    return record(
        message_id,
        text,
        **{"photo": f"photos/photo_{message_id}.jpg", "width": 9, "height": 9, **fields},
    )


def chat(*records: object, **fields: Any) -> dict[str, Any]:
    return {
        "name": "Потеряшки",
        "type": "public_channel",
        "id": CHANNEL,
        "messages": list(records),
        **fields,
    }


def write(folder: Path, content: object) -> Export:
    text = (
        content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    )
    (folder / "result.json").write_text(text)
    return read_export(folder)


def channel(folder: Path, *records: object, **fields: Any) -> ExportChannel:
    (only,) = write(folder, chat(*records, **fields)).channels
    return only


def messages(folder: Path, *records: object) -> list[Message]:
    return list(channel(folder, *records).messages)


# What a message is


def test_a_message_of_the_current_writer(tmp_path: Path) -> None:
    (message,) = messages(tmp_path, photo(2, "Пропал кот"))
    assert message == Message(
        channel_id=CHANNEL,
        message_id=2,
        sent_at=datetime(2026, 11, 1, 12, 2, tzinfo=UTC),
        text="Пропал кот",
        photo=f"export:{CHANNEL}/2",
        has_media=True,
    )


def test_a_message_of_an_older_writer(tmp_path: Path) -> None:
    """No seconds, no text_entities, sender ids as numbers, chat ids with the kind in them."""
    text = (
        '{"name": "Потеряшки", "type": "public_channel", "id": %d, "messages": [\n'
        '{"id": 5, "type": "message", "date": "2019-03-01T10:20:30",'
        ' "edited": "1970-01-01T03:00:00", "from": "Канал", "from_id": 9824502482,'
        r' "photo": "photos/photo_1.jpg", "text": ["Пропал\x1F кот, звонить ",'
        r' {"type": "phone", "text": "+79123456789"}, "\nЖдём"]}]}'
    )
    (only,) = write(tmp_path, text % (2**33 + CHANNEL)).channels
    assert list(only.messages) == [
        Message(
            channel_id=CHANNEL,
            message_id=5,
            sent_at=datetime(2019, 3, 1, 10, 20, 30, tzinfo=UTC),  # local, taken as UTC
            text="Пропал\x1f кот, звонить [phone]\nЖдём",
            photo=f"export:{CHANNEL}/5",
            has_media=True,
        )
    ]


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("", [], ""),
        (None, None, ""),
        ("Кот", None, "Кот"),
        (["Кот ", {"type": "bold", "text": "рыжий"}], None, "Кот рыжий"),
        (["🐈 ", {"type": "mention", "text": "@ivan"}, "!"], None, "🐈 [handle]!"),
        ("не этот", [{"type": "plain", "text": "этот"}], "этот"),
        (
            ["Пишите ", {"type": "mention_name", "text": "Ивану", "user_id": 777}, "."],
            [
                {"type": "plain", "text": "Пишите "},
                {"type": "mention_name", "text": "Ивану", "user_id": 777},
                {"type": "plain", "text": "."},
            ],
            "Пишите [name].",
        ),
        ("", [{"type": "text_link", "text": "Иван", "href": "https://t.me/ivan"}], "[link]"),
        (
            "",
            [{"type": "email", "text": "a@b.ru"}, {"type": "link", "text": "b.ru"}],
            "[email][link]",
        ),
        ("", [{"type": "bank_card", "text": "4276"}, {"type": "phone", "text": ""}], "[card]"),
        ("", [{"type": "hashtag", "text": "#кот"}, {"type": "unknown", "text": " да"}], "#кот да"),
        ("\ud83d кот", None, "\ufffd кот"),  # half a character, which no file could hold
    ],
)
def test_texts(tmp_path: Path, text: object, entities: object, expected: str) -> None:
    written = json.dumps(chat(record(1, text, text_entities=entities)))
    (only,) = write(tmp_path, written).channels
    assert [message.text for message in only.messages] == [expected]


@pytest.mark.parametrize(
    ("fields", "has_photo", "has_media"),
    [
        ({"photo": "photos/photo_1.jpg"}, True, True),
        ({"photo": "(File not included. Change data exporting settings to download.)"}, True, True),
        ({"file": "files/a.jpg", "mime_type": "image/jpeg"}, True, True),
        ({"file": "stickers/s.webp", "media_type": "sticker"}, False, False),
        ({"file": "s.webp", "media_type": "sticker", "mime_type": "image/webp"}, False, False),
        ({"file": "a.mp4", "media_type": "animation", "mime_type": "video/mp4"}, False, False),
        ({"file": "a.mp4", "media_type": "video_file", "mime_type": "video/mp4"}, False, True),
        ({"file": "a.mp4", "mime_type": "video/mp4", "thumbnail": "t.jpg"}, False, True),
        ({"file": "r.mp4", "media_type": "video_message", "mime_type": "video/mp4"}, False, False),
        ({"file": "a.ogg", "media_type": "voice_message", "mime_type": "audio/ogg"}, False, False),
        ({"file": "a.pdf", "mime_type": "application/pdf"}, False, False),
        ({"mime_type": "video/mp4"}, False, False),
        ({}, False, False),
    ],
)
def test_media(tmp_path: Path, fields: dict[str, str], has_photo: bool, has_media: bool) -> None:
    (message,) = messages(tmp_path, record(1, **fields))
    assert (message.photo is not None, message.has_media) == (has_photo, has_media)


def test_nothing_of_people_is_in_a_message(tmp_path: Path) -> None:
    named = {
        "type": "text_link",
        "text": "Аделаида",
        "href": "https://t.me/oksana",
        "user_id": 777000777,
    }
    (tmp_path / "photos").mkdir()
    only = channel(
        tmp_path,
        photo(1, **PEOPLE, text_entities=[named]),
        photo(2, "Кот", **PEOPLE),
        photo(3, **PEOPLE),
        record(4, **PEOPLE, file="files/Ульяна.jpg", mime_type="image/jpeg"),
        record(5, **PEOPLE) | {"type": "service", "action": "invite_members"},
        record(6, **PEOPLE) | {"text": [{"type": "Фаина"}]},
        name="Канал Аделаиды",
    )
    everything = [repr(only), *map(repr, only.messages), repr(only.skipped)]
    assert len(everything) == 4 + 2
    for message in only.messages:
        with pytest.raises(RejectedPhoto) as raised:
            only.read_photo(message.photo or "")
        everything.append(str(raised.value))
    told = "\n".join(everything)
    assert SECRETS.findall(told) == []
    assert SECRETS.findall(json.dumps(PEOPLE, ensure_ascii=False))


# Albums


def grouped(folder: Path, *records: object) -> list[list[int]]:
    """Ids of messages that are taken for one album."""
    groups: dict[int, list[int]] = {}
    for message in messages(folder, *records):
        assert message.album_inferred == (message.grouped_id is not None)
        if message.grouped_id is not None:
            groups.setdefault(message.grouped_id, []).append(message.message_id)
    assert all(name == group[0] and len(group) > 1 for name, group in groups.items())
    return list(groups.values())


@pytest.mark.parametrize("caption", [0, 1, 2, None])
def test_neighbours_of_one_moment_are_an_album(tmp_path: Path, caption: int | None) -> None:
    parts = [photo(7 + i, "Кот" if i == caption else "", seconds=i // 2) for i in range(3)]
    assert grouped(tmp_path, record(6), *parts, record(10, seconds=1)) == [[7, 8, 9]]


def test_photos_and_videos_mix(tmp_path: Path) -> None:
    video = record(2, seconds=0, file="v.mp4", media_type="video_file", mime_type="video/mp4")
    assert grouped(tmp_path, photo(1, seconds=0), video, photo(3, seconds=0)) == [[1, 2, 3]]


def test_a_deleted_part_leaves_an_album(tmp_path: Path) -> None:
    assert grouped(tmp_path, photo(1, seconds=0), photo(3, seconds=0)) == [[1, 3]]


@pytest.mark.parametrize(
    "second",
    [
        photo(2, seconds=2),
        photo(2, seconds=-2),
        photo(2, "Другой кот", seconds=0),
        photo(2, seconds=0, from_id="user1"),
        photo(2, seconds=0, author="Иван"),
        photo(2, seconds=0, forwarded_from="Иван"),
        record(2, seconds=0),
        record(2, seconds=0, file="s.webp", media_type="sticker"),
    ],
)
def test_what_is_no_album(tmp_path: Path, second: object) -> None:
    assert grouped(tmp_path, photo(1, "Кот", seconds=0), second) == []


@pytest.mark.parametrize("between", [{"id": 2, "type": "service"}, {"id": 2, "type": "message"}, 5])
def test_what_stands_between_ends_an_album(tmp_path: Path, between: object) -> None:
    assert grouped(tmp_path, photo(1, seconds=0), between, photo(3, seconds=0)) == []


def test_a_text_before_a_photo_is_a_post_of_its_own(tmp_path: Path) -> None:
    assert grouped(tmp_path, record(1, "Кот", seconds=0), photo(2, seconds=0)) == []


def test_an_album_has_ten_parts_at_most(tmp_path: Path) -> None:
    parts = [photo(number, seconds=0) for number in range(1, 13)]
    assert grouped(tmp_path, *parts) == [list(range(1, 11)), [11, 12]]


def test_a_second_text_begins_the_next(tmp_path: Path) -> None:
    texts = ["Кот", "", "Пёс", ""]
    parts = [photo(number, text, seconds=0) for number, text in enumerate(texts, 1)]
    assert grouped(tmp_path, *parts) == [[1, 2], [3, 4]]


# Chats


def test_an_export_of_everything(tmp_path: Path) -> None:
    kinds = [
        "personal_chat",
        "bot_chat",
        "saved_messages",
        "private_group",
        "replies",
        "Иван",
        None,
    ]
    others = [chat(record(1), type=kind, id=number) for number, kind in enumerate(kinds, 1)]
    export = write(
        tmp_path,
        {
            "about": "…",
            "personal_information": {"first_name": "Иван", "list": [1]},
            "contacts": {"about": "…", "list": [{"first_name": "Иван"}]},
            "chats": {
                "about": "…",
                "list": [
                    chat(record(3), id=11),
                    *others,
                    chat(id=12, type="private_channel"),
                    chat(record(4), record(9), id=13, type="public_supergroup"),
                    {"id": 14, "type": "public_channel"},
                    chat(id="15"),
                    chat(id=-16),
                    5,
                ],
            },
            "left_chats": {"list": [chat(record(5), id=17, type="private_supergroup")]},
        },
    )
    assert [
        (c.channel_id, c.type, [m.message_id for m in c.messages]) for c in export.channels
    ] == [
        (11, "public_channel", [3]),
        (12, "private_channel", []),
        (13, "public_supergroup", [4, 9]),
        (17, "private_supergroup", [5]),
    ]
    assert dict(export.skipped) == {
        **dict.fromkeys(kinds[:5], 1),
        "unknown": 3,  # a name in place of a type, none, and 5 in place of a chat
        "not_understood": 3,
    }


def test_members_may_stand_in_any_order(tmp_path: Path) -> None:
    fields = dict(reversed(chat(record(1), {"type": "message", "text": "a", "id": 2}).items()))
    (only,) = write(tmp_path, "\ufeff" + json.dumps(fields) + "\n").channels
    assert only.channel_id == CHANNEL
    assert [message.message_id for message in only.messages] == [1]


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    only = channel(tmp_path, photo(1, seconds=0), photo(2, seconds=0), {"type": "service"})
    first = list(only.messages)
    assert list(only.messages) == first
    assert dict(only.skipped) == {"service": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (json.dumps(chat(record(1)))[:-30], "it ends too early; export once more"),
        (json.dumps(chat(record(1)))[:-1], "it ends too early"),
        (json.dumps(chat(record(1))) + "}", "something follows its end"),
        ("", "it ends too early"),
        ("[]", "{ is missing"),
        ("{}", "holds no chats: choose channels"),
        ('{"chats": {"list": []}}', "holds no chats"),
        (json.dumps(chat(messages={})), "holds no chats"),
        ("<html>", "{ is missing"),
    ],
)
def test_a_broken_file_is_told_before_anything_is_taken(
    tmp_path: Path, content: str, problem: str
) -> None:
    with pytest.raises(CorruptFile, match=problem) as raised:
        write(tmp_path, content)
    assert str(tmp_path / "result.json") in str(raised.value)


@pytest.mark.parametrize("page", ["messages.html", "export_results.html"])
def test_an_html_export_is_told(tmp_path: Path, page: str) -> None:
    (tmp_path / page).write_text("<html>")
    with pytest.raises(PetdataError, match=r"HTML export: export .* JSON"):
        read_export(tmp_path)


def test_a_folder_without_an_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(PetdataError, match=r"holds no result\.json: export .* JSON"):
        read_export(tmp_path)
    with pytest.raises(PetdataError, match="is no folder"):
        read_export(tmp_path / "result.json")


# Hostile records


@pytest.mark.parametrize(
    "bad",
    [
        None,
        5,
        [],
        {},
        {"id": 2},
        *(
            record(2) | change
            for change in (
                {"id": None},
                {"id": "2"},
                {"id": 2.0},
                {"id": True},
                {"id": 0},
                {"id": -999_999_999},
                {"id": 2**31},
                {"id": 10**400},
                {"type": None},
                {"type": ["service"]},
                {"type": "call"},
                {"text": 5, "text_entities": []},
                {"text": {"type": "plain", "text": "a"}, "text_entities": []},
                {"text": [5], "text_entities": []},
                {"text": [{"type": "mention"}], "text_entities": []},
                {"text": [{"type": ["mention"], "text": "a"}], "text_entities": []},
                {"text_entities": "a"},
                {"text_entities": {"a": 1}},
                {"text_entities": [None]},
                {"text_entities": [{"type": "plain", "text": 5}]},
                {"text": "a" * 70_000, "text_entities": []},
                {"photo": 5},
                {"photo": ["photos/photo_1.jpg"]},
                {"file": {}, "mime_type": "image/png"},
                {"file": "a", "mime_type": 5},
                {"file": "a", "mime_type": "image/png", "media_type": 5},
                {"date_unixtime": 5, "date": None},
                {"date_unixtime": "-5", "date": "gestern"},
                {"date_unixtime": "9" * 12, "date": 5},
                {"date_unixtime": None, "date": "9999-12-31T23:59:59-12:00"},
            )
        ),
    ],
)
def test_what_is_not_understood_is_counted(tmp_path: Path, bad: object) -> None:
    only = channel(tmp_path, record(1), bad, record(3))
    assert [message.message_id for message in only.messages] == [1, 3]
    assert dict(only.skipped) == {"not_understood": 1}


@pytest.mark.parametrize(
    "bad",
    [
        '{"id": 2, "a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"id": 2, "a": ' + "9" * 5000 + "}",
        '{"id": 2, "type": "message", "text": "' + "a" * 2**21 + '"}',
        "{'id': 2}",
        '{"id": 2, "type": "message" "date"}',
    ],
    ids=["deep", "huge number", "long", "quotes", "comma"],
)
def test_broken_json_within_a_message_is_counted(tmp_path: Path, bad: str) -> None:
    text = json.dumps(chat(record(1), "BAD", record(3))).replace('"BAD"', bad)
    (only,) = write(tmp_path, text).channels
    assert [message.message_id for message in only.messages] == [1, 3]
    assert dict(only.skipped) == {"not_understood": 1}


def test_other_records_and_disorder_are_counted(tmp_path: Path) -> None:
    only = channel(
        tmp_path,
        {"id": 1, "type": "service", "action": "pin_message"},
        {"id": 2, "type": "unsupported"},
        record(5),
        record(5),
        record(3),
        record(6),
    )
    assert [message.message_id for message in only.messages] == [5, 6]
    assert dict(only.skipped) == {"service": 1, "unsupported": 1, "out_of_order": 2}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from([*photo(1), "file", "mime_type", "media_type", "author"]), anything
    )
)
def test_no_field_is_fatal(tmp_path: Path, changes: dict[str, object]) -> None:
    only = channel(tmp_path, record(1), photo(2) | changes, photo(2**31 - 1))
    found = list(only.messages)
    assert (found[0].message_id, found[-1].message_id) == (1, 2**31 - 1)
    assert len(found) + only.skipped.total() == 3
    for message in found:
        assert isinstance(message.text, str)
        message.text.encode()


# Photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export = tmp_path / "export"
    (export / "photos").mkdir(parents=True)
    (export / "photos" / "photo_1.jpg").write_bytes(b"picture")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return export


def read_one(folder: Path, name: str, **limits: int) -> bytes:
    only = channel(folder, photo(1, photo=name))
    return only.read_photo(f"export:{CHANNEL}/1", Limits(**limits))


def test_a_photo_is_read_before_and_after_its_message(folder: Path) -> None:
    (folder / "photos" / "photo_3.jpg").write_bytes(b"third")
    (folder / "files").mkdir()
    (folder / "files" / "кот.png").write_bytes(b"file")
    only = channel(
        folder,
        photo(1),
        record(2),
        photo(3),
        record(4, file="files/кот.png", mime_type="image/png"),
    )
    expected = {1: b"picture", 3: b"third", 4: b"file"}
    assert only.read_photo(f"export:{CHANNEL}/4") == b"file"  # as a resumed run asks
    for message in only.messages:
        if message.photo:
            assert only.read_photo(message.photo) == expected.pop(message.message_id)
    assert expected == {}
    assert only.skipped.total() == 0
    for address in (f"export:{CHANNEL}/2", f"export:{CHANNEL}/9", f"export:{CHANNEL + 1}/1", "x"):
        with pytest.raises(RejectedPhoto) as raised:
            only.read_photo(address)
        assert raised.value.reason == Reason.NOT_FOUND


def test_reading_photos_leaves_a_reading_alone(folder: Path) -> None:
    only = channel(folder, photo(1), {"type": "service"}, record(2), photo(7))
    seen = []
    for message in only.messages:
        seen.append(message.message_id)
        with pytest.raises(RejectedPhoto):
            only.read_photo(f"export:{CHANNEL}/7")
    assert seen == [1, 2, 7]
    assert dict(only.skipped) == {"service": 1}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("(File not included. Change data exporting settings to download.)", Reason.NOT_FOUND),
        ("(Файл недоступен, попробуйте позже)", Reason.NOT_FOUND),
        ("", Reason.NOT_FOUND),
        ("photos/photo_2.jpg", Reason.NOT_FOUND),
        ("photos/photo_1.jpg/x", Reason.NOT_FOUND),
        ("photos/\0.jpg", Reason.NOT_FOUND),
        ("photos/\ud800.jpg", Reason.NOT_FOUND),
        ("a" * 5000, Reason.NOT_FOUND),
        ("../secret.jpg", Reason.FORBIDDEN),
        ("photos/../../secret.jpg", Reason.FORBIDDEN),
        ("photos/../photos/photo_1.jpg", Reason.FORBIDDEN),
        ("..\\secret.jpg", Reason.FORBIDDEN),
        ("/etc/passwd", Reason.FORBIDDEN),
        ("//server/share/a.jpg", Reason.FORBIDDEN),
        ("C:\\secret.jpg", Reason.FORBIDDEN),
        ("C:secret.jpg", Reason.FORBIDDEN),
        ("\\secret.jpg", Reason.FORBIDDEN),
        ("photos", Reason.FORBIDDEN),
        (".", Reason.FORBIDDEN),
    ],
)
def test_what_is_not_read(folder: Path, name: str, reason: Reason) -> None:
    (only,) = write(folder, json.dumps(chat(photo(1, photo=name)))).channels
    with pytest.raises(RejectedPhoto) as raised:
        only.read_photo(f"export:{CHANNEL}/1")
    assert raised.value.reason == reason
    assert not name or name not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_sentence_in_place_of_a_photo_is_no_name(folder: Path) -> None:
    (folder / "(Файл").mkdir()
    (folder / "(Файл" / "нет)").write_bytes(b"picture")
    with pytest.raises(RejectedPhoto, match="made without this file"):
        read_one(folder, "(Файл/нет)")


def test_a_file_that_has_changed_gives_no_wrong_photo(folder: Path) -> None:
    only = channel(folder, photo(1))
    assert only.read_photo(f"export:{CHANNEL}/1") == b"picture"
    channel(folder, photo(2, photo="photos/photo_1.jpg"))
    with pytest.raises(RejectedPhoto) as raised:
        only.read_photo(f"export:{CHANNEL}/1")
    assert raised.value.reason == Reason.NOT_FOUND


def test_links_out_of_the_export_are_not_followed(folder: Path) -> None:
    outside = folder.parent
    (folder / "photos" / "out.jpg").symlink_to(outside / "secret.jpg")
    (folder / "photos" / "round.jpg").symlink_to("round.jpg")
    (folder / "photos" / "device.jpg").symlink_to("/dev/zero")
    (folder / "away").symlink_to(outside)
    (folder.parent / "export-2").mkdir()
    (folder.parent / "export-2" / "a.jpg").write_bytes(b"secret")
    (folder / "beside.jpg").symlink_to(folder.parent / "export-2" / "a.jpg")
    for name in (
        "photos/out.jpg",
        "photos/round.jpg",
        "photos/device.jpg",
        "away/secret.jpg",
        "beside.jpg",
    ):
        with pytest.raises(RejectedPhoto) as raised:
            read_one(folder, name)
        assert raised.value.reason == Reason.FORBIDDEN, name


def test_links_within_the_export_are_followed(folder: Path) -> None:
    (folder / "photos" / "again.jpg").symlink_to("photo_1.jpg")
    assert read_one(folder, "photos/again.jpg") == b"picture"
    (folder.parent / "link").symlink_to(folder)
    assert read_one(folder.parent / "link", "photos/photo_1.jpg") == b"picture"


def test_only_ordinary_files_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # a socket's path must be short
    os.mkfifo(folder / "pipe.jpg")  # reading it would wait for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        for name in ("pipe.jpg", "socket.jpg"):
            with pytest.raises(RejectedPhoto) as raised:
                read_one(folder, name)
            assert raised.value.reason == Reason.FORBIDDEN


def test_large_files_are_not_read(folder: Path) -> None:
    assert read_one(folder, "photos/photo_1.jpg", max_bytes=7) == b"picture"
    with pytest.raises(RejectedPhoto) as raised:
        read_one(folder, "photos/photo_1.jpg", max_bytes=6)
    assert raised.value.reason == Reason.TOO_MANY_BYTES
    with (folder / "photos" / "hole.jpg").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RejectedPhoto):
        read_one(folder, "photos/hole.jpg")


# Memory


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(tmp_path: Path, count: int) -> None:
    """Messages of a channel between two chats that are not read, in a child process."""
    text = "Пропал рыжий кот, ошейник синий. " * 5
    line = json.dumps(photo(1_000_000_001, text), ensure_ascii=False, indent=1)
    with (tmp_path / "result.json").open("w") as file:
        file.write('{"chats": {"list": [')
        for kind in "personal_chat", "public_channel", "bot_chat":
            file.write(json.dumps(chat(type=kind))[:-2])
            for number in range(1, count + 1 if kind == "public_channel" else 4001):
                file.write("," if number > 1 else "")
                file.write(line.replace("1000000001", str(number)))
            file.write("]}" if kind == "bot_chat" else "]},")
        file.write("]}}")
    assert (tmp_path / "result.json").stat().st_size > 900 * count
    found, grown = read_in_a_child(tmp_path)
    assert found == count
    assert grown < 8, f"{grown} MiB"


def test_memory_stays_flat_whatever_a_value_takes(tmp_path: Path) -> None:
    text = json.dumps(chat(record(1), "LONG", "DEEP", record(2), name="LONG", other="BLANK"))
    for word, meant in [
        ("LONG", "a" * 2**25),
        ('"DEEP"', "[" * 2**18 + "]" * 2**18),
        ('"BLANK"', " " * 2**25 + "1"),
    ]:
        text = text.replace(word, meant)
    (tmp_path / "result.json").write_text(text)
    found, grown = read_in_a_child(tmp_path)
    assert found == 2
    assert grown < 8, f"{grown} MiB"


def read_in_a_child(folder: Path) -> tuple[int, int]:
    """How many messages the one channel has, and MiB that reading it takes."""
    program = (
        "import sys; from pathlib import Path; from peak_memory import peak_mebibytes;"
        "from crawlers.telegram.export import read_export; before = peak_mebibytes();"
        "only, = read_export(Path(sys.argv[1])).channels;"
        "print(sum(1 for message in only.messages), peak_mebibytes() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2] / "petdata",  # where peak_memory is
    )
    found, grown = map(int, done.stdout.split())
    return found, grown
