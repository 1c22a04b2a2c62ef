"""Channels of drawn pets for the demo and its tests, and what is true of their posts.

    demo = demo_channels(seed=7, posts=120, site=site.config)
    with TelegramServer(demo.channels) as server: ...

Some of the animals are the local site's, in reposts: the same photos recompressed, resized, framed
or cropped, or other photos of the same animal. Photos are drawn when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Final

from petdata.demo.pets import draw_identity
from petdata.demo.servers import advert_texts, telegram_texts
from petdata.demo.servers.advert_texts import OWNERS
from petdata.demo.servers.adverts import Advert, draw_advert
from petdata.demo.servers.coat_words import describe_coat
from petdata.demo.servers.dice import Dice
from petdata.demo.servers.site_config import NO_FAULTS, SiteConfig
from petdata.demo.servers.telegram_channels import (
    ChannelPost,
    StubChannel,
    StubEntity,
    StubMessage,
    StubPhoto,
    StubUser,
)
from petdata.demo.servers.telegram_reposts import PostedPhoto, Repost, encode
from petdata.demo.servers.telegram_texts import Kind
from petdata.records import Sex, Species, Status

FIRST_CHANNEL: Final = 1_900_000_001
FIRST_PHOTO: Final = 5_000_000_000_000
STARTED_AT: Final = datetime(2025, 3, 1, 7, 0, tzinfo=UTC)
SALT: Final = 101  # apart from those of advert_traits.Salt
LARGEST_ALBUM: Final = 10
OTHER_PHOTOS: Final = 300  # numbers of an animal's photos that no site shows

# Of posts whose animal is not on the site; there the advert decides between lost and found.
KINDS: Final = {
    Kind.LOST: 0.34,
    Kind.FOUND: 0.26,
    Kind.SIGHTED: 0.08,
    Kind.REUNITED: 0.08,
    Kind.ADOPTION: 0.12,
    Kind.FUNDRAISING: 0.06,
    Kind.AD: 0.06,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoPost:
    """One post: a message, or an album of several."""

    channel_id: int
    message_ids: tuple[int, ...]
    photos: tuple[StubPhoto, ...]  # in the order of their messages; videos are left out
    shown: tuple[PostedPhoto, ...]  # what these photos show
    kind: Kind
    advert: Advert  # whose animal it is: of the site, or of a site that is not served
    site_index: int | None  # of the site's listing
    text: str
    forward_of: int | None = None  # message id, in the channel before, of a post with equal photos


@dataclass(frozen=True, slots=True)
class DemoChannels:
    channels: tuple[StubChannel, ...]
    posts: tuple[DemoPost, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A post before it has a place in a channel."""

    kind: Kind
    advert: Advert
    site_index: int | None
    text: str
    shown: tuple[PostedPhoto, ...]


def demo_channels(
    seed: int, posts: int, site: SiteConfig | None = None, *, from_site: float = 0.3
) -> DemoChannels:
    """`posts` in three channels, about 2.6 messages each; a share of them of the site's animals."""
    own = SiteConfig(
        seed=seed + 1,
        listings=max(1, posts),
        photo_counts=(0, 42, 22, 14, 9, 6, 4, 3),
        species=(0.52, 0.44, 0.02, 0.02),
        reposted=0.0,
        exif=0.0,
        faults=NO_FAULTS,
    )
    drafts = [_draft(seed, own, site, k, from_site) for k in range(posts)]
    channels: list[StubChannel] = []
    placed: list[DemoPost] = []
    for number, (handle, title) in enumerate(telegram_texts.CHANNELS):
        layout = _Layout(seed, number)
        for draft in drafts[number :: len(telegram_texts.CHANNELS)]:
            layout.add(draft)
            if number and placed and layout.dice.happens(0.05):
                layout.forward(layout.dice.pick(placed))
        messages = {message.message_id: message for message in layout.messages}
        is_group = number == len(telegram_texts.CHANNELS) - 1
        channels.append(StubChannel(layout.channel_id, handle, title, messages, is_group=is_group))
        placed += layout.posts
    return DemoChannels(tuple(channels), tuple(placed))


