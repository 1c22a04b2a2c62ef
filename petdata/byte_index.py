"""Random reads of photos from Parquet files: photo -> (file, offset, length), then one pread.

It works wherever the leaf image.bytes is stored as it is, as in shards and releases. Files that
compress it or give it a dictionary are read through pyarrow: slower, and never a wrong byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from petdata.errors import CorruptFile
from petdata.parquet_pages import (
    NULL,
    Int64Array,
    NotContiguous,
    value_positions,
    value_positions_in,
)
from petdata.shards import IMAGE_LEAF

MAX_OPEN_FILES: Final = 512  # a process may usually have 1,024 descriptors


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ByteIndex:
    """Where the photos of one file lie in it."""

    offsets: Int64Array  # (rows,): byte in the file; -1 for a row without a photo
    lengths: Int64Array  # (rows,): bytes; -1 for a row without a photo
    file_bytes: int  # a file of another size is not the one that was indexed

    @property
    def rows(self) -> int:
        return len(self.offsets)


def index_shard(path: Path) -> ByteIndex | None:
    """Walk the pages of a file; None where its photos are no contiguous bytes.

    Raises CorruptFile.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file_bytes = os.fstat(file.fileno()).st_size
            offsets, lengths = value_positions(file.fileno(), IMAGE_LEAF)
    except NotContiguous:
        return None
    except (OSError, ValueError) as error:
        raise _corrupt(path, error) from error
    return ByteIndex(offsets=offsets, lengths=lengths, file_bytes=file_bytes)


def index_content(content: memoryview) -> ByteIndex:
    """Of a file of ours that is in memory, before it is written."""
    offsets, lengths = value_positions_in(content, IMAGE_LEAF)
    return ByteIndex(offsets=offsets, lengths=lengths, file_bytes=len(content))


class PhotoReader:
    """Reads photos by file and row, from any number of threads, in forked and spawned processes.

    Files are walked when they are first read, unless their indexes are given.
    """

    def __init__(
        self, paths: Sequence[Path], indexes: Sequence[ByteIndex | None] | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._indexes = dict(enumerate(indexes or ()))
        self._open: dict[int, _OpenFile] = {}
        self._row_group: _RowGroup | None = None

    def read(self, file: int, row: int) -> bytes | None:
        """The photo of a row, None for a row without one. Raises IndexError and CorruptFile."""
        opened = self._open.get(file) or self._open_file(file)
        if row < 0:
            raise IndexError(f"row {row} of {self._paths[file]}")
        if opened.lengths is None or opened.offsets is None:
            return self._read_through_pyarrow(file, row)
        length = opened.lengths[row]
        if length == NULL:
            return None
        photo = os.pread(opened.descriptor, length, opened.offsets[row])
        if len(photo) != length:
            raise self._shrunk(file)
        return photo

    def read_into(self, file: int, row: int, place: memoryview) -> bool:
        """Whether the row has a photo of just this length, which then is in `place`.

        Raises IndexError and CorruptFile.
        """
        opened = self._open.get(file) or self._open_file(file)
        if row < 0:
            raise IndexError(f"row {row} of {self._paths[file]}")
        if opened.lengths is None or opened.offsets is None:
            photo = self._read_through_pyarrow(file, row)
            if photo is None or len(photo) != len(place):
                return False
            place[:] = photo
            return True
        if opened.lengths[row] != len(place):
            return False
        if os.preadv(opened.descriptor, [place], opened.offsets[row]) != len(place):
            raise self._shrunk(file)
        return True

    def _shrunk(self, file: int) -> CorruptFile:
        return CorruptFile(f"{self._paths[file]} has shrunk: restore it, or index it again")

    def _open_file(self, file: int) -> _OpenFile:
        path = self._paths[file]
        if file not in self._indexes:
            self._indexes[file] = index_shard(path)
        try:
            opened = _OpenFile(path, self._indexes[file])
        except OSError as error:
            raise _corrupt(path, error) from error
        while len(self._open) >= MAX_OPEN_FILES:
            oldest = next(iter(tuple(self._open)))  # a copy: other threads change it meanwhile
            self._open.pop(oldest, None)
        self._open[file] = opened
        return opened

    def _read_through_pyarrow(self, file: int, row: int) -> bytes | None:
        group = self._row_group
        if group is None or group.file != file or not 0 <= row - group.first < len(group.photos):
            group = self._row_group = _read_row_group(self._paths[file], file, row)
        return group.photos[row - group.first]

    def __getstate__(self) -> tuple[tuple[Path, ...], dict[int, ByteIndex | None]]:
        return self._paths, self._indexes

    def __setstate__(self, state: tuple[tuple[Path, ...], dict[int, ByteIndex | None]]) -> None:
        self._paths, self._indexes = state
        self._open = {}
        self._row_group = None


class _OpenFile:
    """An open file with its index; closed with its last reference, so never under a reader."""

    __slots__ = ("descriptor", "lengths", "offsets")

    def __init__(self, path: Path, index: ByteIndex | None) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        file_bytes = os.fstat(self.descriptor).st_size
        self.offsets: memoryview | None = None
        self.lengths: memoryview | None = None
        if index is None:
            return
        if index.file_bytes != file_bytes:
            raise CorruptFile(
                f"{path} has {file_bytes:,} bytes, its index was made for {index.file_bytes:,}: "
                "index it again"
            )
        # Views give Python integers, in half the time that arrays take.
        self.offsets, self.lengths = index.offsets.data, index.lengths.data

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # at exit os is gone
        if hasattr(self, "descriptor"):
            close(self.descriptor)


@dataclass(frozen=True, kw_only=True, slots=True)
class _RowGroup:
    file: int
    first: int  # row
    photos: list[bytes | None]


def _read_row_group(path: Path, file: int, row: int) -> _RowGroup:
    """The row group around a row, through pyarrow."""
    try:
        parquet = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        first = 0
        for number in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(number).num_rows
            if row < first + rows:
                table = parquet.read_row_group(number, columns=[IMAGE_LEAF], use_threads=False)
                images = table.column("image").to_pylist()
                photos = [None if image is None else image["bytes"] for image in images]
                return _RowGroup(file=file, first=first, photos=photos)
            first += rows
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(path, error) from error
    raise IndexError(f"row {row} of {path}, which has {first:,}")


def _corrupt(path: Path, error: Exception) -> CorruptFile:
    return CorruptFile(f"{path}: {error}: restore the file from a copy")
