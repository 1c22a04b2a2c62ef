"""Which rows stand in which file: neighbours together, files that new data leaves alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dataset_builder.appearances import Indices
from dataset_builder.options import PETFACE
from dataset_builder.plan import SPLITS, Plan

SMALLEST_FILE: Final = 32 * 2**20  # bytes of JPEG, but for the last of its kind
LARGEST_FILE: Final = 128 * 2**20
BOUNDARY: Final = 64  # one identity in so many ends a file that is large enough


@dataclass(frozen=True, eq=False)
class PlannedFile:
    path: str  # in the release: data/pet911/train-00000.parquet
    rows: Indices  # of the plan, in order
    fingerprint: str  # of what they say and show
    bytes: int  # of JPEG


def plan_files(plan: Plan, published: Sequence[str]) -> list[PlannedFile]:
    """Every kept row in one file; sorted by arrival and published id."""
    rows = plan.rows
    rank = np.empty(len(published), np.int64)
    rank[np.argsort(np.array(published, dtype="U"), kind="stable")] = np.arange(len(published))
    found = []
    kept = np.flatnonzero(plan.kept)
    source = rows.source_number()
    splits = rows.source_split.indices.to_numpy()
    names = rows.source_split.dictionary.to_pylist()
    keys = np.stack([source[kept], np.where(_has_folders(plan)[kept], splits[kept], -1)])
    keys = np.vstack([keys, plan.split[kept]])
    for number, listed, split in np.unique(keys, axis=1).T:
        chosen = kept[(keys[0] == number) & (keys[1] == listed) & (keys[2] == split)]
        order = np.lexsort((chosen, rank[rows.identity[chosen]], rows.arrival[chosen]))
        folder = f"data/{rows.levels[number].source.name}"
        if listed >= 0 and names[listed]:
            folder = f"{folder}/{names[listed]}"
        for index, part in enumerate(_cut(plan, chosen[order], published)):
            found.append(
                PlannedFile(
                    path=f"{folder}/{SPLITS[split]}-{index:05d}.parquet",
                    rows=part,
                    fingerprint=_fingerprint(plan, part, published),
                    bytes=int(rows.bytes[part].sum()),
                )
            )
    return found


def _has_folders(plan: Plan) -> np.ndarray:
    """Whether a row's list in its source is a folder of the release."""
    folders = np.array([level.source.name == PETFACE for level in plan.rows.levels])
    return folders[plan.rows.level]


def _cut(plan: Plan, ordered: Indices, published: Sequence[str]) -> list[Indices]:
    """Files end behind identities that a hash of their id alone picks, once they are large enough.

    So a new identity moves the end of its own file, at most, and the next boundaries stay.
    """
    identity = plan.rows.identity[ordered]
    last = np.flatnonzero(np.r_[identity[1:] != identity[:-1], True])
    ends = np.cumsum(plan.rows.bytes[ordered])[last]
    cuts, begun = [], 0
    for place, end in zip(last.tolist(), ends.tolist(), strict=True):
        size = end - begun
        if size < SMALLEST_FILE:
            continue
        if size >= LARGEST_FILE or _is_boundary(published[identity[place]]):
            cuts.append(place + 1)
            begun = end
    return [part for part in np.split(ordered, cuts) if len(part)]


def _is_boundary(name: str) -> bool:
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % BOUNDARY == 0


def _fingerprint(plan: Plan, part: Indices, published: Sequence[str]) -> str:
    identities = (published[identity] for identity in plan.rows.identity[part].tolist())
    return fingerprint_of(zip(identities, plan.rows.content[part].tolist(), strict=True))


def fingerprint_of(rows: Iterable[tuple[str, bytes]]) -> str:
    """Of the identity of each row, as published, and the hash of what the row says."""
    digest = hashlib.sha256()
    for identity, content in rows:
        digest.update(identity.encode() + b"\x1f" + content + b"\n")
    return digest.hexdigest()
