"""From a release to batches: open_release, open_photos, PhotoLoader.

release = open_release("user/pets@v1.0.0")
photos = open_photos(release, "train")
for batch in PhotoLoader(photos, transform, IdentityBatchSampler(photos.labels)):
    ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import typer
from PIL import Image

from petdata.releases import open_release
from trainer.decoding import PhotoDecoder, Transform
from trainer.loading import Loading
from trainer.loading_pool import fill
from trainer.photo_set import BadPhoto, Int64Array, PhotoSet, open_photos

__all__ = ["BadPhoto", "Batch", "PhotoLoader", "PhotoSet", "open_photos", "open_release"]

Tokenize = Callable[[list[str]], Mapping[str, torch.Tensor]]

_AHEAD: Final = 3  # batches under way beside the one that is handed out
_AHEAD_REMOTE: Final = 6
MAX_DEFAULT_WORKERS: Final = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B photos. On a skipped photo a batch is one shorter."""

    pixel_values: torch.Tensor  # (B, 3, H, W) float32
    labels: torch.Tensor  # (B,) int64
    photo_ids: list[str]
    rows: torch.Tensor  # (B,) int64
    input_ids: torch.Tensor | None = None  # (B, L) int64
    attention_mask: torch.Tensor | None = None  # (B, L) int64

    def __len__(self) -> int:
        return len(self.labels)


def default_workers() -> int:
    return min(MAX_DEFAULT_WORKERS, len(os.sched_getaffinity(0)))


class PhotoLoader:
    """Batches of photos, in the order of `batches`: arrays of rows, each time it is iterated.

    `workers` processes decode; 0 does it in this one. A photo that cannot be read ends it with
    BadPhoto; with `skip_bad` it is said, counted in `skipped` and left out of its batch. Pixels
    are pinned with `pin_memory` where there is CUDA.
    """

    def __init__(  # noqa: PLR0913
        self,
        photos: PhotoSet,
        transform: Transform,
        batches: Iterable[Int64Array],
        *,
        workers: int | None = None,
        tokenize: Tokenize | None = None,
        skip_bad: bool = False,
        pin_memory: bool = False,
        say: Callable[[str], None] = lambda line: typer.echo(line, err=True),
    ) -> None:
        self.photos = photos
        self.workers = default_workers() if workers is None else workers
        self.skipped = 0
        self._transform = transform
        self._decoder = PhotoDecoder(photos, transform)
        self._batches = batches
        self._tokenize = tokenize
        self._skip_bad = skip_bad
        self._pin_memory = pin_memory and torch.cuda.is_available()
        self._say = say
        self._said: set[int] = set()
        # Some transforms take pictures that are larger than this, none refuses them.
        self._shape = tuple(transform(Image.new("RGB", (64, 64))).shape)

    def __iter__(self) -> Iterator[Batch]:
        rows = (np.asarray(chosen, np.int64) for chosen in self._batches)
        if self.workers == 0:
            return map(self._load_here, rows)
        return self._load_in_processes(rows)

    def _load_here(self, rows: Int64Array) -> Batch:
        self.photos.fetch(rows)
        pixels = torch.empty((len(rows), *self._shape), pin_memory=self._pin_memory)
        with torch.no_grad():
            bad = fill(pixels, self.photos, rows.tolist(), self._decoder)
        return self._finish(rows, pixels, bad)

    def _load_in_processes(self, rows: Iterator[Int64Array]) -> Iterator[Batch]:
        ahead = _AHEAD_REMOTE if self.photos.are_remote else _AHEAD
        loading = Loading(
            photos=self.photos,
            transform=self._transform,
            shape=self._shape,
            workers=self.workers,
            ahead=ahead,
            pinned=self._pin_memory,
        )
        for chosen, pixels, bad in loading.run(rows):
            yield self._finish(chosen, pixels, bad)

    def _finish(self, rows: Int64Array, pixels: torch.Tensor, bad: list[tuple[int, str]]) -> Batch:
        if bad:
            rows, pixels = self._without(rows, pixels, sorted(bad))
        chosen = torch.from_numpy(rows)
        photo_ids = self.photos.photo_ids.take(rows).to_pylist()
        labels = torch.from_numpy(self.photos.labels[rows])
        tokens: Mapping[str, torch.Tensor] = {}
        if self._tokenize is not None:
            if self.photos.texts is None:
                raise ValueError("photos were opened without texts: give open_photos texts=...")
            tokens = self._tokenize(self.photos.texts.take(rows).to_pylist())
        return Batch(
            pixel_values=pixels,
            labels=labels,
            photo_ids=photo_ids,
            rows=chosen,
            input_ids=tokens.get("input_ids"),
            attention_mask=tokens.get("attention_mask"),
        )

    def _without(
        self, rows: Int64Array, pixels: torch.Tensor, bad: list[tuple[int, str]]
    ) -> tuple[Int64Array, torch.Tensor]:
        if not self._skip_bad:
            raise BadPhoto(f"{bad[0][1]}; --skip-bad leaves such photos out")
        for place, text in bad:
            self.skipped += 1
            if int(rows[place]) not in self._said:
                self._said.add(int(rows[place]))
                self._say(f"skipped: {text}")
        kept = np.ones(len(rows), np.bool_)
        kept[[place for place, _ in bad]] = False
        return rows[kept], pixels[torch.from_numpy(kept)]
