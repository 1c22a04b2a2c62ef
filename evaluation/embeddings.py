"""Embeddings of a photo set, and their files: part-00000.parquet, ..., then embeddings.json.

The JSON file comes last: without it the embedding was interrupted, and goes on after the parts that
are there. A part has the columns of PART_SCHEMA and `vector`, a fixed-size list of D floats.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluation.duplicates import duplicate_groups
from evaluation.metrics import IntArray
from evaluation.similarity import Vectors, unit_vectors
from petdata.errors import CorruptFile, PetdataError
from petdata.shards import whole_file
from petdata.workspace import write_whole

MANIFEST: Final = "embeddings.json"
PART_SCHEMA: Final = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("identity_id", pa.string(), nullable=False),  # of the identity group
        pa.field("source", pa.string(), nullable=False),
        pa.field("species", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """(N, D) float32 of unit length, and who is on each photo; row order is that of the photos."""

    vectors: Vectors
    identity_ids: pa.StringArray
    photo_ids: pa.StringArray
    sources: pa.StringArray | None = None
    species: pa.StringArray | None = None
    sha256: pa.StringArray | None = None
    model_hash: str = ""
    dataset_hash: str = ""
    skipped: int = 0  # photos that could not be read

    def __post_init__(self) -> None:
        if not len(self.vectors) == len(self.identity_ids) == len(self.photo_ids):
            raise ValueError(
                f"{len(self.vectors)} vectors, {len(self.identity_ids)} identity ids and "
                f"{len(self.photo_ids)} photo ids"
            )

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def labels(self) -> IntArray:
        """(N,) int64: identities, numbered by sorted name."""
        return numbered(self.identity_ids)

    @cached_property
    def duplicates(self) -> IntArray | None:
        """(N,): equal for photos of equal bytes; None where their hashes are not known."""
        return None if self.sha256 is None else duplicate_groups(self.sha256)

    @cached_property
    def species_numbers(self) -> IntArray | None:
        return None if self.species is None else numbered(self.species)

    def take(self, rows: IntArray) -> Embeddings:
        chosen = pa.array(rows)
        columns = {
            name: None if (column := getattr(self, name)) is None else column.take(chosen)
            for name in ("identity_ids", "photo_ids", "sources", "species", "sha256")
        }
        return Embeddings(
            vectors=self.vectors[rows],
            model_hash=self.model_hash,
            dataset_hash=self.dataset_hash,
            skipped=self.skipped,
            **columns,
        )


def numbered(names: pa.StringArray) -> IntArray:
    """(N,) int64: the place of each name among the sorted names."""
    encoded = names.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    numbers: IntArray = places[encoded.indices.to_numpy()]
    return numbers


# Files


def part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.parquet"


def write_part(folder: Path, number: int, vectors: Vectors, columns: pa.Table) -> None:
    """`columns`: of PART_SCHEMA."""
    width = vectors.shape[1]
    items = pa.field("item", pa.float32(), nullable=False)
    vector = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.ravel()), type=pa.list_(items, width)
    )
    field = pa.field("vector", vector.type, nullable=False)
    with whole_file(part_path(folder, number)) as file:
        pq.write_table(
            columns.append_column(field, vector),
            file,
            compression="none",  # floats of a network hardly shrink
            use_dictionary=["source", "species"],
        )


def finish(folder: Path, *, parts: int, offered: int, about: dict[str, str]) -> None:
    """`offered`: photos, those that were skipped among them. `about`: the hashes, and what else."""
    files = [pq.ParquetFile(part_path(folder, number)) for number in range(parts)]
    photos = sum(file.metadata.num_rows for file in files)
    told = {
        "photos": photos,
        "skipped": offered - photos,
        "width": files[0].schema_arrow.field("vector").type.list_size,
        "parts": parts,
    }
    write_whole(folder / MANIFEST, (json.dumps(told | about, indent=2) + "\n").encode())


def is_finished(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def read_embeddings(folder: Path) -> Embeddings:
    """Raises CorruptFile where a part is missing or damaged, PetdataError if unfinished."""
    if not is_finished(folder):
        raise PetdataError(f"{folder} holds no finished embeddings: embed the photos again")
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        photos, width, parts = (int(about[name]) for name in ("photos", "width", "parts"))
        hashes = {name: str(about[name]) for name in ("model_hash", "dataset_hash")}
        skipped = int(about["skipped"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"{folder / MANIFEST} is damaged: delete the folder") from error
    vectors = np.empty((photos, width), np.float32)
    tables, start = [], 0
    for number in range(parts):
        table = _read_part(part_path(folder, number))
        found = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        if found.shape[1:] != (width,) or start + len(table) > photos:
            raise CorruptFile(f"{part_path(folder, number)} has not its size: delete the folder")
        vectors[start : start + len(table)] = found
        start += len(table)
        tables.append(table.select(PART_SCHEMA.names))
    if start != photos:
        raise CorruptFile(f"{folder} has {start:,} embeddings, not {photos:,}: delete it")
    columns = pa.concat_tables(tables) if tables else PART_SCHEMA.empty_table()
    photo_ids, identity_ids, sources, species, sha256 = (
        columns[name].combine_chunks() for name in PART_SCHEMA.names
    )
    return Embeddings(
        vectors=unit_vectors(vectors),
        identity_ids=identity_ids,
        photo_ids=photo_ids,
        sources=sources,
        species=species,
        sha256=sha256,
        skipped=skipped,
        **hashes,
    )


def _read_part(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise CorruptFile(f"{path} is missing or damaged: delete the folder") from error
    known = {*PART_SCHEMA.names, "vector"} <= set(table.column_names)
    if not known or not pa.types.is_fixed_size_list(table.schema.field("vector").type):
        raise CorruptFile(f"{path} is no part of embeddings: delete the folder")
    return table
