"""Shards: Parquet files of photos, written whole, read as a stream. docs/record.md has the layout.

The leaf image.bytes is PLAIN and uncompressed, with neither dictionary nor statistics: every JPEG
is a contiguous run of bytes that petdata.byte_index can point at.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from petdata.errors import CorruptFile, RejectedPhoto, StorageFailure
from petdata.jpeg import DEFAULT_LIMITS, Limits, canonicalise
from petdata.perceptual_hash import THUMBNAIL_BYTES, THUMBNAIL_SIDE, perceptual_hash
from petdata.records import SCHEMA_VERSION, SHARD_SCHEMA, Photo, from_row, to_row
from petdata.workspace import sync_folder

# A row group ends at whichever comes first. docs/record.md gives the reasons.
ROW_GROUP_BYTES: Final = 16 * 2**20  # of JPEG
ROW_GROUP_ROWS: Final = 1_000

IMAGE_LEAF: Final = "image.bytes"
_LEAVES: Final = tuple(
    leaf
    for column in SHARD_SCHEMA
    for leaf in ([IMAGE_LEAF, "image.path"] if column.name == "image" else [column.name])
)
# A dictionary of values that occur once is only overhead.
_UNIQUE: Final = {
    *(IMAGE_LEAF, "image.path", "photo_id", "sha256", "original_sha256"),
    *("phash", "thumbnail", "fetched_at"),
}
LAYOUT: Final[dict[str, Any]] = {
    "compression": {leaf: "none" if leaf == IMAGE_LEAF else "zstd" for leaf in _LEAVES},
    "use_dictionary": [leaf for leaf in _LEAVES if leaf not in _UNIQUE],
    "write_statistics": [leaf for leaf in _LEAVES if leaf != IMAGE_LEAF],
    "write_page_checksum": False,  # the fingerprint and sha256 tell more, once, when verifying
    "data_page_size": 2**30,  # never reached: one page for each row group and leaf
}

_READ_ROWS: Final = 32  # rows that are Python objects at a time
# Gray levels, on average: releases of libjpeg-turbo differ by less than one, pictures by far more.
_MAX_THUMBNAIL_DIFFERENCE: Final = 4.0
_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """What the ledger records of a shard, and `verify_shard` holds it to."""

    name: str
    rows: int
    bytes: int
    fingerprint: str


def write_shard(path: Path, photos: Iterable[Photo]) -> ShardInfo:
    """Write all photos, in their order, into one file that is durable on return.

    `path` is replaced as a whole or not touched; memory stays at a few row groups. Raises
    StorageFailure where the disk is full or broken, and whatever `photos` raises.
    """
    rows = 0
    digest = hashlib.sha256()
    with whole_file(path) as file:
        writer = pq.ParquetWriter(file, SHARD_SCHEMA, **LAYOUT)
        try:
            for group in _row_groups(photos):
                rows += len(group)
                for photo in group:
                    digest.update(_logical_content(photo))
                batch = pa.RecordBatch.from_pylist([to_row(photo) for photo in group], SHARD_SCHEMA)
                with storing(path):
                    writer.write_batch(batch)
            with storing(path):
                writer.close()
        finally:
            writer.is_open = False  # after a failure its destructor would try to go on writing
    with storing(path):
        size = path.stat().st_size
    return ShardInfo(name=path.name, rows=rows, bytes=size, fingerprint=digest.hexdigest())


def fingerprint(photos: Iterable[Photo]) -> str:
    """SHA-256 of what the rows say and of their order, however a file stores them."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(_logical_content(photo))
    return digest.hexdigest()


def read_photos(paths: Iterable[Path], *, with_image: bool = True) -> Iterator[Photo]:
    """Stream the rows of shards; memory stays at one row group.

    Raises CorruptFile, naming file and row, where a file is not what `write_shard` writes.
    """
    for path in paths:
        yield from _read_shard(path, with_image)


