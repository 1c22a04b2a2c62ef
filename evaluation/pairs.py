"""Verification pairs under the caps of Kudryavtsev et al. 2026, section 2.9.

How the caps are counted, where the paper leaves it open:
- an image is in at most 5 pairs, positive and negative ones together;
- an identity is in at most 15 pairs; a negative pair counts for both of its identities. With
  `identity_cap="both kinds"` positive and negative pairs are counted together, and an identity
  makes at most 5 positive ones, so that negatives in equal number fit under the same cap. With
  "each kind" it may be in 15 positive pairs and in 15 negative ones; the positives then leave
  identities of six or seven photos hardly any images for negatives;
- of photos that show one picture (`duplicates`) within an identity only one takes part, and photos
  of one picture never make a pair;
- as many negatives as positives, per species, between identities of one species unless asked
  otherwise (a cat is told from a dog too easily); fewer where the caps leave no more.

The photos are put in the order of their ids before anything is drawn: the pairs depend on the seed
and the set of photos, not on the order of rows or the numbers that identities have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.metrics import BoolArray, IntArray
from petdata.errors import PetdataError

ROUNDS_WITHOUT_A_PAIR: Final = 20  # of drawing again, before the remaining places are given up


@dataclass(frozen=True, kw_only=True)
class PairRules:
    """Saved with the pairs."""

    pairs_per_photo: int = 5  # Kudryavtsev et al. 2026, section 2.9, as the next
    pairs_per_identity: int = 15
    identity_cap: Literal["both kinds", "each kind"] = "both kinds"
    same_species: bool = True  # not in the paper
    seed: int = 0

    def __post_init__(self) -> None:
        least = 3 if self.identity_cap == "both kinds" else 1
        if self.pairs_per_photo < 1 or self.pairs_per_identity < least:
            raise PetdataError(
                f"pairs per photo must be at least 1 and pairs per identity at least {least}, "
                f"not {self.pairs_per_photo} and {self.pairs_per_identity}"
            )

    @property
    def positives_per_identity(self) -> int:
        if self.identity_cap == "each kind":
            return self.pairs_per_identity
        return self.pairs_per_identity // 3  # each goes with one negative, which has two sides


@dataclass(frozen=True, eq=False)
class VerificationPairs:
    """Positives first, each kind in the order of its photo ids; in a pair the lower id is first."""

    photo_ids: tuple[pa.Array, pa.Array]  # of the first and the second photo of each pair
    first: IntArray  # (P,) their rows in what the pairs were made of
    second: IntArray  # (P,)
    is_same: BoolArray  # (P,)
    rules: PairRules
    missing_negatives: int  # so many fewer than positives did the caps allow

    def __len__(self) -> int:
        return len(self.first)


def make_pairs(
    photo_ids: Any,
    labels: IntArray,
    *,
    species: IntArray | None = None,
    duplicates: IntArray | None = None,
    rules: PairRules | None = None,
) -> VerificationPairs:
    """`photo_ids`: N strings, unique; `labels`, `species`, `duplicates`: (N,) numbers of groups."""
    rules = rules or PairRules()
    ids = photo_ids.combine_chunks() if isinstance(photo_ids, pa.ChunkedArray) else photo_ids
    ids = pa.array(ids, pa.string())
    for name, column in (("labels", labels), ("species", species), ("duplicates", duplicates)):
        if column is not None and len(column) != len(ids):
            raise ValueError(f"{len(ids)} photo ids and {len(column)} {name}: one a photo")
    order = pc.array_sort_indices(ids).to_numpy().astype(np.int64)
    ids = ids.take(pa.array(order))
    _refuse_repeated(ids)
    rng = np.random.default_rng(rules.seed)
    photos = _Photos.of(order, labels, species if rules.same_species else None, duplicates)
    rows = photos.shuffled_by_identity(rng)
    same = _positives(photos, rows, rules)
    other = _negatives(photos, rows, same, rules, rng)
    first, second = (np.concatenate([s, o]) for s, o in zip(same, other, strict=True))
    return VerificationPairs(
        photo_ids=(ids.take(pa.array(first)), ids.take(pa.array(second))),
        first=order[first],
        second=order[second],
        is_same=np.arange(len(first)) < len(same[0]),
        rules=rules,
        missing_negatives=len(same[0]) - len(other[0]),
    )


Pairs = tuple[IntArray, IntArray]  # rows in the order of photo ids, the lower first


@dataclass(frozen=True, eq=False)
class _Photos:
    """Columns in the order of photo ids; groups are numbered by the first photo of each."""

    labels: IntArray
    species: IntArray
    duplicates: IntArray

    @classmethod
    def of(
        cls,
        order: IntArray,
        labels: IntArray,
        species: IntArray | None,
        duplicates: IntArray | None,
    ) -> _Photos:
        rows = np.arange(len(order))
        return cls(
            _by_first_photo(np.asarray(labels)[order]),
            np.zeros_like(rows) if species is None else _by_first_photo(np.asarray(species)[order]),
            rows if duplicates is None else _by_first_photo(np.asarray(duplicates)[order]),
        )

    def shuffled_by_identity(self, rng: np.random.Generator) -> IntArray:
        """Rows, those of an identity side by side; of copies of one picture in it, one."""
        shuffled = rng.permutation(len(self.labels))
        picture = self.labels[shuffled] * len(self.labels) + self.duplicates[shuffled]
        rows = shuffled[_first_of_each(picture)]
        return rows[np.argsort(self.labels[rows], kind="stable")]

    def may_not_meet(self, first: IntArray, second: IntArray) -> BoolArray:
        alike: BoolArray = self.labels[first] == self.labels[second]
        alike |= self.duplicates[first] == self.duplicates[second]
        return alike


# Positives


def _positives(photos: _Photos, rows: IntArray, rules: PairRules) -> Pairs:
    """As many as the caps allow, each identity's spread over as many of its photos as possible."""
    _, starts, sizes = np.unique(photos.labels[rows], return_index=True, return_counts=True)
    sizes = np.minimum(sizes, 2 * rules.positives_per_identity)  # pairs touch no more photos
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for size in np.unique(sizes[sizes > 1]).tolist():
        places = starts[sizes == size][:, None]
        one, other = _tournament(size, rules)
        first.append(rows[places + one].ravel())
        second.append(rows[places + other].ravel())
    return _in_order(np.concatenate(first), np.concatenate(second))


