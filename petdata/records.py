"""The contract between stages: one `Photo` is one row of a shard or a release.

`SHARD_SCHEMA` is the Arrow schema of that row. Its metadata carries the `datasets` features, so
that `load_dataset("parquet", ...)` shows `image` as an `Image` column. docs/record.md explains
every column.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

SCHEMA_VERSION: Final = "1.0"  # major.minor: an added nullable column is minor, anything else major


class Species(StrEnum):
    """What the animal is; beyond cat, dog and bird these are PetFace's families."""

    CAT = "cat"
    DOG = "dog"
    BIRD = "bird"
    CHIMP = "chimp"
    CHINCHILLA = "chinchilla"
    DEGUS = "degus"
    FERRET = "ferret"
    GUINEAPIG = "guineapig"
    HAMSTER = "hamster"
    HEDGEHOG = "hedgehog"
    JAVASPARROW = "javasparrow"
    PARAKEET = "parakeet"
    PIG = "pig"
    RABBIT = "rabbit"
    OTHER = "other"
    UNKNOWN = "unknown"


class Status(StrEnum):
    """What the announcement says."""

    LOST = "lost"
    FOUND = "found"
    SIGHTED = "sighted"
    REUNITED = "reunited"
    ADOPTION = "adoption"
    UNKNOWN = "unknown"


class Sex(StrEnum):
    MALE = "male"
    FEMALE = "female"


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One photo of one identity, with what its announcement said."""

    photo_id: (
        str  # "pet911/rl476712/1f3a5c7e9b2d": identity_id and the first 12 hex digits of sha256
    )
    identity_id: str  # "pet911/rl476712"
    source: str
    source_split: str | None = None
    species: Species
    listing_version: int | None = None
    position: int | None = None
    image: bytes | None = field(default=None, repr=False)  # a whole JPEG
    width: int | None = None
    height: int | None = None
    sha256: str  # of `image`, hex
    original_sha256: str | None = None  # of the bytes that arrived, hex
    phash: int  # 0 .. 2**64 - 1
    thumbnail: bytes | None = field(default=None, repr=False)  # 32 x 32 gray: 1,024 bytes
    title: str | None = None
    description: str | None = None
    status: Status | None = None
    closed: bool | None = None
    breed: str | None = None
    sex: Sex | None = None
    city: str | None = None
    latitude: float | None = None  # rounded to 0.1 degree
    longitude: float | None = None
    event_on: date | None = None
    posted_on: date | None = None
    fetched_at: datetime | None = None
    source_url: str | None = None
    licence: str | None = None
    basis: str | None = None
    multi_animal: bool | None = None
    attributes: str | None = None  # a JSON object


IMAGE_TYPE: Final = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])

_COLUMNS: Final = (
    pa.field("photo_id", pa.string(), nullable=False),
    pa.field("identity_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("source_split", pa.string()),
    pa.field("species", pa.string(), nullable=False),
    pa.field("listing_version", pa.int32()),
    pa.field("position", pa.int32()),
    pa.field("image", IMAGE_TYPE),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("sha256", pa.string(), nullable=False),
    pa.field("original_sha256", pa.string()),
    pa.field("phash", pa.uint64(), nullable=False),
    pa.field("thumbnail", pa.binary()),
    pa.field("title", pa.string()),
    pa.field("description", pa.string()),
    pa.field("status", pa.string()),
    pa.field("closed", pa.bool_()),
    pa.field("breed", pa.string()),
    pa.field("sex", pa.string()),
    pa.field("city", pa.string()),
    pa.field("latitude", pa.float32()),
    pa.field("longitude", pa.float32()),
    pa.field("event_on", pa.date32()),
    pa.field("posted_on", pa.date32()),
    pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
    pa.field("source_url", pa.string()),
    pa.field("licence", pa.string()),
    pa.field("basis", pa.string()),
    pa.field("multi_animal", pa.bool_()),
    pa.field("attributes", pa.string()),
)

_FEATURE_NAMES: Final = {
    pa.bool_(): "bool",
    pa.timestamp("us", tz="UTC"): "timestamp[us, tz=UTC]",
    pa.float32(): "float32",
}


def _features() -> dict[str, dict[str, str]]:
    """The columns in the JSON form of `datasets.Features`."""
    features = {}
    for column in _COLUMNS:
        if column.name == "image":
            features[column.name] = {"_type": "Image"}
        else:
            dtype = _FEATURE_NAMES.get(column.type, str(column.type).removesuffix("[day]"))
            features[column.name] = {"dtype": dtype, "_type": "Value"}
    return features


SHARD_SCHEMA: Final = pa.schema(
    _COLUMNS,
    metadata={
        "huggingface": json.dumps({"info": {"features": _features()}}),
        "petdata.schema_version": SCHEMA_VERSION,
    },
)

COLUMN_NAMES: Final = tuple(column.name for column in fields(Photo))


def to_row(photo: Photo) -> dict[str, Any]:
    """The photo as one row of `SHARD_SCHEMA`, for `pa.RecordBatch.from_pylist`."""
    row = {name: getattr(photo, name) for name in COLUMN_NAMES}
    row["latitude"] = _tenth(photo.latitude)
    row["longitude"] = _tenth(photo.longitude)
    if photo.image is not None:
        row["image"] = {"bytes": photo.image, "path": f"{photo.photo_id}.jpg"}
    return row


def from_row(row: dict[str, Any]) -> Photo:
    """The inverse of `to_row`; columns that this version does not know are ignored.

    Raises KeyError for an absent column and ValueError for a value outside its enum.
    """
    values = {name: row[name] for name in COLUMN_NAMES}
    values["image"] = row["image"]["bytes"] if row["image"] is not None else None
    values["species"] = Species(row["species"])
    values["status"] = Status(row["status"]) if row["status"] is not None else None
    values["sex"] = Sex(row["sex"]) if row["sex"] is not None else None
    values["latitude"] = _tenth(row["latitude"])
    values["longitude"] = _tenth(row["longitude"])
    return Photo(**values)


def _tenth(degrees: float | None) -> float | None:
    """On the way in no place is more exact than promised; on the way out float32's tail goes."""
    return round(float(degrees), 1) if degrees is not None else None
