"""Verification over all pairs of photos: scores counted in narrow bins, so memory stays flat.

The binned figures are off by no more than `auc_error` and lie, with the exact ones, in
`equal_error_rate_range`: both are worked out from the counts, not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from dataset_builder.compiled import compiled
from evaluation.metrics import IntArray, RocCurve, ScoredPairs
from evaluation.similarity import (
    COLUMNS_AT_A_TIME,
    ROWS_AT_A_TIME,
    Vectors,
    Workers,
    as_groups,
    parts,
    unit_vectors,
)

BINS: Final = 1 << 17  # between -1 and 1: 1.5e-5 wide
EXACT_UP_TO: Final = 5_000_000  # pairs, whose scores are then kept one by one (45 MB)


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Every two photos of one gallery that are not duplicates, each pair once."""

    curve: RocCurve
    same: int  # pairs of one identity
    other: int
    binned: bool

    @cached_property
    def auc_error(self) -> float:
        """How far the AUC can be from that of the scores themselves; 0 where they were kept.

        Pairs of the two kinds in one bin count as half won, and could all be won or lost.
        """
        if not self.binned:
            return 0.0
        same, other = np.diff(self.curve.true_accept_rate), np.diff(self.curve.false_accept_rate)
        return float(np.dot(same, other) / 2)

    @cached_property
    def equal_error_rate_range(self) -> tuple[float, float]:
        """Both curves run through the edges of the bin in which they cross."""
        if not self.binned:
            return (self.curve.equal_error_rate.rate,) * 2
        accepted, refused = self.curve.false_accept_rate, 1 - self.curve.true_accept_rate
        after = int(np.argmax(refused <= accepted))
        before = after - 1
        return (
            float(max(accepted[before], refused[after])),
            float(min(accepted[after], refused[before])),
        )


def score_all_pairs(  # noqa: PLR0913, columns
    vectors: npt.NDArray[np.floating],
    labels: IntArray,
    *,
    duplicates: IntArray | None = None,
    galleries: IntArray | None = None,
    exact_up_to: int = EXACT_UP_TO,
    bins: int = BINS,
    threads: int | None = None,
) -> AllPairs:
    """`vectors`: (N, D) of unit length; pairs of photos of different `galleries` are left out.

    Raises PetdataError where there are not pairs of both kinds.
    """
    rows = unit_vectors(vectors)
    numbers = as_groups(labels, len(rows), default="different")
    copies = as_groups(duplicates, len(rows), default="different")
    groups = as_groups(galleries, len(rows), default="equal")
    sizes = np.bincount(groups).astype(np.int64)
    members: list[IntArray] = [np.flatnonzero(groups == g) for g in range(len(sizes))]
    if int(np.sum(sizes * (sizes - 1) // 2)) <= exact_up_to:
        return _exact(rows, numbers, copies, members)
    with Workers(threads) as workers:
        counts = np.zeros((workers.count, 2, bins), np.int64)
        for photos in members:
            _count_group(rows, numbers, copies, photos, counts, workers)
    other, same = counts.sum(axis=0)[:, ::-1]
    used = np.flatnonzero(same + other)
    lower_edges = (bins - 1 - used) * (2 / bins) - 1
    same, other = same[used], other[used]
    curve = RocCurve.from_accepted(lower_edges, np.cumsum(same), np.cumsum(other))
    return AllPairs(curve, int(same.sum()), int(other.sum()), binned=True)


def _count_group(
    vectors: Vectors,
    labels: IntArray,
    duplicates: IntArray,
    photos: IntArray,
    counts: IntArray,
    workers: Workers,
) -> None:
    for above in parts(len(photos), ROWS_AT_A_TIME):
        one = photos[above]
        block = vectors[one]
        for beside in parts(len(photos), COLUMNS_AT_A_TIME, start=above.start):
            other = photos[beside]
            similarities = block @ vectors[other].T
            first = above.start - beside.start  # pair (i, j) where j > i + first

            def fold(worker: int, begin: int, end: int) -> None:
                _count_pairs(
                    similarities[begin:end],  # noqa: B023
                    (labels[one[begin:end]], duplicates[one[begin:end]]),  # noqa: B023
                    (labels[other], duplicates[other]),  # noqa: B023
                    first + begin,  # noqa: B023
                    counts[worker],
                )

            workers.share(len(one), fold)


def _exact(
    vectors: Vectors, labels: IntArray, duplicates: IntArray, members: list[IntArray]
) -> AllPairs:
    scores, kinds = [np.empty(0, np.float32)], [np.empty(0, bool)]
    for photos in members:
        for part in parts(len(photos), 256):
            one, other = photos[part], photos[part.start :]
            taken = np.triu(duplicates[one][:, None] != duplicates[other], k=1)
            scores.append((vectors[one] @ vectors[other].T)[taken])
            kinds.append((labels[one][:, None] == labels[other])[taken])
    is_same = np.concatenate(kinds)
    curve = ScoredPairs(np.concatenate(scores), is_same).curve()
    return AllPairs(curve, int(is_same.sum()), int((~is_same).sum()), binned=False)


@compiled
def _count_pairs(
    similarities: Vectors,
    rows: tuple[IntArray, IntArray],  # label and duplicates group of each
    columns: tuple[IntArray, IntArray],
    first: int,
    counts: IntArray,
) -> None:
    """counts[0] of pairs of two identities, counts[1] of one; bins rise from -1 to 1."""
    bins = counts.shape[1]
    for i in range(similarities.shape[0]):
        label, picture = rows[0][i], rows[1][i]
        for j in range(max(0, first + i + 1), similarities.shape[1]):
            if columns[1][j] == picture:
                continue
            place = int((float(similarities[i, j]) + 1) * (bins / 2))
            place = min(max(place, 0), bins - 1)
            counts[int(columns[0][j] == label), place] += 1
