"""What a build reads: rows of shards, without their pixels, in one canonical order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_builder.options import BuildOptions, Level
from petdata.errors import CorruptFile, PetdataError
from petdata.ledger import Ledger
from petdata.records import SHARD_SCHEMA
from petdata.takedowns import Takedowns
from petdata.workspace import Workspace

# In a release these say nothing, or what must not be said, of a collected source.
PRIVATE: Final = ("original_sha256", "source_url", "attributes")
TEXTS: Final = ("title", "description")
_RENAMED: Final = ("photo_id", "identity_id", "image", "thumbnail")  # not in a row's hash
SEPARATOR: Final = "chr(31)"


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A shard, and what the ledger says of its rows."""

    path: Path
    level_source: str
    rows: int
    fingerprint: str
    bytes: NDArray[np.int64]  # (rows,): of the JPEG
    is_current: NDArray[np.bool_]  # (rows,): the latest version of a listing that is not gone


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """All input rows as columns, in canonical order: level, arrival, identity, position."""

    files: Sequence[InputFile]
    levels: Sequence[Level]
    level: NDArray[np.int16]
    file: NDArray[np.int32]
    row: NDArray[np.int64]
    identity: NDArray[np.int32]  # index into `identities`
    picture: NDArray[np.int32]  # equal for equal sha256
    arrival: NDArray[np.int64]
    phash: NDArray[np.uint64]
    bytes: NDArray[np.int64]
    pixels: NDArray[np.int64]
    species: pa.DictionaryArray
    source_split: pa.DictionaryArray  # "" for none
    content: NDArray[Any]  # (n,) 16 bytes each: hash of what the release says of the row
    is_current: NDArray[np.bool_]
    is_taken_down: NDArray[np.bool_]
    is_multi_animal: NDArray[np.bool_]
    identities: Sequence[str]
    photo_ids: pa.Array
    sha256: pa.Array

    def __len__(self) -> int:
        return len(self.level)

    def is_test(self) -> NDArray[np.bool_]:
        test = np.array([level.source.role == "test" for level in self.levels])
        return np.asarray(test[self.level], np.bool_)

    def source_number(self) -> NDArray[np.int64]:
        """Index of each row's source: levels of one source count as one."""
        names = [level.source.name for level in self.levels]
        return np.array([names.index(name) for name in names])[self.level]


def input_files(workspace: Workspace, levels: Sequence[Level]) -> list[InputFile]:
    """Every shard that a ledger names. Raises CorruptFile, naming it, for one that is not whole."""
    found = []
    for name in dict.fromkeys(level.source.name for level in levels):
        path = workspace.ledger(name)
        if not path.exists():
            continue
        with Ledger(path, source=name, read_only=True) as ledger:
            for shard in ledger.shards():
                file = workspace.shards(name) / shard.name
                _require_whole(file, shard.rows)
                size = np.zeros(shard.rows, np.int64)
                current = np.zeros(shard.rows, np.bool_)
                for row in ledger.query(
                    "SELECT row, bytes, current_version = photos.version "
                    "AND listings.outcome != 'gone' AS is_current "
                    "FROM photos JOIN listings USING (source_id) "
                    "WHERE shard_id = ? AND photos.outcome = 'kept'",
                    shard.shard_id,
                ):
                    size[row["row"]] = row["bytes"]
                    current[row["row"]] = bool(row["is_current"])
                found.append(
                    InputFile(
                        path=file,
                        level_source=name,
                        rows=shard.rows,
                        fingerprint=shard.fingerprint,
                        bytes=size,
                        is_current=current,
                    )
                )
    if not found:
        raise PetdataError(
            f"{workspace.root} holds no shards to build from: collect or import something first"
        )
    return found


def _require_whole(path: Path, rows: int) -> None:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(
            f"{path} cannot be read ({error}): restore it from a copy, or collect or import it "
            "again; nothing else is affected"
        ) from error
    if metadata.num_rows != rows and any(path.parent.glob(f".{path.name}.*.rewritten")):
        raise PetdataError(
            f"{path}: a purge was cut off; run petdata forget ... --purge again, or collect or "
            "import something: that ends it"
        )
    if metadata.num_rows != rows:
        raise CorruptFile(f"{path} has {metadata.num_rows:,} rows, its ledger says {rows:,}")


def read_rows(
    database: duckdb.DuckDBPyConnection,
    files: Sequence[InputFile],
    levels: Sequence[Level],
    takedowns: Takedowns,
    options: BuildOptions,
) -> Rows:
    """All rows of the files, but for those of lists that the options leave out."""
    _load(database, files, levels, options)
    _mark_takedowns(database, takedowns)
    identities = [
        name for (name,) in database.sql("SELECT name FROM identities ORDER BY number").fetchall()
    ]
    columns = database.sql(
        """
        SELECT level, file, row, i.number AS identity, p.number AS picture, i.arrival, phash,
               width * height AS pixels, species, coalesce(source_split, '') AS source_split,
               content, is_taken_down, coalesce(multi_animal, false) AS multi_animal,
               photo_id, sha256
        FROM input JOIN identities i ON i.name = identity_id JOIN pictures p USING (sha256)
        ORDER BY level, i.arrival, identity_id, position NULLS LAST, sha256, file, row
        """
    ).to_arrow_table()
    file = _numbers(columns, "file", np.int32)
    row = _numbers(columns, "row", np.int64)
    starts = np.cumsum([0, *(f.rows for f in files)])[:-1]
    place = starts[file] + row
    return Rows(
        files=files,
        levels=levels,
        level=_numbers(columns, "level", np.int16),
        file=file,
        row=row,
        identity=_numbers(columns, "identity", np.int32),
        picture=_numbers(columns, "picture", np.int32),
        arrival=_numbers(columns, "arrival", np.int64),
        phash=_numbers(columns, "phash", np.uint64),
        pixels=_numbers(columns, "pixels", np.int64),
        bytes=np.concatenate([f.bytes for f in files])[place],
        is_current=np.concatenate([f.is_current for f in files])[place],
        species=columns["species"].combine_chunks().dictionary_encode(),
        source_split=columns["source_split"].combine_chunks().dictionary_encode(),
        content=np.asarray(columns["content"].to_numpy(), dtype="S32"),
        is_taken_down=columns["is_taken_down"].to_numpy(),
        is_multi_animal=columns["multi_animal"].to_numpy(),
        identities=identities,
        photo_ids=columns["photo_id"].combine_chunks(),
        sha256=columns["sha256"].combine_chunks(),
    )


