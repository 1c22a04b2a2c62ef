"""`Listing`: one announcement or album whose photos are not fetched yet.

It stands in the kernel because the ledger keeps it until its photos have arrived.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from petdata.records import Sex, Species, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoRef:
    """Where one photo of a listing can be fetched."""

    position: int  # order in the listing, from 0
    address: str  # a full-size URL, or a media reference of the source's own kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    source: str  # "pet911"
    source_id: str  # "rl518787"
    url: str
    status: Status  # lost or found from the id prefix
    closed: bool  # reunited or rehomed
    species: Species
    photos: tuple[PhotoRef, ...]  # in order; no thumbnails, stubs or similar pets
    title: str | None = None  # scrubbed
    description: str | None = None  # scrubbed
    breed: str | None = None
    sex: Sex | None = None
    city: str | None = None
    latitude: float | None = None  # rounded to 0.1 degree
    longitude: float | None = None
    posted_on: date | None = None
    event_on: date | None = None
    multi_animal: bool | None = None
    basis: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity_id(self) -> str:
        return f"{self.source}/{self.source_id}"

    @property
    def photo_urls(self) -> tuple[str, ...]:
        return tuple(photo.address for photo in self.photos)


def listing_to_json(listing: Listing) -> str:
    """The form in which the ledger keeps a listing."""
    return json.dumps(asdict(listing), ensure_ascii=False, sort_keys=True, default=date.isoformat)


def listing_from_json(text: str) -> Listing:
    values: dict[str, Any] = json.loads(text)
    values["photos"] = tuple(PhotoRef(**photo) for photo in values["photos"])
    values["status"] = Status(values["status"])
    values["species"] = Species(values["species"])
    values["sex"] = Sex(values["sex"]) if values["sex"] is not None else None
    for name in ("posted_on", "event_on"):
        values[name] = date.fromisoformat(values[name]) if values[name] is not None else None
    return Listing(**values)


def content_hash(listing: Listing) -> str:
    """Equal for two visits that found the same announcement, wherever it stands by now."""
    content = json.loads(listing_to_json(listing))
    del content["url"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
