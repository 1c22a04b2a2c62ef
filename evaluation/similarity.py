"""Cosine similarities a block at a time: no N x N matrix, and memory that does not grow with N."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from evaluation.metrics import IntArray
from petdata.errors import PetdataError

Vectors = npt.NDArray[np.float32]

# Float32 products of unit vectors are right to some 1e-7, and blocks of another shape are rounded
# otherwise: what lies closer together than this is one similarity.
TIE: Final = 1e-6
ROWS_AT_A_TIME: Final = 1024
COLUMNS_AT_A_TIME: Final = 8192  # 32 MB of similarities


def unit_vectors(vectors: npt.NDArray[np.floating]) -> Vectors:
    """As contiguous float32 rows. Raises PetdataError where one is not of unit length."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"embeddings have shape {rows.shape}; (N, D) is needed")
    for part in parts(len(rows), 1 << 16):
        lengths = np.linalg.norm(rows[part], axis=1)
        wrong = ~(np.abs(lengths - 1) < 1e-3)  # NaN too
        if wrong.any():
            row = int(np.argmax(wrong))
            raise PetdataError(f"embedding {part.start + row} has length {lengths[row]}, not 1")
    return rows


def parts(count: int, size: int, start: int = 0) -> Iterator[slice]:
    for first in range(start, count, size):
        yield slice(first, min(first + size, count))


class Workers:
    """Threads that share the rows of a block, in loops compiled to run beside each other."""

    def __init__(self, threads: int | None = None) -> None:
        self.count = threads or _available_cores()
        self._pool = ThreadPoolExecutor(self.count)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def share(self, rows: int, loop: Callable[[int, int, int], object]) -> None:
        """`loop(worker, begin, end)` for ranges that cover `rows`."""
        edges = np.linspace(0, rows, self.count + 1).astype(int).tolist()
        list(self._pool.map(loop, range(self.count), edges[:-1], edges[1:]))


def as_groups(column: IntArray | None, count: int, *, default: str) -> IntArray:
    """Numbers from 0 on, equal where the column is; without one, all "equal" or all "different"."""
    if column is None:
        return np.zeros(count, np.int64) if default == "equal" else np.arange(count)
    if len(column) != count:
        raise ValueError(f"a column of {len(column)} rows for {count} photos")
    groups: IntArray = np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return groups


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
