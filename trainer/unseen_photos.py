"""Photos of a release or of a source that a side table has no row for yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from petdata.byte_index import PhotoReader
from petdata.errors import CorruptFile, PetdataError
from petdata.release_folders import find_folder
from petdata.releases import open_release
from petdata.shards import open_shard
from petdata.side_tables import known_sha256
from petdata.sources import known_sources
from petdata.takedowns import read_takedowns
from petdata.workspace import Workspace

Int64Array = NDArray[np.int64]

_COLUMNS: Final = ("sha256", "photo_id", "species", "identity_id")
_SHARD_ERRORS: Final = (pa.ArrowException, OSError, ValueError)


class _Reader(Protocol):
    def read(self, row: int) -> bytes | None: ...

    def fetch(self, rows: Int64Array) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class UnseenPhotos:
    """Every photo once, by its SHA-256, in the order of the files."""

    table: pa.Table  # sha256, photo_id, species
    seen: int  # photos that have a row
    taken_down: int
    unreadable_files: Sequence[str]  # why, of each
    _readers: Sequence[_Reader] = field(repr=False)
    _places: tuple[Int64Array, Int64Array] = field(repr=False)  # (N,) reader, row

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def fetch(self, photos: range) -> None:
        """Bring photos of a release on the Hub near, many at once."""
        readers, rows = self._places[0][photos], self._places[1][photos]
        for reader in np.unique(readers).tolist():
            self._readers[reader].fetch(rows[readers == reader])

    def read(self, photo: int) -> bytes | None:
        """The JPEG, whose SHA-256 is right; None without pixels. Raises CorruptFile."""
        reader, row = int(self._places[0][photo]), int(self._places[1][photo])
        return self._readers[reader].read(row)


def unseen_photos(
    reference: str, folder: Path, workspace: Workspace, *, limit: int | None = None
) -> UnseenPhotos:
    """`folder`: of the side table. Photos that were taken down are left out.

    Raises PetdataError for what is neither a release nor a source with shards.
    """
    release_folder = find_folder(workspace, reference)
    shards = _shards(reference, workspace)
    if shards and release_folder is not None:
        raise PetdataError(
            f"{reference} is a source and a release here: say {release_folder} to mean the release"
        )
    unreadable: list[str] = []
    if shards:
        tables, readers = _of_source(shards, unreadable)
    elif reference in known_sources(workspace) and release_folder is None:
        raise PetdataError(
            f"source {reference} has no shards here: crawl, harvest or import it first"
        )
    else:
        tables, readers = _of_release(reference, workspace)
    return _unseen(tables, readers, folder, workspace, unreadable, limit)


def _shards(reference: str, workspace: Workspace) -> list[Path]:
    if reference not in known_sources(workspace):
        return []
    found = sorted(workspace.shards(reference).glob("*.parquet"))
    return [path for path in found if not path.name.startswith(".")]


def _of_source(
    shards: Sequence[Path], unreadable: list[str]
) -> tuple[list[pa.Table], list[_Reader]]:
    tables: list[pa.Table] = []
    readers: list[_Reader] = []
    for path in shards:
        try:
            table = open_shard(path).read(list(_COLUMNS), use_threads=False)
        except CorruptFile as error:
            unreadable.append(str(error))
        except _SHARD_ERRORS as error:
            unreadable.append(f"{path} cannot be read ({error}): restore it from a copy")
        else:
            tables.append(table)
            readers.append(_ShardPhotos(path, table["sha256"]))
    return tables, readers


def _of_release(reference: str, workspace: Workspace) -> tuple[list[pa.Table], list[_Reader]]:
    release = open_release(reference, workspace=workspace)
    tables: list[pa.Table] = []
    readers: list[_Reader] = []
    for split in release.splits:
        table, _ = release.columns(split, _COLUMNS)
        table = pa.table({name: _one(table[name]) for name in _COLUMNS})
        photo_ids, sha256 = _one(table["photo_id"]), _one(table["sha256"])
        tables.append(table)
        readers.append(release.photos(split, photo_ids, sha256)[0])
    return tables, readers


def _one(column: pa.ChunkedArray) -> pa.StringArray:
    return column.cast(pa.string()).combine_chunks()


class _ShardPhotos:
    def __init__(self, path: Path, sha256: pa.ChunkedArray) -> None:
        self._reader = PhotoReader([path])
        self._sha256 = sha256
        self._path = path

    def read(self, row: int) -> bytes | None:
        jpeg = self._reader.read(0, row)
        if jpeg is not None and hashlib.sha256(jpeg).hexdigest() != self._sha256[row].as_py():
            raise CorruptFile(
                f"{self._path}, row {row}: it does not have its SHA-256: restore the file from a "
                "copy"
            )
        return jpeg

    def fetch(self, rows: Int64Array) -> None:
        """They are here."""


def _unseen(
    tables: Sequence[pa.Table],
    readers: Sequence[_Reader],
    folder: Path,
    workspace: Workspace,
    unreadable: Sequence[str],
    limit: int | None,
) -> UnseenPhotos:
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    table = pa.concat_tables([schema.empty_table(), *(t.cast(schema) for t in tables)])
    counts = [each.num_rows for each in tables]
    numbers = np.repeat(np.arange(len(tables)), counts)
    rows = np.concatenate([np.empty(0, np.int64), *map(np.arange, counts)]).astype(np.int64)
    _, first = np.unique(np.asarray(_one(table["sha256"]), object).astype(str), return_index=True)
    first.sort()
    table, numbers, rows = table.take(pa.array(first)), numbers[first], rows[first]
    allowed = ~_taken_down(table, workspace)
    known = pc.is_in(table["sha256"], value_set=_one(known_sha256(folder)))
    seen = np.asarray(known.combine_chunks(), np.bool_) & allowed
    wanted = np.flatnonzero(allowed & ~seen)[:limit]
    return UnseenPhotos(
        table=table.take(pa.array(wanted)).drop_columns(["identity_id"]),
        seen=int(np.count_nonzero(seen)),
        taken_down=int(np.count_nonzero(~allowed)),
        unreadable_files=tuple(unreadable),
        _readers=tuple(readers),
        _places=(numbers[wanted], rows[wanted]),
    )


def _taken_down(table: pa.Table, workspace: Workspace) -> NDArray[np.bool_]:
    takedowns = read_takedowns(workspace.takedowns)
    if not takedowns.entries:
        return np.zeros(table.num_rows, np.bool_)
    columns = (table[name].to_pylist() for name in ("sha256", "photo_id", "identity_id"))
    return np.array(
        [
            takedowns.forbids_bytes(sha256)
            or takedowns.forbids_photo(photo_id)
            or takedowns.forbids_identity(identity_id)
            for sha256, photo_id, identity_id in zip(*columns, strict=True)
        ],
        np.bool_,
    )
