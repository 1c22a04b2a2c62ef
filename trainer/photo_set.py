"""The photos of one split as arrays: who is on each, where it lies, what is said of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from petdata.errors import CorruptFile, PetdataError
from petdata.releases import Photos, Release
from petdata.side_tables import chosen_boxes, join, part_files, read_kind, read_side_table

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float32]

BoxUse = Literal["cut", "background", "animal"]  # cut to the box; grey the box, or all but the box

OWNER = "owner"  # texts that the announcements themselves have
_WORDS = ("title", "description")
_COLUMNS = ("photo_id", "identity_id", "source", "species", "sha256")


class BadPhoto(CorruptFile):
    """One photo cannot be read or is not what it was; the others are not affected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoSet:
    """N photos. All columns are aligned; `labels[n]` is a place in `groups`."""

    release: Release = field(repr=False)
    split: str
    photo_ids: pa.StringArray
    labels: Int64Array  # (N,): number of the identity group, groups numbered by sorted name
    groups: pa.StringArray
    sources: pa.DictionaryArray
    species: pa.DictionaryArray
    sha256: pa.StringArray  # of each JPEG, hex
    texts: pa.LargeStringArray | None = None  # empty where a photo has none
    texts_missing: int = 0
    boxes: FloatArray | None = None  # (N, 4): x0, y0, x1, y1 in pixels; NaN: the whole picture
    boxes_missing: int = 0
    box_padding: float = 0.0  # of the box's width and height, on each side
    box_use: BoxUse = "cut"
    dataset_hash: str  # of all that decides which pixels and texts a row has
    _photos: Photos = field(repr=False)
    _first_rows: Int64Array = field(repr=False)  # (files + 1,)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def are_remote(self) -> bool:
        return self._photos.are_remote

    def read(self, rows: Int64Array) -> list[bytes]:
        """JPEGs, each with the SHA-256 that it should have. Raises BadPhoto and TryLater."""
        self.fetch(rows)
        return [self.read_one(row) for row in np.asarray(rows).tolist()]

    def fetch(self, rows: Int64Array) -> None:
        """Bring photos of a release on the Hub near, many at once."""
        self._photos.fetch(np.asarray(rows, np.int64))

    def read_one(self, row: int) -> bytes:
        try:
            jpeg = self._photos.read(row)
        except CorruptFile as error:
            raise BadPhoto(f"{self.describe(row)}: {error}") from error
        if jpeg is None:
            raise BadPhoto(f"{self.describe(row)} has no pixels: petdata rehydrate fills them in")
        return jpeg

    def describe(self, row: int) -> str:
        """File and photo, for errors."""
        file = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        path = self.release.files(self.split)[file]
        return f"{path}, row {row - int(self._first_rows[file])}: photo {self.photo_ids[row]}"


def open_photos(
    release: Release,
    split: str,
    *,
    texts: str | None = None,
    boxes: str | None = None,
    box_padding: float = 0.0,
    box_use: BoxUse = "cut",
) -> PhotoSet:
    """`texts`: "owner", for title and description, or a side table of descriptions. `boxes`: a
    side table of boxes; photos are cut to the chosen one, or to show the background or the animal
    alone the box or all around it is made grey; a photo without a box stays whole.

    A photo without text has the empty one. Raises PetdataError and CorruptFile.
    """
    wanted = [*_COLUMNS, *(_WORDS if texts == OWNER else ())]
    if texts == OWNER and not release.manifest["options"].get("keep_text"):
        raise PetdataError(
            f"{release.reference} was built without texts: petdata build --keep-text keeps them"
        )
    table, counts = release.columns(split, wanted)
    photo_ids, sha256 = table["photo_id"].combine_chunks(), table["sha256"].combine_chunks()
    photos, lengths = release.photos(split, photo_ids, sha256)
    release.require_pixels(split, int(np.count_nonzero(lengths < 0)))
    labels, groups = _labels(release, table["identity_id"])
    digest = hashlib.sha256(f"{release.build_hash} {release.config} {split}".encode())
    found_texts, missing_texts = None, 0
    if texts is not None:
        found_texts, missing_texts = _texts(release, texts, table, sha256, digest)
    found_boxes, missing_boxes = None, 0
    if boxes is not None:
        found_boxes, missing_boxes = _boxes(release, boxes, sha256, digest)
        digest.update(f" padding {box_padding}".encode())
        if box_use != "cut":
            digest.update(f" {box_use} alone".encode())
    return PhotoSet(
        release=release,
        split=split,
        photo_ids=photo_ids,
        labels=labels,
        groups=groups,
        sources=table["source"].combine_chunks().dictionary_encode(),
        species=table["species"].combine_chunks().dictionary_encode(),
        sha256=sha256,
        texts=found_texts,
        texts_missing=missing_texts,
        boxes=found_boxes,
        boxes_missing=missing_boxes,
        box_padding=box_padding,
        box_use=box_use,
        dataset_hash=digest.hexdigest(),
        _photos=photos,
        _first_rows=np.cumsum([0, *counts.tolist()]),
    )


