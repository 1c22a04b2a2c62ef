"""Which photos show one picture: they never count as a match of each other, nor as a pair."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from evaluation.metrics import IntArray


def duplicate_groups(
    sha256: Iterable[str], near_duplicates: tuple[IntArray, IntArray] | None = None
) -> IntArray:
    """(N,) int64: photos of one number are duplicates.

    Equal bytes are, and listed near duplicates (two arrays of rows); duplicates of duplicates too.
    """
    encoded = pa.array(sha256, pa.string()).dictionary_encode()
    groups: IntArray = encoded.indices.to_numpy().astype(np.int64)
    if near_duplicates is None or not len(groups):
        return groups
    one, other = (groups[rows] for rows in near_duplicates)
    count = int(groups.max()) + 1
    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, joined = connected_components(links, directed=False)
    groups = joined.astype(np.int64)[groups]
    return groups
