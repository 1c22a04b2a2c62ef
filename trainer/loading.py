"""Batches that are loaded ahead, in order: which are under way, and the room that they take."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

import torch

from trainer.decoding import Transform
from trainer.loading_pool import LoadingPool
from trainer.photo_set import Int64Array, PhotoSet
from trainer.shared_pixels import SharedPixels

_LENT: Final = 2  # batches that may be in use at once without a copy

Loaded = tuple[Int64Array, torch.Tensor, list[tuple[int, str]]]  # rows, pixels, bad places


@dataclass(kw_only=True)
class _UnderWay:
    rows: Int64Array
    room: int
    left: int  # photos that are not done
    bad: list[tuple[int, str]] = field(default_factory=list)


@dataclass(kw_only=True)
class Loading:
    """One pass over batches of rows."""

    photos: PhotoSet
    transform: Transform
    shape: tuple[int, ...]  # of one photo's tensor
    workers: int
    ahead: int  # batches
    pinned: bool
    _pixels: SharedPixels | None = None
    _pool: LoadingPool | None = None
    _under_way: dict[int, _UnderWay] = field(default_factory=dict)
    _submitted: int = 0

    def run(self, batches: Iterator[Int64Array]) -> Generator[Loaded]:
        waiting: deque[Int64Array] = deque()
        try:
            while True:
                self._submit(batches, waiting)
                if not self._under_way:
                    return
                first = next(iter(self._under_way))
                batch = self._wait_for(first)
                del self._under_way[first]
                pixels = self._lend(batch)
                self._submit(batches, waiting)  # nobody idles while the batch is used
                yield batch.rows, pixels, batch.bad
                del pixels
        finally:
            self._stop()

    def _submit(self, batches: Iterator[Int64Array], waiting: deque[Int64Array]) -> None:
        while len(self._under_way) < self.ahead:
            if not waiting:
                if (rows := next(batches, None)) is None:
                    return
                waiting.append(rows)
            if not self._make_room(len(waiting[0])):
                return
            assert self._pixels is not None
            assert self._pool is not None
            if (room := self._pixels.take()) is None:
                return
            rows = waiting.popleft()
            batch = _UnderWay(rows=rows, room=room, left=len(rows))
            self._under_way[self._submitted] = batch
            self._pool.submit(self._submitted, room, rows)
            self._submitted += 1

    def _make_room(self, photos: int) -> bool:
        """Whether a batch of so many fits; a larger one than before waits for those under way."""
        if self._pixels is not None and photos > self._pixels.photos:
            if self._under_way:
                return False
            self._stop()
        if self._pixels is None:
            places = self.ahead + _LENT
            self._pixels = SharedPixels(places, photos, self.shape, pinned=self.pinned)
            self._pool = LoadingPool(self.photos, self.transform, self._pixels, self.workers)
        return True

    def _wait_for(self, number: int) -> _UnderWay:
        assert self._pool is not None
        batch = self._under_way[number]
        while batch.left:
            for done in self._pool.results():
                self._under_way[done.batch].left -= done.photos
                self._under_way[done.batch].bad += done.bad
        return batch

    def _lend(self, batch: _UnderWay) -> torch.Tensor:
        assert self._pixels is not None
        lent = self._pixels.lend(batch.room, len(batch.rows))
        return lent if self._pixels.free else lent.clone()  # whoever keeps many gets copies

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
        self._pool = self._pixels = None
