"""Releases for benchmarks: real photos in any number of rows, or rows in any number of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.metadata import byte_index_table
from petdata.demo.pets import draw_identity, draw_photo, encode_photo
from petdata.errors import RejectedPhoto
from petdata.jpeg import canonicalise
from petdata.records import IMAGE_TYPE, SHARD_SCHEMA, Species
from petdata.shards import LAYOUT

SOURCE = "lcw"
PHOTOS_PER_IDENTITY = 2.7


def some_jpegs() -> list[bytes]:
    """Real pets where PETDATA_REAL_DATA names them, else drawn ones."""
    if real := os.environ.get("PETDATA_REAL_DATA"):
        paths = sorted((Path(real) / "real-pets").rglob("*.jpg"))
        raw = [path.read_bytes() for path in paths]
    else:
        pets = [draw_identity(7, number, Species.CAT) for number in range(40)]
        raw = [encode_photo(draw_photo(pet, 0).image, "JPEG", 90) for pet in pets]
    found = []
    for content in raw:
        try:
            found.append(canonicalise(content).jpeg)
        except RejectedPhoto:
            continue
    return found


def write_release(folder: Path, jpegs: Sequence[bytes], files: int = 8) -> Path:
    """One row for each JPEG, in the order of its identity; all in train."""
    identity = np.sort(
        np.random.default_rng(0).integers(0, int(len(jpegs) / PHOTOS_PER_IDENTITY), len(jpegs))
    )
    sha256 = [hashlib.sha256(jpeg).hexdigest() for jpeg in jpegs]
    paths = []
    for number, part in enumerate(np.array_split(np.arange(len(jpegs)), files)):
        table = _rows(identity[part], [sha256[n] for n in part])
        names = [f"{id}.jpg" for id in table["photo_id"].to_pylist()]
        pixels = pa.StructArray.from_arrays(
            [pa.array([jpegs[n] for n in part], pa.binary()), pa.array(names)],
            fields=list(IMAGE_TYPE),
        )
        paths.append(_write(folder, number, _with(table, "image", pixels)))
    _finish(folder, paths, byte_index_table(folder, paths))
    return folder


def write_large_release(folder: Path, rows: int, jpeg: bytes, files: int = 40) -> Path:
    """Rows without end, with hashes of their own, whose places are all those of one JPEG."""
    generator = np.random.default_rng(0)
    identity = np.sort(generator.integers(0, int(rows / PHOTOS_PER_IDENTITY), rows))
    paths, index = [], []
    for number, part in enumerate(np.array_split(np.arange(rows), files)):
        hashes = generator.bytes(32 * len(part)).hex()
        table = _rows(identity[part], [hashes[64 * n : 64 * n + 64] for n in range(len(part))])
        photo = [{"bytes": jpeg, "path": "photo.jpg"}, *[None] * (len(part) - 1)]
        path = _write(folder, number, _with(table, "image", pa.array(photo, IMAGE_TYPE)))
        first = byte_index_table(folder, [path]).slice(0, 1)
        place = first.take(np.zeros(len(part), np.int64))
        index.append(place.set_column(1, "row", pa.array(np.arange(len(part)), pa.int32())))
        paths.append(path)
    _finish(folder, paths, pa.concat_tables(index).unify_dictionaries())
    return folder


def _rows(identity: np.ndarray, sha256: Sequence[str]) -> pa.Table:
    names = [f"{SOURCE}/{number}" for number in identity.tolist()]
    columns = {field.name: pa.nulls(len(names), field.type) for field in SHARD_SCHEMA}
    columns |= {
        "photo_id": pa.array([f"{n}/{text[:12]}" for n, text in zip(names, sha256, strict=True)]),
        "identity_id": pa.array(names),
        "source": pa.array([SOURCE] * len(names)),
        "species": pa.array(["cat"] * len(names)),
        "sha256": pa.array(sha256),
        "phash": pa.array(np.zeros(len(names), np.uint64)),
    }
    return pa.table(columns, schema=SHARD_SCHEMA)


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), SHARD_SCHEMA.field(name), column)


def _write(folder: Path, number: int, table: pa.Table) -> str:
    path = f"data/{SOURCE}/train-{number:05d}.parquet"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / path, row_group_size=1_000, **LAYOUT)
    return path


def _finish(folder: Path, paths: Sequence[str], index: pa.Table) -> None:
    (folder / "metadata").mkdir()
    tables = [pq.read_table(folder / p, columns=["identity_id"], partitioning=None) for p in paths]
    names = pa.concat_tables(tables)["identity_id"].unique().to_pylist()
    groups = {"config": ["all"] * len(names), "identity_id": names, "identity_group": names}
    pq.write_table(pa.table(groups), folder / "metadata" / "identity_groups.parquet")
    pq.write_table(index, folder / "metadata" / "byte_index.parquet", compression="zstd")
    counts = dict(zip(paths, (len(table) for table in tables), strict=True))
    files = {}
    for path in [*paths, "metadata/identity_groups.parquet", "metadata/byte_index.parquet"]:
        content = (folder / path).read_bytes()
        entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        rows = {"rows": counts[path], "fingerprint": entry["sha256"]} if path in counts else {}
        files[path] = entry | rows
    manifest = {
        "format": "1.0",
        "name": "generated",
        "version": "1.0.0",
        "variant": "full",
        "build_hash": hashlib.sha256(str(counts).encode()).hexdigest(),
        "files": files,
        "configs": {"all": {"train": list(paths)}},
        "options": {"keep_source_ids": False},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
