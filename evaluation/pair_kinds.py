"""Pairs of one listing or day against pairs further apart.

Photos of one announcement were often taken within a minute, on one sofa. An encoder may know
these and not know the animal a month later, so each kind of positive pair has figures of its own,
against the same negatives. Where all pairs are of one listing, that is said by a count of 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.all_pairs import COARSER, AllPairs, BinnedPairs
from evaluation.embeddings import Embeddings, numbered
from evaluation.metrics import BoolArray, FloatArray, IntArray, RocCurve
from evaluation.significance import RESAMPLES, Interval, bootstrap, jackknife
from petdata.errors import PetdataError
from petdata.releases import Release
from petdata.sources import known_sources

SAME_LISTING: Final = "same listing"
OTHER_LISTING: Final = "different listings"
SAME_DAY: Final = "within a day"
OTHER_DAY: Final = "more than a day apart"
_PAIRS_AT_A_TIME: Final = 1 << 18
_UNKNOWN: Final = -1


@dataclass(frozen=True, kw_only=True)
class PairKind:
    """Positive pairs of one kind; the figures hold them against all negatives.

    No figures where there are no such pairs.
    """

    pairs: int
    identities: int
    figures: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Announced:
    """Where and when photos were announced; rows as those of the embeddings."""

    listings: IntArray  # (N,) -1 where an identity of its source is no listing
    days: IntArray  # (N, 2) since 1970, of event_on and posted_on; -1 where unknown

    def take(self, rows: IntArray) -> Announced:
        return Announced(listings=self.listings[rows], days=self.days[rows])

    def kinds(self, first: IntArray, second: IntArray) -> dict[str, BoolArray]:
        """Which pairs are of each kind; a pair that says nothing of its kind is of none."""
        one, other = self.listings[first], self.listings[second]
        known = (one != _UNKNOWN) & (other != _UNKNOWN)
        apart = self._days_apart(first, second)
        return {
            SAME_LISTING: known & (one == other),
            OTHER_LISTING: known & (one != other),
            SAME_DAY: (apart >= 0) & (apart <= 1),
            OTHER_DAY: apart > 1,
        }

    def _days_apart(self, first: IntArray, second: IntArray) -> IntArray:
        """By the first of the two dates that both photos have; -1 where there is none."""
        one, other = self.days[first], self.days[second]
        apart = np.where((one >= 0) & (other >= 0), np.abs(one - other), _UNKNOWN)
        found: IntArray = np.where(apart[:, 0] >= 0, apart[:, 0], apart[:, 1])
        return found


def announced(release: Release, split: str, photo_ids: pa.StringArray) -> Announced:
    """Of these photos of a split."""
    names = ["photo_id", "identity_id", "source", "event_on", "posted_on"]
    table, _ = release.columns(split, names)
    ids = table["photo_id"].combine_chunks()
    rows = table.take(pc.index_in(photo_ids, value_set=ids)).combine_chunks()
    sources = known_sources(release.workspace).values()
    collected = [source.name for source in sources if source.kind == "collected"]
    is_listing = pc.is_in(rows["source"].cast(pa.string()), value_set=pa.array(collected))
    listings = numbered(rows["identity_id"].combine_chunks())
    days = [
        pc.fill_null(rows[name].cast(pa.int32()), _UNKNOWN).to_numpy()
        for name in ("event_on", "posted_on")
    ]
    return Announced(
        listings=np.where(is_listing.to_numpy(), listings, _UNKNOWN),
        days=np.stack(days, axis=1).astype(np.int64),
    )


def pair_kinds(
    embeddings: Embeddings,
    every: AllPairs,
    said: Announced,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, PairKind]:
    """`every`: all pairs of these embeddings. Listings or days of which nothing is known, or of
    which no pair is apart nor together, are left out.
    """
    counts: dict[str, _Counts] = {}
    for first, second in positive_pairs(embeddings):
        scores = np.einsum("pd,pd->p", embeddings.vectors[first], embeddings.vectors[second])
        for name, chosen in said.kinds(first, second).items():
            counts.setdefault(name, _Counts(every, embeddings)).add(first[chosen], scores[chosen])
    found: dict[str, PairKind] = {}
    for together, apart in ((SAME_LISTING, OTHER_LISTING), (SAME_DAY, OTHER_DAY)):
        if counts and (counts[together].pairs or counts[apart].pairs):
            for name in (together, apart):
                found[name] = counts[name].figures(resamples, seed)
    return found


def positive_pairs(embeddings: Embeddings) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows of every two photos of one identity and species that are not duplicates, a block at a
    time.
    """
    order = np.argsort(embeddings.labels, kind="stable")
    _, starts, sizes = np.unique(embeddings.labels[order], return_index=True, return_counts=True)
    for size in np.unique(sizes[sizes > 1]).tolist():
        photos = order[starts[sizes == size][:, None] + np.arange(size)]  # (identities, size)
        for gap in range(1, size):
            one, other = photos[:, :-gap].ravel(), photos[:, gap:].ravel()
            for start in range(0, len(one), _PAIRS_AT_A_TIME):
                part = slice(start, start + _PAIRS_AT_A_TIME)
                yield _without_duplicates(embeddings, one[part], other[part])