def _numbers(table: pa.Table, name: str, kind: Any) -> NDArray[Any]:
    return np.asarray(table[name].to_numpy(), dtype=kind)


def _load(
    database: duckdb.DuckDBPyConnection,
    files: Sequence[InputFile],
    levels: Sequence[Level],
    options: BuildOptions,
) -> None:
    database.register(
        "file_numbers",
        pa.table(
            {
                "path": [str(f.path) for f in files],
                "number": pa.array(range(len(files)), pa.int32()),
            }
        ),
    )
    database.register(
        "source_levels",
        pa.table(
            {
                "level_source": [level.source.name for level in levels],
                "level": pa.array(range(len(levels)), pa.int16()),
                "is_train": [level.lists != "others" for level in levels],
                "is_list": [level.lists != "" for level in levels],
                "is_private": [level.is_private(options) for level in levels],
            }
        ),
    )
    try:
        database.execute(
            f"""
            CREATE TABLE input AS
            SELECT l.level, n.number AS file, file_row_number AS row, photo_id, identity_id,
                   source_split, species, position, width, height, sha256, original_sha256, phash,
                   multi_animal, posted_on, source_url, {content_sql(options.keep_text)} AS content,
                   false AS is_taken_down
            FROM read_parquet($paths, filename = true, file_row_number = true) r
            JOIN file_numbers n ON n.path = r.filename
            JOIN source_levels l ON l.level_source = r.source
                 AND (NOT is_list OR is_train = (coalesce(source_split, '') = 'train'))
            """,
            {"paths": [str(f.path) for f in files]},
        )
    except duckdb.Error as error:
        raise CorruptFile(f"a shard cannot be read: {str(error).splitlines()[0]}") from error
    # Neighbours in time stand in neighbouring files: pet911 by number, Telegram by month.
    database.execute(
        """
        CREATE TABLE identities AS
        SELECT identity_id AS name, CAST(row_number() OVER (ORDER BY identity_id) - 1 AS INTEGER)
                   AS number,
               CASE WHEN identity_id LIKE 'telegram/%'
                    THEN coalesce(min(year(posted_on) * 12 + month(posted_on)), 0)
                    ELSE coalesce(TRY_CAST(regexp_extract(identity_id, '/\\D*(\\d+)', 1) AS BIGINT)
                                  // 1000, 0) END AS arrival
        FROM input GROUP BY identity_id;
        CREATE TABLE pictures AS
        SELECT sha256, CAST(row_number() OVER (ORDER BY sha256) - 1 AS INTEGER) AS number
        FROM input GROUP BY sha256;
        """
    )


def content_sql(keep_text: bool) -> str:
    """SQL for a hash of what the release says of a row, but for its ids; sha256 has the pixels."""
    parts = []
    for column in SHARD_SCHEMA:
        name = column.name
        if name in _RENAMED or (name in TEXTS and not keep_text):
            continue
        text = f"CAST({name} AS VARCHAR)"
        if pa.types.is_floating(column.type):
            text = f"printf('%.1f', {name})"
        elif pa.types.is_timestamp(column.type):
            text = f"CAST(epoch_us({name}) AS VARCHAR)"
        if name in PRIVATE:
            text = f"CASE WHEN is_private THEN NULL ELSE {text} END"
        parts.append(f"coalesce({text}, chr(0))")
    return f"md5(concat_ws({SEPARATOR}, {', '.join(parts)}))"


def _mark_takedowns(database: duckdb.DuckDBPyConnection, takedowns: Takedowns) -> None:
    columns = {
        "identity": ("identity_id",),
        "photo": ("photo_id",),
        "url": ("source_url",),
        "sha256": ("sha256", "original_sha256"),
    }
    for entry_kind, names in columns.items():
        values = sorted({e.value for e in takedowns.entries if e.kind == entry_kind})
        for name in names if values else ():
            database.execute(
                f"UPDATE input SET is_taken_down = true WHERE {name} IN (SELECT unnest($values))",
                {"values": values},
            )


def logical_digest(rows: Rows, source: str) -> str:
    """Hash of what a source brings to the build, whatever shards it stands in."""
    chosen = np.isin(
        rows.level, [n for n, lv in enumerate(rows.levels) if lv.source.name == source]
    )
    state = np.where(rows.is_current[chosen], b"+", b"-")
    state = np.where(rows.is_taken_down[chosen], b"x", state)
    lines = np.char.add(rows.content[chosen], state)
    ids = rows.photo_ids.take(pa.array(np.flatnonzero(chosen))).to_pylist()
    digest = hashlib.sha256()
    for line in sorted(f"{id} {line.decode()}" for id, line in zip(ids, lines, strict=True)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