def _draft(
    seed: int, own: SiteConfig, site: SiteConfig | None, index: int, from_site: float
) -> _Draft:
    dice = Dice(seed, SALT, index)
    is_from_site = dice.happens(from_site)
    chosen = _choose_on_site(dice, site) if site is not None and is_from_site else None
    if site is not None and chosen is not None:
        advert = draw_advert(site, chosen)
        kind = Kind.LOST if advert.status is Status.LOST else Kind.FOUND
        shown = _repost_photos(dice, site.seed, advert)
    else:
        kind = list(KINDS)[dice.weighted(list(KINDS.values()))]
        advert = draw_advert(own, index)
        if kind in (Kind.LOST, Kind.FOUND):
            kind = Kind.LOST if advert.status is Status.LOST else Kind.FOUND
        shown = tuple(PostedPhoto(own.seed, photo.picture) for photo in advert.photos)
        if kind in (Kind.FUNDRAISING, Kind.AD):
            shown = shown[:1]
    text = _text(dice, kind, advert, seed=shown[0].seed)
    return _Draft(kind, advert, chosen, text, shown)


def _choose_on_site(dice: Dice, site: SiteConfig) -> int | None:
    """A listing of a cat or dog with photos."""
    for _ in range(50):
        index = dice.below(site.listings)
        advert = draw_advert(site, index)
        if advert.species in (Species.CAT, Species.DOG) and advert.kept_photos:
            return index
    return None


def _repost_photos(dice: Dice, seed: int, advert: Advert) -> tuple[PostedPhoto, ...]:
    """Two thirds show the site's photos, the others new ones of the same animal."""
    kept = advert.kept_photos[:LARGEST_ALBUM]
    shown = []
    are_new = dice.happens(1 / 3)
    for photo in kept:
        # A repost is made from upright pixels, and carries none of the site's metadata.
        picture = replace(photo.picture, orientation=1, gps=None)
        if are_new:
            picture = replace(picture, number=OTHER_PHOTOS + photo.position)
        change = Repost(
            quality=55 + dice.below(30),
            longest_px=dice.pick((400, 560, 720, 1280)),
            border=dice.between(0.02, 0.06) if dice.happens(0.25) else 0.0,
            is_dark_border=dice.happens(0.5),
            crop=dice.between(0.01, 0.05) if dice.happens(0.35) else 0.0,
        )
        shown.append(PostedPhoto(seed, picture, None if are_new else change))
    return tuple(shown)


def _text(dice: Dice, kind: Kind, advert: Advert, seed: int) -> str:
    opening = dice.pick(telegram_texts.EMOJI)
    tag = f"\n{telegram_texts.HASHTAGS[advert.species]}" if dice.happens(0.4) else ""
    if kind in (Kind.LOST, Kind.FOUND):
        return f"{opening}{advert.title}.\n{advert.description}{tag}"
    gender = 1 if advert.sex is Sex.FEMALE else 0
    subject = advert_texts.SUBJECTS[advert.species][gender]
    words = {
        "subject": subject,
        "subject_capital": subject.capitalize(),
        "pet": dice.pick(advert_texts.PET_NAMES[advert.species][gender]),
        "coat": _coat(seed, advert),
        "address": advert.address,
        "phone": advert.phone,
        "owner": advert.owner,
    }
    return opening + dice.pick(telegram_texts.TEXTS[kind][gender]).format_map(words) + tag


def _coat(seed: int, advert: Advert) -> str:
    return describe_coat(draw_identity(seed, advert.identity, advert.species).coat)


