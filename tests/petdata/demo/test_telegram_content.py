from __future__ import annotations

import asyncio
import io
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from telethon import TelegramClient, types

from petdata.demo.servers.adverts import Picture, draw_advert
from petdata.demo.servers.site_config import SiteConfig
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import ChannelPost
from petdata.demo.servers.telegram_content import DemoChannels, demo_channels
from petdata.demo.servers.telegram_objects import access_hash
from petdata.demo.servers.telegram_reposts import PostedPhoto, Repost, encode
from petdata.demo.servers.telegram_texts import Kind
from petdata.records import Species, Status

SITE = SiteConfig(seed=7, listings=300)
PICTURE = Picture(species=Species.DOG, identity=5, number=0, form="WEBP", quality=80)


@pytest.fixture(scope="module")
def demo() -> DemoChannels:
    return demo_channels(7, 300, SITE)


def test_the_same_seed_gives_the_same_channels(demo: DemoChannels) -> None:
    def plain(channels: DemoChannels) -> list[Any]:
        """Photos by their ids: functions are never equal."""
        return [
            (replace(message, photo=None), message.photo and message.photo.photo_id)
            for channel in channels.channels
            for message in channel.messages.values()
        ]

    assert plain(demo_channels(7, 300, SITE)) == plain(demo)
    assert plain(demo_channels(8, 300, SITE)) != plain(demo)
    one, again = (demo_channels(7, 3, SITE).posts[0].photos[0].jpeg for _ in range(2))
    assert callable(one)
    assert callable(again)
    assert one() == again()


def test_posts_are_of_all_kinds_and_in_all_channels(demo: DemoChannels) -> None:
    kinds = Counter(post.kind for post in demo.posts)
    assert set(kinds) == set(Kind)
    assert min(kinds.values()) >= 5
    assert [channel.is_group for channel in demo.channels] == [False, False, True]
    assert all(len(channel.messages) > 200 for channel in demo.channels)
    holes = [max(channel.messages) - len(channel.messages) for channel in demo.channels]
    assert min(holes) > 0  # deleted ids


def test_a_post_is_what_its_messages_hold(demo: DemoChannels) -> None:
    """Its caption is on one part, of any place; albums may have videos and be split."""
    held = {channel.channel_id: channel.messages for channel in demo.channels}
    caption_places, videos, split, single = Counter[int](), 0, 0, 0
    for post in demo.posts:
        parts = [held[post.channel_id][number] for number in post.message_ids]
        assert tuple(part.photo for part in parts if part.photo) == post.photos
        assert [part.text for part in parts if part.text] == [post.text]
        assert len({(part.grouped_id, part.sent_at, part.sender) for part in parts}) == 1
        assert (parts[0].grouped_id is None) == (len(parts) == 1)
        caption_places[next(k for k, part in enumerate(parts) if part.text)] += 1
        videos += any(part.video for part in parts)
        first, last = post.message_ids[0], post.message_ids[-1]
        split += last - first >= len(parts)
        single += len(parts) == 1
        for number in range(first + 1, last):
            if number not in post.message_ids:
                assert held[post.channel_id][number].grouped_id is None
    assert len(caption_places) > 3
    assert min(videos, split, single, caption_places[1]) >= 10


def test_what_a_text_says_is_the_kind_of_its_post(demo: DemoChannels) -> None:
    words = {
        Kind.SIGHTED: ("бегает", "Замечен"),
        Kind.REUNITED: ("дома!", "Наш"),
        Kind.ADOPTION: ("В добрые руки", "ищет дом"),
        Kind.FUNDRAISING: ("сбор", "Собираем"),
        Kind.AD: ("Реклама", "Скидка"),
    }
    for post in demo.posts:
        if post.kind in words:
            assert any(word in post.text for word in words[post.kind]), post.text
        else:
            assert post.advert.title in post.text
            assert post.advert.status is Status(post.kind.value)


def test_marks_lie_over_what_they_mark(demo: DemoChannels) -> None:
    """Also behind emoji, which count twice."""
    starts = {"phone": "+78 9", "mention": "@", "url": "h", "email": "p"}
    seen = Counter[str]()
    for channel in demo.channels:
        for message in channel.messages.values():
            units = message.text.encode("utf-16-le")
            for mark in message.entities:
                marked = units[2 * mark.offset : 2 * (mark.offset + mark.length)].decode("utf-16")
                assert marked[0] in starts[mark.kind], (mark, marked)
                assert marked[-1].isalnum()
                seen[mark.kind] += 1
    assert min(seen[kind] for kind in starts) >= 3


