"""Six ways to read a listing page of pet911.ru, each into a `Reading` of its own.

Markup known from saved pages of 2021 (`#view-pet`), 2022 and January 2024 (`.card`), and from a
scraper that ran in late 2025 (`.card.card-print`). Classes are matched as tokens and fields by
their Russian labels, so that a class more or less changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from itertools import chain, islice
from typing import Any, Final

from crawlers.pages.document import Element, Page, classes_of, lines_of, tidy
from crawlers.pages.pet911_urls import (
    city_of,
    city_slug,
    photo_url,
    source_id_of,
    species_named,
    species_of,
)
from petdata.records import Sex, Species

MAX_JSON_CHARACTERS: Final = 200_000  # real ones have 2,000
MAX_SCRIPTS: Final = 20
MAX_FACTS: Final = 100  # real pages have up to 14
MAX_ELEMENTS: Final = 1_000  # in a description; real ones have a few; lines_of reads these whole
MAX_PHOTOS: Final = 100  # the site takes 10; more is no listing of one animal


class Strategy(StrEnum):
    MARKUP = "markup"  # the visible page, by class and label
    JSON_LD = "json_ld"  # the Animal for search engines; not yet in 2022
    BREADCRUMBS = "breadcrumbs"
    META = "meta"  # og: tags and the canonical link
    URL = "url"  # the address that was asked
    SCRIPT = "script"  # the call that draws the map


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one strategy says: None or () where it is silent. Texts are tidy but not scrubbed."""

    source_id: str | None = None
    species: Species | None = None
    title: str | None = None
    description: str | None = None
    breed: str | None = None
    sex: Sex | None = None
    city: str | None = None  # spelled as in addresses: "nizhny-novgorod"
    city_name: str | None = None
    position: tuple[float, float] | None = None  # latitude, longitude; rounded to 0.1 degree
    posted_on: date | None = None
    event_on: date | None = None
    photo_urls: tuple[str, ...] = ()
    notice: str | None = None  # "Питомец нашелся."
    person: str | None = None  # only to be cut out of the texts, as is the address
    address: str | None = None


def read_page(page: Page, html: str, url: str) -> dict[Strategy, Reading]:
    documents = _json_ld(page)
    return {
        Strategy.MARKUP: read_markup(page, url),
        Strategy.JSON_LD: read_json_ld(documents, url),
        Strategy.BREADCRUMBS: read_breadcrumbs(page, documents),
        Strategy.META: read_meta(page, url),
        Strategy.URL: read_url(url),
        Strategy.SCRIPT: read_script(html),
    }


def without_texts(readings: dict[Strategy, Reading]) -> dict[Strategy, Reading]:
    """What can be believed of a page in a wrong encoding: JSON-LD is ASCII, the rest is not."""
    return {
        strategy: reading
        if strategy is Strategy.JSON_LD
        else replace(reading, title=None, description=None, breed=None, city_name=None)
        for strategy, reading in readings.items()
    }


# ---- the visible page

# Labels of `.card-info` (2022 on) and of `.p-*` (2021); «Имя …» names the author.
_FIELD_BY_LABEL = {
    "номер объявления": "source_id",
    "номер": "source_id",
    "пол питомца": "sex",
    "пол": "sex",
    "порода питомца": "breed",
    "порода": "breed",
    "добавлено": "posted_on",
    "пропал(а)": "event_on",
    "найден(а)": "event_on",
    "дата пропажи": "event_on",
    "дата находки": "event_on",
    "имя хозяина": "person",
    "имя нашедшего": "person",
    "адрес": "address",
}
_SEX_BY_WORD = {"мужской": Sex.MALE, "м": Sex.MALE, "женский": Sex.FEMALE, "ж": Sex.FEMALE}
_DATE = re.compile(r"(?<![0-9])([0-9]{2})\.([0-9]{2})\.([0-9]{4})(?![0-9])")

_BLOCKS_OF_2021 = ("p-art", "p-sex", "p-date", "p-author", "p-address")
_NOT_SLIDES = frozenset({"card__inner", "comments", "pets", "pets-item"})
_OTHER_BLOCKS = frozenset(
    {"card-info", "card-map", "card-row", "comments", "pets", "p-author", "p-phone"}
)


