"""Near duplicates of a plan's rows: perceptual hashes propose, thumbnails decide."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_builder.appearances import NO_MATCHES, Indices, Matches
from dataset_builder.detection_power import detection_power
from dataset_builder.hamming_join import available_cores
from dataset_builder.hash_cache import read_hashes, write_hashes
from dataset_builder.hash_variants import Hashes, hash_variants
from dataset_builder.inputs import Rows
from dataset_builder.near_duplicates import Pictures, near_duplicates
from dataset_builder.plan import Plan
from dataset_builder.writing import corrupt_shard
from petdata.byte_index import PhotoReader
from petdata.errors import CorruptFile
from petdata.perceptual_hash import THUMBNAIL_BYTES
from petdata.shards import storing
from petdata.workspace import write_whole

SAMPLE: Final = 100  # photos that detection is measured on


class ThumbnailMatcher:
    """Holds thumbnails in a file of the scratch folder, not in memory.

    Hashes of shards are kept in the folder `cache`, where one is given; thumbnails of a shard whose
    hashes are known are read when the first of them is asked for.
    """

    def __init__(self, rows: Rows, scratch: Path, cache: Path | None = None) -> None:
        self.rows = rows
        self.path = scratch / "thumbnails"
        self.cache = cache
        self._gathered: tuple[_Thumbnails, Hashes] | None = None

    def __call__(self, first: Indices, second: Indices | None, bits: int) -> Matches:
        if not len(first) or (second is not None and not len(second)):
            return NO_MATCHES
        others = self._pictures(second) if second is not None else None
        found = list(near_duplicates(self._pictures(first), others, bits))
        if not found:
            return NO_MATCHES
        one = np.concatenate([part.one for part in found])
        other = np.concatenate([part.other for part in found])
        return Matches(first[one], (first if second is None else second)[other])

    def _pictures(self, chosen: Indices) -> Pictures:
        if self._gathered is None:
            self._gathered = self._gather()
        thumbnails, hashes = self._gathered
        return Pictures(hashes[chosen], cast(Any, _Chosen(thumbnails, chosen)))

    def _gather(self) -> tuple[_Thumbnails, Hashes]:
        """The thumbnails, and (rows, 4) hash variants in the order of the rows."""
        rows = self.rows
        thumbnails = _Thumbnails(rows, self.path)
        hashes = np.empty((len(rows), 4), np.uint64)
        known = read_hashes(self.cache) if self.cache else {}

        def gather(number: int) -> tuple[str, Hashes]:
            file = rows.files[number]
            of_file = known.get(file.fingerprint)
            if of_file is None or len(of_file) != file.rows:
                of_file = hash_variants(*thumbnails.read(number))
            chosen = thumbnails.rows_of(number)
            hashes[chosen] = of_file[rows.row[chosen]]
            return file.fingerprint, of_file

        with ThreadPoolExecutor(available_cores()) as pool:
            gathered = dict(pool.map(gather, range(len(rows.files))))
        if self.cache and gathered.keys() != known.keys():
            write_hashes(self.cache, gathered)
        return thumbnails, hashes


class _Thumbnails:
    """(rows, 1024) gray levels in a file, each shard's brought there when it is needed."""

    def __init__(self, rows: Rows, path: Path) -> None:
        self._rows = rows
        self._order = np.argsort(rows.file, kind="stable")
        self._bounds = np.searchsorted(rows.file[self._order], np.arange(len(rows.files) + 1))
        self._there = np.zeros(len(rows.files), np.bool_)
        self._locks = [Lock() for _ in rows.files]
        shape = (max(1, len(rows)), THUMBNAIL_BYTES)
        with storing(path), path.open("wb") as empty:
            # On a full disk a page that is first written in memory would end the process.
            os.posix_fallocate(empty.fileno(), 0, shape[0] * THUMBNAIL_BYTES)
        with storing(path):
            self._all = np.memmap(path, np.uint8, "r+", shape=shape)

    def rows_of(self, number: int) -> Indices:
        """Of a shard."""
        return self._order[self._bounds[number] : self._bounds[number + 1]]

    def read(self, number: int) -> tuple[Hashes, NDArray[np.uint8]]:
        """Bring a shard's thumbnails here. Returns all of the shard, with their hashes."""
        phash, found = read_thumbnails(self._rows.files[number].path)
        chosen = self.rows_of(number)
        self._all[chosen] = found[self._rows.row[chosen]]
        self._there[number] = True
        return phash, found

    def __getitem__(self, chosen: Indices) -> NDArray[np.uint8]:
        for number in np.unique(self._rows.file[chosen]).tolist():
            if not self._there[number]:
                with self._locks[number]:
                    if not self._there[number]:
                        self.read(number)
        return np.asarray(self._all[chosen])


