from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder import hamming_join as module
from dataset_builder.hamming_join import Hashes, Pairs, hamming_join

Found = list[tuple[int, int, int]]


@pytest.fixture(autouse=True)
def _through_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few hashes there are."""
    monkeypatch.setattr(module, "_FEW_PAIRS", 0)


def listed(pairs: Iterable[Pairs]) -> Found:
    return [
        pair for array in pairs for pair in zip(*(column.tolist() for column in array), strict=True)
    ]


def exhaustive(hashes: Hashes, queries: Hashes | None, bits: int) -> Found:
    if queries is None:
        return [p for p in exhaustive(hashes, hashes, bits) if p[0] < p[1]]
    return [
        (one, other, distance)
        for one, a in enumerate(hashes.tolist())
        for other, b in enumerate(queries.tolist())
        if (distance := (a ^ b).bit_count()) <= bits
    ]


def families(seed: int, size: int, most_flips: int, hot: bool) -> Hashes:
    """Hashes a few bits from one another; `hot`: all alike in all chunks but one."""
    rng = np.random.default_rng(seed)
    parents = rng.integers(0, 2**64, max(1, size // 8), dtype=np.uint64)
    if hot:
        parents &= np.uint64(0x0003_0000_0000_0000)
    hashes = parents[rng.integers(0, len(parents), size)]
    for _ in range(most_flips):
        flips = np.uint64(1) << rng.integers(0, 64, size).astype(np.uint64)
        hashes ^= np.where(rng.random(size) < 0.8, flips, np.uint64(0))
    return hashes


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 120),
    queries=st.none() | st.integers(1, 60),
    most_flips=st.integers(0, 8),
    hot=st.booleans(),
)
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("bits", range(13))
def test_every_pair_is_found_once(
    bits: int, seed: int, size: int, queries: int | None, most_flips: int, hot: bool
) -> None:
    hashes = families(seed, size + (queries or 0), most_flips, hot)
    asked = None if queries is None else hashes[size:]
    found = listed(hamming_join(hashes[:size], asked, bits))
    assert sorted(found) == exhaustive(hashes[:size], asked, bits)


@pytest.mark.parametrize("queries", [None, 50])
@pytest.mark.parametrize("at_a_time", [1, 700, 10**6])
def test_few_hashes_are_all_compared(
    queries: int | None, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW_PAIRS", 120 * 120)
    monkeypatch.setattr(module, "_PAIRS_AT_A_TIME", at_a_time)
    monkeypatch.setattr(module, "_cheapest_radii", None)  # it is not asked
    hashes = families(6, 120 + (queries or 0), 6, hot=False)
    asked = None if queries is None else hashes[120:]
    found = listed(hamming_join(hashes[:120], asked, 8))
    assert sorted(found) == exhaustive(hashes[:120], asked, 8)
    assert len(found) > 20


def test_every_chunk_may_be_the_only_one_that_agrees() -> None:
    """All ways to place 4 differing bits over the 64, two of them in the same byte."""
    rng = np.random.default_rng(1)
    origin = rng.integers(0, 2**64, 1, dtype=np.uint64)
    places = [rng.permutation(64)[:4] for _ in range(3000)]
    changed = np.array([sum(1 << int(p) for p in four) for four in places], np.uint64) ^ origin
    assert len(listed(hamming_join(changed, origin, 4))) == 3000
    assert listed(hamming_join(changed, origin, 3)) == []


@pytest.mark.parametrize("bits", [20, 63, 64])
def test_a_distance_of_many_bits(bits: int) -> None:
    hashes = np.random.default_rng(2).integers(0, 2**64, 40, dtype=np.uint64)
    hashes[1] = ~hashes[0]
    assert sorted(listed(hamming_join(hashes, None, bits))) == exhaustive(hashes, None, bits)


def test_more_pairs_than_an_array_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = families(3, 300, 2, hot=True)
    queries = families(4, 200, 2, hot=True)
    monkeypatch.setattr(module, "_PAIRS_AT_A_TIME", 1)
    for asked in (None, queries):
        arrays = list(hamming_join(hashes, asked, 6))
        assert len(arrays) > 100
        assert sorted(listed(arrays)) == exhaustive(hashes, asked, 6)


def test_threads_do_not_change_the_order() -> None:
    hashes = families(5, 2000, 5, hot=False)
    assert listed(hamming_join(hashes, None, 8, threads=1)) == listed(
        hamming_join(hashes, None, 8, threads=3)
    )


def test_one_can_stop_early() -> None:
    hashes = np.zeros(3000, np.uint64)
    [first] = islice(hamming_join(hashes, None, 0), 1)
    assert not first.distance.any()


def test_nothing_to_join() -> None:
    none, one = np.empty(0, np.uint64), np.zeros(1, np.uint64)
    for hashes, queries in ((none, None), (one, None), (none, one), (one, none)):
        assert listed(hamming_join(hashes, queries, 4)) == []


@pytest.mark.parametrize("bits", [-1, 65])
def test_impossible_distances(bits: int) -> None:
    with pytest.raises(ValueError, match="0 to 64"):
        next(hamming_join(np.zeros(1, np.uint64), None, bits))
