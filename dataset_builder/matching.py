"""Near duplicates of a plan's rows: perceptual hashes propose, thumbnails decide."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
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
    """Holds the thumbnails of all rows in a file of the scratch folder, not in memory.

    Hashes of shards are kept in the folder `cache`, where one is given.
    """

    def __init__(self, rows: Rows, scratch: Path, cache: Path | None = None) -> None:
        self.rows = rows
        self.path = scratch / "thumbnails"
        self.cache = cache
        self._gathered: tuple[NDArray[np.uint8], NDArray[np.uint64]] | None = None

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

    def _gather(self) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """(rows, 1024) gray levels and (rows, 4) hash variants, in the order of the rows."""
        rows = self.rows
        shape = (max(1, len(rows)), THUMBNAIL_BYTES)
        with storing(self.path), self.path.open("wb") as empty:
            # On a full disk a page that is first written in memory would end the process.
            os.posix_fallocate(empty.fileno(), 0, shape[0] * THUMBNAIL_BYTES)
        with storing(self.path):
            thumbnails = np.memmap(self.path, np.uint8, "r+", shape=shape)
        hashes = np.empty((len(rows), 4), np.uint64)
        order = np.argsort(rows.file, kind="stable")
        bounds = np.searchsorted(rows.file[order], np.arange(len(rows.files) + 1))

        known = read_hashes(self.cache) if self.cache else {}

        def gather(number: int) -> tuple[str, Hashes]:
            file = rows.files[number]
            chosen = order[bounds[number] : bounds[number + 1]]
            phash, found = read_thumbnails(file.path)
            of_file = known.get(file.fingerprint)
            if of_file is None or len(of_file) != len(phash):
                of_file = hash_variants(phash, found)
            thumbnails[chosen] = found[rows.row[chosen]]
            hashes[chosen] = of_file[rows.row[chosen]]
            return file.fingerprint, of_file

        with ThreadPoolExecutor(available_cores()) as pool:
            gathered = dict(pool.map(gather, range(len(rows.files))))
        if self.cache and gathered.keys() != known.keys():
            write_hashes(self.cache, gathered)
        return thumbnails, hashes


class _Chosen:
    """Some rows of the thumbnails, read where they are asked for."""

    def __init__(self, thumbnails: NDArray[np.uint8], chosen: Indices) -> None:
        self.thumbnails = thumbnails
        self.chosen = chosen

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        return np.asarray(self.thumbnails[self.chosen[places]])

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
