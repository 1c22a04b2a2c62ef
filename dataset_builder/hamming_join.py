"""All pairs of 64-bit hashes that differ in at most so many bits: complete, streamed, threaded.

A hash is cut into 4 chunks of 16 bits. Give the chunks radii r with sum(r + 1) > bits: of any two
hashes within `bits`, at least one chunk differs in no more than its radius (else the chunks would
differ in sum(r + 1) bits). So for each chunk the hashes are sorted into buckets by their 16 bits,
and a bucket is compared with the buckets whose key lies within the radius of its own. The radii are
those that cost least on these hashes, counted from the sizes of the buckets. A pair is reported by
the first chunk that finds it. No bucket is capped: skew costs time, never a pair.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_builder.compiled import compiled, count_ones

Hashes = NDArray[np.uint64]
Counts = NDArray[np.int64]

_CHUNKS: Final = 4
_CHUNK_BITS: Final = 16
_KEYS: Final = 1 << _CHUNK_BITS
_PAIRS_AT_A_TIME: Final = 1 << 18  # that an array holds, unless a bucket is larger
_COST_OF_A_VISIT: Final = 16  # going to a bucket costs as much as so many comparisons
_COST_OF_A_TABLE: Final = 50  # ... for each hash in it
_TASKS: Final = 128  # per chunk
_FEW_PAIRS: Final = 1 << 21  # are compared all in less time than it takes to choose radii
# Coefficient (v, h) goes to chunk (v + h) % 4: neighbours in a row or column depend on each other
# most, and apart they leave the values of a chunk spread over more buckets.
_CHUNK_OF_BIT: Final = [(bit // 8 + bit % 8) % _CHUNKS for bit in range(64)]


class Pairs(NamedTuple):
    """Arrays of one length: the numbers of two hashes and the bits in which they differ."""

    one: NDArray[np.uint32]
    other: NDArray[np.uint32]
    distance: NDArray[np.uint8]


def hamming_join(
    hashes: Hashes, queries: Hashes | None, bits: int, *, threads: int | None = None
) -> Iterator[Pairs]:
    """Every pair within `bits`, once, in an order that does not depend on `threads`.

    Pairs of a hash and a query; without queries of two hashes, the lower number first. Memory:
    about 40 bytes a hash and a query, and some MB a thread.
    """
    if not 0 <= bits <= 64:
        raise ValueError(f"{bits} bits: 0 to 64 are possible")
    if not len(hashes) or (queries is not None and not len(queries)):
        return
    if len(hashes) * len(hashes if queries is None else queries) <= _FEW_PAIRS:
        yield from _all_compared(hashes, queries, bits)
        return
    spread = _spread(hashes)
    asked = spread if queries is None else _spread(queries)
    radii = _cheapest_radii(spread, asked, bits)
    threads = threads or available_cores()
    with ThreadPoolExecutor(threads) as pool:
        for chunk in range(_CHUNKS):
            if radii[chunk] >= 0:
                table = _Table.of(spread, chunk)
                questions = None if queries is None else _Table.of(asked, chunk)
                search = _Search(table, questions, chunk, radii, bits)
                yield from search.run(pool, 2 * threads)


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _all_compared(hashes: Hashes, queries: Hashes | None, bits: int) -> Iterator[Pairs]:
    asked = hashes if queries is None else queries
    rows = max(1, _PAIRS_AT_A_TIME // len(asked))
    for first in range(0, len(hashes), rows):
        distances = np.bitwise_count(hashes[first : first + rows, None] ^ asked)
        one, other = np.nonzero(distances <= bits)
        if queries is None:
            later = other > one + first
            one, other = one[later], other[later]
        if len(one):
            numbers = (one + first).astype(np.uint32), other.astype(np.uint32)
            yield Pairs(*numbers, distances[one, other])


def _spread(hashes: Hashes) -> Hashes:
    """Bits moved so that each chunk is 16 neighbours; distances stay."""
    places = sorted(range(64), key=lambda bit: _CHUNK_OF_BIT[63 - bit])  # of bits 0, 1, ... then
    moved = np.zeros((8, 256), np.uint64)  # what each byte turns into
    for new, old in enumerate(places):
        has_bit = np.arange(256) >> old % 8 & 1
        moved[old // 8] |= has_bit.astype(np.uint64) << np.uint64(new)
    return _move_bits(hashes, moved)


class _Table(NamedTuple):
    """Hashes sorted by one chunk; those with key k stand at starts[k] .. starts[k + 1] - 1."""

    hashes: Hashes
    numbers: NDArray[np.uint32]  # what number each had
    starts: Counts  # (65537,)

    @classmethod
    def of(cls, spread: Hashes, chunk: int) -> _Table:
        starts = np.zeros(_KEYS + 1, np.int64)
        np.cumsum(_bucket_sizes(spread, chunk), out=starts[1:])
        hashes, numbers = np.empty_like(spread), np.empty(len(spread), np.uint32)
        _fill_buckets(spread, chunk, starts[:-1].copy(), hashes, numbers)
        return cls(hashes, numbers, starts)


class _Rule(NamedTuple):
    flips: NDArray[np.uint16]  # what to XOR a key with to get the keys within the radius
    earlier_radii: Counts  # of the chunks that have been searched
    bits: np.uint64
    within: bool  # pairs of the table's own hashes, the lower number first


@dataclass(frozen=True)
class _Search:
    """In one chunk: each question against the hashes whose key is within the chunk's radius."""

    table: _Table
    questions: _Table | None  # None: the table's own, each pair once
    chunk: int
    radii: tuple[int, ...]
    bits: int

    def run(self, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Pairs]:
        """At most `ahead` arrays of pairs are held at a time."""
        rule = self._rule()
        tasks = self._tasks()
        waiting: deque[Future[tuple[Pairs, Counts]]] = deque()
        try:
            while True:
                while len(waiting) < ahead and (task := next(tasks, None)) is not None:
                    waiting.append(pool.submit(self._pairs, rule, task))
                if not waiting:
                    return
                pairs, rest = waiting.popleft().result()
                if rest[0] < rest[1]:
                    waiting.appendleft(pool.submit(self._pairs, rule, rest))
                if len(pairs.one):
                    yield pairs
        finally:
            for future in waiting:
                future.cancel()

    def _rule(self) -> _Rule:
        earlier = np.array(self.radii[: self.chunk], np.int64)
        flips = _flips(self.radii[self.chunk])
        return _Rule(flips, earlier, np.uint64(self.bits), self.questions is None)

    def _tasks(self) -> Iterator[Counts]:
        """Ranges of keys of about equal cost: (first, end, flip, question) to begin at."""
        sizes = np.diff(self.table.starts)
        asked = sizes if self.questions is None else np.diff(self.questions.starts)
        cost = np.cumsum(_costs(sizes, self.radii[self.chunk])[-1] * asked)
        inner = np.searchsorted(cost, np.linspace(0, cost[-1], _TASKS + 1)[1:-1])
        ends = np.unique(np.append(inner + 1, _KEYS))
        for first, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            yield np.array([first, end, 0, 0], np.int64)

    def _pairs(self, rule: _Rule, task: Counts) -> tuple[Pairs, Counts]:
        """What is found from `task` on until an array is full, and where to go on from."""
        largest = int(np.diff(self.table.starts).max())
        room = max(_PAIRS_AT_A_TIME, largest)
        found = Pairs(
            np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.uint8)
        )
        state = task.copy()
        length = _search(self.table, self.questions, rule, state, found)
        one, other, distance = found
        return Pairs(one[:length].copy(), other[:length].copy(), distance[:length].copy()), state