class _Chosen:
    """Some rows of the thumbnails, read where they are asked for."""

    def __init__(self, thumbnails: _Thumbnails, chosen: Indices) -> None:
        self.thumbnails = thumbnails
        self.chosen = chosen

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        found = self.thumbnails[np.atleast_1d(self.chosen[places])]
        return found if np.ndim(places) else found[0]

    def __len__(self) -> int:
        return len(self.chosen)


def read_thumbnails(path: Path) -> tuple[Hashes, NDArray[np.uint8]]:
    """Hash and (rows, 1024) gray levels of a shard; zeros where a row has none.

    Raises CorruptFile.
    """
    columns = ["phash", "thumbnail"]
    try:
        table = pq.read_table(path, columns=columns, use_threads=False, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path}: {error}: restore it from a copy") from error
    column = table["thumbnail"]
    found = np.zeros((len(column), THUMBNAIL_BYTES), np.uint8)
    start = 0
    for chunk in column.chunks:
        lengths = np.diff(np.frombuffer(chunk.buffers()[1], np.int32)[: len(chunk) + 1])
        for index in np.flatnonzero((lengths != THUMBNAIL_BYTES) & (lengths != 0)):
            raise CorruptFile(f"{path}, row {start + index}: the thumbnail is not 1,024 bytes")
        data = np.frombuffer(chunk.buffers()[2], np.uint8)
        offset = np.frombuffer(chunk.buffers()[1], np.int32)
        whole = np.flatnonzero(lengths)
        found[start + whole] = data[offset[0] : offset[len(chunk)]].reshape(-1, THUMBNAIL_BYTES)
        start += len(chunk)
    return np.asarray(table["phash"].to_numpy(), np.uint64), found


def detection(plan: Plan, cache: Path) -> dict[str, Any] | None:
    """How much of what is planted the gate finds, on a sample of the kept photos.

    Measured once for equal samples; what was measured lies in the folder `cache`.
    """
    rows = plan.rows
    kept = np.flatnonzero(plan.kept)
    if not len(kept):
        return None
    chosen = kept[np.unique(np.linspace(0, len(kept) - 1, SAMPLE).astype(np.int64))]
    hashes = rows.sha256.take(pa.array(chosen)).to_pylist()
    key = hashlib.sha256(json.dumps([plan.options.leak_bits, *hashes]).encode()).hexdigest()
    path = cache / f"detection-{key[:32]}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    reader = PhotoReader([file.path for file in rows.files])
    photos = []
    for place, sha256 in zip(chosen.tolist(), hashes, strict=True):
        file, row = int(rows.file[place]), int(rows.row[place])
        jpeg = reader.read(file, row)
        if jpeg is None or hashlib.sha256(jpeg).hexdigest() != sha256:
            what = f"row {row}: the photo is not the one that was collected"
            raise corrupt_shard(rows.files[file].path, what)
        photos.append(jpeg)
    measured = asdict(detection_power(photos, plan.options.leak_bits))
    write_whole(path, json.dumps(measured).encode())
    return measured
