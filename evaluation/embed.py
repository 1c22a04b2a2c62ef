"""Photos -> embeddings by a network, kept as Parquet under the hashes of the two, resumable."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor, nn

from evaluation.embeddings import (
    PART_SCHEMA,
    Embeddings,
    finish,
    is_finished,
    part_path,
    read_embeddings,
    write_part,
)
from evaluation.metrics import IntArray
from evaluation.similarity import Vectors, parts
from petdata.errors import PetdataError
from petdata.progress_line import ProgressLine, StderrConsole
from petdata.workspace import make_folder
from trainer.data import Batch, PhotoLoader, PhotoSet, Tokenize
from trainer.decoding import Transform
from trainer.steps import moved

BATCHES_A_PART: Final = 32  # 4,096 photos: what a kill may cost
RECIPE_VERSION: Final = 1  # goes up when the same network would give other embeddings


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """`batch_size` changes what comes out by rounding alone; `workers` does not at all."""

    transform: Transform | None = None  # None: the network's own
    tokenize: Tokenize | None = None  # the same
    precision: Literal["float32", "bfloat16"] = "float32"
    batch_size: int = 128  # Kudryavtsev et al. 2026, as the next
    workers: int | None = None  # min(8, cores)
    device: str | torch.device | None = None  # None: where the network is
    skip_bad: bool = False


def embed(
    model: nn.Module,
    photos: PhotoSet,
    *,
    cache: Path | None = None,
    options: EmbedOptions | None = None,
    **changes: Any,
) -> Embeddings:
    """All photos, in their order; `changes` are fields of EmbedOptions, as in `batch_size=64`.

    `model` takes a batch and gives (B, D). With `cache`, a folder, embeddings of the same network
    and photos are read from it, and those cut short go on; the network is left in the mode that it
    was in. Raises PetdataError, naming the photo, where an embedding is zero or not finite.
    """
    if cache is not None:
        return read_embeddings(embed_into(cache, model, photos, options=options, **changes))
    return _Embedding.of(model, photos, options, changes).in_memory()


def embed_into(
    cache: Path,
    model: nn.Module,
    photos: PhotoSet,
    *,
    options: EmbedOptions | None = None,
    **changes: Any,
) -> Path:
    """As `embed`; the folder in `cache` that holds the embeddings, made now or before."""
    work = _Embedding.of(model, photos, options, changes)
    folder = cache / work.key[:32]
    if not is_finished(folder):
        make_folder(folder)
        work.into(folder)
    return folder


def model_hash(model: nn.Module) -> str:
    """SHA-256 of the weights, of the modules' make-up and of the configurations they carry."""
    digest = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(model)).encode())
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "to_json_string"):
            digest.update(config.to_json_string().encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


@dataclass(eq=False)
class _Embedding:
    model: nn.Module
    photos: PhotoSet
    options: EmbedOptions
    transform: Transform = field(init=False)
    tokenize: Tokenize | None = field(init=False)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        photos: PhotoSet,
        options: EmbedOptions | None,
        changes: Mapping[str, Any],
    ) -> _Embedding:
        if not len(photos):
            raise PetdataError(f"split {photos.split} has no photos to embed")
        return cls(model, photos, EmbedOptions(**{**vars(options or EmbedOptions()), **changes}))

    def __post_init__(self) -> None:
        vision = getattr(self.model, "vision", self.model)
        text = getattr(self.model, "text", None)
        own = getattr(vision, "transform", None)
        transform = self.options.transform or (own() if callable(own) else None)
        if transform is None:
            raise PetdataError(
                f"{type(self.model).__name__} brings no transform of its own: give transform=..."
            )
        self.transform = transform
        self.tokenize = self.options.tokenize or getattr(text, "tokenize", None)
        if self.tokenize is not None and self.photos.texts is None:
            raise PetdataError(
                "this encoder reads texts too, and the photos came without: see --text-from"
            )

    @cached_property
    def model_hash(self) -> str:
        return model_hash(self.model)

    @property
    def key(self) -> str:
        """Of all that decides the embeddings, down to the rounding that batches make."""
        options = self.options
        decided_by = [
            str(RECIPE_VERSION),
            self.model_hash,
            self.photos.dataset_hash,
            _transform_hash(self.transform),
            "" if self.tokenize is None else _tokens_hash(self.tokenize),
            options.precision,
            f"{options.batch_size} {options.skip_bad}",
        ]
        return hashlib.sha256("\n".join(decided_by).encode()).hexdigest()

    def in_memory(self) -> Embeddings:
        made = list(self._parts(first=0))
        rows = np.concatenate([rows for rows, _ in made])
        columns = self._columns(rows)
        photo_ids, identity_ids, sources, species, sha256 = (
            columns[name].combine_chunks() for name in PART_SCHEMA.names
        )
        return Embeddings(
            vectors=np.concatenate([vectors for _, vectors in made]),
            identity_ids=identity_ids,
            photo_ids=photo_ids,
            sources=sources,
            species=species,
            sha256=sha256,
            model_hash=self.model_hash,
            dataset_hash=self.photos.dataset_hash,
            skipped=len(self.photos) - len(rows),
        )

    def into(self, folder: Path) -> None:
        done = 0
        while part_path(folder, done).is_file():
            done += 1
        for number, (rows, vectors) in enumerate(self._parts(first=done), start=done):
            write_part(folder, number, vectors, self._columns(rows))
        about = {
            "model_hash": self.model_hash,
            "dataset_hash": self.photos.dataset_hash,
            "split": self.photos.split,
            "precision": self.options.precision,
        }
        count = -(-len(self.photos) // self._photos_a_part)
        finish(folder, parts=count, offered=len(self.photos), about=about)

    @property
    def _photos_a_part(self) -> int:
        return BATCHES_A_PART * self.options.batch_size

    def _parts(self, *, first: int) -> Iterator[tuple[IntArray, Vectors]]:
        """Rows that could be read and their vectors, a part at a time, from part `first` on."""
        start = first * self._photos_a_part
        if start >= len(self.photos):
            return
        ends = range(start, len(self.photos), self._photos_a_part)
        left = iter(self._batches(start))
        for begin in ends:
            end = min(begin + self._photos_a_part, len(self.photos))
            batches = -(-(end - begin) // self.options.batch_size)
            made = [found for found in islice(left, batches) if len(found[0])]
            if not made:
                raise PetdataError(
                    f"none of the photos {begin:,} to {end - 1:,} of split {self.photos.split} "
                    "could be read: verify the release"
                )
            yield np.concatenate([r for r, _ in made]), np.concatenate([v for _, v in made])

    def _batches(self, start: int) -> Iterator[tuple[IntArray, Vectors]]:
        options, count, began = self.options, len(self.photos), time.monotonic()
        device = _device_of(self.model, options.device)
        rows = np.arange(start, count)
        loader = PhotoLoader(
            self.photos,
            self.transform,
            [rows[part] for part in parts(len(rows), options.batch_size)],
            workers=options.workers,
            tokenize=self.tokenize,
            skip_bad=options.skip_bad,
            pin_memory=device.type == "cuda",
        )
        done = 0

        def line() -> str:
            speed = done / max(time.monotonic() - began, 1e-9)
            return f"embedding: {start + done:,} of {count:,} photos, {speed:,.0f}/s"

        with _evaluating(self.model), ProgressLine(StderrConsole(), line) as progress:
            for batch in loader:
                if len(batch):
                    yield batch.rows.numpy().copy(), self._forward(batch, device)
                else:
                    yield np.empty(0, np.int64), np.empty((0, 0), np.float32)
                done += options.batch_size
                progress.tick()

    def _forward(self, batch: Batch, device: torch.device) -> Vectors:
        half = self.options.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            raw = self.model(moved(batch, device)).float()
            lengths = raw.norm(dim=1, keepdim=True)
            vectors: Vectors = (raw / lengths).cpu().numpy()
        good = np.isfinite(vectors).all(axis=1)
        if not good.all():
            raise PetdataError(
                f"the embedding of photo {batch.photo_ids[int(np.argmin(good))]} is zero or not "
                "finite, so it has no direction: look at the checkpoint, or give precision float32"
            )
        return vectors

    def _columns(self, rows: IntArray) -> pa.Table:
        photos, chosen = self.photos, pa.array(rows)
        columns = [
            photos.photo_ids.take(chosen),
            photos.groups.take(pa.array(photos.labels[rows])),
            photos.sources.take(chosen).cast(pa.string()),
            photos.species.take(chosen).cast(pa.string()),
            photos.sha256.take(chosen),
        ]
        return pa.table(columns, schema=PART_SCHEMA)


def _device_of(model: nn.Module, wanted: str | torch.device | None) -> torch.device:
    if wanted is not None:
        model.to(wanted)
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode for a while; afterwards each module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _transform_hash(transform: Transform) -> str:
    """Of what it makes of two drawn pictures, one on its side: size, crop, filter, colours."""
    digest = hashlib.sha256(str(getattr(transform, "scaled_decoding", False)).encode())
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for pixels in (noise, noise[:301, :211]):
        digest.update(_bytes(transform(Image.fromarray(pixels))))
    return digest.hexdigest()


def _tokens_hash(tokenize: Tokenize) -> str:
    digest = hashlib.sha256()
    for name, tokens in sorted(tokenize(["Пропала кошка Муся, a tabby cat", ""]).items()):
        digest.update(name.encode() + _bytes(tokens))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    whole = tensor.detach().cpu().contiguous().reshape(-1)
    return whole.view(torch.uint8).numpy().tobytes()
