"""What is remembered of earlier builds changes no answer, and spares asking again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.appearances import Indices, Matches
from dataset_builder.inputs import Rows
from dataset_builder.match_memory import RememberingMatcher

Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class Shard:
    fingerprint: str
    values: tuple[int, ...]  # of its rows: they match where these are near


def rows_of(shards: Sequence[Shard], order: Sequence[int]) -> Rows:
    """Rows of all shards, in some order."""
    places = [(file, row) for file, shard in enumerate(shards) for row in range(len(shard.values))]
    file, row = np.array([places[n] for n in order], np.int64).reshape(-1, 2).T
    files = [SimpleNamespace(fingerprint=s.fingerprint, rows=len(s.values)) for s in shards]
    return cast(Rows, SimpleNamespace(files=files, file=file, row=row))


class SlowMatcher:
    """Compares each with each, and keeps whom it compared."""

    def __init__(self, rows: Rows, shards: Sequence[Shard]) -> None:
        self.names = [
            (shards[file].fingerprint, row)
            for file, row in zip(rows.file.tolist(), rows.row.tolist(), strict=True)
        ]
        self.values = [
            shards[file].values[row]
            for file, row in zip(rows.file.tolist(), rows.row.tolist(), strict=True)
        ]
        self.compared: list[frozenset[tuple[str, int]]] = []

    def __call__(self, first: Indices, second: Indices | None, bits: int) -> Matches:
        ones = first.tolist()
        if second is None:
            asked = [(a, b) for n, a in enumerate(ones) for b in ones[n + 1 :]]
        else:
            asked = [(a, b) for a in ones for b in second.tolist()]
        self.compared += [frozenset((self.names[a], self.names[b])) for a, b in asked]
        found = [(a, b) for a, b in asked if abs(self.values[a] - self.values[b]) <= bits]
        pairs = np.array(found, np.int64).reshape(-1, 2)
        return Matches(pairs[:, 0], pairs[:, 1])


def listed(matches: Matches) -> Pairs:
    return list(zip(matches.first.tolist(), matches.second.tolist(), strict=True))


SHARDS = st.lists(st.tuples(*[st.integers(0, 9)] * 3) | st.tuples(st.integers(0, 9)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), contents=SHARDS, between=st.booleans())
def test_every_build_of_a_row_of_builds_gets_what_it_would_get_alone(
    data: st.DataObject, contents: list[Any], between: bool, tmp_path_factory: Any
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    pool = [Shard(f"{n:064x}", values) for n, values in enumerate(contents)]
    compared: set[frozenset[tuple[str, int]]] = set()
    last: set[tuple[str, int]] = set()
    for _ in range(data.draw(st.integers(1, 4))):
        shards = data.draw(st.permutations(pool).map(lambda p: p[: max(1, len(p) - 1)]))
        size = sum(len(shard.values) for shard in shards)
        rows = rows_of(shards, data.draw(st.permutations(range(size))))
        part = data.draw(st.sets(st.integers(0, max(0, size - 1)), max_size=size))
        first = np.array(sorted(n for n in part if n < size), np.int64)
        second = np.array(sorted(set(range(size)) - part), np.int64) if between else None
        expected = listed(SlowMatcher(rows, shards)(first, second, 2))
        slow = SlowMatcher(rows, shards)
        found = listed(RememberingMatcher(rows, slow, cache)(first, second, 2))
        assert found == sorted(set(expected))
        again = SlowMatcher(rows, shards)
        assert listed(RememberingMatcher(rows, again, cache)(first, second, 2)) == found
        assert not again.compared
        asked = set(slow.compared)
        assert len(asked) == len(slow.compared)
        here = {slow.names[n] for n in first.tolist()}
        if not between and last <= here:  # nothing has gone: nothing is compared twice
            assert not asked & compared
            compared |= asked
        else:
            compared = {frozenset((a, b)) for a in here for b in here if a != b}
        last = here


def once(cache: Path, shards: Sequence[Shard]) -> tuple[Pairs, int]:
    """Pairs, and how many were compared for them."""
    size = sum(len(shard.values) for shard in shards)
    rows = rows_of(shards, range(size))
    slow = SlowMatcher(rows, shards)
    return listed(RememberingMatcher(rows, slow, cache)(np.arange(size), None, 0)), len(
        slow.compared
    )


ONE, OTHER = Shard("1" * 64, (1, 2, 3, 1)), Shard("2" * 64, (3, 5))


def test_only_what_is_new_is_compared(tmp_path: Path) -> None:
    assert once(tmp_path, [ONE]) == ([(0, 3)], 6)
    assert once(tmp_path, [ONE, OTHER]) == ([(0, 3), (2, 4)], 4 * 2 + 1)
    assert once(tmp_path, [OTHER, ONE]) == ([(0, 4), (2, 5)], 0)
    assert once(tmp_path, [OTHER]) == ([], 0)  # less than is known: that stays known
    assert once(tmp_path, [ONE, OTHER]) == ([(0, 3), (2, 4)], 0)


def test_a_shard_with_other_content_is_new(tmp_path: Path) -> None:
    once(tmp_path, [ONE, OTHER])
    assert once(tmp_path, [ONE, Shard("3" * 64, (2, 5))]) == ([(0, 3), (1, 4)], 4 * 2 + 1)


def test_shards_that_cannot_be_told_apart_are_compared_anew(tmp_path: Path) -> None:
    pairs = [(0, 3), (0, 4), (0, 7), (1, 5), (2, 6), (3, 4), (3, 7), (4, 7)]
    assert once(tmp_path, [ONE, ONE]) == (pairs, 28)
    assert once(tmp_path, [ONE, ONE]) == (pairs, 28)
    assert once(tmp_path, [ONE]) == ([(0, 3)], 6)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_a_broken_memory_is_made_anew(tmp_path: Path, content: bytes) -> None:
    expected, _ = once(tmp_path, [ONE, OTHER])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    turned = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for spoilt in (content, whole[:-100], whole[:middle], turned):
        path.write_bytes(spoilt)
        assert once(tmp_path, [ONE, OTHER])[0] == expected
        assert once(tmp_path, [ONE, OTHER]) == (expected, 0)


def test_rows_that_are_out_of_range_are_not_believed(tmp_path: Path) -> None:
    expected, compared = once(tmp_path, [ONE, OTHER])
    (path,) = tmp_path.iterdir()
    with np.load(path) as arrays:
        said = dict(arrays)
    for spoilt in (
        said | {"pairs": np.array([[0, 99]])},
        said | {"pairs": np.array([[-1, 0]])},
        said | {"rows": np.array([4])},
        said | {"rows": np.array([-4, 10])},
        said | {"first": said["first"].astype(np.float64)},
        {name: array for name, array in said.items() if name != "second"},
    ):
        with path.open("wb") as file:
            np.savez(file, **spoilt)
        assert once(tmp_path, [ONE, OTHER]) == (expected, compared)