def _tournament(size: int, rules: PairRules) -> Pairs:
    """Pairs of numbers below `size`, no two alike.

    Rounds in which each plays once, as for a round-robin: one keeps the seat, the others move on by
    one, and halves face each other; with an odd number, whoever meets the empty seat rests. So
    nobody plays more often than there are rounds, and all about equally often at any cut.
    """
    players = size + size % 2
    one, other = [], []
    for turn in range(min(players - 1, rules.pairs_per_photo)):
        seats = np.append((turn + np.arange(players - 1)) % (players - 1), players - 1)
        left, right = seats[: players // 2], seats[: players // 2 - 1 : -1]
        both_taken = (left < size) & (right < size)
        one.append(left[both_taken])
        other.append(right[both_taken])
    most = rules.positives_per_identity
    return np.concatenate(one)[:most], np.concatenate(other)[:most]


# Negatives


def _negatives(
    photos: _Photos, rows: IntArray, same: Pairs, rules: PairRules, rng: np.random.Generator
) -> Pairs:
    """Shuffle the places that photos have left, pair neighbours, do it again with what fits not."""
    places = _free_places(photos, rows, same, rules)
    wanted = np.bincount(photos.species[same[0]], minlength=int(photos.species.max(initial=0)) + 1)
    first, second = np.empty(0, np.int64), np.empty(0, np.int64)
    idle_rounds = 0
    while wanted.any() and idle_rounds < ROUNDS_WITHOUT_A_PAIR:
        places = rng.permutation(places[wanted[photos.species[places]] > 0])
        one, other, odd = _neighbours(places, photos.species)
        fits = ~photos.may_not_meet(one, other)
        fits &= _are_new(one, other, first, second, len(photos.labels))
        fits &= _rank_within(photos.species[one], fits) < wanted[photos.species[one]]
        wanted -= np.bincount(photos.species[one[fits]], minlength=len(wanted))
        first, second = np.append(first, one[fits]), np.append(second, other[fits])
        places = np.concatenate([one[~fits], other[~fits], odd])
        idle_rounds = 0 if fits.any() else idle_rounds + 1
    return _in_order(first, second)


def _free_places(photos: _Photos, rows: IntArray, same: Pairs, rules: PairRules) -> IntArray:
    """A row for each negative pair that a photo may still be in."""
    used = np.bincount(np.concatenate(same), minlength=len(photos.labels))
    free = rules.pairs_per_photo - used[rows]
    places = np.repeat(rows, free)
    turn = np.arange(len(places)) - np.repeat(np.cumsum(free) - free, free)  # first, second, ...
    by_turn = np.lexsort((turn, photos.labels[places]))  # so that the cap meets all photos alike
    places = places[by_turn]
    labels = photos.labels[places]
    cap = np.full(len(photos.labels), rules.pairs_per_identity)
    if rules.identity_cap == "both kinds":
        cap -= np.bincount(photos.labels[same[0]], minlength=len(cap))
    everyone = np.ones(len(places), bool)
    return places[_rank_within(labels, everyone) < cap[labels]]


def _neighbours(places: IntArray, species: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of neighbours of one species, in the order of species, and who is left without."""
    places = places[np.argsort(species[places], kind="stable")]
    groups = species[places]
    rank = _rank_within(groups, np.ones(len(places), bool))
    odd = (rank % 2 == 0) & (np.append(groups[1:], -1) != groups)
    paired = places[~odd]
    one, other = paired[::2], paired[1::2]
    return np.minimum(one, other), np.maximum(one, other), places[odd]


def _are_new(
    one: IntArray, other: IntArray, first: IntArray, second: IntArray, count: int
) -> BoolArray:
    keys = one * count + other
    new: BoolArray = ~np.isin(keys, first * count + second)
    once = np.zeros(len(keys), bool)
    once[_first_of_each(keys)] = True
    return new & once


# Arrays


def _rank_within(groups: IntArray, counted: BoolArray) -> IntArray:
    """How many counted rows of its group stand before each row; `groups` is sorted."""
    before: IntArray = np.cumsum(counted, dtype=np.int64) - counted
    rank: IntArray = before - before[np.searchsorted(groups, groups)]
    return rank


def _first_of_each(keys: IntArray) -> IntArray:
    """Where each key stands first, in rising order."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _by_first_photo(groups: IntArray) -> IntArray:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)].astype(np.int64)


def _in_order(one: IntArray, other: IntArray) -> Pairs:
    first, second = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _refuse_repeated(sorted_ids: pa.Array) -> None:
    if len(sorted_ids) < 2:
        return
    repeated = pc.equal(sorted_ids[1:], sorted_ids[:-1])
    if pc.any(repeated).as_py():
        row = pc.index(repeated, pa.scalar(True)).as_py()
        raise PetdataError(f"photo id {sorted_ids[row]} stands twice; each photo needs its own id")