def _flips(radius: int) -> NDArray[np.uint16]:
    words = np.arange(_KEYS, dtype=np.uint16)
    return words[np.bitwise_count(words) <= radius]


def _cheapest_radii(spread: Hashes, asked: Hashes, bits: int) -> tuple[int, ...]:
    """One for each chunk, -1 to leave it out; sum(radius + 1) = bits + 1."""
    most = min(bits // 2 + 1, _CHUNK_BITS)  # enough even without two of the chunks
    costs = np.zeros((_CHUNKS, most + 2))  # [:, radius + 1]
    for chunk in range(_CHUNKS):
        sizes, questions = _bucket_sizes(spread, chunk), _bucket_sizes(asked, chunk)
        costs[chunk, 1:] = _costs(sizes, most) @ questions.astype(np.float64)
        costs[chunk, 1:] += _COST_OF_A_TABLE * (len(spread) + len(asked))
    options = range(-1, most + 1)
    choices = [c for c in product(options, repeat=_CHUNKS) if sum(c) + _CHUNKS == bits + 1]
    return min(choices, key=lambda radii: sum(costs[c, r + 1] for c, r in enumerate(radii)))


@compiled
def _costs(sizes: Counts, radius: int) -> NDArray[np.float64]:
    """(radius + 1, 65536): cost of one question of each key at radius 0, 1, ..."""
    shells = np.zeros((radius + 1, 65536))  # of what stands at just that distance from a key
    shells[0] = sizes + _COST_OF_A_VISIT
    for bit in range(16):
        step = 1 << bit
        for r in range(radius, 0, -1):
            for start in range(0, 65536, 2 * step):
                for key in range(start, start + step):
                    shells[r, key] += shells[r - 1, key + step]
                    shells[r, key + step] += shells[r - 1, key]
    for r in range(radius):
        shells[r + 1] += shells[r]
    return shells


@compiled
def _move_bits(words: Hashes, moved: NDArray[np.uint64]) -> Hashes:
    result = np.zeros(len(words), np.uint64)
    for i in range(len(words)):
        for byte in range(8):
            result[i] |= moved[byte, (words[i] >> np.uint64(8 * byte)) & np.uint64(0xFF)]
    return result


@compiled
def _bucket_sizes(spread: Hashes, chunk: int) -> Counts:
    sizes = np.zeros(65536, np.int64)
    for i in range(len(spread)):
        sizes[(spread[i] >> np.uint64(16 * chunk)) & np.uint64(0xFFFF)] += 1
    return sizes


@compiled
def _fill_buckets(
    spread: Hashes, chunk: int, next_place: Counts, hashes: Hashes, numbers: NDArray[np.uint32]
) -> None:
    for i in range(len(spread)):
        key = np.int64((spread[i] >> np.uint64(16 * chunk)) & np.uint64(0xFFFF))
        place = next_place[key]
        hashes[place], numbers[place] = spread[i], i
        next_place[key] += 1


@compiled
def _search(
    table: _Table, questions: _Table | None, rule: _Rule, state: Counts, found: Pairs
) -> int:
    """Fill `found` and say how far. `state` (see _tasks) moves to where to go on."""
    written = 0
    asked = table if questions is None else questions
    first_key, first_flip, first_question = state[0], state[2], state[3]
    for key in range(first_key, state[1]):
        begin, end = asked.starts[key], asked.starts[key + 1]
        if begin == end:
            continue
        for flip in range(first_flip, len(rule.flips)):
            met = key ^ np.int64(rule.flips[flip])
            start, stop = table.starts[met], table.starts[met + 1]
            if start == stop or (questions is None and met < key):
                continue
            for question in range(max(begin, first_question), end):
                if questions is None and met == key:
                    start = question + 1
                hits = _count_hits(table, start, stop, asked.hashes[question], rule.bits)
                if hits > len(found.one) - written:
                    state[0], state[2], state[3] = key, flip, question
                    return written
                if hits > 0:
                    written = _write(table, start, stop, asked, question, rule, found, written)
            first_question = 0
        first_flip = first_question = 0
    state[0] = state[1]
    return written


@compiled
def _count_hits(table: _Table, start: int, stop: int, question: np.uint64, bits: np.uint64) -> int:
    hits = 0
    for n in range(start, stop):  # no branch in it, so that LLVM makes vector instructions of it
        hits += count_ones(table.hashes[n] ^ question) <= bits
    return hits


@compiled
def _write(  # noqa: PLR0913, compiled: all in registers
    table: _Table,
    start: int,
    stop: int,
    asked: _Table,
    question: int,
    rule: _Rule,
    found: Pairs,
    written: int,
) -> int:
    for n in range(start, stop):
        difference = table.hashes[n] ^ asked.hashes[question]
        distance = count_ones(difference)
        if distance > rule.bits or _found_earlier(difference, rule.earlier_radii):
            continue
        one, other = table.numbers[n], asked.numbers[question]
        if rule.within and one > other:
            one, other = other, one
        found.one[written], found.other[written] = one, other
        found.distance[written] = distance
        written += 1
    return written


@compiled
def _found_earlier(difference: np.uint64, earlier_radii: Counts) -> bool:
    for chunk in range(len(earlier_radii)):
        part = (difference >> np.uint64(16 * chunk)) & np.uint64(0xFFFF)
        if np.int64(count_ones(part)) <= earlier_radii[chunk]:
            return True
    return False
