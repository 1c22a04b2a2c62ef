"""Near duplicates of a plan's rows: perceptual hashes propose, thumbnails decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_builder.appearances import NO_MATCHES, Indices, Matches
from dataset_builder.inputs import Rows
from dataset_builder.plan import Plan
from petdata.errors import CorruptFile
from petdata.perceptual_hash import THUMBNAIL_BYTES

SAMPLE: Final = 200  # photos that detection is measured on


class ThumbnailMatcher:
    """Holds the thumbnails of all rows in a file of the scratch folder, not in memory."""

    def __init__(self, rows: Rows, scratch: Path) -> None:
        self.rows = rows
        self.path = scratch / "thumbnails"
        self._thumbnails: NDArray[np.uint8] | None = None

    def __call__(self, first: Indices, second: Indices | None, bits: int) -> Matches:
        return NO_MATCHES

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """(rows, 1024) gray levels, in the order of the rows."""
        if self._thumbnails is None:
            self._thumbnails = self._gather()
        return self._thumbnails

    def _gather(self) -> NDArray[np.uint8]:
        shape = (max(1, len(self.rows)), THUMBNAIL_BYTES)
        gathered = np.memmap(self.path, np.uint8, "w+", shape=shape)
        order = np.argsort(self.rows.file, kind="stable")
        bounds = np.searchsorted(self.rows.file[order], np.arange(len(self.rows.files) + 1))
        for number, file in enumerate(self.rows.files):
            chosen = order[bounds[number] : bounds[number + 1]]
            if len(chosen):
                gathered[chosen] = read_thumbnails(file.path)[self.rows.row[chosen]]
        return gathered


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


def detection(plan: Plan) -> Any:
    return None
