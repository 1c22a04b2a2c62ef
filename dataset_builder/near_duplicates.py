"""Pairs of photos that show one picture: perceptual hashes propose, thumbnails decide.

A pair is a candidate where any hash of one, plain, mirrored or without its border, lies within so
many bits of the plain or borderless hash of the other. Flat pictures have no hashes to look for:
they match where their thumbnails are the same, byte for byte.

The answer depends on each two photos alone, not on their order, on others, or on threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_builder.borders import find_borders, without_borders
from dataset_builder.compiled import compiled
from dataset_builder.hamming_join import available_cores, hamming_join
from dataset_builder.hash_variants import (
    BORDERLESS,
    MIRRORED,
    MIRRORED_BORDERLESS,
    PLAIN,
    Hashes,
    Thumbnails,
)
from dataset_builder.thumbnail_matching import same_picture

Numbers = NDArray[np.int64]

VARIANTS: Final = ("plain", "borderless", "mirrored", "mirrored borderless", "flat")
# Columns of the one's and the other's hash that are compared, and what a match by them is called.
_WAYS: Final = (
    (PLAIN, PLAIN, 0),
    *((BORDERLESS, PLAIN, 1), (PLAIN, BORDERLESS, 1), (BORDERLESS, BORDERLESS, 1)),
    *((MIRRORED, PLAIN, 2), (PLAIN, MIRRORED, 2)),
    *((MIRRORED_BORDERLESS, PLAIN, 3), (PLAIN, MIRRORED_BORDERLESS, 3)),
    *((MIRRORED, BORDERLESS, 3), (BORDERLESS, MIRRORED, 3)),
    *((MIRRORED_BORDERLESS, BORDERLESS, 3), (BORDERLESS, MIRRORED_BORDERLESS, 3)),
)
_FLAT: Final = len(VARIANTS) - 1
_WAY: Final = np.full((4, 4), -1)
for _number, (_left, _right, _) in enumerate(_WAYS):
    _WAY[_left, _right] = _number
_UPRIGHT: Final = (PLAIN, BORDERLESS)
_ALL: Final = (PLAIN, BORDERLESS, MIRRORED, MIRRORED_BORDERLESS)
_REFLECTED: Final = (MIRRORED, MIRRORED_BORDERLESS)
_NONE: Final = 255  # bits, where one of two hashes is missing
_AT_A_TIME: Final = 2048  # pairs that a thread compares


@dataclass(frozen=True, eq=False)
class Pictures:
    """Of n photos."""

    hashes: Hashes  # (n, 4), by hash_variants
    thumbnails: Thumbnails  # (n, 1024), in memory or mapped: read where candidates are


class Matches(NamedTuple):
    """Arrays of one length."""

    one: Numbers
    other: Numbers
    variant: NDArray[np.uint8]  # in VARIANTS, the first under which the thumbnails match
    distance: NDArray[np.uint8]  # bits, the least of all variants


def near_duplicates(
    pictures: Pictures, others: Pictures | None, bits: int, *, threads: int | None = None
) -> Iterator[Matches]:
    """Each pair once: of a picture and one of `others`, or of two pictures, the lower first."""
    yield from _flat_matches(pictures, others)
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        for pairs in candidates(pictures.hashes, others.hashes if others else None, bits, threads):
            matches = _confirmed(pictures, others or pictures, pairs, bits, pool)
            if len(matches.one):
                yield matches


def candidates(
    hashes: Hashes, others: Hashes | None, bits: int, threads: int | None = None
) -> Iterator[tuple[Numbers, Numbers]]:
    """Rows of (n, 4) hashes that any of the ways brings within `bits`, each pair once."""
    within = others is None
    upright, reflected = _entries(hashes, _UPRIGHT), _entries(hashes, _REFLECTED)
    if others is None:
        joins = [(upright, None), (upright, reflected)]
        others = hashes
    else:
        joins = [(upright, _entries(others, _ALL)), (reflected, _entries(others, _UPRIGHT))]
    for left, right in joins:
        asked, queries = (left, None) if right is None else (right, right.hash)
        for found in hamming_join(left.hash, queries, bits, threads=threads):
            one, other = left.row[found.one], asked.row[found.other]
            columns = left.column[found.one], asked.column[found.other]
            if within:
                forward, backward = one < other, one > other
                ways = np.where(forward, _WAY[columns], _WAY[columns[::-1]])
                one, other = np.minimum(one, other), np.maximum(one, other)
                chosen = forward | backward
            else:
                ways, chosen = _WAY[columns], np.ones(len(one), np.bool_)
            late = np.flatnonzero(ways > 0)  # another way may have found the pair before
            chosen[late] &= _first_way(hashes[one[late]], others[other[late]], bits) == ways[late]
            if chosen.any():
                yield one[chosen], other[chosen]


@dataclass(frozen=True, eq=False)
class _Entries:
    """Hashes to join, and where each stands in the (n, 4)."""

    hash: Hashes
    row: Numbers
    column: Numbers


def _entries(hashes: Hashes, columns: tuple[int, ...]) -> _Entries:
    size = sum(int(np.count_nonzero(hashes[:, column])) for column in columns)
    entries = _Entries(
        np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    )
    _enter(hashes, np.array(columns), entries.hash, entries.row, entries.column)
    return entries


@compiled
def _enter(hashes: Hashes, columns: Numbers, hash_: Hashes, row: Numbers, column: Numbers) -> None:
    place = 0
    for n in range(len(hashes)):
        for which in columns:
            if hashes[n, which] != 0:
                hash_[place], row[place], column[place] = hashes[n, which], n, which
                place += 1


def _bits_apart(one: Hashes, other: Hashes, way: int) -> NDArray[np.uint8]:
    """Between rows of (k, 4) hashes, under one way of comparing them."""
    left, right, _ = _WAYS[way]
    apart = np.bitwise_count(one[:, left] ^ other[:, right])
    return np.where((one[:, left] == 0) | (other[:, right] == 0), _NONE, apart).astype(np.uint8)


def _first_way(one: Hashes, other: Hashes, bits: int) -> Numbers:
    first = np.full(len(one), len(_WAYS))
    for way in reversed(range(len(_WAYS))):
        first[_bits_apart(one, other, way) <= bits] = way
    return first


def _confirmed(
    pictures: Pictures, others: Pictures, pairs: tuple[Numbers, Numbers], bits: int, pool: Executor
) -> Matches:
    """The pairs whose thumbnails match under a way that brings their hashes within `bits`."""
    one, other = pairs
    variant = np.full(len(one), _NONE, np.uint8)
    distance = np.full(len(one), _NONE, np.uint8)
    for way, (_, _, name) in enumerate(_WAYS):
        apart = _bits_apart(pictures.hashes[one], others.hashes[other], way)
        distance = np.minimum(distance, apart)
        asked = np.flatnonzero((apart <= bits) & (variant == _NONE))
        parts = [asked[n : n + _AT_A_TIME] for n in range(0, len(asked), _AT_A_TIME)]

        def match(part: Numbers, way: int = way) -> NDArray[np.bool_]:
            left, right = pictures.thumbnails[one[part]], others.thumbnails[other[part]]
            return _match(way, left, right)

        for part, same in zip(parts, pool.map(match, parts), strict=True):
            variant[part[same]] = name
    same = variant != _NONE
    return Matches(one[same], other[same], variant[same], distance[same])


def _match(way: int, one: Thumbnails, other: Thumbnails) -> NDArray[np.bool_]:
    left, right, _ = _WAYS[way]
    mirrored = left in _REFLECTED or right in _REFLECTED
    return same_picture(_inside_border(one, left), _inside_border(other, right), mirrored)


def _inside_border(thumbnails: Thumbnails, column: int) -> Thumbnails:
    if column in (PLAIN, MIRRORED):
        return thumbnails
    return without_borders(thumbnails, find_borders(thumbnails))


def _flat_matches(pictures: Pictures, others: Pictures | None) -> Iterator[Matches]:
    groups = _flat_groups(pictures)
    if others is not None:
        theirs = _flat_groups(others)
        for thumbnail, rows in groups.items():
            for row in rows if thumbnail in theirs else ():
                yield _flat_pairs(row, theirs[thumbnail])
        return
    for rows in groups.values():
        for place, row in enumerate(rows[:-1], start=1):
            yield _flat_pairs(row, rows[place:])


def _flat_groups(pictures: Pictures) -> dict[bytes, list[int]]:
    """Rows by thumbnail."""
    groups: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(pictures.hashes[:, PLAIN] == 0).tolist():
        groups.setdefault(pictures.thumbnails[row].tobytes(), []).append(row)
    return groups


def _flat_pairs(one: int, others: list[int]) -> Matches:
    size = len(others)
    return Matches(
        np.full(size, one),
        np.array(others, np.int64),
        np.full(size, _FLAT, np.uint8),
        np.zeros(size, np.uint8),
    )
