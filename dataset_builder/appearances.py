"""Which picture appears in which identities; pictures in too many of them say nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset_builder.inputs import Rows
from dataset_builder.options import MOST_IDENTITIES

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of rows whose pictures are near duplicates."""

    first: Indices
    second: Indices


NO_MATCHES = Matches(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class Alike:
    """Pairs of different pictures that are near duplicates, whichever rows show them."""

    first: Indices  # pictures
    second: Indices

    def at_rows(self, rows: Rows, kept: Mask) -> Matches:
        """Between the first kept rows of both pictures, the earlier first."""
        row = first_rows(rows, kept)
        a, b = row[self.first], row[self.second]
        both = (a >= 0) & (b >= 0)
        return Matches(np.minimum(a, b)[both], np.maximum(a, b)[both])


def alike(rows: Rows, matches: Matches) -> Alike:
    a = rows.picture[matches.first].astype(np.int64)
    b = rows.picture[matches.second].astype(np.int64)
    return Alike(a[a != b], b[a != b])


def first_rows(rows: Rows, kept: Mask) -> Indices:
    """Picture -> its first kept row; -1 where none is kept."""
    first = np.full(int(rows.picture.max(initial=-1)) + 1, -1, np.int64)
    chosen = np.flatnonzero(kept)[::-1]  # the earliest is written last, and stays
    first[rows.picture[chosen]] = chosen
    return first


@dataclass(frozen=True, eq=False)
class Appearances:
    """One entry for each picture in each identity: its first row there; by picture, then row."""

    row: Indices
    picture: NDArray[np.int32]
    identity: NDArray[np.int32]


def appearances(rows: Rows, kept: Mask) -> Appearances:
    chosen = np.flatnonzero(kept)
    key = rows.picture[chosen].astype(np.int64) * len(rows.identities) + rows.identity[chosen]
    _, first = np.unique(key, return_index=True)  # rows ascend, so the first is the smallest
    row = chosen[first]
    row = row[np.lexsort((row, rows.picture[row]))]
    return Appearances(row, rows.picture[row], rows.identity[row])


def boilerplate(rows: Rows, kept: Mask, near: Alike) -> Mask:
    """Rows whose picture, or a near duplicate of it, stands in more than three identities.

    Only identities of the row's own level and earlier ones count, so that a later source takes
    nothing away from an earlier one.
    """
    seen = appearances(rows, kept)
    crowd = _identities_up_to_level(rows, seen)
    marked = np.zeros(len(rows), np.bool_)
    crowded = {
        (int(p), int(level))
        for p, level in zip(
            seen.picture[crowd > MOST_IDENTITIES],
            rows.level[seen.row[crowd > MOST_IDENTITIES]],
            strict=True,
        )
    }
    crowded |= _crowded_with_neighbours(rows, seen, near)
    if not crowded:
        return marked
    pictures = np.array(sorted({picture for picture, _ in crowded}), np.int32)
    for row in np.flatnonzero(kept & np.isin(rows.picture, pictures)):
        marked[row] = (int(rows.picture[row]), int(rows.level[row])) in crowded
    return marked


def _identities_up_to_level(rows: Rows, seen: Appearances) -> Indices:
    """For each appearance: in how many identities its picture stands, at its level or before."""
    level = rows.level[seen.row].astype(np.int64)
    count = np.ones(len(seen.row), np.int64)
    if not len(count):
        return count
    starts = np.flatnonzero(np.r_[True, seen.picture[1:] != seen.picture[:-1]])
    begin = np.repeat(starts, np.diff(np.r_[starts, len(count)]))
    # Rows ascend with their level, so the last appearance of a level has the count for all of it.
    position = np.arange(len(count)) - begin + 1
    key = seen.picture.astype(np.int64) * (level.max() + 1) + level
    last = np.flatnonzero(np.r_[key[1:] != key[:-1], True])
    return np.repeat(position[last], np.diff(np.r_[-1, last]))


def _crowded_with_neighbours(rows: Rows, seen: Appearances, near: Alike) -> set[tuple[int, int]]:
    neighbours: dict[int, set[int]] = defaultdict(set)
    for a, b in zip(near.first.tolist(), near.second.tolist(), strict=True):
        neighbours[a].add(b)
        neighbours[b].add(a)
    if not neighbours:
        return set()
    shown: dict[int, list[tuple[int, int]]] = defaultdict(list)  # picture -> (level, identity)
    wanted = np.isin(seen.picture, np.array(sorted(neighbours), np.int32))
    for row in seen.row[wanted]:
        shown[int(rows.picture[row])].append((int(rows.level[row]), int(rows.identity[row])))
    crowded = set()
    for picture, others in neighbours.items():
        all_shown = [pair for other in (picture, *others) for pair in shown[other]]
        for level in {level for level, _ in shown[picture]}:
            if len({identity for at, identity in all_shown if at <= level}) > MOST_IDENTITIES:
                crowded.add((picture, level))
    return crowded


def contradictory(rows: Rows, kept: Mask) -> Mask:
    """Rows of curated sources whose picture also stands in another identity of the same source."""
    curated = np.array([level.is_curated for level in rows.levels])[rows.level]
    source = rows.source_number()
    marked = np.zeros(len(rows), np.bool_)
    for number in np.unique(source[curated & kept]):
        own = kept & (source == number)
        seen = appearances(rows, own)
        crowd = _identities_up_to_level(rows, seen)
        several = seen.row[crowd > 1]
        pairs = {(int(rows.picture[row]), int(rows.level[row])) for row in several}
        pictures = np.array(sorted({picture for picture, _ in pairs}), np.int32)
        for row in np.flatnonzero(own & np.isin(rows.picture, pictures)):
            marked[row] = (int(rows.picture[row]), int(rows.level[row])) in pairs
    return marked
