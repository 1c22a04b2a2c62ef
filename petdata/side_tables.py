"""THE CONTRACT for what models say of photos: boxes, descriptions, other values, beside the pixels.

A row is one photo, named by the SHA-256 of its kept JPEG, so that a table serves shards and
releases alike; `photo_id` is there for people. A table is a folder of Parquet parts,
`side_tables/<name>/` of a workspace or a release. docs/side-tables.md has columns and rules.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from petdata.errors import CorruptFile, PetdataError
from petdata.shards import storing, whole_file
from petdata.side_table_checks import UNREADABLE, row_problems
from petdata.side_table_kinds import (
    NAME,
    Kind,
    Producer,
    check_schema,
    corrupt,
    kind_of,
    require_same,
    schema_of,
)
from petdata.side_table_memory import require_plausible, require_size, unpack
from petdata.workspace import make_folder, sync_folder

FOLDER: Final = "side_tables"  # of a workspace and of a release
BOXES_TABLE: Final = "boxes"  # the one that builds, statistics and contact sheets look at
ROW_GROUP_ROWS: Final = 50_000


@dataclass(frozen=True, kw_only=True, eq=False)
class SideTable:
    kind: Kind
    producer: Producer
    rows: pa.Table  # sha256, photo_id, then values; every sha256 once
    superseded: int = 0  # rows that a later part has again


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    values: pa.Table  # one row a photo, in the order of the photos; null where there is none
    matched: int  # photos that have a row
    without: int  # photos that have none
    ignored: int  # rows whose sha256 is no photo's


def table_folder(root: Path, name: str) -> Path:
    """Of a workspace's root or of a release. Raises PetdataError for what is no name."""
    if not NAME.fullmatch(name):
        raise PetdataError(f"side table {name!r}: small letters, digits and _ only")
    return root / FOLDER / name


def table_names(root: Path) -> list[str]:
    """Tables of a workspace or a release that have a part."""
    folder = root / FOLDER
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path.name for path in found if NAME.fullmatch(path.name) and part_files(path)]


def part_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


# Writing


def append_rows(
    folder: Path,
    kind: Kind,
    producer: Producer,
    rows: pa.Table | Sequence[Mapping[str, Any]],
    extra: Sequence[pa.Field] = (),
) -> Path:
    """Add rows to a table as its next part, which is there whole or not at all.

    A row of an earlier part that has the same sha256 no longer counts. Raises PetdataError for rows
    that the contract forbids, and where the table is another producer's or has other columns.
    """
    schema = schema_of(kind, producer, extra)
    table = _as_table(rows, schema)
    if problem := next(row_problems(kind.name, table), None):
        raise PetdataError(f"{folder}: rows were not added: {problem}")
    make_folder(folder)
    with _locked(folder):
        parts = part_files(folder)
        path = _next_part(folder, parts)
        if parts:
            require_same(parts[-1], _open(parts[-1]).schema_arrow, path, schema)
        write_part(path, table)
    return path


