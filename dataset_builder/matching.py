"""Near duplicates of a plan's rows: perceptual hashes propose, thumbnails decide."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_builder.appearances import NO_MATCHES, Indices, Matches
from dataset_builder.detection_power import detection_power
from dataset_builder.hash_variants import hash_variants
from dataset_builder.inputs import Rows
from dataset_builder.near_duplicates import Pictures, near_duplicates
from dataset_builder.plan import Plan
from petdata.byte_index import PhotoReader
from petdata.errors import CorruptFile
from petdata.perceptual_hash import THUMBNAIL_BYTES
from petdata.shards import storing
from petdata.workspace import write_whole

SAMPLE: Final = 100  # photos that detection is measured on


class ThumbnailMatcher:
    """Holds the thumbnails of all rows in a file of the scratch folder, not in memory."""

    def __init__(self, rows: Rows, scratch: Path) -> None:
        self.rows = rows
        self.path = scratch / "thumbnails"
        self._thumbnails: NDArray[np.uint8] | None = None
        self._hashes: NDArray[np.uint64] | None = None

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
        return Pictures(self.hashes[chosen], cast(Any, _Chosen(self.thumbnails, chosen)))

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """(rows, 4): see hash_variants."""
        if self._hashes is None:
            self._hashes = hash_variants(self.rows.phash, self.thumbnails)
        return self._hashes

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """(rows, 1024) gray levels, in the order of the rows."""
        if self._thumbnails is None:
            self._thumbnails = self._gather()
        return self._thumbnails

    def _gather(self) -> NDArray[np.uint8]:
        shape = (max(1, len(self.rows)), THUMBNAIL_BYTES)
        with storing(self.path), self.path.open("wb") as empty:
            # On a full disk a page that is first written in memory would end the process.
            os.posix_fallocate(empty.fileno(), 0, shape[0] * THUMBNAIL_BYTES)
        gathered = np.memmap(self.path, np.uint8, "r+", shape=shape)
        order = np.argsort(self.rows.file, kind="stable")
        bounds = np.searchsorted(self.rows.file[order], np.arange(len(self.rows.files) + 1))
        for number, file in enumerate(self.rows.files):
            chosen = order[bounds[number] : bounds[number + 1]]
            if len(chosen):
                gathered[chosen] = read_thumbnails(file.path)[self.rows.row[chosen]]
        return gathered


class _Chosen:
    """Some rows of the thumbnails, read where they are asked for."""

    def __init__(self, thumbnails: NDArray[np.uint8], chosen: Indices) -> None:
        self.thumbnails = thumbnails
        self.chosen = chosen

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        return np.asarray(self.thumbnails[self.chosen[places]])

    def __len__(self) -> int:
        return len(self.chosen)


def read_thumbnails(path: Path) -> NDArray[np.uint8]:
    """(rows, 1024) gray levels of a shard; zeros where a row has none. Raises CorruptFile."""
    try:
        column = pq.read_table(path, columns=["thumbnail"], partitioning=None)["thumbnail"]
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path}: {error}: restore it from a copy") from error
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
    return found


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
    read = (reader.read(int(rows.file[row]), int(rows.row[row])) for row in chosen)
    photos = [photo for photo in read if photo is not None]
    measured = asdict(detection_power(photos, plan.options.leak_bits))
    write_whole(path, json.dumps(measured).encode())
    return measured