def test_some_animals_are_the_sites(demo: DemoChannels) -> None:
    from_site = [post for post in demo.posts if post.site_index is not None]
    assert 60 <= len(from_site) <= 120
    same_photos = 0
    for post in from_site:
        assert post.site_index is not None
        advert = draw_advert(SITE, post.site_index)
        assert post.advert == advert
        assert advert.species in (Species.CAT, Species.DOG)
        on_site = {(p.picture.identity, p.picture.number) for p in advert.kept_photos}
        shown = {(p.picture.identity, p.picture.number) for p in post.shown}
        assert {identity for identity, _ in shown} == {advert.identity}
        assert {p.seed for p in post.shown} == {SITE.seed}
        assert shown == on_site or not shown & on_site
        same_photos += shown == on_site
    assert 0.5 < same_photos / len(from_site) < 0.8
    others = {p.seed for post in demo.posts if post.site_index is None for p in post.shown}
    assert SITE.seed not in others


def test_forwarded_posts_have_the_photo_ids_of_another_channel(demo: DemoChannels) -> None:
    by_photos = defaultdict(list)
    for post in demo.posts:
        by_photos[tuple(photo.photo_id for photo in post.photos)].append(post)
    repeated = [posts for posts in by_photos.values() if len(posts) > 1]
    assert len(repeated) >= 3
    held = {channel.channel_id: channel.messages for channel in demo.channels}
    for original, *copies in repeated:
        for copy in copies:
            assert copy.channel_id != original.channel_id
            assert copy.forward_of == original.message_ids[0]
            origin = held[copy.channel_id][copy.message_ids[0]].forwarded_from
            assert isinstance(origin, ChannelPost)
            assert (origin.channel_id, origin.message_id) == (
                original.channel_id,
                original.message_ids[0],
            )


def pixels(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean distance of gray values at 64 x 64."""
    small = [np.asarray(image.convert("L").resize((64, 64)), np.float32) for image in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


def test_a_repost_is_the_same_picture_in_other_bytes() -> None:
    original = pixels(encode(PostedPhoto(7, PICTURE)))
    saved = encode(PostedPhoto(7, PICTURE, Repost(quality=55, longest_px=1280)))
    smaller = pixels(encode(PostedPhoto(7, PICTURE, Repost(quality=90, longest_px=200))))
    framed = pixels(
        encode(PostedPhoto(7, PICTURE, Repost(quality=90, longest_px=1280, border=0.1)))
    )
    cropped = pixels(encode(PostedPhoto(7, PICTURE, Repost(quality=90, longest_px=1280, crop=0.1))))
    assert pixels(saved).size == original.size
    assert saved != encode(PostedPhoto(7, PICTURE))
    assert max(smaller.size) == 200
    width, height = original.size
    frame = round(max(width, height) * 0.1)
    assert framed.size == (width + 2 * frame, height + 2 * frame)
    assert cropped.size == (width - 2 * round(width * 0.1), height - 2 * round(height * 0.1))
    inside = framed.crop((frame, frame, frame + width, frame + height))
    x, y = round(width * 0.1), round(height * 0.1)
    middle = original.crop((x, y, width - x, height - y))
    another = pixels(encode(PostedPhoto(7, replace(PICTURE, number=1))))
    for same, reference in (
        (pixels(saved), original),
        (smaller, original),
        (inside, original),
        (cropped, middle),
    ):
        assert difference(same, reference) < 3
    assert difference(another, original) > 10
    assert min(framed.getpixel((2, 2))) > 240  # type: ignore[arg-type, type-var, unused-ignore]


def test_a_client_sees_them() -> None:
    demo = demo_channels(7, 9, SITE)
    post = demo.posts[0]
    with TelegramServer(demo.channels) as server:

        async def look() -> tuple[list[int], bytes]:
            client = TelegramClient(server.session(), 1, "hash", receive_updates=False)
            await client.connect()
            channel = types.InputPeerChannel(
                post.channel_id, access_hash("channel", post.channel_id)
            )
            found = await client.get_messages(channel, ids=list(post.message_ids))
            photo = next(message for message in found if message.photo)
            content = await client.download_media(photo, file=bytes)
            await client.disconnect()
            return [message.id for message in found], content

        ids, content = asyncio.run(look())
    assert tuple(ids) == post.message_ids
    assert callable(post.photos[0].jpeg)
    assert content == post.photos[0].jpeg()
