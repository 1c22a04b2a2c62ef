"""Of people nothing is written: 200 of them are planted, and everything written is searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
from channel_makers import BEGINNING, photo
from harvests import harvest, harvest_well, photos_of, prepare, write_channels

from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import (
    ChannelPost,
    StubChannel,
    StubContact,
    StubEntity,
    StubMessage,
    StubUser,
)
from petdata.demo.servers.telegram_faults import TelegramFaults

PEOPLE = 200
CHANNEL_ID = 1800
# Given names, common and rare; cue words ("owner", "call") find the names that people bear.
FIRST = [
    "Аркадий",
    "Мефодий",
    "Варлаам",
    "Галина",
    "Ипполит",
    "Надежда",
    "Всеволод",
    "Лукерья",
    "Геннадий",
    "Фаина",
    "Станислав",
    "Оксана",
    "Вячеслав",
    "Ефросинья",
    "Иннокентий",
    "Раиса",
    "Эдуард",
    "Клавдия",
    "Ярослав",
    "Гульнара",
]
LAST = [
    "Кржижановск",
    "Бржезинск",
    "Трубадур",
    "Хвостенк",
    "Цымбалюк",
    "Чертополох",
    "Шаляпк",
    "Щукар",
    "Юдашк",
]


def person(number: int) -> StubUser:
    """Last name, handle, phone and id that no other has."""
    return StubUser(
        user_id=7_300_000_000 + 7_919 * number,
        first_name=FIRST[number * 7 // 10 % 20],
        last_name=LAST[number % 9] + "абвгдежзиклмнопрстуфхцчшщ"[number // 9] + "с",
        username=f"owner_{number:03}_x",
        phone=f"7912{5_000_017 + 3_331 * number:07}",
    )


def secrets(user: StubUser) -> list[str]:
    phone = user.phone or ""
    spaced = f"{phone[1:4]} {phone[4:7]}-{phone[7:9]}-{phone[9:]}"
    whole = (user.first_name, user.last_name, user.username or "", phone[1:], str(user.user_id))
    return [*whole, spaced]


def messages_about(number: int, user: StubUser) -> list[StubMessage]:
    """One of ten ways in which a person gets into a channel."""
    phone, name = user.phone or "", user.first_name
    cased = f"Пропала кошка, помогите. Хозяин {name}, тел. +{phone}"
    marked = f"Найден пёс, писать {name} {user.last_name} или сюда"
    start = marked.index(name)
    length = len(f"{name} {user.last_name}")
    plain = StubMessage(number + 1, BEGINNING, "Пропала кошка", photo=photo(number))
    ways: list[dict[str, object]] = [
        {"sender": user},
        {"signature": f"{name} {user.last_name}"},
        {"forwarded_from": f"{name} {user.last_name}"},
        {"forwarded_from": user},
        {"forwarded_from": ChannelPost(99, 7, "another channel", f"{name} {user.last_name}")},
        {"contact": StubContact(phone, name, user.last_name, user.user_id), "photo": None},
        {"text": cased},
        {
            "text": marked,
            "entities": (StubEntity("mentionname", start, length, user=user),),
        },
        {
            "text": marked,
            "entities": (StubEntity("texturl", start, length, url=f"tg://user?id={user.user_id}"),),
        },
        {
            "text": f"Кот найден! Спасибо, @{user.username}, звоните {secrets(user)[-1]}",
            "entities": (StubEntity("mention", 20, len(f"@{user.username}")),),
        },
    ]
    return [replace(plain, **ways[number % len(ways)])]


def everything_written(root: Path) -> bytes:
    """All files as they are, and the shards also as values."""
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    parts = [path.read_bytes() for path in files]
    for path in files:
        if path.suffix == ".parquet":
            table = pq.read_table(path).drop(["image", "thumbnail"])
            parts.append(repr(table.to_pylist()).encode())
    return b"\n".join(parts).decode(errors="ignore").lower().encode()


def test_nothing_of_200_people_is_written(tmp_path: Path) -> None:
    people = [person(number) for number in range(PEOPLE)]
    assert len({secret for user in people for secret in secrets(user)}) == 5 * PEOPLE + len(FIRST)
    messages = [m for number, user in enumerate(people) for m in messages_about(number, user)]
    channel = StubChannel(CHANNEL_ID, "lost_pets", "Lost pets", {m.message_id: m for m in messages})
    root = tmp_path / "workspace"
    # Errors on the way, so that their texts are searched too.
    faults = TelegramFaults(expired={10_003: 9, 10_010: 9}, floods={("upload.getFile", 90): 7200})
    with TelegramServer([channel], faults=faults) as server:
        prepare(root, server, [channel])
        stopped = harvest(root)
        assert stopped.code == 75
        server.set_faults(TelegramFaults())
        report = harvest_well(root)
        write_channels(root, ['handle = "nobody_at_all"'])
        failed = harvest(root)
        assert failed.code == 1
    # A contact has no photo; two photos could not be fetched.
    assert len(photos_of(root)) == PEOPLE - PEOPLE // 10 - 2
    written = everything_written(root)
    told = (stopped.stderr + failed.stderr + repr(stopped.report) + repr(report)).lower()
    found = [
        secret
        for user in people
        for secret in secrets(user)
        if secret.lower().encode() in written or secret.lower() in told
    ]
    assert not found, f"{len(found)} of {PEOPLE} people: {found[:20]}"


def test_the_search_would_find_them(tmp_path: Path) -> None:
    """The channel's own words are there, so a name among them would be."""
    channel = StubChannel(
        CHANNEL_ID,
        "lost_pets",
        "Lost pets",
        {1: StubMessage(1, BEGINNING, "Пропала кошка Клеопатра", photo=photo(1))},
    )
    root = tmp_path / "workspace"
    with TelegramServer([channel]) as server:
        prepare(root, server, [channel])
        harvest_well(root)
    assert "клеопатра" in everything_written(root).decode(errors="ignore").lower()
