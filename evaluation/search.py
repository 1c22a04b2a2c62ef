"""Which identities of a release look most like one photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import faiss
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from evaluation.embeddings import Embeddings
from evaluation.opened import Opened, embed_options
from evaluation.similarity import Vectors
from petdata.errors import PetdataError
from petdata.jpeg import DEFAULT_LIMITS, CanonicalJpeg, canonicalise
from petdata.workspace import write_whole
from trainer.data import Batch
from trainer.decoding import PhotoDecoder
from trainer.steps import moved

IndexKind = Literal["exact", "hnsw"]
PHOTOS: Final = 3  # of each identity
_NEIGHBOURS: Final = 32  # links of each photo in the graph, and how far it is looked around
_BUILDING: Final = 80
_LOOKING: Final = 128
_AT_FIRST: Final = 8  # photos for each identity that is wanted; more where they are of few


@dataclass(frozen=True, kw_only=True)
class FoundPhoto:
    photo_id: str
    similarity: float
    is_the_photo: bool  # it has the same bytes


@dataclass(frozen=True, kw_only=True)
class FoundIdentity:
    """Stands where its best photo does."""

    identity_id: str
    species: str
    similarity: float
    photos: tuple[FoundPhoto, ...]  # its best ones


def read_photo(path: Path) -> CanonicalJpeg:
    """A picture of any kind that intake takes. Raises PetdataError, naming the file."""
    if not path.is_file():
        raise PetdataError(f"{path} is no file")
    try:
        with path.open("rb") as file:
            return canonicalise(file.read(DEFAULT_LIMITS.max_bytes + 1))
    except OSError as error:
        raise PetdataError(f"{path} cannot be read: {error.strerror}") from error
    except PetdataError as error:
        raise PetdataError(f"{path} is no photo to search with: {error}") from error


def embed_photo(opened: Opened, photo: CanonicalJpeg, *, text: str | None = None) -> Vectors:
    """(D,) of unit length, as the release's photos are embedded.

    A photo of the split has its box and, unless another is given, its text; others are taken whole
    and have none. Raises PetdataError.
    """
    model, photos = opened.model, opened.photos
    row = _row_of(opened, photo.sha256)
    box = None if photos.boxes is None or row is None else photos.boxes[row]
    decoder = PhotoDecoder(photos, model.vision.transform())
    batch = Batch(
        pixel_values=decoder.tensor(photo.jpeg, box)[None],
        labels=torch.zeros(1, dtype=torch.int64),
        photo_ids=[""],
        rows=torch.zeros(1, dtype=torch.int64),
        **_tokens(opened, text, row),
    )
    options = embed_options(opened.flags)
    device = torch.device(options.device or "cpu")
    model.to(device).eval()
    half = options.precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        raw = model(moved(batch, device)).float()[0]
    vector: Vectors = (raw / raw.norm()).cpu().numpy()
    if not np.isfinite(vector).all():
        raise PetdataError("the embedding of the photo is zero or not finite: try another photo")
    return vector


def _tokens(opened: Opened, text: str | None, row: int | None) -> dict[str, Any]:
    reader, texts = opened.model.text, opened.photos.texts
    if reader is None:
        if text is not None:
            raise PetdataError(f"{opened.reference} reads no texts: leave out --text")
        return {}
    if text is None and texts is not None and row is not None:
        text = texts[row].as_py()
    return dict(reader.tokenize([text or ""]))


def _row_of(opened: Opened, sha256: str) -> int | None:
    found = opened.photos.sha256.index(pa.scalar(sha256)).as_py()
    return None if found < 0 else int(found)


def build_index(vectors: Vectors, kind: IndexKind = "exact") -> Any:
    """Of inner products; "hnsw" is a graph that looks at few photos and may miss some."""
    width = vectors.shape[1]
    index: Any = faiss.IndexFlatIP(width)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILDING
    index.add(vectors)
    return index


def open_index(folder: Path, vectors: Vectors, kind: IndexKind) -> Any:
    """The graph is kept beside the embeddings, for it takes long to make."""
    if kind == "exact":
        return build_index(vectors)
    path = folder / "hnsw.faiss"
    if path.is_file():
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), np.uint8))
        if (index.ntotal, index.d) == vectors.shape:
            return index
    index = build_index(vectors, kind)
    write_whole(path, faiss.serialize_index(index).tobytes())
    return index


def nearest_identities(
    index: Any, embeddings: Embeddings, vector: Vectors, *, top: int, sha256: str = ""
) -> list[FoundIdentity]:
    """The `top` identities whose best photos are most like the photo, best first.

    `sha256`: of the photo, so that its copies are told.
    """
    identities = len(embeddings.identity_ids.unique())
    wanted = min(top, identities)
    asked = min(_AT_FIRST * top, len(embeddings))
    while True:
        rows, similarities = _search(index, vector, asked)
        labels = embeddings.labels[rows]
        if asked == len(embeddings) or len(np.unique(labels)) >= wanted:
            break
        asked = min(4 * asked, len(embeddings))
    _, first = np.unique(labels, return_index=True)
    return [
        _identity(embeddings, rows[mine], similarities[mine], sha256)
        for place in sorted(first.tolist())[:top]
        if len(mine := np.flatnonzero(labels == labels[place]))
    ]


def _search(index: Any, vector: Vectors, count: int) -> tuple[NDArray[np.int64], Vectors]:
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(_LOOKING, count)
    similarities, rows = index.search(vector[None], count)
    there = rows[0] >= 0
    return rows[0][there], similarities[0][there]


def _identity(
    embeddings: Embeddings, rows: NDArray[np.int64], similarities: Vectors, sha256: str
) -> FoundIdentity:
    """`rows`: of one identity, best first."""

    def value(column: pa.StringArray | None, row: int) -> str:
        return "" if column is None else str(column[row].as_py())

    return FoundIdentity(
        identity_id=value(embeddings.identity_ids, int(rows[0])),
        species=value(embeddings.species, int(rows[0])),
        similarity=float(similarities[0]),
        photos=tuple(
            FoundPhoto(
                photo_id=value(embeddings.photo_ids, int(row)),
                similarity=float(similarity),
                is_the_photo=bool(sha256) and value(embeddings.sha256, int(row)) == sha256,
            )
            for row, similarity in zip(rows[:PHOTOS], similarities, strict=False)
        ),
    )
