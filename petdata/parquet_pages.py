"""Where the values of a Parquet leaf lie in the file, found without decoding them.

Only the footer, page headers, definition levels and the lengths before the values are read. The
numbers of fields are those of parquet.thrift in https://github.com/apache/parquet-format.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from petdata.parquet_thrift import Incomplete, Struct, read_struct, read_varint

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NULL: Final = -1  # as offset and as length

_MAGIC: Final = b"PAR1"
_MAGIC_ENCRYPTED: Final = b"PARE"
_TAIL_BYTES: Final = 8  # footer length and magic
# Beyond these a file counts as damaged, before memory is spent on it.
_MAX_FOOTER_BYTES: Final = 64 * 2**20
_MAX_HEADER_BYTES: Final = 2**20  # some writers put whole values into it, as minimum and maximum
_MAX_ROWS: Final = 20_000_000
_HEADER_READ: Final = 128  # bytes; our own headers have about 30

_MAX_SCHEMA_DEPTH: Final = 64

# Values
_BYTE_ARRAY: Final = 6
_REQUIRED, _REPEATED = 0, 2
_UNCOMPRESSED: Final = 0
_PLAIN, _RLE = 0, 3
_DATA_PAGE, _DATA_PAGE_V2 = 0, 3

# Fields of FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData, PageHeader
_FILE_SCHEMA, _FILE_ROWS, _FILE_ROW_GROUPS = 2, 3, 4
_ELEMENT_TYPE, _ELEMENT_REPETITION, _ELEMENT_NAME, _ELEMENT_CHILDREN = 1, 3, 4, 5
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3
_CHUNK_FILE, _CHUNK_METADATA, _CHUNK_CRYPTO, _CHUNK_ENCRYPTED = 1, 3, 8, 9
_COLUMN_CODEC, _COLUMN_BYTES, _COLUMN_FIRST_PAGE, _COLUMN_DICTIONARY = 4, 7, 9, 11
_COLUMN_PATH, _COLUMN_VALUES, _COLUMN_UNPACKED_BYTES = 3, 5, 6
_PAGE_TYPE, _PAGE_BYTES, _PAGE_STORED_BYTES, _PAGE_DATA, _PAGE_DATA_V2 = 1, 2, 3, 5, 8
# Fields of DataPageHeader and DataPageHeaderV2
_DATA_ROWS, _DATA_ENCODING, _DATA_LEVEL_ENCODING = 1, 2, 3
_V2_ROWS, _V2_ENCODING, _V2_DEFINITION_BYTES, _V2_REPETITION_BYTES = 1, 4, 5, 6


Read = Callable[[int, int], bytes]  # (offset, length): fewer bytes where the file ends


class NotContiguous(Exception):
    """The values are compressed, dictionary-coded or encrypted: only a Parquet reader has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Leaf:
    number: int  # of its column chunk in each row group
    max_definition: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    defined: BoolArray  # (rows,): False for a null
    values: int  # where they begin in the file
    end: int


def value_positions(descriptor: int, leaf_path: str) -> tuple[Int64Array, Int64Array]:
    """Offset and length of every row's value of a BYTE_ARRAY leaf; -1 and -1 for a null.

    Returns two arrays of shape (rows,). Raises NotContiguous, and ValueError for a damaged file.
    """
    return _value_positions(_reader(descriptor), os.fstat(descriptor).st_size, leaf_path)


def value_positions_in(content: memoryview, leaf_path: str) -> tuple[Int64Array, Int64Array]:
    """The same of a file that is in memory."""

    def read(offset: int, length: int) -> bytes:
        return bytes(content[offset : offset + length])

    return _value_positions(read, len(content), leaf_path)


def _value_positions(read: Read, file_bytes: int, leaf_path: str) -> tuple[Int64Array, Int64Array]:
    footer = _read_footer(read, file_bytes)
    leaf = _find_leaf(_structs(footer, _FILE_SCHEMA), leaf_path)
    groups = _structs(footer, _FILE_ROW_GROUPS)
    rows = sum(_count(group, _GROUP_ROWS) for group in groups)
    if rows != _count(footer, _FILE_ROWS) or rows > _MAX_ROWS:
        raise ValueError(
            f"row groups state {rows:,} rows, the footer {_count(footer, _FILE_ROWS):,}"
        )
    offsets, lengths = np.full(rows, NULL), np.full(rows, NULL)
    row = 0
    for group in groups:
        at, chunk_end = _chunk_range(group, leaf, file_bytes)
        group_end = row + _count(group, _GROUP_ROWS)
        while row < group_end:
            page = _read_page(read, at, chunk_end, leaf, group_end - row)
            page_rows = slice(row, row + len(page.defined))
            found = _walk_values(read, page)
            offsets[page_rows][page.defined], lengths[page_rows][page.defined] = found
            row, at = page_rows.stop, page.end
    return offsets, lengths


