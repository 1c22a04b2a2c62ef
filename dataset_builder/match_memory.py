"""What near duplicates earlier builds found, so that a build compares only what is new.

A row is known by its shard's fingerprint and its place there; whether two rows match depends on
these two alone. So pairs of rows that both were compared before are remembered, and the others are
looked for: old rows with new ones, and new ones among themselves.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dataset_builder.appearances import NO_MATCHES, Indices, Mask, Matches
from dataset_builder.inputs import Rows
from dataset_builder.plan import Matcher
from petdata.workspace import write_whole

# Another number where the same photos match otherwise.
NAME: Final = "matches-1-{bits}-{kind}.npz"


@dataclass(frozen=True, eq=False)
class _Compared:
    """Which rows were compared with which, and the pairs that matched.

    Rows are numbered through all shards, one shard after the other.
    """

    first: Mask
    second: Mask  # `first` once more, where rows were compared among themselves
    pairs: Indices  # (k, 2)


class RememberingMatcher:
    """Answers as `matcher` does, sorted; what it has been asked lies in the folder `cache`."""

    def __init__(self, rows: Rows, matcher: Matcher, cache: Path) -> None:
        self.rows = rows
        self.matcher = matcher
        self.cache = cache
        self._begins = np.cumsum([0, *(file.rows for file in rows.files)])
        self._number = self._begins[rows.file] + rows.row  # of each row, through all shards

    def __call__(self, first: Indices, second: Indices | None, bits: int) -> Matches:
        kind = "within" if second is None else "between"
        path = self.cache / NAME.format(bits=bits, kind=kind)
        others = first if second is None else second
        known = self._known(path)
        was_first = known.first[self._number[first]]
        if second is None:
            asked = [(first[was_first], first[~was_first]), (first[~was_first], None)]
            are_new = not was_first.all()
        else:
            was_second = known.second[self._number[second]]
            asked = [(first[was_first], second[~was_second]), (first[~was_first], second)]
            are_new = not (was_first.all() and was_second.all())
        found = [self._remembered(known.pairs, first, others)]
        for left, right in asked:
            if len(left) and (right is None or len(right)):
                matches = self.matcher(left, right, bits)
                found.append(np.stack([matches.first, matches.second], axis=1))
        pairs = np.concatenate(found)
        if second is None:
            pairs = np.sort(pairs, axis=1)
        pairs = np.unique(pairs, axis=0) if len(pairs) else pairs
        if are_new:  # a part of what is known needs no other memory
            self._remember(path, first, others, pairs)
        return Matches(pairs[:, 0], pairs[:, 1]) if len(pairs) else NO_MATCHES

    def _known(self, path: Path) -> _Compared:
        """In the numbers of this build; nothing of shards that are none of it."""
        files = self.rows.files
        first, second = np.zeros((2, int(self._begins[-1])), np.bool_)
        stored = _read(path)
        if stored is None:
            return _Compared(first, second, np.empty((0, 2), np.int64))
        shards, rows, known = stored
        begins = np.cumsum([0, *rows.tolist()])
        moved = np.full(int(begins[-1]), -1)
        place = _places([file.fingerprint for file in files])
        for fingerprint, before in _places(shards).items():
            number, begin, count = place.get(fingerprint), begins[before], rows[before]
            if number is None or files[number].rows != count:
                continue
            now = slice(int(self._begins[number]), int(self._begins[number + 1]))
            moved[begin : begin + count] = np.arange(now.start, now.stop)
            first[now] = known.first[begin : begin + count]
            second[now] = known.second[begin : begin + count]
        pairs = moved[known.pairs]
        return _Compared(first, second, pairs[(pairs >= 0).all(axis=1)])

    def _remembered(self, known: Indices, first: Indices, second: Indices) -> Indices:
        """Those of the known pairs that are asked for, as rows."""
        row = np.full((2, int(self._begins[-1])), -1)  # of each number, on either side
        row[0, self._number[first]] = first
        row[1, self._number[second]] = second
        pairs = np.stack([row[0, known[:, 0]], row[1, known[:, 1]]], axis=1)
        return pairs[(pairs >= 0).all(axis=1)]

    def _remember(self, path: Path, first: Indices, second: Indices, pairs: Indices) -> None:
        masks = np.zeros((2, int(self._begins[-1])), np.bool_)
        masks[0, self._number[first]] = True
        masks[1, self._number[second]] = True
        content = io.BytesIO()
        np.savez(
            content,
            allow_pickle=False,
            shards=np.array([file.fingerprint for file in self.rows.files]),
            rows=np.diff(self._begins),
            first=np.packbits(masks[0]),
            second=np.packbits(masks[1]),
            pairs=self._number[pairs],
        )
        write_whole(path, content.getvalue())


def _places(fingerprints: Sequence[str]) -> dict[str, int]:
    """Of each fingerprint that is there once: others do not tell shards apart."""
    times = Counter(fingerprints)
    return {name: number for number, name in enumerate(fingerprints) if times[name] == 1}


def _read(path: Path) -> tuple[Sequence[str], Indices, _Compared] | None:
    """Fingerprints and rows of the shards, and what was compared in their numbers.

    None where the file is absent or broken: what is in it can be found again.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            rows = arrays["rows"].astype(np.int64)
            size = int(rows.sum())
            first, second = (
                np.unpackbits(arrays[name], count=size).astype(np.bool_)
                for name in ("first", "second")
            )
            pairs = arrays["pairs"].astype(np.int64).reshape(-1, 2)
            shards = arrays["shards"].tolist()
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    in_range = not len(pairs) or (pairs.min() >= 0 and pairs.max() < size)
    if len(shards) != len(rows) or (rows < 0).any() or not in_range:
        return None
    return shards, rows, _Compared(first, second, pairs)
