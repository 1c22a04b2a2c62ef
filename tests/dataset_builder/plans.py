"""Rows of a build out of a short table, and plans of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dataset_builder.appearances import Indices, Matches
from dataset_builder.inputs import Rows
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.plan import SPLITS, Matcher, Plan, make_plan
from petdata.sources import SOURCES


@dataclass(frozen=True)
class Shown:
    """One photo: whose, and which picture it shows. Equal letters are equal bytes; "a" and "a~"
    are near duplicates."""

    identity: str  # "pet911/1"
    picture: str
    source_split: str = ""
    species: str = "cat"
    is_current: bool = True
    is_taken_down: bool = False
    multi_animal: bool = False

    @property
    def source(self) -> str:
        return self.identity.partition("/")[0]


def make_rows(photos: Iterable[Shown], options: BuildOptions) -> tuple[Rows, list[Shown]]:
    """The rows in their canonical order, and the photos in the same order."""
    levels = levels_of(SOURCES.values(), options)
    known = {(lv.source.name, lv.lists): number for number, lv in enumerate(levels)}

    def level(photo: Shown) -> int:
        if photo.source != "petface":
            return known.get((photo.source, ""), -1)
        return known.get((photo.source, "train" if photo.source_split == "train" else "others"), -1)

    chosen = [photo for photo in photos if level(photo) >= 0]
    chosen.sort(key=lambda p: (level(p), p.identity, p.picture, p.source_split))
    identities = sorted({photo.identity for photo in chosen})
    pictures = sorted({photo.picture for photo in chosen})
    count = len(chosen)
    rows = Rows(
        files=(),
        levels=levels,
        level=np.array([level(photo) for photo in chosen], np.int16),
        file=np.zeros(count, np.int32),
        row=np.arange(count),
        identity=np.array([identities.index(photo.identity) for photo in chosen], np.int32),
        picture=np.array([pictures.index(photo.picture) for photo in chosen], np.int32),
        arrival=np.zeros(count, np.int64),
        phash=np.zeros(count, np.uint64),
        bytes=np.full(count, 40_000),
        pixels=np.full(count, 10**6),
        species=pa.array([photo.species for photo in chosen], pa.string()).dictionary_encode(),
        source_split=pa.array(
            [photo.source_split for photo in chosen], pa.string()
        ).dictionary_encode(),
        content=np.array([photo.picture.encode() for photo in chosen], "S32"),
        is_current=np.array([photo.is_current for photo in chosen], np.bool_),
        is_taken_down=np.array([photo.is_taken_down for photo in chosen], np.bool_),
        is_multi_animal=np.array([photo.multi_animal for photo in chosen], np.bool_),
        identities=identities,
        photo_ids=pa.array([f"{photo.identity}/{photo.picture}" for photo in chosen], pa.string()),
        sha256=pa.array([photo.picture for photo in chosen], pa.string()),
    )
    return rows, chosen


def matcher(photos: Sequence[Shown]) -> Matcher:
    """Finds "a" and "a~" alike, by comparing every pair."""

    def find(first: Indices, second: Indices | None, bits: int) -> Matches:
        pairs = set()
        for a in first.tolist():
            for b in (first if second is None else second).tolist():
                x, y = photos[a].picture, photos[b].picture
                if a != b and x != y and x.strip("~") == y.strip("~"):
                    pairs.add((min(a, b), max(a, b)))
        ordered = sorted(pairs)
        return Matches(
            np.array([a for a, _ in ordered], np.int64), np.array([b for _, b in ordered], np.int64)
        )

    return find


def plan(photos: Iterable[Shown], **options: object) -> dict[tuple[str, str, str], str]:
    """(identity, picture, list) -> its split or the reason why it was dropped."""
    made, shown = plan_of(photos, **options)
    return {
        (photo.identity, photo.picture, photo.source_split): (
            SPLITS[made.split[row]] if made.reason[row] < 0 else made.reasons[int(made.reason[row])]
        )
        for row, photo in enumerate(shown)
    }


def plan_of(photos: Iterable[Shown], **options: object) -> tuple[Plan, list[Shown]]:
    chosen = BuildOptions(**{"val_fraction": 0.0, **options})  # type: ignore[arg-type]
    rows, shown = make_rows(photos, chosen)
    return make_plan(rows, chosen, matcher(shown)), shown  # type: ignore[arg-type]


def groups(made: Plan) -> dict[str, str]:
    """Identity -> the one that its group is named after, where that is another."""
    names = made.rows.identities
    return {names[i]: names[g] for i, g in enumerate(made.groups.of.tolist()) if i != g}
