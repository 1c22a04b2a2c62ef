"""Dogs-World: images/<file>, and one metadata/<hash>.json a photo that names its dogs.

    {"path": "images/<file>", "identities": [{"identity": ...}, ...]}

There is no box for each dog, so a photo of several dogs cannot be used. The file may have another
extension than its path says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataset_builder.archives import Files, Member
from dataset_builder.reading import (
    Published,
    Reading,
    identity_key,
    open_data_set,
    stem_of,
    suffix_of,
)
from petdata.bulk_intake import Original
from petdata.decoding_pool import Refusal
from petdata.errors import PetdataError, Reason
from petdata.records import Species

PUBLISHED: Final = (
    Published(by="Kudryavtsev et al. 2026", photos=301_342, identities=200_458),
    Published(
        by="pet-recognition-small, of at least 2 photos, its test split times 5",
        photos=269_150,
        identities=82_345,
    ),
)
NOBODY: Final = "no-identity"  # stands for the identity where none can be read
_MAX_JSON_BYTES: Final = 2**20
_SPECIES: Final = Species.DOG


def read(root: Path, reading: Reading) -> Iterator[Original]:
    files = open_data_set(root)
    metadata, images = files.find_folder("metadata"), files.find_folder("images")
    if metadata is None or images is None:
        raise PetdataError(f"{root} has no folders images and metadata: is it Dogs-World?")
    named = _read_metadata(files, metadata, reading)
    for member in files.members(images):
        if not reading.is_photo(member.path):
            continue
        names = named.pop(stem_of(member.path), None)
        source_id, refusal = _judge(names)
        address = f"images/{member.path}"
        if names is not None and names.suffix != suffix_of(member.path):
            reading.counts["photos with another extension than their path says"] += 1
        yield reading.original(
            member, source_id=source_id, species=_SPECIES, address=address, refused=refusal
        )
    for stem, names in sorted(named.items()):
        source_id, _ = _judge(names)
        yield Original(
            source_id=source_id,
            address=f"images/{stem}{names.suffix}",
            species=_SPECIES,
            read=bytes,
            refused=(Reason.NOT_FOUND, "metadata names this file, images/ does not have it"),
        )
    reading.finish(files)


class _Names:
    """The dogs on one photo, and how its path ends."""

    __slots__ = ("identities", "suffix")

    def __init__(self, identities: tuple[str, ...], suffix: str) -> None:
        self.identities, self.suffix = identities, suffix


def _read_metadata(files: Files, folder: str, reading: Reading) -> dict[str, _Names]:
    """Path below images/, without extension -> names. Some 100 bytes a photo stay in memory."""
    named: dict[str, _Names] = {}
    for member in files.members(folder):
        if suffix_of(member.path) != ".json":
            continue
        try:
            path, identities = _parse(member)
        except (ValueError, KeyError, TypeError, OSError, PetdataError):
            reading.counts["metadata files that cannot be read"] += 1
            continue
        if (known := named.get(stem_of(path))) is not None:
            reading.counts["photos that several metadata files name"] += 1
            identities = tuple(dict.fromkeys((*known.identities, *identities)))
        named[stem_of(path)] = _Names(identities, suffix_of(path))
    return named


def _parse(member: Member) -> tuple[str, tuple[str, ...]]:
    if member.size > _MAX_JSON_BYTES:
        raise ValueError(f"{member.size:,} bytes")
    document = json.loads(member.load())
    folder, _, path = str(document["path"]).partition("/")
    if folder != "images" or not path:
        raise ValueError(f"path {document['path']!r}")
    names = [entry["identity"] for entry in document["identities"]]
    if not all(isinstance(name, str | int) and str(name).strip() for name in names):
        raise ValueError(f"identities {names!r}")
    return path, tuple(dict.fromkeys(str(name).strip() for name in names))


def _judge(names: _Names | None) -> tuple[str, Refusal | None]:
    """The identity that a photo is counted for, and what speaks against it."""
    if names is None:
        return NOBODY, (Reason.NO_IDENTITY, "no metadata that can be read names this photo")
    if not names.identities:
        return NOBODY, (Reason.NO_IDENTITY, "its metadata names no dog")
    first = identity_key(names.identities[0])
    if len(names.identities) > 1:
        said = ", ".join(names.identities[:8])
        return first, (Reason.SEVERAL_IDENTITIES, f"{len(names.identities)} dogs: {said}")
    return first, None