# Footer


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedSize:
    """What the footer says of one leaf of one row group."""

    column: str
    values: int
    bytes: int  # unpacked


def stated_sizes(descriptor: int) -> tuple[int, list[StatedSize]]:
    """Rows of a file, and the size of every column chunk.

    Raises ValueError for a damaged footer; pyarrow ends the whole process over some of those.
    """
    try:
        footer = _read_footer(_reader(descriptor), os.fstat(descriptor).st_size)
    except NotContiguous as error:
        raise ValueError(str(error)) from error
    found = []
    for group in _structs(footer, _FILE_ROW_GROUPS):
        for chunk in _structs(group, _GROUP_COLUMNS):
            column = _struct(chunk, _CHUNK_METADATA)
            path = column.get(_COLUMN_PATH)
            if not isinstance(path, list) or not path or not isinstance(path[0], bytes):
                raise ValueError(f"a column's path is {path!r:.40}")
            found.append(
                StatedSize(
                    column=path[0].decode("utf-8", "replace"),
                    values=_count(column, _COLUMN_VALUES),
                    bytes=_count(column, _COLUMN_UNPACKED_BYTES),
                )
            )
    return _count(footer, _FILE_ROWS), found


def _read_footer(read: Read, file_bytes: int) -> Struct:
    tail = read(max(file_bytes - _TAIL_BYTES, 0), _TAIL_BYTES)
    if tail[4:] == _MAGIC_ENCRYPTED:
        raise NotContiguous("the footer is encrypted")
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length + _TAIL_BYTES > file_bytes:
        raise ValueError("it does not end as Parquet does")
    if length > _MAX_FOOTER_BYTES:
        raise ValueError(f"a footer of {length:,} bytes, at most {_MAX_FOOTER_BYTES:,} allowed")
    footer, _ = read_struct(_read(read, file_bytes - _TAIL_BYTES - length, length))
    return footer


def _find_leaf(schema: list[Struct], leaf_path: str) -> _Leaf:
    """The leaf of that dotted path in the tree of schema elements, which lies flattened."""
    matches = []
    leaves = 0
    # Of the groups that are open: children to come, names, definition and repetition level.
    above: list[tuple[int, list[bytes], int, int]] = []
    for number, element in enumerate(schema):
        while above and above[-1][0] == 0:
            above.pop()
        names: list[bytes] = []
        definition = repetition = 0
        if number > 0:  # the first is the root, which has neither name nor levels
            if not 0 < len(above) <= _MAX_SCHEMA_DEPTH:
                raise ValueError("the tree of schema elements is too deep or ends early")
            left, names_above, definition, repetition = above[-1]
            above[-1] = (left - 1, names_above, definition, repetition)
            names = [*names_above, element.get(_ELEMENT_NAME, b"")]
            kind = _count(element, _ELEMENT_REPETITION)
            definition += kind != _REQUIRED
            repetition += kind == _REPEATED
        if children := _count(element, _ELEMENT_CHILDREN, absent=0):
            above.append((children, names, definition, repetition))
        else:
            if names == leaf_path.encode().split(b"."):
                matches.append((leaves, element.get(_ELEMENT_TYPE), definition, repetition))
            leaves += 1
    if len(matches) != 1:
        raise ValueError(f"{len(matches)} columns {leaf_path}, one is needed")
    number, physical_type, definition, repetition = matches[0]
    if physical_type != _BYTE_ARRAY or repetition:
        raise ValueError(f"{leaf_path} is no column of binary values")
    return _Leaf(number=number, max_definition=definition)


def _chunk_range(group: Struct, leaf: _Leaf, file_bytes: int) -> tuple[int, int]:
    """Where the pages of a leaf begin and end within a row group."""
    chunks = _structs(group, _GROUP_COLUMNS)
    if leaf.number >= len(chunks):
        raise ValueError(f"a row group of {len(chunks)} columns, more are needed")
    chunk = chunks[leaf.number]
    if _CHUNK_CRYPTO in chunk or _CHUNK_ENCRYPTED in chunk:
        raise NotContiguous("the column is encrypted")
    metadata = _struct(chunk, _CHUNK_METADATA)
    if _CHUNK_FILE in chunk or _COLUMN_DICTIONARY in metadata:
        raise NotContiguous("the column lies in another file or has a dictionary")
    if _count(metadata, _COLUMN_CODEC) != _UNCOMPRESSED:
        raise NotContiguous("the column is compressed")
    start = _count(metadata, _COLUMN_FIRST_PAGE)
    end = start + _count(metadata, _COLUMN_BYTES)
    if end > file_bytes:
        raise ValueError(f"a column chunk ends at byte {end:,}, the file at {file_bytes:,}")
    return start, end


# Pages


