"""Which identities are one animal: those that share a photo, unless that proves too much.

Sources join in the order of their levels. Identities of one level are joined by links among
themselves; what comes later attaches to the first group that it is linked to, and never joins two
groups that were separate before. So leaving out a later source changes no earlier group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataset_builder.appearances import Mask, Matches, appearances
from dataset_builder.inputs import Rows
from dataset_builder.options import LARGEST_GROUP


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Two identities, and the rows that show it; `first` is decided earlier."""

    first: int  # identity
    second: int
    first_row: int
    second_row: int
    kind: str  # exact, near, accepted


@dataclass(frozen=True, eq=False)
class Groups:
    of: NDArray[np.int32]  # identity -> the identity that its group is named after
    capped: Sequence[frozenset[int]] = field(default=())  # components that were left apart


def exact_links(rows: Rows, kept: Mask) -> list[Link]:
    """A link from the first identity that shows a picture to each further one."""
    seen = appearances(rows, kept)
    same = np.flatnonzero(seen.picture[1:] == seen.picture[:-1]) + 1
    links, start = [], -1
    for index in same:
        if start < 0 or seen.picture[start] != seen.picture[index]:
            start = int(index) - 1
        links.append(link_of(rows, int(seen.row[start]), int(seen.row[index]), "exact"))
    return links


def near_links(rows: Rows, matches: Matches) -> list[Link]:
    """One for each pair of identities that have near duplicates."""
    found: dict[tuple[int, int], Link] = {}
    for first, second in zip(matches.first.tolist(), matches.second.tolist(), strict=True):
        link = link_of(rows, first, second, "near")
        if link.first != link.second:
            found.setdefault((link.first, link.second), link)
    return sorted(found.values())


def link_of(rows: Rows, a: int, b: int, kind: str) -> Link:
    """Between the identities of two rows."""
    first, second = sorted((a, b))
    return Link(int(rows.identity[first]), int(rows.identity[second]), first, second, kind)


def join(rows: Rows, links: Iterable[Link]) -> Groups:
    """Groups out of links, level by level."""
    count = len(rows.identities)
    first_row = np.full(count, len(rows), np.int64)
    np.minimum.at(first_row, rows.identity, np.arange(len(rows)))
    level = np.where(first_row < len(rows), rows.level[np.minimum(first_row, len(rows) - 1)], -1)
    group = np.arange(count, dtype=np.int32)
    size: dict[int, int] = defaultdict(lambda: 1)
    peers: dict[int, list[Link]] = defaultdict(list)  # by level
    upward: dict[int, list[int]] = defaultdict(list)  # identity -> earlier identities
    for link in links:
        a, b = sorted((link.first, link.second), key=lambda i: int(first_row[i]))
        if max(rows.level[link.first_row], rows.level[link.second_row]) > level[b]:
            continue  # PetFace's train list knows nothing of its others
        if level[a] == level[b]:
            peers[int(level[a])].append(link)
        else:
            upward[b].append(a)
    capped = []
    touched = {int(level[b]) for b in upward} | set(peers)
    for number in sorted(touched):
        linked = {i for link in peers[number] for i in (link.first, link.second)}
        linked |= {b for b in upward if level[b] == number}
        for component in _components(linked, peers[number]):
            members = sorted(component, key=lambda i: int(first_row[i]))
            if len(members) > LARGEST_GROUP:
                capped.append(frozenset(members))
                continue
            above = [int(group[a]) for b in members for a in upward[b]]
            name = min(above, key=lambda i: int(first_row[i]), default=members[0])
            joined = size[name] + len(members) - (0 if above else 1)
            if joined > LARGEST_GROUP:
                capped.append(frozenset({name, *members}))
                name = members[0]
                joined = len(members)
            for member in members:
                group[member] = name
            size[name] = joined
    return Groups(group, tuple(capped))


def _components(nodes: set[int], links: Iterable[Link]) -> list[set[int]]:
    neighbours: dict[int, list[int]] = {node: [] for node in sorted(nodes)}
    for link in links:
        neighbours[link.first].append(link.second)
        neighbours[link.second].append(link.first)
    found, seen = [], set[int]()
    for node in neighbours:
        if node in seen:
            continue
        component, waiting = {node}, [node]
        while waiting:
            fresh = [n for n in neighbours[waiting.pop()] if n not in component]
            component.update(fresh)
            waiting += fresh
        seen |= component
        found.append(component)
    return found
