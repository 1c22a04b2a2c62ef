"""Columns of a data file on the Hub, without its photos: the footer, then what it names."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from petdata.errors import CorruptFile
from petdata.hub_ranges import HubFile, HubRanges

_TAIL_BYTES: Final = 64 * 2**10  # has the whole footer, as a rule
_GAP_BYTES: Final = 512 * 2**10  # between two columns, fetched rather than asked for apart
_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError, IndexError)


def read_columns(ranges: HubRanges, file: HubFile, names: Sequence[str]) -> pa.Table:
    """What arrives garbled is fetched again. Raises CorruptFile, TryLater and HubFailure."""
    for _ in range(ranges.session.patience.attempts - 1):
        try:
            return _read(ranges, file, names)
        except CorruptFile as error:
            ranges.session.say(str(error))
    return _read(ranges, file, names)


def _read(ranges: HubRanges, file: HubFile, names: Sequence[str]) -> pa.Table:
    doing = f"reading columns of {file.path}"
    pieces = _Pieces(file)

    def fetch(start: int, end: int) -> None:
        content = ranges.read(file, start, end - start, bytes, doing)
        pieces.parts[start] = content

    fetch(max(0, file.bytes - _TAIL_BYTES), file.bytes)
    try:
        footer = int.from_bytes(pieces.at(file.bytes - 8, 4), "little") + 8
        if footer > file.bytes:
            raise ValueError(f"a footer of {footer:,} bytes")
        if footer > _TAIL_BYTES:
            fetch(file.bytes - footer, file.bytes)
        metadata = pq.read_metadata(pa.PythonFile(pieces, "r"))
        for start, end in _column_ranges(metadata, names):
            fetch(start, end)
        reader = pq.ParquetFile(pa.PythonFile(pieces, "r"), metadata=metadata, pre_buffer=False)
        table = reader.read(list(names), use_threads=False)
    except _UNREADABLE as error:
        raise CorruptFile(
            f"{ranges.session.repo_id}: {doing}: {error}: start again, and if it stays "
            "so tell whoever published it"
        ) from error
    _check(table, file)
    return table


class _Pieces(io.RawIOBase):
    """A file of which only some parts are here."""

    def __init__(self, file: HubFile) -> None:
        super().__init__()
        self.file = file
        self.parts: dict[int, bytes] = {}  # by their place in the file
        self.place = 0

    def at(self, start: int, length: int) -> bytes:
        for first, content in self.parts.items():
            if first <= start and start + length <= first + len(content):
                return content[start - first : start - first + length]
        raise OSError(f"bytes {start:,} to {start + length:,} were not fetched")

    def read(self, size: int | None = -1) -> bytes:
        length = self.file.bytes - self.place if size is None or size < 0 else size
        length = min(length, self.file.bytes - self.place)
        found = self.at(self.place, length) if length else b""
        self.place += length
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.file.bytes}[whence]
        self.place = base + offset
        return self.place

    def tell(self) -> int:
        return self.place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _column_ranges(metadata: pq.FileMetaData, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where the columns lie, near ones in one range; the image never between two of a range."""
    found: list[tuple[int, int]] = []
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            chunk = row_group.column(number)
            if chunk.path_in_schema.split(".")[0] not in names:
                continue
            places = (chunk.dictionary_page_offset, chunk.data_page_offset)
            start = min(place for place in places if place is not None)
            end = start + chunk.total_compressed_size
            if found and 0 <= start - found[-1][1] <= _GAP_BYTES:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
    return found


def _check(table: pa.Table, file: HubFile) -> None:
    """A photo's id is its identity's with the start of its hash, and begins with its source: a
    column that was garbled on its way does not fit the others.
    """
    if file.rows is not None and table.num_rows != file.rows:
        raise CorruptFile(f"{file.path} has {table.num_rows:,} rows, not {file.rows:,}")
    if not {"photo_id", "identity_id", "sha256", "source"} <= set(table.column_names):
        return
    start = pc.utf8_slice_codeunits(table["sha256"], 0, 12)
    expected = pc.binary_join_element_wise(table["identity_id"], start, "/")
    begins = pc.list_element(pc.split_pattern(table["identity_id"], "/", max_splits=1), 0)
    for column, other in ((table["photo_id"], expected), (table["source"], begins)):
        if not pc.all(pc.equal(column, other), min_count=0).as_py():
            raise CorruptFile(
                f"{file.path}: its ids, sources and hashes do not fit each other: start again, and "
                "if it stays so tell whoever published it"
            )