def _read_page(read: Read, at: int, chunk_end: int, leaf: _Leaf, rows_left: int) -> _Page:
    header, start = _read_page_header(read, at, chunk_end)
    size = _count(header, _PAGE_STORED_BYTES)
    end = start + size
    if _count(header, _PAGE_BYTES) != size or end > chunk_end:
        raise ValueError(f"the page at byte {at:,} states sizes that cannot be")
    level_bytes = 0
    kind = _count(header, _PAGE_TYPE)
    if kind == _DATA_PAGE:
        data = _struct(header, _PAGE_DATA)
        rows = _count(data, _DATA_ROWS)
        encodings = (_count(data, _DATA_ENCODING), _count(data, _DATA_LEVEL_ENCODING))
        if leaf.max_definition:
            level_bytes = int.from_bytes(_read(read, start, 4), "little")
            start += 4
    elif kind == _DATA_PAGE_V2:
        data = _struct(header, _PAGE_DATA_V2)
        rows = _count(data, _V2_ROWS)
        encodings = (_count(data, _V2_ENCODING), _RLE)
        level_bytes = _count(data, _V2_DEFINITION_BYTES) + _count(data, _V2_REPETITION_BYTES)
    else:
        raise NotContiguous(f"a page of type {kind}")
    if encodings != (_PLAIN, _RLE):
        raise NotContiguous(f"encodings {encodings}")
    values = start + level_bytes
    if rows > rows_left or values > end:
        raise ValueError(f"the page at byte {at:,} states more rows or levels than it can hold")
    levels = _read(read, start, level_bytes)
    return _Page(defined=_defined(levels, rows, leaf.max_definition), values=values, end=end)


def _read_page_header(read: Read, at: int, chunk_end: int) -> tuple[Struct, int]:
    """The header at `at` and where it ends."""
    longest = min(_MAX_HEADER_BYTES, chunk_end - at)
    length = min(_HEADER_READ, longest)
    while True:
        try:
            header, header_bytes = read_struct(_read(read, at, length))
        except Incomplete:
            if length == longest:
                raise
            length = min(8 * length, longest)
        else:
            return header, at + header_bytes


def _defined(levels: bytes, rows: int, max_definition: int) -> BoolArray:
    """Which of a page's rows are not null, from the hybrid of runs and packed bits."""
    if max_definition == 0:
        return np.ones(rows, np.bool_)
    width = max_definition.bit_length()
    found = np.empty(rows, np.uint8)
    row = at = 0
    while row < rows:
        try:
            head, at = read_varint(levels, at)
        except IndexError:
            raise ValueError(f"definition levels of {row:,} rows, {rows:,} needed") from None
        if head & 1:  # groups of eight, packed
            packed = levels[at : at + (head >> 1) * width]
            at += (head >> 1) * width
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
            by_row = bits[: len(bits) // width * width].reshape(-1, width)
            run = np.packbits(by_row, axis=1, bitorder="little")[: rows - row, 0]
        else:
            run = np.frombuffer(levels[at : at + 1], np.uint8).repeat(min(head >> 1, rows - row))
            at += 1
        if not len(run):
            raise ValueError("an empty run of definition levels")
        found[row : row + len(run)] = run
        row += len(run)
    if found.max(initial=0) > max_definition:
        raise ValueError(f"a definition level above {max_definition}")
    defined: BoolArray = found == max_definition
    return defined


def _walk_values(read: Read, page: _Page) -> tuple[list[int], list[int]]:
    """Offsets and lengths of a page's values: each follows its length, in four bytes."""
    offsets, lengths = [], []
    at = page.values
    for _ in range(int(page.defined.sum())):
        length = int.from_bytes(read(at, 4), "little")
        at += 4
        offsets.append(at)
        lengths.append(length)
        at += length
        if at > page.end:
            break
    if at != page.end:
        raise ValueError(f"the values before byte {page.end:,} do not fill their page")
    return offsets, lengths


# Bytes and Thrift fields, none of them trusted


def _reader(descriptor: int) -> Read:
    return lambda offset, length: os.pread(descriptor, length, offset)


def _read(read: Read, offset: int, length: int) -> bytes:
    data = read(offset, length)
    if len(data) != length:
        raise ValueError(f"{length:,} bytes at byte {offset:,} are not there")
    return data


def _count(struct: Struct, field: int, absent: int | None = None) -> int:
    value = struct.get(field, absent)
    if type(value) is not int or value < 0:  # a bool is no count
        raise ValueError(f"field {field} is {value!r}, need a count")
    return value


def _struct(struct: Struct, field: int) -> Struct:
    value = struct.get(field)
    if not isinstance(value, dict):
        raise ValueError(f"field {field} is {value!r:.40}, need a structure")
    return value


def _structs(struct: Struct, field: int) -> list[Struct]:
    value = struct.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"field {field} is {value!r:.40}, need a list of structures")
    return value
