"""What the side table `boxes` says of photos, for the build and for statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset_builder.appearances import Mask
from dataset_builder.inputs import Rows
from petdata.side_table_kinds import BOXES, SEVERAL
from petdata.side_tables import BOXES_TABLE, part_files, read_kind, read_side_table, table_folder


def shows_several(root: Path, rows: Rows) -> Mask | None:
    """Photos on which a detector has found several animals; None where nobody has looked.

    Photos of test sets never count: those sets stay whole. Raises CorruptFile.
    """
    seen = _read(table_folder(root, BOXES_TABLE))
    if seen is None:
        return None
    marked = seen["sha256"].filter(pc.fill_null(seen[SEVERAL.name], False))
    found = pc.is_in(rows.sha256, value_set=marked.combine_chunks())
    return np.asarray(found, np.bool_) & ~rows.is_test()


def digest_of(rows: Rows, marked: Mask) -> str:
    """The same for the same photos, whatever shards and parts they stand in."""
    names = sorted(set(rows.sha256.filter(pa.array(marked)).to_pylist()))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Photos of a source that a detector has looked at."""

    source: str
    photos: int  # all that there are
    looked_at: int
    without_box: int  # no animal found
    several_animals: int

    @property
    def share(self) -> float:
        """Of the photos looked at, those that show several animals."""
        return self.several_animals / self.looked_at if self.looked_at else 0.0


def seen_photos(root: Path, database: duckdb.DuckDBPyConnection, photos: str) -> Sequence[Seen]:
    """`photos`: a query that gives source and sha256. Nothing where there is no table of boxes."""
    seen = _read(table_folder(root, BOXES_TABLE))
    if seen is None:
        return ()
    database.register("seen", seen)
    found = database.execute(
        f"""
        SELECT source, count(*), count(seen.sha256),
               count(*) FILTER (seen.sha256 IS NOT NULL AND chosen IS NULL),
               count(*) FILTER ({SEVERAL.name})
        FROM (SELECT DISTINCT source, sha256 FROM ({photos})) p LEFT JOIN seen USING (sha256)
        GROUP BY source ORDER BY source
        """
    ).fetchall()
    return [
        Seen(source=s, photos=n, looked_at=looked, without_box=without, several_animals=several)
        for s, n, looked, without, several in found
    ]


def _read(folder: Path) -> pa.Table | None:
    """sha256, chosen and whether there are several, of photos that were looked at; None where no
    table says so.
    """
    parts = part_files(folder)
    if not parts or read_kind(parts[0])[0].name != BOXES.name:
        return None
    table = read_side_table(folder).rows
    if SEVERAL.name not in table.column_names:
        return None
    looked = table.filter(pc.is_null(table["problem"]))
    return looked.select(["sha256", "chosen", SEVERAL.name])


def as_json(seen: Sequence[Seen]) -> list[Mapping[str, object]]:
    return [
        {
            "source": each.source,
            "photos": each.photos,
            "looked_at": each.looked_at,
            "without_box": each.without_box,
            "several_animals": each.several_animals,
            "share": each.share,
        }
        for each in seen
    ]