def read_markup(page: Page, url: str) -> Reading:
    facts = _facts(page)
    return Reading(
        source_id=source_id_of(facts.get("source_id", "")),
        species=species_named(_first_line(page, "p-animal").partition(" ")[0]),
        title=_first_line(page, "card__title", "section-title") or None,
        description=_description(page),
        breed=facts.get("breed"),
        sex=_SEX_BY_WORD.get(facts.get("sex", "").casefold()),
        posted_on=_date_in(facts.get("posted_on", "")),
        event_on=_date_in(facts.get("event_on", "")),
        photo_urls=_carousel(page, url),
        notice=_first_line(page, "card-notice__title") or None,
        person=facts.get("person"),
        address=_first_line(page, "card-map__address", "card-address__info")
        or facts.get("address"),
    )


def _facts(page: Page) -> dict[str, str]:
    """The first value of each labelled field."""
    facts: dict[str, str] = {}
    for label, value in chain(_labelled_since_2022(page), _labelled_in_2021(page)):
        field = _FIELD_BY_LABEL.get(label.strip(": ").casefold())
        if field and value.strip():
            facts.setdefault(field, value.strip())
    return facts


def _labelled_since_2022(page: Page) -> Iterator[tuple[str, str]]:
    """Titles and the values that follow them in the order of the page.

    Only first lines count: where a tag was left open, the rest of the page follows.
    """
    title = ""
    for node in page.having_class("card-info__title", "card-info__value")[:MAX_FACTS]:
        line = next(lines_of(node), "")
        if "card-info__title" in classes_of(node):
            title = line
        else:
            yield title, line
            title = ""


def _labelled_in_2021(page: Page) -> Iterator[tuple[str, str]]:
    """Blocks of two lines, "Пол:" and "М"."""
    for block in page.having_class(*_BLOCKS_OF_2021)[:MAX_FACTS]:
        label, _, value = " ".join(islice(lines_of(block), 2)).partition(":")
        yield label, value


def _description(page: Page) -> str | None:
    """All lines; none where a tag was left open and swallowed other blocks of the page."""
    node = page.first("card__descr", "p-description")
    inside = list(islice(node.iter("*"), MAX_ELEMENTS + 1)) if node is not None else []
    swallowed = any(not _OTHER_BLOCKS.isdisjoint(classes_of(element)) for element in inside)
    if swallowed or len(inside) > MAX_ELEMENTS:
        return None
    return "\n".join(lines_of(node)) or None


def _carousel(page: Page, base: str) -> tuple[str, ...]:
    """The full-size photos in order, each once; one more than MAX_PHOTOS shows that they are many.

    A slide is a link to the photo (2022, 2024) or holds only an image (late 2025). «Похожие», the
    carousel of similar pets, has slides too, and stands inside this one where a tag was left open.
    """
    urls: dict[str, None] = {}
    stack = [(slider, False) for slider in page.having_class("card-slider")[:1]]
    links_of_2021 = page.tree.xpath("//a[@data-lightbox='pet']")
    stack += [(link.root, True) for link in links_of_2021[::-1]]
    while stack and len(urls) <= MAX_PHOTOS:
        node, in_slide = stack.pop()
        classes = classes_of(node)
        if not _NOT_SLIDES.isdisjoint(classes):
            continue
        in_slide = in_slide or "swiper-slide" in classes or "js-card-slide" in classes
        url = _photo_of(node, base) if in_slide else None
        if url:
            urls[url] = None
        else:
            stack += [(child, in_slide) for child in reversed(node) if isinstance(child.tag, str)]
    return tuple(urls)


def _photo_of(node: Element, base: str) -> str | None:
    if node.tag == "img":
        return photo_url(node.get("src", ""), base) or photo_url(node.get("data-src", ""), base)
    is_photo = "js-card-slide" in classes_of(node) or "data-lightbox" in node.attrib
    return photo_url(node.get("href", ""), base) if node.tag == "a" and is_photo else None


def _first_line(page: Page, *classes: str) -> str:
    return next(lines_of(page.first(*classes)), "")


def _date_in(text: str) -> date | None:
    """The date in "вт, 26.04.2022"; impossible days and years are none."""
    match = _DATE.search(text)
    if not match:
        return None
    day, month, year = map(int, match.groups())
    try:
        return date(year, month, day) if 1990 <= year <= 2100 else None
    except ValueError:
        return None


# ---- what the page tells search engines


def read_json_ld(documents: list[dict[str, Any]], url: str) -> Reading:
    animal = next((data for data in documents if data.get("@type") == "Animal"), {})
    term = animal.get("term")
    described = _described(animal)
    photo = photo_url(_string(described, "image"), url)
    return Reading(
        source_id=source_id_of(_string(term, "@id")) if isinstance(term, dict) else None,
        species=species_named(_string(described, "animalType")),
        title=_string(described, "name") or None,
        breed=_string(described, "breed") or None,
        photo_urls=(photo,) if photo else (),
    )


