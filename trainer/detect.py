"""Boxes of every photo, and which of them is the animal, into a side table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from petdata.errors import CorruptFile
from petdata.side_table_kinds import BOXES, SEVERAL, Producer
from trainer.decoding import Pixels, decode
from trainer.detect_choice import Box, choose, shows_several
from trainer.detectors import Detector
from trainer.table_parts import TableParts, require_producer
from trainer.unseen_photos import UnseenPhotos

_THREADS: Final = 2  # that decode the next photos while the network looks at these

# Pixels; why it does not decode; that it is not what it was; None where there are none.
_Loaded = Pixels | str | CorruptFile | None


@dataclass(kw_only=True)
class DetectCounts:
    chosen: int = 0
    without_box: int = 0  # looked at, no animal found: used whole
    several: int = 0
    problems: int = 0  # stored with their reason
    unreadable: int = 0  # photos that are not what they were: nothing is stored
    without_pixels: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def per_second(self) -> float:
        passed = time.monotonic() - self.started
        return (self.chosen + self.without_box) / passed if passed else 0.0


Tell = Callable[[DetectCounts, str | None], None]


def detect_photos(
    photos: UnseenPhotos,
    folder: Path,
    detector: Detector,
    *,
    threshold: float = 0.3,
    batch_size: int = 8,
    tell: Tell = lambda counts, problem: None,
) -> DetectCounts:
    """Store a row for each photo, part by part; `tell` hears of each, and of what was wrong."""
    producer = Producer(
        model=detector.model, model_hash=detector.model_hash, settings={"threshold": threshold}
    )
    require_producer(folder, BOXES, producer)
    counts = DetectCounts()
    with TableParts(folder, BOXES, producer, extra=[SEVERAL]) as parts:
        for numbers, pictures in _batches(photos, batch_size, counts, parts, tell):
            found = detector.detect(pictures, threshold)
            for number, boxes in zip(numbers, found, strict=True):
                parts.add(_row(photos, number, boxes, counts))
                tell(counts, None)
    return counts


def _batches(
    photos: UnseenPhotos, size: int, counts: DetectCounts, parts: TableParts, tell: Tell
) -> Iterator[tuple[list[int], list[Pixels]]]:
    """Decoded photos. What does not decode is a problem."""
    for loaded in _loaded(photos, size):
        numbers: list[int] = []
        pictures: list[Pixels] = []
        for number, got in loaded:
            photo_id = photos.table["photo_id"][number].as_py()
            if got is None:
                counts.without_pixels += 1
            elif isinstance(got, CorruptFile):
                counts.unreadable += 1
                tell(counts, f"{photo_id} was skipped: {got}")
            elif isinstance(got, str):
                counts.problems += 1
                parts.add(_keys(photos, number) | {"problem": got[:500]})
                tell(counts, f"{photo_id} {got}")
            else:
                numbers.append(number)
                pictures.append(got)
        if numbers:
            yield numbers, pictures


def _loaded(photos: UnseenPhotos, size: int) -> Iterator[list[tuple[int, _Loaded]]]:
    """Batch by batch; while one is looked at the next one is decoded."""
    with ThreadPoolExecutor(_THREADS) as threads:
        coming: list[tuple[int, Future[_Loaded]]] = []
        for start in range(0, len(photos), size):
            numbers = range(start, min(start + size, len(photos)))
            photos.fetch(numbers)
            now, coming = coming, [(n, threads.submit(_load, photos, n)) for n in numbers]
            if now:
                yield [(number, each.result()) for number, each in now]
        if coming:
            yield [(number, each.result()) for number, each in coming]


def _load(photos: UnseenPhotos, number: int) -> _Loaded:
    try:
        jpeg = photos.read(number)
    except CorruptFile as error:
        return error
    try:
        return None if jpeg is None else decode(jpeg)
    except (ValueError, RuntimeError, MemoryError) as error:
        return f"cannot be decoded: {error}"


def _row(
    photos: UnseenPhotos, number: int, boxes: Sequence[Box], counts: DetectCounts
) -> dict[str, Any]:
    chosen = choose(boxes, photos.table["species"][number].as_py())
    several = shows_several(boxes, chosen)
    counts.chosen += chosen is not None
    counts.without_box += chosen is None
    counts.several += several
    named = [{"class" if k == "name" else k: v for k, v in asdict(box).items()} for box in boxes]
    return _keys(photos, number) | {"boxes": named, "chosen": chosen, SEVERAL.name: several}


def _keys(photos: UnseenPhotos, number: int) -> dict[str, Any]:
    return {name: photos.table[name][number].as_py() for name in ("sha256", "photo_id")}