class _Layout:
    """Puts posts into one channel, one after the other, with what comes between them."""

    def __init__(self, seed: int, number: int) -> None:
        self.channel_id = FIRST_CHANNEL + number
        self.is_group = number == len(telegram_texts.CHANNELS) - 1
        self.dice = Dice(seed, SALT + 1, number)
        self.messages = [StubMessage(1, STARTED_AT, service=True)]
        self.posts: list[DemoPost] = []
        self._next_id = 2
        self._now = STARTED_AT

    def add(self, draft: _Draft) -> None:
        photos = tuple(self._photo(shown, k) for k, shown in enumerate(draft.shown))
        self._place(draft, photos, forward=None)

    def forward(self, post: DemoPost) -> None:
        """The same photos, with Telegram's own ids, in another channel."""
        draft = _Draft(post.kind, post.advert, post.site_index, post.text, post.shown)
        self._place(draft, post.photos, forward=post)

    def _place(
        self, draft: _Draft, photos: tuple[StubPhoto, ...], forward: DemoPost | None
    ) -> None:
        dice = self.dice
        self._now += timedelta(minutes=7 + dice.below(90))
        parts: list[StubPhoto | None] = list(photos)  # None is a video
        if forward is None and len(parts) > 1 and dice.happens(0.12):
            parts.insert(dice.below(len(parts) + 1), None)
        caption_at = dice.below(len(parts)) if dice.happens(0.3) else 0
        foreign_before = 1 + dice.below(len(parts) - 1) if len(parts) > 1 else 0
        is_split = dice.happens(0.15)
        common = self._common(draft, forward)
        first_id = self._take_id()
        grouped_id = (self.channel_id << 20 | first_id) if len(parts) > 1 else None
        ids = []
        for k, part in enumerate(parts):
            if k == foreign_before and k and is_split:
                self._remark()
            ids.append(self._take_id() if k else first_id)
            text = draft.text if k == caption_at else ""
            self.messages.append(
                replace(
                    common,
                    message_id=ids[-1],
                    text=text,
                    entities=_entities(draft.advert, text),
                    grouped_id=grouped_id,
                    photo=part,
                    video=part is None,
                )
            )
        self.posts.append(
            DemoPost(
                channel_id=self.channel_id,
                message_ids=tuple(ids),
                photos=photos,
                shown=draft.shown,
                kind=draft.kind,
                advert=draft.advert,
                site_index=draft.site_index,
                text=draft.text,
                forward_of=forward.message_ids[0] if forward else None,
            )
        )
        if dice.happens(0.2):
            self._remark(reply_to=dice.pick(self.posts).message_ids[0])
        if dice.happens(0.06):
            self._next_id += 1 + dice.below(4)  # deleted since

    def _common(self, draft: _Draft, forward: DemoPost | None) -> StubMessage:
        """What all parts of a post have in common."""
        dice = self.dice
        origin: str | StubUser | ChannelPost | None = None
        if forward is not None:
            title = telegram_texts.CHANNELS[forward.channel_id - FIRST_CHANNEL][1]
            origin = ChannelPost(forward.channel_id, forward.message_ids[0], title)
        elif dice.happens(0.08):
            origin = dice.pick(OWNERS)
        earlier = self.posts[-1].message_ids[0] if self.posts and dice.happens(0.06) else None
        return StubMessage(
            0,
            self._now,
            forwarded_from=origin,
            sender=_member(dice.below(len(OWNERS))) if self.is_group else None,
            signature=None
            if self.is_group or dice.happens(0.7)
            else dice.pick(telegram_texts.EDITORS),
            reply_to=earlier,
            edited_at=self._now + timedelta(hours=2) if dice.happens(0.05) else None,
        )

    def _remark(self, reply_to: int | None = None) -> None:
        """A message that belongs to no post."""
        self.messages.append(
            StubMessage(
                self._take_id(),
                self._now,
                self.dice.pick(telegram_texts.REMARKS),
                sender=_member(self.dice.below(len(OWNERS))) if self.is_group else None,
                reply_to=reply_to,
            )
        )

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _photo(self, shown: PostedPhoto, position: int) -> StubPhoto:
        number = FIRST_PHOTO + ((self.channel_id - FIRST_CHANNEL) << 32 | len(self.posts) << 8)
        return StubPhoto(number + position, partial(encode, shown), width=640, height=480)


@lru_cache(maxsize=64)
def _member(number: int) -> StubUser:
    phone = f"7900000{1000 + number}"
    return StubUser(8_000_001 + number, OWNERS[number], "Вымышлова", f"demo_member_{number}", phone)


def _entities(advert: Advert, text: str) -> tuple[StubEntity, ...]:
    """Where Telegram itself would mark a phone, a handle, a link."""
    return tuple(sorted(_marked(advert, text), key=lambda entity: entity.offset))


def _marked(advert: Advert, text: str) -> Iterator[StubEntity]:
    for personal in advert.personal:
        kind = {"phone": "phone", "handle": "mention", "email": "email", "link": "url"}.get(
            personal.kind
        )
        wanted = f"@{personal.text}" if kind == "mention" else personal.text
        place = text.find(wanted)
        if kind is not None and place >= 0:
            yield StubEntity(kind, _units(text[:place]), _units(wanted))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
