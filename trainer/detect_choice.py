"""Boxes of a photo, and which of them is its animal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from petdata.side_table_checks import MAX_BOXES, MAX_CLASS_BYTES

# Of COCO. What a detector calls otherwise (person, sofa) is kept as a box and never chosen.
ANIMALS: Final = frozenset(
    {
        *("cat", "dog", "bird", "horse", "sheep", "cow"),
        *("elephant", "bear", "zebra", "giraffe"),
    }
)
_CLASS_OF: Final = {"javasparrow": "bird", "parakeet": "bird"}  # species of PetFace
CONFIDENT: Final = 0.5  # score from which a second animal counts
APART: Final = 0.1  # intersection over union, below which two boxes are two animals


@dataclass(frozen=True, slots=True)
class Box:
    name: str  # the detector's class
    score: float  # 0..1
    x0: float  # pixels of the kept photo
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def tidy_boxes(
    found: Iterable[tuple[str, float, Sequence[float]]], height: int, width: int
) -> list[Box]:
    """Of (class, score, corners): inside the photo, the surest first, as side tables take them."""
    boxes = []
    for name, score, (left, top, right, bottom) in found:
        x0, x1 = (min(max(x, 0.0), float(width)) for x in (left, right))
        y0, y1 = (min(max(y, 0.0), float(height)) for y in (top, bottom))
        if x0 < x1 and y0 < y1:
            short = name.encode()[:MAX_CLASS_BYTES].decode(errors="ignore")
            boxes.append(Box(short, score, x0, y0, x1, y1))
    return sorted(boxes, key=lambda box: -box.score)[:MAX_BOXES]


def choose(boxes: Sequence[Box], species: str) -> int | None:
    """The right species first, then score x area: of several the large and certain one, which is
    whom the photo was taken of. Equal ones: the first. None where no box is an animal.
    """
    wanted = _CLASS_OF.get(species, species)
    animals = [n for n, box in enumerate(boxes) if box.name in ANIMALS or box.name == wanted]
    return max(
        animals,
        key=lambda n: (boxes[n].name == wanted, boxes[n].score * boxes[n].area),
        default=None,
    )


def shows_several(boxes: Sequence[Box], chosen: int | None) -> bool:
    """Whether a confident box of the chosen one's class lies apart from it, itself confident."""
    if chosen is None or boxes[chosen].score < CONFIDENT:
        return False
    first = boxes[chosen]
    return any(
        box.name == first.name and box.score >= CONFIDENT and overlap(first, box) < APART
        for box in boxes
    )


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.area + other.area - shared)
