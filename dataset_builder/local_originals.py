"""Photos of this workspace's shards by their SHA-256, whichever identity they stand under here."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from petdata.byte_index import PhotoReader
from petdata.errors import CorruptFile
from petdata.inspection import collected_sources
from petdata.ledger import Ledger
from petdata.takedowns import Takedowns, read_takedowns
from petdata.workspace import Workspace

_AT_ONCE: Final = 48  # shards whose thumbnails are in memory, about 1 MB each
_NOWHERE: Final = -1

Digests = NDArray[np.bytes_]  # (n,) 32 bytes each


class LocalOriginals:
    """What was taken down here is not here, though its bytes may still be."""

    def __init__(self, workspace: Workspace, wanted: Digests) -> None:
        self._wanted = np.unique(wanted)
        self._file = np.full(len(self._wanted), _NOWHERE, np.int32)
        self._row = np.zeros(len(self._wanted), np.int32)
        self._paths: list[Path] = []
        takedowns = read_takedowns(workspace.takedowns)
        for source in collected_sources(workspace):
            with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
                for name, found, rows in _kept(ledger, takedowns):
                    self._note(workspace.shards(source) / name, found, rows)
        self._reader = PhotoReader(self._paths)
        self._thumbnails: OrderedDict[int, pa.ChunkedArray] = OrderedDict()

    def _note(self, path: Path, found: Digests, rows: NDArray[np.int32]) -> None:
        places, is_wanted = self._find(found)
        if is_wanted.any():
            self._file[places[is_wanted]] = len(self._paths)
            self._row[places[is_wanted]] = rows[is_wanted]
            self._paths.append(path)

    def _find(self, digests: Digests) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        if not len(self._wanted):
            return np.zeros(len(digests), np.int64), np.zeros(len(digests), np.bool_)
        places = np.searchsorted(self._wanted, digests).clip(max=len(self._wanted) - 1)
        return places, self._wanted[places] == digests

    def has(self, digests: Digests) -> NDArray[np.bool_]:
        places, is_wanted = self._find(digests)
        return np.asarray(is_wanted & (self._file[places] != _NOWHERE))

    def read(self, sha256: str) -> tuple[bytes, bytes]:
        """JPEG and thumbnail of a photo that is here. Raises CorruptFile, naming the shard."""
        place = int(np.searchsorted(self._wanted, digests_of([sha256]))[0])
        file, row = int(self._file[place]), int(self._row[place])
        jpeg = self._reader.read(file, row)
        thumbnail = self._thumbnails_of(file)[row].as_py()
        if jpeg is None or thumbnail is None or hashlib.sha256(jpeg).hexdigest() != sha256:
            raise CorruptFile(
                f"{self._paths[file]}, row {row}: the photo is not the one that was collected: "
                "restore the file from a copy, or collect or import it again"
            )
        return jpeg, thumbnail

    def _thumbnails_of(self, file: int) -> pa.ChunkedArray:
        if file in self._thumbnails:
            self._thumbnails.move_to_end(file)
            return self._thumbnails[file]
        path = self._paths[file]
        try:
            column = pq.read_table(path, columns=["thumbnail"], partitioning=None)["thumbnail"]
        except (OSError, pa.ArrowException, KeyError) as error:
            raise CorruptFile(f"{path} cannot be read ({error}): restore it") from error
        self._thumbnails[file] = column
        if len(self._thumbnails) > _AT_ONCE:
            self._thumbnails.popitem(last=False)
        return column


def digests_of(hashes: Any) -> Digests:
    """Of hex texts."""
    raw = b"".join(bytes.fromhex(text) for text in hashes)
    return np.frombuffer(raw, np.dtype("S32"))


def _kept(ledger: Ledger, takedowns: Takedowns) -> Iterator[tuple[str, Digests, NDArray[np.int32]]]:
    """Shard, and the hash and row of each of its photos."""
    for shard in ledger.shards():
        rows = [
            row
            for row in ledger.query(
                "SELECT source_id, url, sha256, original_sha256, row "
                "FROM photos JOIN listings USING (source_id) "
                "WHERE shard_id = ? AND photos.outcome = 'kept'",
                shard.shard_id,
            )
            if not _is_taken_down(takedowns, ledger.source, row)
        ]
        numbers = np.array([row["row"] for row in rows], np.int32)
        yield shard.name, digests_of(row["sha256"] for row in rows), numbers


def _is_taken_down(takedowns: Takedowns, source: str, row: Any) -> bool:
    identity = f"{source}/{row['source_id']}"
    return (
        takedowns.forbids_identity(identity)
        or takedowns.forbids_url(row["url"])
        or takedowns.forbids_photo(f"{identity}/{row['sha256'][:12]}")
        or takedowns.forbids_bytes(row["sha256"])
        or takedowns.forbids_bytes(row["original_sha256"] or "")
    )