def _as_table(rows: pa.Table | Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    try:
        if not isinstance(rows, pa.Table):
            if unknown := sorted({name for row in rows for name in row} - set(schema.names)):
                raise PetdataError(f"the side table has no column {', '.join(unknown)}")
            rows = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        return rows.select(schema.names).cast(schema).replace_schema_metadata(schema.metadata)
    except (pa.ArrowException, KeyError) as error:
        raise PetdataError(f"rows do not fit the side table's columns: {error}") from error


def write_part(path: Path, table: pa.Table) -> None:
    with whole_file(path) as file, storing(path):
        pq.write_table(
            table,
            file,
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
            write_page_checksum=True,
        )


def compact(folder: Path) -> int:
    """Many parts become one, without rows that no longer count. Returns the rows that it has.

    Killed at any moment the table says what it said: the new part comes last, then the old ones go.
    """
    with _locked(folder):
        parts = part_files(folder)
        found = read_side_table(folder)
        if len(parts) > 1:
            write_part(_next_part(folder, parts), found.rows)
            for path in parts:
                path.unlink()
            sync_folder(folder)
    return int(found.rows.num_rows)


def _next_part(folder: Path, parts: Sequence[Path]) -> Path:
    numbers = [int(match[1]) for path in parts if (match := re.search(r"-(\d+)$", path.stem))]
    return folder / f"part-{max(numbers, default=-1) + 1:06d}.parquet"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two programs that append at once take different numbers."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# Reading


def read_side_table(
    place: Path | Sequence[Path], columns: Sequence[str] | None = None
) -> SideTable:
    """All parts of a folder, or these files, every row checked; `columns`: of the values, but all.

    Of several rows of one sha256 that of the last part counts. Raises CorruptFile, naming the part.
    """
    paths = part_files(place) if isinstance(place, Path) else list(place)
    if not paths:
        raise CorruptFile(f"{place} holds no part of a side table")
    first = _open(paths[0]).schema_arrow
    kind, producer = kind_of(paths[0], first)
    parts = []
    for path in paths:
        file = _open(path)
        require_same(paths[0], first, path, file.schema_arrow)
        parts.append(_read_part(path, file, kind, columns))
    rows, superseded = _latest(parts)
    return SideTable(kind=kind, producer=producer, rows=rows, superseded=superseded)


def read_kind(path: Path) -> tuple[Kind, Producer]:
    """Of one part. Raises CorruptFile."""
    return kind_of(path, _open(path).schema_arrow)


def known_sha256(folder: Path) -> pa.ChunkedArray:
    """Photos that have a row already: those need no second look. Raises CorruptFile."""
    if not part_files(folder):
        return pa.chunked_array([], pa.string())
    return read_side_table(folder, columns=()).rows["sha256"]


def _open(path: Path, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(
            path,
            read_dictionary=list(dictionaries),
            pre_buffer=False,
            page_checksum_verification=True,
        )
        file.schema_arrow  # noqa: B018 - it may be unreadable where the rest is not
    except UNREADABLE as error:
        raise corrupt(path, str(error)) from error
    return file


def _read_part(
    path: Path, file: pq.ParquetFile, kind: Kind, columns: Sequence[str] | None
) -> pa.Table:
    schema = file.schema_arrow
    check_schema(path, schema, kind)
    names = [
        name
        for name in schema.names
        if columns is None or name in ("sha256", "photo_id") or name in columns
    ]
    if lacking := set(columns or ()) - set(names):
        raise PetdataError(f"{path} has no column {', '.join(sorted(lacking))}")
    require_plausible(path, names)
    leaves = [file.metadata.schema.column(n).path for n in range(file.metadata.num_columns)]
    packed = _open(path, [leaf for leaf in leaves if "." not in leaf])
    wanted = pa.schema([schema.field(name) for name in names])
    groups = [wanted.empty_table()]
    try:
        for number in range(file.num_row_groups):
            groups.append(unpack(path, packed, number, wanted))
            require_size(path, sum(group.nbytes for group in groups))
        rows = pa.concat_tables(groups)
        rows.validate(full=True)
    except UNREADABLE as error:
        raise corrupt(path, str(error)) from error
    if problem := next(row_problems(kind.name, rows), None):
        raise corrupt(path, problem)
    return rows.replace_schema_metadata(schema.metadata)


def _latest(parts: Sequence[pa.Table]) -> tuple[pa.Table, int]:
    rows = pa.concat_tables(parts)
    if len(parts) == 1:
        return rows, 0
    hashes = rows["sha256"].combine_chunks()
    # index_in gives the first place, and the last part is to win.
    backwards = pc.take(hashes, pa.array(np.arange(len(hashes))[::-1]))
    places = len(hashes) - 1 - np.asarray(pc.index_in(hashes, value_set=backwards), np.int64)
    counts = places == np.arange(len(hashes))
    superseded = int(np.count_nonzero(~counts))
    return (rows.filter(pa.array(counts)), superseded) if superseded else (rows, 0)


# Joining


def join(table: SideTable, sha256: pa.Array | pa.ChunkedArray) -> Joined:
    """The values of photos, by the SHA-256 of each; a photo that stands twice gets them twice."""
    keys = table.rows["sha256"].combine_chunks()
    photos = sha256 if isinstance(sha256, pa.ChunkedArray) else pa.chunked_array([sha256])
    places = pc.index_in(photos.cast(pa.string()), value_set=keys)
    values = table.rows.drop_columns(["sha256", "photo_id"])
    matched = len(places) - places.null_count
    return Joined(
        values=values.take(places) if values.num_columns else values,
        matched=matched,
        without=places.null_count,
        ignored=len(keys) - len(pc.unique(places.drop_null())),
    )


def chosen_boxes(rows: pa.Table) -> NDArray[np.float32]:
    """(N, 4) x0, y0, x1, y1 of the chosen box of each row, in pixels; NaN where none was."""
    found = np.full((rows.num_rows, 4), np.nan, np.float32)
    start = 0
    for batch in rows.select(["boxes", "chosen"]).to_batches():
        boxes, chosen = batch["boxes"], batch["chosen"]
        there = np.flatnonzero(np.asarray(chosen.is_valid(), np.bool_))
        offsets = np.asarray(boxes.offsets, np.int64)[there]
        places = pa.array(offsets + np.asarray(pc.fill_null(chosen, 0), np.int64)[there])
        picked = boxes.values.take(places)
        for corner, name in enumerate(("x0", "y0", "x1", "y1")):
            found[start + there, corner] = picked.field(name).to_numpy(zero_copy_only=False)
        start += batch.num_rows
    return found
