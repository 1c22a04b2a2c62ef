"""Pages of pet911.ru: a catalogue page to links, a listing page to a `Listing`.

Several strategies read the same page (crawlers.pages.pet911_readings); for every field the one
that is trusted most wins, and where two contradict each other that is reported, not raised.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crawlers.pages.document import decoded_wrongly, parse_page
from crawlers.pages.opt_out import page_opts_out
from crawlers.pages.personal import redact
from crawlers.pages.pet911_catalog import CatalogPage, ListingLink, parse_catalog
from crawlers.pages.pet911_merge import merge
from crawlers.pages.pet911_readings import MAX_PHOTOS, Reading, Strategy, read_page, without_texts
from crawlers.pages.pet911_urls import source_id_of
from petdata.listing import Listing, PhotoRef
from petdata.records import Species, Status
from petdata.scrub import scrub

__all__ = [
    "PARSER_VERSION",
    "CatalogPage",
    "ListingLink",
    "ParsedListing",
    "parse_catalog",
    "parse_listing",
    "parse_listing_with_notes",
    "source_id_of",
]

PARSER_VERSION: Final = "pet911/1"  # raised when the same page may give another Listing
MAX_CHARACTERS: Final[Mapping[str, int]] = {
    "title": 500,
    "description": 20_000,
    "breed": 100,
    "city_name": 60,
}
_AUTHORED = frozenset({"title", "description"})  # the other texts are chosen from lists

# What `.card-notice__title` says when a search has ended, seen from 2022 to late 2025.
_REHOMED = re.compile(r"нов(?:ый|ого) дом")
_REUNITED = re.compile(r"(?:питомец|животное|хозяин) (?:нашел|нашл|найден)")

# A number of animals at the start of a text or after "found" or "lost": "Найдены 2 рыжих кота".
_SEVERAL_ANIMALS = re.compile(
    r"(?:^|(?:найден|нашл|пропал|потерял|подобрал|обнаружен|убежал|сбежал)\w{0,4} )"
    r"(?:[2-9]|дв[ае]|двое|три|трое|четыре|четверо|пять|пятеро|шесть|семь)"
    r"(?: \w{2,20}(?:ые|ие|ых|их))? "
    r"(?:собак|кош[ке]|кот(?!ор)|щен|пс[аов]|пес(?!к)|птиц|попуг)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedListing:
    listing: Listing
    no_index: bool  # the page's robots meta tag refuses indexing or training
    strategies: Mapping[str, Strategy]  # field of `Reading` -> who gave it
    disagreements: tuple[str, ...]  # to be counted: "species:json_ld!=url", "closed:unknown_notice"
    scrubbed: Mapping[str, int]  # personal data removed from the texts, by kind

    @property
    def bare(self) -> bool:
        """Nothing but the address was understood: an error page, or markup that has changed."""
        return set(self.strategies.values()) <= {Strategy.URL}


def parse_listing(html: str, url: str) -> Listing:
    return parse_listing_with_notes(html, url).listing


def parse_listing_with_notes(html: str, url: str) -> ParsedListing:
    """Raises PageNotUnderstood for a page about no listing or about another than `url` names."""
    page = parse_page(html, url)
    readings = read_page(page, html, url)
    notes = []
    if decoded_wrongly(html):
        readings = without_texts(readings)
        notes.append("texts:wrong_encoding")
    merged = merge(readings, url)
    found = merged.reading
    texts, scrubbed, too_long = _publishable_texts(found)
    closed_reason = _closed_reason(found.notice)
    notes += [f"{name}:too_long" for name in too_long]
    if found.notice and not closed_reason:
        notes.append("closed:unknown_notice")
    if len(found.photo_urls) > MAX_PHOTOS:
        notes.append("photo_urls:too_many")
    return ParsedListing(
        listing=_listing(found, texts, closed_reason, url),
        no_index=page_opts_out(page),
        strategies=merged.strategies,
        disagreements=(*merged.disagreements, *notes),
        scrubbed=scrubbed,
    )


def _listing(
    found: Reading, texts: Mapping[str, str], closed_reason: str | None, url: str
) -> Listing:
    assert found.source_id is not None
    latitude, longitude = found.position or (None, None)
    attributes = {"closed_reason": closed_reason, "city_name": texts.get("city_name")}
    return Listing(
        source="pet911",
        source_id=found.source_id,
        url=url.partition("#")[0],
        status=Status.LOST if found.source_id.startswith("rl") else Status.FOUND,
        closed=closed_reason is not None,
        species=found.species or Species.UNKNOWN,
        photos=tuple(
            PhotoRef(position=position, address=address)
            for position, address in enumerate(found.photo_urls[:MAX_PHOTOS])
        ),
        title=texts.get("title"),
        description=texts.get("description"),
        breed=texts.get("breed"),
        sex=found.sex,
        city=found.city,
        latitude=latitude,
        longitude=longitude,
        posted_on=found.posted_on,
        event_on=found.event_on,
        multi_animal=any(map(_SEVERAL_ANIMALS.search, texts.values())) or None,
        attributes={name: value for name, value in attributes.items() if value},
    )


def _publishable_texts(found: Reading) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """Texts without personal data, what was cut out of them, and which were left out as too long.

    A cut could end inside a phone number and leave half of it, so an overlong text goes whole.
    """
    texts: dict[str, str] = {}
    removed: Counter[str] = Counter()
    too_long: list[str] = []
    for name, limit in MAX_CHARACTERS.items():
        raw = getattr(found, name) or ""
        if len(raw) > limit:
            too_long.append(name)
            continue
        if name in _AUTHORED:
            redacted = redact(raw, person=found.person, address=found.address)
            raw = redacted.text
            removed.update(redacted.counts)
        scrubbed = scrub(raw)
        removed.update(scrubbed.counts)
        if scrubbed.text.strip():
            texts[name] = scrubbed.text.strip()
    return texts, dict(removed), too_long


def _closed_reason(notice: str | None) -> str | None:
    notice = (notice or "").casefold().replace("ё", "е")
    if _REHOMED.search(notice):
        return "rehomed"
    return "reunited" if _REUNITED.search(notice) else None