def read_photo(path: Path, row: int) -> Photo:
    """One row of a shard, through its whole row group."""
    file = open_shard(path)
    start = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start <= row < start + rows:
            try:
                record = file.read_row_group(group, use_threads=False).slice(row - start, 1)
                return from_row(record.to_pylist()[0])
            except (*_UNREADABLE, IndexError) as error:
                raise _corrupt_row(path, row, error) from error
        start += rows
    raise CorruptFile(f"{path}: there is no row {row}, the file has {start:,}")


def verify_shard(
    path: Path, recorded: ShardInfo | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[str]:
    """What is wrong with a shard, as sentences; nothing where all is well.

    Reads and decodes every photo, and compares hashes, sizes and ids with its bytes. Only what was
    `recorded` when the shard was written tells whether titles, dates and the like are still those.
    """
    seen: set[tuple[str, int | None]] = set()
    rows = 0
    digest = hashlib.sha256()
    try:
        for row, photo in enumerate(_read_shard(path, with_image=True)):
            rows += 1
            digest.update(_logical_content(photo))
            problems = list(photo_problems(photo, limits))
            key = (photo.photo_id, photo.listing_version)
            if key in seen:
                problems.append("stands in the shard twice")
            seen.add(key)
            for problem in problems:
                yield f"{path}, row {row} ({photo.photo_id}): {problem}"
    except CorruptFile as error:
        yield str(error)
        return
    if recorded is not None:
        size = path.stat().st_size
        found = ShardInfo(name=path.name, rows=rows, bytes=size, fingerprint=digest.hexdigest())
        yield from _differences(path, found, recorded)


def photo_problems(photo: Photo, limits: Limits = DEFAULT_LIMITS) -> Iterator[str]:
    """Where a photo's ids, hashes, sizes and thumbnail are not those of its bytes."""
    yield from _id_problems(photo)
    yield from _image_problems(photo, limits)


# Writing


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that stands at `path`, durable, once the block has ended; on an error none is left."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with storing(path):
            file = temporary.open("wb")
        try:
            yield file
            with storing(path):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(OSError):  # flushed above, or of no more use
                file.close()
        with storing(path):
            temporary.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailure(
            f"cannot write {path}: {error.strerror or error}. What is committed is safe: make room "
            "or check the disk, then start again"
        ) from error


def _row_groups(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    group: list[Photo] = []
    size = 0
    for photo in photos:
        group.append(photo)
        size += len(photo.image or b"")
        if size >= ROW_GROUP_BYTES or len(group) == ROW_GROUP_ROWS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _logical_content(photo: Photo) -> bytes:
    """The row as one line of JSON.

    Nulls are left out, so that a column added later changes no fingerprint. The image stands in it
    by its SHA-256; floats are rounded to the float32 that is stored.
    """
    row = {name: value for name, value in to_row(photo).items() if value is not None}
    if "image" in row:
        row["image"] = True
    for name in ("latitude", "longitude"):
        if name in row:
            row[name] = float(np.float32(row[name]))
    return json.dumps(row, sort_keys=True, default=_as_text).encode() + b"\n"


def _as_text(value: bytes | date) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return value.isoformat()


# Reading


def open_shard(path: Path) -> pq.ParquetFile:
    """Raises CorruptFile for what is no Parquet, or has another schema."""
    try:
        file = pq.ParquetFile(
            path, pre_buffer=False, buffer_size=2**20, page_checksum_verification=True
        )
        schema = file.schema_arrow
    except _UNREADABLE as error:
        raise CorruptFile(
            f"{path} cannot be read as Parquet ({error}): restore it from a copy, or delete it and "
            "collect or build it again"
        ) from error
    _check_schema(path, schema)
    return file


def _check_schema(path: Path, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(b"petdata.schema_version", b"").decode(errors="replace")
    known = SCHEMA_VERSION.split(".")[0]
    if not version:
        raise CorruptFile(f"{path} states no petdata.schema_version: it is not a shard of petdata")
    if version.split(".")[0] != known:
        raise CorruptFile(
            f"{path} has schema version {version}, this petdata reads {known}.x: "
            "use the petdata that wrote it, or a newer one"
        )
    for column in SHARD_SCHEMA:
        found = schema.get_all_field_indices(column.name)
        if len(found) != 1:
            raise CorruptFile(f"{path} has {len(found)} columns {column.name}, need one")
        field = schema.field(found[0])
        if field.type != column.type or (field.nullable and not column.nullable):
            raise CorruptFile(f"{path}: column is {field}, need {column}: write the shard again")


def _read_shard(path: Path, with_image: bool) -> Iterator[Photo]:
    file = open_shard(path)
    columns = [name for name in SHARD_SCHEMA.names if with_image or name != "image"]
    batches = file.iter_batches(batch_size=_READ_ROWS, columns=columns, use_threads=False)
    row = 0
    while True:
        try:
            batch = next(batches, None)
        except _UNREADABLE as error:
            raise _corrupt_row(path, row, error) from error
        if batch is None:
            break
        yield from _photos(path, row, batch)
        row += batch.num_rows
    if row != file.metadata.num_rows:
        raise CorruptFile(f"{path} states {file.metadata.num_rows:,} rows and holds {row:,}")


def _photos(path: Path, first_row: int, batch: pa.RecordBatch) -> Iterator[Photo]:
    try:
        records = batch.to_pylist()
    except _UNREADABLE:  # some row of the batch: going one by one finds it
        records = []
    for index in range(batch.num_rows):
        try:
            record = records[index] if records else batch.slice(index, 1).to_pylist()[0]
            photo = from_row({"image": None, **record})
        except _UNREADABLE as error:
            raise _corrupt_row(path, first_row + index, error) from error
        yield photo


def _corrupt_row(path: Path, row: int, error: Exception) -> CorruptFile:
    return CorruptFile(f"{path}, row {row}: {error}: restore the file from a copy")


# Verifying


def _differences(path: Path, found: ShardInfo, recorded: ShardInfo) -> Iterator[str]:
    if found.rows != recorded.rows:
        yield f"{path}: {found.rows:,} rows, {recorded.rows:,} were written"
    if found.bytes != recorded.bytes:
        yield f"{path}: {found.bytes:,} bytes, {recorded.bytes:,} were written"
    if found.fingerprint != recorded.fingerprint:
        yield (
            f"{path}: the rows are not those that were written: fingerprint "
            f"{found.fingerprint[:16]}, recorded {recorded.fingerprint[:16]}; restore the file "
            "from a copy"
        )


def _id_problems(photo: Photo) -> Iterator[str]:
    if photo.photo_id != f"{photo.identity_id}/{photo.sha256[:12]}":
        yield f"photo_id is not {photo.identity_id}/ and the start of sha256 {photo.sha256}"
    if not photo.identity_id.startswith(f"{photo.source}/"):
        yield f"identity_id {photo.identity_id} does not begin with source {photo.source}"


def _image_problems(photo: Photo, limits: Limits) -> Iterator[str]:
    if photo.thumbnail is None or len(photo.thumbnail) != THUMBNAIL_BYTES:
        yield f"the thumbnail has {len(photo.thumbnail or b'')} bytes, not {THUMBNAIL_BYTES:,}"
        return
    thumbnail = np.frombuffer(photo.thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    if (phash := perceptual_hash(thumbnail)) != photo.phash:
        yield f"phash is {photo.phash:016x}, that of the thumbnail {phash:016x}"
    if photo.image is None:
        return
    if (sha256 := hashlib.sha256(photo.image).hexdigest()) != photo.sha256:
        yield f"sha256 is {photo.sha256}, that of the image {sha256}"
        return
    try:
        canonical = canonicalise(photo.image, limits)
    except RejectedPhoto as error:
        yield f"the image does not decode: {error}"
        return
    if canonical.jpeg != photo.image:
        yield "the image is not canonical: it has metadata, a trailer or an orientation"
    if (canonical.width, canonical.height) != (photo.width, photo.height):
        size, stated = (canonical.width, canonical.height), (photo.width, photo.height)
        yield f"the image is {size}, width and height say {stated}"
    difference = np.frombuffer(canonical.thumbnail, np.uint8).astype(int) - thumbnail.ravel()
    if np.abs(difference).mean() > _MAX_THUMBNAIL_DIFFERENCE:
        yield "the thumbnail is not of this image"
