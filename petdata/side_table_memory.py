"""Parts of side tables unpacked without running out of memory over what a hostile one promises.

A few bytes of Parquet may say a long string a million times. So what the footer states is looked at
first; then texts are read as dictionaries and their size worked out before they are unpacked; lists
and structs, where pyarrow cannot do that, are read a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from petdata.errors import CorruptFile
from petdata.parquet_pages import stated_sizes
from petdata.side_table_checks import MAX_ROWS, MAX_TEXT_BYTES, UNREADABLE

MAX_PART_BYTES: Final = 4 * 2**30  # of one part, in memory
MAX_VALUES: Final = 500_000_000  # of one leaf of one row group
_FEW_ROWS: Final = 1_024


def require_plausible(path: Path, names: Sequence[str]) -> None:
    """What a file's own figures forbid, before anything of it is unpacked. Raises CorruptFile."""
    try:
        with path.open("rb") as file:
            rows, sizes = stated_sizes(file.fileno())
    except UNREADABLE as error:
        raise CorruptFile(f"{path} cannot be read as Parquet: {error}") from error
    own = [size for size in sizes if size.column in names]
    size = sum(stated.bytes for stated in own)
    values = max((stated.values for stated in own), default=0)
    if rows > MAX_ROWS or size > MAX_PART_BYTES or values > MAX_VALUES:
        raise CorruptFile(
            f"{path} states {rows:,} rows, {values:,} values in a column and {size / 2**30:.1f} "
            "GiB: it is no side table"
        )


def require_size(path: Path, size: int) -> None:
    if size > MAX_PART_BYTES:
        raise CorruptFile(f"{path} holds {size / 2**30:.1f} GiB: it is no side table")


def unpack(path: Path, file: pq.ParquetFile, group: int, schema: pa.Schema) -> pa.Table:
    """These columns of one row group; `file` was opened to read texts as dictionaries."""
    nested = [column.name for column in schema if pa.types.is_nested(column.type)]
    flat = [name for name in schema.names if name not in nested]
    packed = file.read_row_group(group, flat)
    packed.validate(full=True)
    columns = {name: packed[name] for name in flat}
    require_size(path, sum(_unpacked_bytes(path, column) for column in columns.values()))
    if nested:
        columns |= _a_few_at_a_time(path, file, group, nested)
    table = pa.table([columns[name] for name in schema.names], names=schema.names)
    return table.cast(schema)


def _unpacked_bytes(path: Path, column: pa.ChunkedArray) -> int:
    size = 0
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            continue
        lengths = np.asarray(pc.fill_null(pc.binary_length(chunk.dictionary), 0), np.int64)
        if len(lengths) and lengths.max() > MAX_TEXT_BYTES:
            raise CorruptFile(
                f"{path} has a text of {lengths.max():,} bytes, {MAX_TEXT_BYTES:,} are the most"
            )
        if len(lengths):
            size += int(lengths[np.asarray(chunk.indices.drop_null())].sum())
    return size


def _a_few_at_a_time(
    path: Path, file: pq.ParquetFile, group: int, names: Sequence[str]
) -> dict[str, pa.ChunkedArray]:
    batches, size = [], 0
    for batch in file.iter_batches(_FEW_ROWS, row_groups=[group], columns=list(names)):
        size += batch.nbytes
        require_size(path, size)
        batches.append(batch)
    table = pa.Table.from_batches(batches) if batches else file.read_row_group(group, list(names))
    return {name: table[name].combine_chunks() for name in names}
