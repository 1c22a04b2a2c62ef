"""Verification over all pairs of photos: scores counted in narrow bins, so memory stays flat.

The binned AUC is off by no more than `auc_error`, and the EER lies, with the exact one, in
`equal_error_rate_range`: both are worked out from the counts, not estimated.

A bootstrap would need every score for each resample. Intervals come from a jackknife instead: the
identities are dealt to groups, and the figures worked out without the pairs of each group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from dataset_builder.compiled import compiled
from evaluation.metrics import BoolArray, FloatArray, IntArray, RocCurve
from evaluation.significance import Interval, jackknife
from evaluation.similarity import (
    COLUMNS_AT_A_TIME,
    ROWS_AT_A_TIME,
    Vectors,
    Workers,
    as_groups,
    parts,
    unit_vectors,
)
from petdata.errors import PetdataError

BINS: Final = 1 << 17  # between -1 and 1: 1.5e-5 wide
COARSER: Final = 16  # bins in one of the jackknife's, whose tables then stay in the cache
JACKKNIFE_GROUPS: Final = 50  # of identities
MOST_LISTED: Final = 5_000_000  # pairs: 125 MB


@dataclass(frozen=True, eq=False)
class BinnedPairs:
    """Of bins that are not empty, from the highest down."""

    lower_edges: FloatArray  # (B,)
    numbers: IntArray  # (2, B): pairs of two identities, pairs of one

    def curve(self, without: IntArray | int = 0) -> RocCurve:
        """Raises PetdataError where there are not pairs of both kinds."""
        other, same = np.cumsum(self.numbers - without, axis=1, dtype=float)
        return RocCurve.from_accepted(self.lower_edges, same, other)


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Every two photos of one gallery that are not duplicates, each pair once."""

    counts: BinnedPairs
    coarse: BinnedPairs  # the same pairs in wider bins
    touching: IntArray = field(repr=False)  # (groups, 2, B): coarse, with someone of the group
    dealt: IntArray = field(repr=False)  # (N,) the group of each photo's identity
    bins: int

    @property
    def other(self) -> int:
        return int(self.counts.numbers[0].sum())

    @property
    def same(self) -> int:
        return int(self.counts.numbers[1].sum())

    @cached_property
    def curve(self) -> RocCurve:
        """Raises PetdataError where there are not pairs of both kinds."""
        return self.counts.curve()

    def others_spread(self) -> tuple[IntArray, IntArray]:
        """Pairs of two identities in all bins, from the lowest up: (bins,), and of them those with
        someone of each group in the wider ones, (groups, coarse bins).
        """
        fine = np.zeros(self.bins, np.int64)
        fine[_places(self.counts.lower_edges, self.bins)] = self.counts.numbers[0]
        wide = -(-self.bins // COARSER)
        touching = np.zeros((len(self.touching), wide), np.int64)
        places = _places(self.coarse.lower_edges, self.bins / COARSER)
        touching[:, places] = self.touching[:, 0]
        return fine, touching

    @cached_property
    def auc_error(self) -> float:
        """How far the AUC can be from that of the scores themselves.

        Pairs of the two kinds in one bin count as half won, and could all be won or lost.
        """
        same, other = np.diff(self.curve.true_accept_rate), np.diff(self.curve.false_accept_rate)
        return float(np.dot(same, other) / 2)

    @cached_property
    def equal_error_rate_range(self) -> tuple[float, float]:
        """Both curves run through the edges of the bin in which they cross."""
        accepted, refused = self.curve.false_accept_rate, 1 - self.curve.true_accept_rate
        after = int(np.argmax(refused <= accepted))
        before = after - 1
        return (
            float(max(accepted[before], refused[after])),
            float(min(accepted[after], refused[before])),
        )

    def intervals(self, figures: Callable[[RocCurve], Sequence[float]]) -> list[Interval]:
        """95 % for each figure, from the delete-a-group jackknife over identities."""
        without = [figures(curve) for curve in self._without_a_group()]
        return [
            jackknife(estimate, [row[place] for row in without])
            for place, estimate in enumerate(figures(self.curve))
        ]

    def _without_a_group(self) -> Iterator[RocCurve]:
        for touching in self.touching:
            try:
                yield self.coarse.curve(without=touching)
            except PetdataError:  # all pairs of one kind are the group's
                continue


def score_all_pairs(  # noqa: PLR0913, columns
    vectors: npt.NDArray[np.floating],
    labels: IntArray,
    *,
    duplicates: IntArray | None = None,
    galleries: IntArray | None = None,
    bins: int = BINS,
    seed: int = 0,
    threads: int | None = None,
) -> AllPairs:
    """`vectors`: (N, D) of unit length; pairs of photos of different `galleries` are left out.

    `seed` deals the identities to the groups of the jackknife.
    """
    rows = unit_vectors(vectors)
    numbers = as_groups(labels, len(rows), default="different")
    identities = int(numbers.max(initial=-1)) + 1
    groups = min(JACKKNIFE_GROUPS, identities)
    dealt = np.random.default_rng(seed).permutation(np.arange(identities) % max(groups, 1))
    columns = _Columns(numbers, as_groups(duplicates, len(rows), default="different"), dealt)
    galleries = as_groups(galleries, len(rows), default="equal")
    with Workers(threads) as workers:
        counts = np.zeros((workers.count, 2, bins), np.int64)
        touching = np.zeros((workers.count, groups, 2, -(-bins // COARSER)), np.int64)
        for gallery in range(int(galleries.max(initial=-1)) + 1):
            photos = np.flatnonzero(galleries == gallery)
            _count_gallery(rows, columns, photos, (counts, touching), workers)
    total = counts.sum(axis=0)
    fine, coarse = np.flatnonzero(total.any(axis=0))[::-1], touching.any(axis=(0, 1, 2))
    coarse_total = np.stack([np.bincount(fine // COARSER, kind[fine]) for kind in total])
    wide = np.flatnonzero(coarse)[::-1]
    return AllPairs(
        BinnedPairs(fine * (2 / bins) - 1, total[:, fine]),
        BinnedPairs(wide * (2 * COARSER / bins) - 1, coarse_total[:, wide].astype(np.int64)),
        touching.sum(axis=0)[:, :, wide],
        dealt[numbers],
        bins,
    )


class PairList(NamedTuple):
    """Every pair with its score, for figures without bins."""

    first: IntArray  # (P,) rows
    second: IntArray
    scores: Vectors  # (P,)
    is_same: BoolArray


def list_all_pairs(
    vectors: npt.NDArray[np.floating],
    labels: IntArray,
    *,
    duplicates: IntArray | None = None,
    galleries: IntArray | None = None,
) -> PairList:
    """What `score_all_pairs` counts, one by one. Raises PetdataError beyond some 3,100 photos."""
    rows = unit_vectors(vectors)
    if len(rows) * (len(rows) - 1) // 2 > MOST_LISTED:
        raise PetdataError(
            f"{len(rows):,} photos make more than {MOST_LISTED:,} pairs: count them in bins instead"
        )
    first, second = np.triu_indices(len(rows), k=1)
    copies = as_groups(duplicates, len(rows), default="different")
    groups = as_groups(galleries, len(rows), default="equal")
    taken = (copies[first] != copies[second]) & (groups[first] == groups[second])
    first, second = first[taken], second[taken]
    numbers = np.asarray(labels)
    scores = (rows @ rows.T)[first, second]
    return PairList(first, second, scores, numbers[first] == numbers[second])


def _places(lower_edges: FloatArray, bins: float) -> IntArray:
    """The numbers of bins that begin there."""
    places: IntArray = np.rint((lower_edges + 1) * bins / 2).astype(np.int64)
    return places


class _Columns(NamedTuple):
    labels: IntArray  # (N,)
    duplicates: IntArray  # (N,)
    dealt: IntArray  # (identities,) the jackknife group of each


def _count_gallery(
    vectors: Vectors,
    columns: _Columns,
    photos: IntArray,
    counts: tuple[IntArray, IntArray],
    workers: Workers,
) -> None:
    for above in parts(len(photos), ROWS_AT_A_TIME):
        one = photos[above]
        block = vectors[one]
        for beside in parts(len(photos), COLUMNS_AT_A_TIME, start=above.start):
            other = photos[beside]
            similarities = block @ vectors[other].T
            first = above.start - beside.start  # pairs (i, j) where j > i + first

            def fold(worker: int, begin: int, end: int) -> None:
                _count_pairs(
                    similarities[begin:end],  # noqa: B023
                    columns,
                    one[begin:end],  # noqa: B023
                    other,  # noqa: B023
                    first + begin,  # noqa: B023
                    counts[0][worker],
                    counts[1][worker],
                )

            workers.share(len(one), fold)


@compiled
def _count_pairs(  # noqa: PLR0913, compiled
    similarities: Vectors,
    columns: _Columns,
    rows: IntArray,
    others: IntArray,
    first: int,
    counts: IntArray,  # (2, bins)
    touching: IntArray,  # (groups, 2, coarse bins)
) -> None:
    bins = counts.shape[1]
    for i in range(len(rows)):
        label, picture = columns.labels[rows[i]], columns.duplicates[rows[i]]
        group = columns.dealt[label]
        for j in range(max(0, first + i + 1), len(others)):
            row = others[j]
            if columns.duplicates[row] == picture:
                continue
            place = int((float(similarities[i, j]) + 1) * (bins / 2))
            place = min(max(place, 0), bins - 1)
            its_label = columns.labels[row]
            kind = int(its_label == label)
            its_group = columns.dealt[its_label]
            counts[kind, place] += 1
            touching[group, kind, place // COARSER] += 1
            if its_group != group:
                touching[its_group, kind, place // COARSER] += 1
