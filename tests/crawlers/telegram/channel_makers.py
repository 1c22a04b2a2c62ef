"""Channels with hundreds of posts, and what a harvest of them must come to."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from random import Random

import numpy as np
from PIL import Image

from petdata.demo.servers.telegram_channels import StubChannel, StubMessage, StubPhoto

BEGINNING = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LOST = ("Пропала кошка Мурка, серая, район вокзала", "Пропал пёс, рыжий, отзывается на Барсика")
FOUND = ("Найден котёнок у магазина, ищем хозяев", "Найдена собака в парке, ошейник красный")
FUNDRAISING = "Срочный сбор на лечение! Реквизиты в закрепе, не хватает 5000 рублей"


@cache
def jpeg(number: int, side: int = 64) -> bytes:
    """A picture that no other number gives."""
    pixels = np.random.default_rng(number).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    output = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(output, "JPEG", quality=80)
    return output.getvalue()


def photo(number: int, side: int = 64) -> StubPhoto:
    return StubPhoto(photo_id=10_000 + number, jpeg=jpeg(number, side), width=side, height=side)


@dataclass(frozen=True)
class Post:
    """What is expected of one identity."""

    identity_id: str
    photos: tuple[str, ...]  # SHA-256 of what was sent, in order
    photo_ids: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass
class ChannelMaker:
    """Writes messages one after the other, and down what they should become."""

    channel_id: int
    random: Random
    next_photo: int = 0
    next_id: int = 1

    def __post_init__(self) -> None:
        self.messages: dict[int, StubMessage] = {}
        self.posts: list[Post] = []
        self._groups = 0

    def add(self, **values: object) -> StubMessage:
        message = StubMessage(
            message_id=self.next_id,
            sent_at=BEGINNING + timedelta(minutes=self.next_id),
            **values,  # type: ignore[arg-type]
        )
        self.messages[message.message_id] = message
        self.next_id += 1
        return message

    def skip(self) -> None:
        """An id whose message was deleted before anybody read it."""
        self.next_id += 1

    def photo(self) -> StubPhoto:
        self.next_photo += 1
        return photo(self.channel_id * 10_000 + self.next_photo)

    def expect(self, messages: list[StubMessage]) -> None:
        pictures = [m.photo for m in messages if m.photo is not None]
        self.posts.append(
            Post(
                identity_id=f"telegram/{self.channel_id}-{messages[0].message_id}",
                photos=tuple(sha256(bytes_of(p)).hexdigest() for p in pictures),
                photo_ids=tuple(p.photo_id for p in pictures),
                texts=tuple(m.text for m in messages if m.text),
            )
        )

    def single(self, **values: object) -> None:
        text = self.random.choice(LOST + FOUND)
        self.expect([self.add(**({"text": text, "photo": self.photo()} | values))])

    def album(self, parts: int, *, split: bool, video: bool) -> None:
        """Its caption on any part; `split`: foreign messages come between."""
        self._groups += 1
        group, caption = 500 + self._groups, self.random.randrange(parts)
        messages, foreign = [], []
        for part in range(parts):
            is_video = video and part == parts // 2
            messages.append(
                self.add(
                    grouped_id=group,
                    photo=None if is_video else self.photo(),
                    video=is_video,
                    text=self.random.choice(LOST + FOUND) if part == caption else "",
                )
            )
            if split and part < parts - 1 and self.random.random() < 0.6:
                foreign.append(self.add(text="Пропала кошка, чёрная", photo=self.photo()))
        self.expect(messages)
        for message in foreign:
            self.expect([message])


def bytes_of(photo: StubPhoto) -> bytes:
    assert isinstance(photo.jpeg, bytes)
    return photo.jpeg


def make_channel(
    channel_id: int, handle: str, messages: int, seed: int
) -> tuple[StubChannel, list[Post]]:
    """About this many messages of every kind, and the identities in them."""
    random = Random(seed)
    maker = ChannelMaker(channel_id, random)
    maker.add(service=True)
    while len(maker.messages) < messages:
        kind = random.choices(
            ("single", "album", "text", "fundraising", "reply", "video", "deleted"),
            (4, 4, 1, 1, 1, 1, 2),
        )[0]
        if kind == "single":
            maker.single()
        elif kind == "album":
            maker.album(
                random.randint(2, 5), split=random.random() < 0.4, video=random.random() < 0.3
            )
        elif kind == "text":
            maker.add(text="Спасибо всем, кто помогает!")
        elif kind == "fundraising":
            maker.add(text=FUNDRAISING, photo=maker.photo())
        elif kind == "reply":  # an identity of its own
            maker.single(reply_to=max(maker.messages))
        elif kind == "video":
            maker.add(text="Пропала кошка, на видео", video=True)
        else:
            maker.skip()
    return StubChannel(channel_id, handle, "a channel", maker.messages), maker.posts
