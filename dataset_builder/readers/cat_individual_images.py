"""Cat Individual Images: cat_individuals_dataset/<4-digit id>/<image>.

The published parsers keep only what lies exactly in a cat's folder: 85 photos stand once more in a
third level. Extensions come in either case; where a HEIC has been converted, the JPEG counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from dataset_builder.archives import Files
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
from petdata.errors import Reason
from petdata.records import Species

PUBLISHED: Final = (
    Published(by="Kudryavtsev et al. 2026", photos=13_542, identities=518),
    Published(by="WildlifeDatasets", photos=13_536, identities=518),
)
_HEIC: Final = (".heic", ".heif")


def read(root: Path, reading: Reading) -> Iterator[Original]:
    files = open_data_set(root)
    folder = files.find_folder("cat_individuals_dataset") or ""
    converted = _converted(files, folder)
    for member in files.members(folder):
        if not reading.is_photo(member.path):
            continue
        identity, _, rest = member.path.partition("/")
        if not rest:
            reading.counts["photos outside of any cat's folder"] += 1
            continue
        refusal: Refusal | None = None
        if "/" in rest:
            refusal = (Reason.NESTED_FOLDER, "deeper than a cat's folder: a duplicate")
        elif suffix_of(rest) in _HEIC and stem_of(member.path) in converted:
            refusal = (Reason.DUPLICATE_IN_IDENTITY, "its JPEG stands beside it")
        yield reading.original(
            member, source_id=identity_key(identity), species=Species.CAT, refused=refusal
        )
    reading.finish(files)


def _converted(files: Files, folder: str) -> set[str]:
    """Stems of HEIC files beside which a JPEG stands."""
    paths = sorted(
        (stem_of(member.path), suffix_of(member.path)) for member in files.members(folder)
    )
    found = set()
    for stem, group in groupby(paths, key=lambda path: path[0]):
        suffixes = {suffix for _, suffix in group}
        if suffixes.intersection(_HEIC) and suffixes & {".jpg", ".jpeg"}:
            found.add(stem)
    return found
