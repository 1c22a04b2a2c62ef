"""Planned files become Parquet: rows from the shards, pixels by the byte index."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock, local
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.appearances import Indices
from dataset_builder.hamming_join import available_cores
from dataset_builder.inputs import PRIVATE, TEXTS, Rows
from dataset_builder.layout import PlannedFile
from dataset_builder.plan import Plan
from petdata.byte_index import ByteIndex, PhotoReader, index_content
from petdata.errors import CorruptFile, StorageFailure
from petdata.records import IMAGE_TYPE, SHARD_SCHEMA
from petdata.shards import LAYOUT, ROW_GROUP_BYTES, ROW_GROUP_ROWS, storing, whole_file
from petdata.uncached import whole_pages, write_uncached
from petdata.workspace import make_folder, sync_folder

TABLES_AT_ONCE: Final = 48  # shards whose columns are in memory, some 3 MB each
# Beside the photos; a file that needs more is made again in twice the memory.
_ROW_BYTES: Final = 2_000
_FILE_BYTES: Final = 2**20
_COLUMNS: Final = [name for name in SHARD_SCHEMA.names if name != "image"]


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """What the manifest says of a data file."""

    rows: int
    bytes: int
    sha256: str
    fingerprint: str


class FileWriter:
    """Writes the files of one plan."""

    def __init__(self, plan: Plan, published: Sequence[str]) -> None:
        self.plan = plan
        self.published = published
        self.indexes: dict[str, ByteIndex] = {}  # of the files that were written
        self.reader = PhotoReader([file.path for file in plan.rows.files])
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._reading = Lock()
        self._of_thread = local()
        self._private = np.array([level.is_private(plan.options) for level in plan.rows.levels])

    def write_all(self, files: Sequence[tuple[PlannedFile, Path]]) -> Iterator[WrittenFile]:
        """In the order given; some at a time, since a disk is slow to say that all is there."""
        if len(files) == 1:
            yield self.write(*files[0])
            return
        with ThreadPoolExecutor(available_cores() + 1) as pool:
            waiting = [pool.submit(self.write, planned, path) for planned, path in files]
            try:
                for future in waiting:
                    yield future.result()
            finally:
                for future in waiting:
                    future.cancel()

    def write(self, planned: PlannedFile, path: Path) -> WrittenFile:
        """Raises CorruptFile, naming the shard, where its pixels are not what they were."""
        make_folder(path.parent)
        memory = self._memory_of_thread()
        size = self._fill(memory, planned)
        with memoryview(memory.file)[:size] as content:
            self.indexes[planned.path] = index_content(content)
            sha256 = hashlib.sha256(content).hexdigest()
        with whole_file(path) as file, storing(path):
            write_uncached(file, memory.file, size)
        path.chmod(0o444)
        return WrittenFile(
            rows=len(planned.rows), bytes=size, sha256=sha256, fingerprint=planned.fingerprint
        )

    def _memory_of_thread(self) -> _Memory:
        if not hasattr(self._of_thread, "memory"):
            self._of_thread.memory = _Memory()
        memory: _Memory = self._of_thread.memory
        return memory

    def _fill(self, memory: _Memory, planned: PlannedFile) -> int:
        """Make the whole file in memory; returns its bytes."""
        rows = planned.rows
        expected = int(self.plan.rows.bytes[rows].sum()) + _ROW_BYTES * len(rows) + _FILE_BYTES
        while True:
            memory.require(expected)
            try:
                return self._written_to(
                    pa.FixedSizeBufferWriter(pa.py_buffer(memory.file)), memory, rows
                )
            except _Full:
                expected = 2 * len(memory.file)

    def _written_to(self, sink: pa.NativeFile, memory: _Memory, rows: Indices) -> int:
        writer = pq.ParquetWriter(sink, SHARD_SCHEMA, **LAYOUT)
        try:
            for part in _row_groups(self.plan.rows, rows):
                table = self._table(part, memory.pixels)
                with _finding_room():
                    writer.write_table(table, row_group_size=len(part))
            with _finding_room():
                writer.close()
        finally:
            writer.is_open = False
        return int(sink.tell())

    def _table(self, part: Indices, pixels: _Pixels) -> pa.Table:
        rows = self.plan.rows
        columns = self._columns_of(part)
        ids = [self.published[identity] for identity in rows.identity[part].tolist()]
        hashes = columns["sha256"].to_pylist()
        photo_ids = [f"{id}/{sha256[:12]}" for id, sha256 in zip(ids, hashes, strict=True)]
        replaced: dict[str, Any] = {
            "photo_id": pa.array(photo_ids, pa.string()),
            "identity_id": pa.array(ids, pa.string()),
            "image": self._images(part, pixels, photo_ids, hashes),
        }
        hidden = pa.array(self._private[rows.level[part]])
        for name in PRIVATE:
            nothing = pa.scalar(None, columns.schema.field(name).type)
            replaced[name] = pa.compute.if_else(hidden, nothing, columns[name])
        if not self.plan.options.keep_text:
            for name in TEXTS:
                replaced[name] = pa.nulls(len(part), columns.schema.field(name).type)
        return pa.table(
            [replaced[n] if n in replaced else columns[n] for n in SHARD_SCHEMA.names],
            schema=SHARD_SCHEMA,
        )

    def _columns_of(self, part: Indices) -> pa.Table:
        """The rows' columns but for the pixels, in the order asked for."""
        rows = self.plan.rows
        files, places = rows.file[part], rows.row[part]
        numbers = np.unique(files)
        if len(numbers) == 1:
            return self._shard(int(numbers[0])).take(pa.array(places)).combine_chunks()
        order = np.argsort(files, kind="stable")
        tables = [
            self._shard(int(number)).take(pa.array(places[order][files[order] == number]))
            for number in numbers
        ]
        back = np.empty(len(part), np.int64)
        back[order] = np.arange(len(part))
        return pa.concat_tables(tables).combine_chunks().take(pa.array(back))

    def _shard(self, number: int) -> pa.Table:
        with self._reading:
            return self._read_shard(number)

    def _read_shard(self, number: int) -> pa.Table:
        if number in self._tables:
            self._tables.move_to_end(number)
            return self._tables[number]
        path = self.plan.rows.files[number].path
        try:
            table = pq.read_table(path, columns=_COLUMNS, use_threads=False, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise corrupt_shard(path, str(error)) from error
        self._tables[number] = table
        if len(self._tables) > TABLES_AT_ONCE:
            self._tables.popitem(last=False)
        return table

    def _images(
        self, part: Indices, pixels: _Pixels, photo_ids: Sequence[str], hashes: Sequence[str]
    ) -> pa.Array:
        rows = self.plan.rows
        room = pixels.room(rows.bytes[part])
        for index, sha256, place in zip(part.tolist(), hashes, room, strict=True):
            file, row = int(rows.file[index]), int(rows.row[index])
            whole = self.reader.read_into(file, row, place)
            if not whole or hashlib.sha256(place).hexdigest() != sha256:
                path = rows.files[file].path
                raise corrupt_shard(path, f"row {row}: the photo is not the one that was collected")
        paths = [f"{photo_id}.jpg" for photo_id in photo_ids]
        return pa.StructArray.from_arrays(
            [pixels.array, pa.array(paths, pa.string())], fields=list(IMAGE_TYPE)
        )


class _Pixels:
    """JPEGs of one row group at a time, in memory that the next one takes over."""

    def __init__(self) -> None:
        self._memory = whole_pages(0)
        self.array = pa.array([], pa.binary())

    def room(self, sizes: Indices) -> Iterator[memoryview]:
        """Where each JPEG of the next array belongs, which is whole when all are there."""
        ends = np.cumsum(sizes)
        if len(self._memory) < ends[-1]:
            self._memory = whole_pages(int(ends[-1] * 5 // 4))
        offsets = np.r_[0, ends].astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._memory)]
        self.array = pa.Array.from_buffers(pa.binary(), len(sizes), buffers)
        places = memoryview(self._memory)
        return (places[a:b] for a, b in pairwise(offsets.tolist()))


class _Memory:
    """What a thread uses again for every file: fresh memory costs more than filling it."""

    def __init__(self) -> None:
        self.pixels = _Pixels()
        self.file = whole_pages(0)

    def require(self, size: int) -> None:
        if len(self.file) < size:
            self.file = whole_pages(size)


class _Full(Exception):
    """The rows say more beside their photos than was expected."""


@contextmanager
def _finding_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if "out of bounds" not in str(error):
            raise
        raise _Full from error


def _row_groups(rows: Rows, chosen: Indices) -> Iterator[Indices]:
    start, size = 0, 0
    for place, length in enumerate(rows.bytes[chosen].tolist()):
        size += length
        if size >= ROW_GROUP_BYTES or place - start + 1 == ROW_GROUP_ROWS:
            yield chosen[start : place + 1]
            start, size = place + 1, 0
    if start < len(chosen):
        yield chosen[start:]


def corrupt_shard(path: Path, what: str) -> CorruptFile:
    return CorruptFile(
        f"{path}: {what}: restore it from a copy, or collect or import it again; nothing else is "
        "affected"
    )


def link_or_copy(source: Path, target: Path) -> None:
    """Let one file stand in two releases; a copy where links are not possible."""
    make_folder(target.parent)
    try:
        os.link(source, target)
    except OSError:
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            shutil.copyfile(source, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o444)
            temporary.replace(target)
        except OSError as error:
            raise StorageFailure(f"cannot write {target}: {error.strerror}") from error
    sync_folder(target.parent)
