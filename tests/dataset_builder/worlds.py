"""Small workspaces whose truth is known: drawn pets, collected and imported for real."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.build import build
from dataset_builder.options import BuildOptions
from petdata.bulk_intake import BulkConfig, BulkIntake, Original
from petdata.demo.pets import draw_identity, draw_photo, encode_photo
from petdata.errors import RejectedPhoto
from petdata.intake import Intake, IntakeConfig
from petdata.jpeg import canonicalise
from petdata.listing import Listing, PhotoRef
from petdata.records import Species, Status
from petdata.sources import SOURCES
from petdata.workspace import Workspace

SEED = 7


@dataclass(frozen=True)
class Animal:
    """What one announcement, or one folder of a data set, shows."""

    identity: str  # "pet911/rl500001"
    photos: Sequence[bytes]
    title: str = "Пропала кошка"
    species: Species = Species.CAT
    source_split: str | None = None

    @property
    def source(self) -> str:
        return self.identity.partition("/")[0]

    @property
    def source_id(self) -> str:
        return self.identity.partition("/")[2]

    @property
    def url(self) -> str:
        return f"https://{self.source}.example/lost/{self.source_id}"


@cache
def photo(pet: int, number: int = 0, quality: int = 82) -> bytes:
    """Drawn cat `pet`, as it is kept; another number is another photo, another quality a copy."""
    drawn = draw_photo(draw_identity(SEED, pet, Species.CAT), number).image
    drawn.thumbnail((420, 420))
    return canonicalise(encode_photo(drawn, "JPEG", quality)).jpeg


def add(workspace: Workspace, animals: Iterable[Animal], shard_bytes: int = 64 * 2**20) -> None:
    """Bring animals in as their sources do; one that is there already has changed."""
    for source, chosen in groupby(animals, key=lambda animal: animal.source):
        if source in SOURCES and SOURCES[source].kind == "collected":
            _collect(workspace, source, chosen, shard_bytes)
        else:
            with BulkIntake(workspace, source, BulkConfig(workers=0)) as intake:
                intake.take(original for animal in chosen for original in _originals(animal))


def _collect(
    workspace: Workspace, source: str, animals: Iterable[Animal], shard_bytes: int
) -> None:
    with Intake(workspace, source, IntakeConfig(min_photos=1, shard_bytes=shard_bytes)) as intake:
        for animal in animals:
            for wanted in intake.take_listing(listing(animal)):
                try:
                    canonical = intake.examine(animal.photos[wanted.key.position])
                except RejectedPhoto as rejected:
                    intake.drop_photo(wanted.key, rejected.reason, rejected.detail)
                else:
                    intake.keep_photo(wanted.key, canonical)


def listing(animal: Animal) -> Listing:
    return Listing(
        source=animal.source,
        source_id=animal.source_id,
        url=animal.url,
        status=Status.LOST,
        closed=False,
        species=animal.species,
        photos=tuple(
            PhotoRef(position=number, address=f"{animal.url}/{sha256(photo)[:8]}.jpg")
            for number, photo in enumerate(animal.photos)
        ),
        title=animal.title,
        city="moskva",
        posted_on=date(2026, 1, 2),
    )


def _originals(animal: Animal) -> Iterable[Original]:
    for number, content in enumerate(animal.photos):
        yield Original(
            source_id=animal.source_id,
            address=f"{animal.source_split or 'all'}/{animal.source_id}/{number}.jpg",
            species=animal.species,
            read=partial(bytes, content),
            source_split=animal.source_split,
            title=animal.title,
        )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def build_release(workspace: Workspace, **options: Any) -> Path:
    """Without validation and with its own ids, so that the truth can be told by hand."""
    chosen = {"val_fraction": 0.0, "keep_source_ids": True} | options
    return build(workspace, BuildOptions(**chosen), say=lambda text: None).folder


def release_rows(release: Path, *columns: str) -> list[dict[str, Any]]:
    """Rows of all data files, pixels left out unless asked for."""
    names = list(columns) or ["photo_id", "identity_id", "sha256"]
    paths = sorted(release.glob("data/**/*.parquet"))
    tables = [pq.read_table(path, columns=names, partitioning=None) for path in paths]
    return pa.concat_tables(tables).to_pylist() if tables else []