def _without_duplicates(
    embeddings: Embeddings, one: IntArray, other: IntArray
) -> tuple[IntArray, IntArray]:
    kept = np.ones(len(one), bool)
    if embeddings.duplicates is not None:
        kept &= embeddings.duplicates[one] != embeddings.duplicates[other]
    if embeddings.species_numbers is not None:
        kept &= embeddings.species_numbers[one] == embeddings.species_numbers[other]
    return one[kept], other[kept]


class _Counts:
    """Pairs of one kind, counted as `every` counts: in bins, and by the jackknife's groups."""

    def __init__(self, every: AllPairs, embeddings: Embeddings) -> None:
        self.every = every
        self.labels = embeddings.labels
        self.pairs = 0
        self._bins = np.zeros(every.bins, np.int64)
        self._of_group = np.zeros((len(every.touching), -(-every.bins // COARSER)), np.int64)
        identities = int(self.labels.max(initial=-1)) + 1
        self._sums, self._sizes = np.zeros(identities), np.zeros(identities)

    def add(self, rows: IntArray, scores: FloatArray) -> None:
        """`rows`: of one photo of each pair, to say whose it is."""
        places = ((scores.astype(float) + 1) * (self.every.bins / 2)).astype(np.int64)
        places = places.clip(0, self.every.bins - 1)
        self.pairs += len(rows)
        np.add.at(self._bins, places, 1)
        np.add.at(self._of_group, (self.every.dealt[rows], places // COARSER), 1)
        np.add.at(self._sums, self.labels[rows], scores)
        np.add.at(self._sizes, self.labels[rows], 1)

    def figures(self, resamples: int, seed: int) -> PairKind:
        has_pairs = self._sizes > 0
        found: dict[str, Interval] = {}
        if self.pairs:
            found["mean_similarity"] = self._mean(has_pairs, resamples, seed)
        if self.pairs and self.every.other:
            found |= self._against_negatives()
        return PairKind(pairs=self.pairs, identities=int(has_pairs.sum()), figures=found)

    def _mean(self, has_pairs: BoolArray, resamples: int, seed: int) -> Interval:
        sums, sizes = self._sums[has_pairs], self._sizes[has_pairs]

        def mean(drawn: FloatArray) -> list[float]:
            return [float(sums @ drawn / (sizes @ drawn))]

        (interval,) = bootstrap(mean, len(sums), resamples=resamples, seed=seed)
        return interval

    def _against_negatives(self) -> dict[str, Interval]:
        """As of all pairs, from the delete-a-group jackknife over identities."""
        others, touching = self.every.others_spread()
        estimate = _figures(_curve(others, self._bins))
        negatives = np.add.reduceat(others, np.arange(0, len(others), COARSER))
        positives, without = self._of_group.sum(axis=0), []
        for group, gone in enumerate(touching):
            try:
                left = _curve(negatives - gone, positives - self._of_group[group])
            except PetdataError:  # all pairs of one kind are the group's
                continue
            without.append(_figures(left))
        return {
            name: jackknife(value, [row[name] for row in without])
            for name, value in estimate.items()
        }


def _curve(other: IntArray, same: IntArray) -> RocCurve:
    """(bins,) each, from the lowest up."""
    bins = np.flatnonzero(other + same)[::-1]
    return BinnedPairs(bins * (2 / len(same)) - 1, np.stack([other, same])[:, bins]).curve()


def _figures(curve: RocCurve) -> dict[str, float]:
    return {"roc_auc": curve.auc, "equal_error_rate": curve.equal_error_rate.rate}