def _labels(release: Release, identities: pa.ChunkedArray) -> tuple[Int64Array, pa.StringArray]:
    """The number of each photo's identity group, and the groups that there are, sorted by name."""
    encoded = identities.combine_chunks().dictionary_encode()
    table = release.groups()
    places = pc.index_in(encoded.dictionary, value_set=table["identity_id"].combine_chunks())
    if places.null_count:
        missing = encoded.dictionary.filter(pc.is_null(places))[0]
        raise CorruptFile(
            f"{release.folder}: metadata/identity_groups.parquet has no group of {missing} in "
            f"configuration {release.config}: pull or build it again"
        )
    names = table["identity_group"].combine_chunks().take(places).dictionary_encode()
    order = pc.array_sort_indices(names.dictionary)
    number = np.empty(len(order), np.int64)  # of each name, by its place in the dictionary
    number[order.to_numpy()] = np.arange(len(order))
    labels = number[names.indices.to_numpy()][encoded.indices.to_numpy()]
    return labels, names.dictionary.take(order)


def _texts(
    release: Release, name: str, table: pa.Table, sha256: pa.StringArray, digest: hashlib._Hash
) -> tuple[pa.LargeStringArray, int]:
    digest.update(f" texts {name}".encode())
    if name == OWNER:
        # Nulls are filled first: pyarrow 26 gives no row at all where null_handling="skip" finds
        # nothing but nulls.
        parts = [pc.fill_null(table[each], "").cast(pa.large_string()) for each in _WORDS]
        column = pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))
    else:
        side = read_side_table(_side_table(release, name, "descriptions"), columns=("text",))
        digest.update(_content_hash(side.rows.select(["sha256", "text"])))
        column = join(side, sha256).values["text"].cast(pa.large_string())
    found = pc.fill_null(pc.utf8_trim_whitespace(column), "").combine_chunks()
    assert len(found) == len(sha256)
    return found, int(pc.sum(pc.equal(found, "")).as_py() or 0)


def _boxes(
    release: Release, name: str, sha256: pa.StringArray, digest: hashlib._Hash
) -> tuple[FloatArray, int]:
    side = read_side_table(_side_table(release, name, "boxes"), columns=("boxes", "chosen"))
    found = chosen_boxes(join(side, sha256).values)
    digest.update(f" boxes {name}".encode() + found.tobytes())
    return found, int(np.isnan(found[:, 0]).sum())


def _side_table(release: Release, name: str, wanted: str) -> Path:
    folder = release.side_table(name)
    kind, _ = read_kind(part_files(folder)[0])
    if kind.name != wanted:
        raise PetdataError(f"side table {name} holds {kind.name}, {wanted} are needed")
    return folder


def _content_hash(rows: pa.Table) -> bytes:
    """Of what the rows say, in the order of their photos."""
    digest = hashlib.sha256()
    for batch in rows.sort_by("sha256").combine_chunks().to_batches():
        for column in batch.columns:
            digest.update("\0".join(map(str, column.to_pylist())).encode())
    return digest.digest()
