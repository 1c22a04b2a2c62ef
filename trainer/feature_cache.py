"""What the frozen blocks give for each photo, kept: without augmentation it never changes.

cache/features/<key>/ has `features.bin`, (rows, tokens, width) in bf16, mapped into memory, and
`state.json`. The key is a hash of the frozen weights, the picture's size and the data set. Filling
it is resumed where it stopped. For 1.9 million photos and ViT-B/32 it takes about 146 GB.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from petdata.errors import CorruptFile, StorageFailure
from petdata.progress_line import ProgressLine, StderrConsole
from petdata.workspace import Workspace, make_folder, write_whole
from trainer.data import Batch, PhotoLoader, PhotoSet
from trainer.encoders import VisionEncoder
from trainer.sampler import Rows
from trainer.text import Tokenize

_BYTES: Final = 2  # bf16
_FILL_BATCH: Final = 64  # photos
_SYNC_EVERY: Final = 50  # batches: a kill costs no more than these
_AHEAD: Final = 3  # batches read before they are asked for
_SPARE: Final = 2**30  # bytes that the disk keeps free


@dataclass(frozen=True, kw_only=True, eq=False)
class CachedBatch(Batch):
    """Without pixels: `frozen` is what they lead to."""

    frozen: Tensor  # (B, T, C) float32


class FeatureCache:
    def __init__(self, folder: Path, rows: Rows, shape: tuple[int, ...]) -> None:
        self._rows = rows  # that have features, sorted: a row's place here is its place in the file
        self._file = np.memmap(
            folder / "features.bin", mode="r", dtype=np.int16, shape=(len(rows), *shape)
        )

    def read(self, rows: Rows) -> Tensor:
        """(B, T, C) float32."""
        places = np.searchsorted(self._rows, rows)
        kept = torch.from_numpy(np.ascontiguousarray(self._file[places]))
        return kept.view(torch.bfloat16).float()


class FeatureLoader:
    """Takes the place of a PhotoLoader: the same batches, with features instead of pixels."""

    skipped = 0

    def __init__(
        self,
        cache: FeatureCache,
        photos: PhotoSet,
        batches: Iterable[Rows],
        *,
        tokenize: Tokenize | None = None,
    ) -> None:
        self._cache, self._photos = cache, photos
        self._batches, self._tokenize = batches, tokenize

    def __iter__(self) -> Iterator[CachedBatch]:
        with ThreadPoolExecutor(1) as pool:
            waiting = []
            for rows in self._batches:
                waiting.append(pool.submit(self._load, rows))
                if len(waiting) > _AHEAD:
                    yield waiting.pop(0).result()
            for last in waiting:
                yield last.result()

    def _load(self, rows: Rows) -> CachedBatch:
        tokens = {}
        if self._tokenize is not None and self._photos.texts is not None:
            tokens = self._tokenize(self._photos.texts.take(rows).to_pylist())
        return CachedBatch(
            pixel_values=torch.empty(len(rows), 0),
            labels=torch.from_numpy(self._photos.labels[rows]),
            photo_ids=self._photos.photo_ids.take(rows).to_pylist(),
            rows=torch.from_numpy(rows),
            frozen=self._cache.read(rows),
            input_ids=tokens.get("input_ids"),
            attention_mask=tokens.get("attention_mask"),
        )


def open_feature_cache(
    workspace: Workspace,
    encoder: VisionEncoder,
    photos: PhotoSet,
    rows: Rows,
    *,
    workers: int | None,
    say: Callable[[str], None],
) -> FeatureCache:
    """The cache of `rows`, filled where it is not. Raises StorageFailure when the disk is short."""
    rows = np.unique(rows)
    device = next(encoder.parameters()).device
    side = encoder.image_size
    shape = tuple(encoder.frozen(torch.zeros(1, 3, side, side, device=device)).shape[1:])
    folder = workspace.root / "cache" / "features" / _key(encoder, photos, rows)
    bytes_each = int(np.prod(shape)) * _BYTES
    needed = len(rows) * bytes_each
    filled = _filled(folder, bytes_each)
    say(f"features of the frozen blocks: {needed / 1e9:,.2f} GB in {folder}")
    if filled < len(rows):
        make_folder(folder)
        _require_room(folder, needed, filled * bytes_each)
        _fill(folder, encoder, photos, rows, bytes_each, workers=workers)
    return FeatureCache(folder, rows, shape)


def _fill(
    folder: Path,
    encoder: VisionEncoder,
    photos: PhotoSet,
    rows: Rows,
    bytes_each: int,
    *,
    workers: int | None,
) -> None:
    filled = _filled(folder, bytes_each)
    file = folder / "features.bin"
    device = next(encoder.parameters()).device
    left = rows[filled:]
    batches = [left[first : first + _FILL_BATCH] for first in range(0, len(left), _FILL_BATCH)]
    loader = PhotoLoader(photos, encoder.transform(), batches, workers=workers)
    encoder.eval()
    try:
        with (
            file.open("r+b" if file.exists() else "w+b") as out,
            ProgressLine(StderrConsole(), lambda: f"features {filled:,} of {len(rows):,}") as line,
        ):
            out.truncate(filled * bytes_each)
            out.seek(0, os.SEEK_END)
            for number, batch in enumerate(loader):
                features = encoder.frozen(batch.pixel_values.to(device)).to(torch.bfloat16)
                out.write(features.cpu().contiguous().view(torch.int16).numpy().tobytes())
                filled += len(batch)
                line.tick()
                if number % _SYNC_EVERY == _SYNC_EVERY - 1 or filled == len(rows):
                    out.flush()
                    os.fsync(out.fileno())
                    write_whole(folder / "state.json", json.dumps({"filled": filled}).encode())
    except OSError as error:
        raise StorageFailure(
            f"cannot write {file}: {error.strerror}; make room, or train without --cache-features"
        ) from error


def _filled(folder: Path, bytes_each: int) -> int:
    """Photos whose features are there: as many as the state says, if the file has them."""
    state, file = folder / "state.json", folder / "features.bin"
    if not state.is_file() or not file.is_file():
        return 0
    try:
        said = int(json.loads(state.read_text())["filled"])
        return min(said, file.stat().st_size // bytes_each)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"{state} is damaged: delete {folder}") from error


def _require_room(folder: Path, needed: int, there: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed - there + _SPARE > free:
        raise StorageFailure(
            f"features would take {needed / 1e9:,.1f} GB, {folder} has {free / 1e9:,.1f} GB free: "
            "train without --cache-features, or put the workspace on a larger disk"
        )


def _key(encoder: VisionEncoder, photos: PhotoSet, rows: Rows) -> str:
    """Of all that decides the features: frozen weights, treatment of pictures, photos."""
    digest = hashlib.sha256(f"{photos.dataset_hash} {encoder.image_size}\n".encode())
    digest.update(json.dumps(encoder.processor.to_dict(), sort_keys=True, default=str).encode())
    digest.update(rows.tobytes())
    trained = {name for name, each in encoder.named_parameters() if each.requires_grad}
    for name, tensor in encoder.state_dict().items():
        if name not in trained:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
