"""Training, validation and test apart: the leak gate, and a split that stays as data grows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_builder.appearances import Alike, Mask, Matches, first_rows
from dataset_builder.identity_graph import Groups
from dataset_builder.inputs import Rows


def leaks(rows: Rows, kept: Mask, groups: Groups, near: Alike) -> NDArray[np.int16]:
    """For each row the level of the test set that it must not be trained with; -1 for none.

    A training row leaves that shows a picture of a test set, exactly or nearly, and with it its
    identity group: rows of its own level and later ones, since a later source decides nothing for
    an earlier one. A group that holds a test identity leaves as a whole.
    """
    test = rows.is_test()
    shown = first_rows(rows, kept & test)
    level = np.where(shown >= 0, rows.level[np.maximum(shown, 0)], -1).astype(np.int16)
    by_picture = level.copy()  # of the first test set that shows it, exactly or nearly
    for train_picture, test_picture in ((near.first, near.second), (near.second, near.first)):
        leaking = (level[test_picture] >= 0) & (by_picture[train_picture] < 0)
        by_picture[train_picture[leaking]] = level[test_picture[leaking]]
    train = kept & ~test
    found = np.where(train, by_picture[rows.picture], -1).astype(np.int16)
    _spread(rows, train, groups, found)
    return found


def _spread(rows: Rows, train: Mask, groups: Groups, found: NDArray[np.int16]) -> None:
    group = groups.of[rows.identity]
    first: dict[int, tuple[int, int]] = {}  # group -> (level from which it leaves, test level)
    test_rows = np.flatnonzero(rows.is_test())
    for name, level in zip(group[test_rows].tolist(), rows.level[test_rows].tolist(), strict=True):
        first.setdefault(name, (-1, level))
    for row in np.flatnonzero(train & (found >= 0)):
        name, level = int(group[row]), int(rows.level[row])
        if name not in first or level < first[name][0]:
            first[name] = (level, int(found[row]))
    names = np.fromiter(first, np.int64, len(first))
    for row in np.flatnonzero(train & (found < 0) & np.isin(group, names)):
        since, level = first[int(group[row])]
        if rows.level[row] >= since:
            found[row] = level


def leaks_left(rows: Rows, kept: Mask, near: Alike) -> int:
    """Pairs of a training and a test picture that are the same or nearly so, among kept rows."""
    test = rows.is_test()
    trained = first_rows(rows, kept & ~test) >= 0
    tested = first_rows(rows, kept & test) >= 0
    alike = (trained[near.first] & tested[near.second]) | (
        tested[near.first] & trained[near.second]
    )
    return int(np.count_nonzero(trained & tested) + np.count_nonzero(alike))


def duplicate_photos(rows: Rows, kept: Mask) -> Mask:
    """All rows of a picture but the first."""
    chosen = np.flatnonzero(kept)
    _, first = np.unique(rows.picture[chosen], return_index=True)
    marked = kept.copy()
    marked[chosen[first]] = False
    return marked


def near_duplicates(rows: Rows, kept: Mask, groups: Groups, matches: Matches) -> Mask:
    """Rows that nearly repeat an earlier one of their identity group that stays."""
    group = groups.of[rows.identity]
    earlier: dict[int, list[int]] = defaultdict(list)
    inside = kept[matches.first] & kept[matches.second]
    inside &= group[matches.first] == group[matches.second]
    for a, b in zip(matches.first[inside].tolist(), matches.second[inside].tolist(), strict=True):
        earlier[b].append(a)
    marked = np.zeros(len(rows), np.bool_)
    for row in sorted(earlier):
        marked[row] = any(not marked[other] for other in earlier[row])
    return marked


def too_few(rows: Rows, kept: Mask, groups: Groups, min_photos: int) -> Mask:
    """Training rows of groups with fewer photos, counting a row's own level and earlier ones."""
    marked = np.zeros(len(rows), np.bool_)
    if min_photos <= 1:
        return marked
    group = groups.of[rows.identity]
    train = kept & ~rows.is_test()
    counts = np.zeros(len(groups.of), np.int64)
    for level in range(len(rows.levels)):
        here = np.flatnonzero(train & (rows.level == level))
        np.add.at(counts, group[here], 1)
        few = here[counts[group[here]] < min_photos]
        marked[few] = True
        np.subtract.at(counts, group[few], 1)
    return marked


def is_validation(names: Sequence[str], seed: int, fraction: float) -> Mask:
    """Whether an identity group of this name is held out; whatever else there is."""
    limit = int(fraction * 2**64)
    drawn = (
        int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big")
        for name in names
    )
    return np.fromiter((number < limit for number in drawn), np.bool_, len(names))
