"""Labeled Cats in the Wild: CatFullDataset/<cat id>/<image>; no lists, no metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataset_builder.reading import Published, Reading, identity_key, open_data_set
from petdata.bulk_intake import Original
from petdata.errors import Reason
from petdata.records import Species

PUBLISHED: Final = (Published(by="Kudryavtsev et al. 2026", photos=381_267, identities=140_732),)


def read(root: Path, reading: Reading) -> Iterator[Original]:
    files = open_data_set(root)
    for member in files.members(files.find_folder("CatFullDataset") or ""):
        if not reading.is_photo(member.path):
            continue
        identity, _, rest = member.path.partition("/")
        if not rest:
            reading.counts["photos outside of any cat's folder"] += 1
            continue
        nested = (Reason.NESTED_FOLDER, "deeper than a cat's folder") if "/" in rest else None
        yield reading.original(
            member, source_id=identity_key(identity), species=Species.CAT, refused=nested
        )
    reading.finish(files)
