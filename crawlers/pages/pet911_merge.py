"""Several readings of one page become one, and their contradictions are noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crawlers.pages import PageNotUnderstood
from crawlers.pages.pet911_readings import Reading, Strategy

# Who is believed first. JSON-LD and breadcrumbs come from the site's database, while an address
# may be stale: rl518787 stood under /собака/ in 2022 and under /cat/ in 2024. JSON-LD and og: know
# the first photo only.
_TRUST: Final[Mapping[str, tuple[Strategy, ...]]] = {
    "source_id": (Strategy.URL, Strategy.MARKUP, Strategy.JSON_LD, Strategy.META),
    "species": (
        Strategy.JSON_LD,
        Strategy.MARKUP,
        Strategy.BREADCRUMBS,
        Strategy.META,
        Strategy.URL,
    ),
    "title": (Strategy.MARKUP, Strategy.JSON_LD, Strategy.META),
    "description": (Strategy.MARKUP,),
    "breed": (Strategy.JSON_LD, Strategy.MARKUP),
    "sex": (Strategy.MARKUP,),
    "city": (Strategy.META, Strategy.URL, Strategy.BREADCRUMBS),
    "city_name": (Strategy.BREADCRUMBS,),
    "position": (Strategy.SCRIPT,),
    "posted_on": (Strategy.MARKUP,),
    "event_on": (Strategy.MARKUP,),
    "photo_urls": (Strategy.MARKUP, Strategy.JSON_LD, Strategy.META),
    "notice": (Strategy.MARKUP,),
    "person": (Strategy.MARKUP,),
    "address": (Strategy.MARKUP,),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    reading: Reading  # its source_id is set
    strategies: Mapping[str, Strategy]  # field of `Reading` -> who gave it
    disagreements: tuple[str, ...]


def merge(readings: Mapping[Strategy, Reading], url: str) -> Merged:
    """Raises PageNotUnderstood for a page about no listing, or about another than `url` names.

    A reading that names another listing than the page does (in 2022 a catalogue page had the og:
    tags of its listings) is set aside as a whole.
    """
    source_id = _identify(readings, url)
    values: dict[str, Any] = {}
    strategies: dict[str, Strategy] = {}
    disagreements: list[str] = []
    for field, trusted in _TRUST.items():
        for strategy in trusted:
            reading = readings[strategy]
            value = getattr(reading, field)
            if not value or (field != "source_id" and reading.source_id not in (None, source_id)):
                continue
            if field not in values:
                values[field], strategies[field] = value, strategy
            elif _contradicts(value, values[field]):
                disagreements.append(f"{field}:{strategies[field]}!={strategy}")
    return Merged(
        reading=Reading(**values), strategies=strategies, disagreements=tuple(disagreements)
    )


def _identify(readings: Mapping[Strategy, Reading], url: str) -> str:
    """The listing that the page is about; og: tags alone do not make a listing page."""
    asked = readings[Strategy.URL].source_id
    shown = readings[Strategy.MARKUP].source_id or readings[Strategy.JSON_LD].source_id
    if asked and shown and asked != shown:
        raise PageNotUnderstood(f"{url} shows another listing, {shown}")
    source_id = asked or shown
    if source_id is None:
        raise PageNotUnderstood(f"{url} is no listing: neither address nor page has a number")
    return source_id


def _contradicts(value: object, believed: object) -> bool:
    if isinstance(value, tuple) and isinstance(believed, tuple) and isinstance(value[0], str):
        return not set(value) <= set(believed)  # photos: one that the believed list lacks
    return value != believed