def _described(animal: dict[str, Any]) -> dict[str, Any]:
    """properties[0].term of the Animal: name, image, animalType, breed."""
    properties = animal.get("properties")
    for item in properties[:MAX_FACTS] if isinstance(properties, list) else []:
        if isinstance(item, dict) and isinstance(item.get("term"), dict):
            return dict(item["term"])
    return {}


_CITY_IN_CATALOGUE = re.compile(
    r"/catalog/(?:propavshie|naydennye)-[a-z]+-(?!porodi-)([a-z0-9-]{1,60})$"
)


def read_breadcrumbs(page: Page, documents: list[dict[str, Any]]) -> Reading:
    """City and species; the last crumb is the author's title and is not looked at."""
    species: Species | None = None
    city: str | None = None
    city_name: str | None = None
    for name, href in _breadcrumbs(page, documents)[:-1]:
        species = species or species_named(name)
        in_catalogue = _CITY_IN_CATALOGUE.search(href)
        if in_catalogue and not city:
            city = city_slug(in_catalogue[1])
            # 2021 has a sentence here: «Объявления о найденных собаках в Хабаровске»
            city_name = name if len(name.split()) <= 4 else None
    return Reading(species=species, city=city, city_name=city_name)


def _breadcrumbs(page: Page, documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(name, address) from the site's root to the listing; addresses may be malformed."""
    for data in documents:
        items = data.get("itemListElement")
        if data.get("@type") == "BreadcrumbList" and isinstance(items, list):
            crumbs = [item for item in items[:MAX_FACTS] if isinstance(item, dict)]
            return [(_string(crumb, "name"), _string(crumb, "item")) for crumb in crumbs]
    crumbs = page.having_class("breadcrumbs__item", "breadcrumb-item")[:MAX_FACTS]
    return [(next(lines_of(crumb), ""), _first_href(crumb)) for crumb in crumbs]


def _first_href(element: Element) -> str:
    return next((str(link.get("href", "")) for link in element.iter("a")), "")


def _json_ld(page: Page) -> list[dict[str, Any]]:
    documents = []
    scripts = page.tree.xpath("//script[contains(@type, 'ld+json')]/text()")
    for script in scripts[:MAX_SCRIPTS].getall():
        if len(script) > MAX_JSON_CHARACTERS:
            continue
        try:
            document = json.loads(script, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            documents.append(document)
    return documents


def _string(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return tidy(value) if isinstance(value, str) else ""


_SITE_IN_TITLE = re.compile(r"(?: \||,) Pet911(?:\.ru| - .{0,200})$")


def read_meta(page: Page, url: str) -> Reading:
    """og: tags, the first of each: in 2022 a second set followed with the site's own logo."""
    content = {
        name: page.tree.xpath("//meta[@property=$name]/@content", name=name).get("")
        for name in ("og:url", "og:title", "og:image")
    }
    canonical = page.tree.xpath("//link[@rel='canonical']/@href").get("")
    address = next((each for each in (content["og:url"], canonical) if source_id_of(each)), "")
    photo = photo_url(content["og:image"], url)
    return Reading(
        source_id=source_id_of(address),
        species=species_of(address),
        title=_SITE_IN_TITLE.sub("", tidy(content["og:title"])) or None,
        city=city_of(address),
        photo_urls=(photo,) if photo else (),
    )


# ---- the address and the map


def read_url(url: str) -> Reading:
    return Reading(source_id=source_id_of(url), species=species_of(url), city=city_of(url))


_MAP_CALL = re.compile(
    r"initMap\(\s{0,99}(?:'[\w-]{1,99}',\s{0,99})?\{\s{0,99}"
    r"lat:\s{0,99}(-?[0-9]{1,3}(?:\.[0-9]{1,20})?),\s{0,99}"
    r"lng:\s{0,99}(-?[0-9]{1,3}(?:\.[0-9]{1,20})?)(?![0-9.])"
)


def read_script(html: str) -> Reading:
    match = _MAP_CALL.search(html)
    if not match:
        return Reading()
    latitude, longitude = float(match[1]), float(match[2])
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude, longitude) == (0, 0):
        return Reading()
    return Reading(position=(round(latitude, 1), round(longitude, 1)))
