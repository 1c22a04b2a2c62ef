"""The listings of a local site: all that is true of each, from its index alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from petdata.demo.pets import draw_identity
from petdata.demo.servers import advert_texts as texts
from petdata.demo.servers.advert_texts import City
from petdata.demo.servers.advert_traits import (
    Salt,
    city_of,
    identity_of,
    number_of,
    species_of,
    status_of,
)
from petdata.demo.servers.coat_words import describe_coat
from petdata.demo.servers.dice import Dice
from petdata.demo.servers.site_config import Faults, SiteConfig
from petdata.errors import Reason
from petdata.records import Sex, Species, Status

FIRST_DAY: Final = date(2020, 1, 1)
LISTINGS_PER_DAY: Final = 50


class Fault(StrEnum):
    """What is wrong with one photo's answer."""

    NONE = "none"
    TRUNCATED = "truncated"
    HTML = "html"  # a page with status 200
    EMPTY = "empty"
    MISSING = "missing"  # 404
    DUPLICATE = "duplicate"  # the bytes of an earlier photo of the same listing
    OPTED_OUT = "opted_out"  # X-Robots-Tag: noimageai


OUTCOMES: Final = {
    Fault.NONE: None,
    Fault.TRUNCATED: Reason.TRUNCATED,
    Fault.HTML: Reason.NOT_AN_IMAGE,
    Fault.EMPTY: Reason.NOT_AN_IMAGE,
    Fault.MISSING: Reason.NOT_FOUND,
    Fault.DUPLICATE: Reason.DUPLICATE_IN_IDENTITY,
    Fault.OPTED_OUT: Reason.OPTED_OUT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One encoded photo; equal pictures are equal bytes."""

    species: Species
    identity: int
    number: int  # which of the identity's photos
    form: str  # "WEBP" or "JPEG"
    quality: int
    orientation: int = 1  # EXIF; 1 is upright
    gps: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AdvertPhoto:
    position: int
    path: str  # on the site: /cdn/....webp or /upload/....jpeg
    picture: Picture
    fault: Fault = Fault.NONE
    flaky: bool = False
    slow: bool = False

    @property
    def outcome(self) -> Reason | None:
        """Why a collector must not keep it; None: it must. Limits of a crawl are not in here."""
        return OUTCOMES[self.fault]


@dataclass(frozen=True, kw_only=True, slots=True)
class Personal:
    """Something in a listing that must not be kept."""

    kind: str  # phone, name, address, handle, email, link, chip
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Advert:
    """All that is true of one listing."""

    index: int  # 0 is the oldest
    number: int
    status: Status
    species: Species
    identity: int  # listings with the same one show the same animal
    city: City | None
    closed: str | None  # the notice of a search that has ended
    noindex: bool
    flaky: bool
    slow: bool
    title: str
    description: str
    breed: str | None
    sex: Sex | None
    owner: str
    phone: str
    address: str
    latitude: float
    longitude: float
    posted_on: date
    event_on: date
    photos: tuple[AdvertPhoto, ...]
    personal: tuple[Personal, ...]  # as it stands in title, description and rows

    @property
    def source_id(self) -> str:
        return f"{'rl' if self.status is Status.LOST else 'rf'}{self.number}"

    @property
    def path(self) -> str:
        city = f"/{self.city.slug}" if self.city else ""
        return f"{city}/{self.status.value}/{self.species.value}/{self.source_id}"

    @property
    def kept_photos(self) -> tuple[AdvertPhoto, ...]:
        return tuple(photo for photo in self.photos if photo.outcome is None)


def draw_advert(config: SiteConfig, index: int) -> Advert:
    dice = Dice(config.seed, Salt.ADVERT, index)
    species, status = species_of(config, index), status_of(config, index)
    city, identity = city_of(config, index), identity_of(config, index)
    gender = dice.below(2)  # 0 is masculine
    posted_on = FIRST_DAY + timedelta(days=index // LISTINGS_PER_DAY)
    event_on = posted_on - timedelta(days=dice.below(9))
    words = _draw_words(dice, config, identity, species, city)
    lost = status is Status.LOST
    verb = (texts.LOST_VERBS if lost else texts.FOUND_VERBS)[gender]
    subject = texts.SUBJECTS[species][gender]
    pet = dice.pick(texts.PET_NAMES[species][gender])
    words |= {
        "verb": verb,
        "verb_low": verb.lower(),
        "subject": subject,
        "pet": pet,
        "day": _spoken(event_on),
    }
    title = f"{verb} {subject} {pet if lost else ''}".rstrip() + f", {words['address']}"
    if dice.happens(0.06):
        title += f", тел. {words['phone']}"
    description = _draw_description(dice, words, lost)
    latitude, longitude = (city.latitude, city.longitude) if city else (56.2, 40.4)
    notices = texts.CLOSED_LOST if lost else texts.CLOSED_FOUND
    return Advert(
        index=index,
        number=number_of(config, index),
        status=status,
        species=species,
        identity=identity,
        city=city,
        closed=dice.pick(notices) if dice.happens(config.closed) else None,
        noindex=dice.happens(config.faults.noindex),
        flaky=dice.happens(config.faults.flaky),
        slow=dice.happens(config.faults.slow),
        title=title,
        description=description,
        breed=dice.pick(texts.BREEDS[species]) if dice.happens(0.6) else None,
        sex=(Sex.MALE, Sex.FEMALE)[gender] if dice.happens(0.8) else None,
        owner=words["owner"],
        phone=words["phone"],
        address=words["address"],
        latitude=round(latitude + dice.between(-0.08, 0.08), 6),
        longitude=round(longitude + dice.between(-0.12, 0.12), 6),
        posted_on=posted_on,
        event_on=event_on,
        photos=draw_photos(config, index, dice.weighted(config.photo_counts)),
        personal=_personal(words, f"{title} {description}"),
    )


def _draw_words(
    dice: Dice, config: SiteConfig, identity: int, species: Species, city: City | None
) -> dict[str, str]:
    """What the sentences are filled with."""
    code = str(901 + dice.below(95))
    a, b = (f"{dice.below(100):02}" for _ in range(2))
    coat = _coat_words(config.seed, identity, species)
    house = f"{dice.pick(texts.STREETS)}, {1 + dice.below(120)}"
    return {
        "phone": dice.pick(texts.PHONE_FORMS).format(code=code, a=a, b=b),
        "owner": dice.pick(texts.OWNERS),
        "address": f"{house}, {city.name}" if city else f"СНТ Рассвет, участок {dice.below(300)}",
        "handle": f"poisk_{code}{a}",
        "email": f"poisk{code}{b}@example.com",
        "link": f"https://vk.com/id000{code}{a}{b}",
        "chip": f"643000000{code}{a}{b[:1]}",
        "coat": coat,
        "coat_capital": coat.capitalize(),
        "age": str(1 + dice.below(12)),
        "weight": str(1 + dice.below(8 if species is Species.CAT else 30)),
        "reward": str(1000 * (1 + dice.below(30))),
    }


def _draw_description(dice: Dice, words: dict[str, str], lost: bool) -> str:
    sentences = [
        dice.pick(texts.LOST_OPENINGS if lost else texts.FOUND_OPENINGS),
        dice.pick(texts.LOOKS),
        dice.pick(texts.HABITS[0 if lost else 1 :]),  # a found animal's name is not known
    ]
    if dice.happens(0.5):
        sentences.append(dice.pick(texts.HABITS[1:]))
    if dice.happens(0.45):
        sentences.append(dice.pick(texts.CONTACTS))
    if lost and dice.happens(0.6):
        sentences.append(dice.pick(texts.REWARDS))
    lines = [sentence.format_map(words) for sentence in sentences]
    broken = dice.happens(0.3)  # some people write in paragraphs
    return "\n".join([lines[0], " ".join(lines[1:])]) if broken else " ".join(lines)


def _personal(words: dict[str, str], text: str) -> tuple[Personal, ...]:
    kinds = ("phone", "address", "handle", "email", "link", "chip")
    found = [Personal(kind=kind, text=words[kind]) for kind in kinds if words[kind] in text]
    return (Personal(kind="name", text=words["owner"]), *found)


@lru_cache(maxsize=1024)
def _coat_words(seed: int, identity: int, species: Species) -> str:
    return describe_coat(draw_identity(seed, identity, species).coat)


def _spoken(day: date) -> str:
    return f"{day.day:02}.{day.month:02}.{day.year}"


def draw_photos(config: SiteConfig, index: int, count: int) -> tuple[AdvertPhoto, ...]:
    """The first `count` photos of a listing; a longer list begins with the same ones."""
    as_webp = Dice(config.seed, Salt.PHOTO, index).happens(config.webp)
    photos: list[AdvertPhoto] = []
    while len(photos) < count:
        photos.append(_draw_photo(config, index, "WEBP" if as_webp else "JPEG", photos))
    return tuple(photos)


def _draw_photo(
    config: SiteConfig, index: int, form: str, earlier: list[AdvertPhoto]
) -> AdvertPhoto:
    position = len(earlier)
    dice = Dice(config.seed, Salt.PHOTO, (index << 8 | position) + 2**40)
    fault = _draw_fault(dice, config.faults, earlier)
    if fault is Fault.DUPLICATE:
        picture = next(photo.picture for photo in earlier if photo.fault is Fault.NONE)
    else:
        picture = _draw_picture(config, index, position, form, dice)
    return AdvertPhoto(
        position=position,
        path=_photo_path(index, position, form, dice),
        picture=picture,
        fault=fault,
        flaky=dice.happens(config.faults.flaky),
        slow=dice.happens(config.faults.slow),
    )


def _draw_picture(config: SiteConfig, index: int, position: int, form: str, dice: Dice) -> Picture:
    identity, species = identity_of(config, index), species_of(config, index)
    if config.photo_pool is not None:
        slot = (index + position) % config.photo_pool
        return Picture(species=species, identity=slot, number=0, form=form, quality=60 + slot % 33)
    # A reposted animal comes with new photos; every other time one of the old ones is among them.
    old = identity == index or (position == 0 and index % 2 == 0)
    with_exif, city, gps = (
        form == "JPEG" and dice.happens(config.exif),
        city_of(config, index),
        None,
    )
    if with_exif and city:
        gps = (
            city.latitude + dice.between(-0.05, 0.05),
            city.longitude + dice.between(-0.05, 0.05),
        )
    return Picture(
        species=species,
        identity=identity,
        number=position if old else 100 + position,
        form=form,
        quality=60 + dice.below(33),
        orientation=1 + dice.below(8) if with_exif else 1,
        gps=gps,
    )


def _draw_fault(dice: Dice, faults: Faults, earlier: list[AdvertPhoto]) -> Fault:
    chance = dice.unit()
    for fault in (Fault.TRUNCATED, Fault.HTML, Fault.EMPTY, Fault.MISSING, Fault.OPTED_OUT):
        chance -= getattr(faults, fault.value)
        if chance < 0:
            return fault
    has_original = any(photo.fault is Fault.NONE for photo in earlier)
    return Fault.DUPLICATE if has_original and chance < faults.duplicate else Fault.NONE


def _photo_path(index: int, position: int, form: str, dice: Dice) -> str:
    """As the site names uploads: time, PHP's uniqid (index and position in place of its
    microseconds), a random tail, the name the file had."""
    day = FIRST_DAY + timedelta(days=index // LISTINGS_PER_DAY)
    moment = datetime(day.year, day.month, day.day, dice.below(24), dice.below(60), tzinfo=UTC)
    seconds = int(moment.timestamp()) + dice.below(60)
    unique = f"{seconds}{seconds:08x}{index:05x}.{position:02}{dice.below(10**6):06}"
    if form == "JPEG":
        return f"/upload/d2/{day:%Y_%m}/{unique}_IMG{day:%Y%m%d}WA{position:04}.jpeg"
    if dice.happens(0.3):
        return f"/cdn/Pet_{unique}.webp"
    return f"/cdn/{unique}_IMG_{1000 + dice.below(9000)}.webp"
