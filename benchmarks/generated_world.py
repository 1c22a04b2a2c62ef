"""Workspaces of any size for benchmarks: rows as sources have them, pixels or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from petdata.ledger import Ledger
from petdata.perceptual_hash import THUMBNAIL_BYTES
from petdata.records import IMAGE_TYPE, SHARD_SCHEMA
from petdata.shards import LAYOUT

# As the paper's table 2 has them, roughly.
SHARES: Final[Mapping[str, float]] = {
    "petface": 0.53,
    "lcw": 0.20,
    "dogs_world": 0.16,
    "telegram": 0.07,
    "pet911": 0.03,
    "cat_individual_images": 0.007,
    "dogfacenet": 0.003,
}
PHOTOS_PER_IDENTITY: Final = 2.7
TEXT: Final = "Пропала кошка, серая, район вокзала, очень ждём домой. " * 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One source's share of a world."""

    source: str
    photos: int
    photo_bytes: int = 0  # of each, incompressible; 0: rows without pixels
    per_shard: int = 100_000
    seed: int = 0
    first_identity: int = 0
    first_shard: int = 0


def write_world(root: Path, photos: int, *, photo_bytes: int = 0, seed: int = 0) -> None:
    per_shard = max(1, 64 * 2**20 // photo_bytes) if photo_bytes else 100_000
    for source, share in SHARES.items():
        write_part(
            root,
            Part(
                source=source,
                photos=max(1, int(photos * share)),
                photo_bytes=photo_bytes,
                per_shard=per_shard,
                seed=seed,
            ),
        )


def write_part(root: Path, part: Part) -> None:
    """Shards and the ledger that names them, without fetching or decoding anything."""
    folder = root / "shards" / part.source
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng([part.seed, len(part.source), part.first_shard])
    identities = part.first_identity + np.sort(
        generator.integers(0, max(1, int(part.photos / PHOTOS_PER_IDENTITY)), part.photos)
    )
    with Ledger(root / "ledgers" / f"{part.source}.sqlite", source=part.source) as ledger:
        for number, chosen in enumerate(_slices(identities, part.per_shard)):
            name = f"part-{part.first_shard + number:05d}.parquet"
            table = _table(part, chosen, generator)
            pq.write_table(table, folder / name, row_group_size=1000, **LAYOUT)
            _record(ledger, table, part, part.first_shard + number, name)


def _slices(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _name(source: str, number: int) -> str:
    if source == "telegram":
        return f"telegram/{1_000_000_000 + number % 50}-{number}"
    if source == "pet911":
        return f"pet911/rl{500_000 + number}"
    return f"petface/cat-{number:06d}" if source == "petface" else f"{source}/{number}"


def _table(part: Part, identities: np.ndarray, generator: np.random.Generator) -> pa.Table:
    count = len(identities)
    pixels = [generator.bytes(part.photo_bytes or 16) for _ in range(count)]
    hashes = [hashlib.sha256(data).hexdigest() for data in pixels]
    names = [_name(part.source, int(number)) for number in identities]
    ids = [f"{name}/{sha256[:12]}" for name, sha256 in zip(names, hashes, strict=True)]
    columns: dict[str, pa.Array] = {c.name: pa.nulls(count, c.type) for c in SHARD_SCHEMA}
    columns |= {
        "photo_id": pa.array(ids),
        "identity_id": pa.array(names),
        "source": pa.array([part.source] * count),
        "species": pa.array(generator.choice(["cat", "dog"], count)),
        "sha256": pa.array(hashes),
        "phash": pa.array(generator.integers(0, 2**63, count).astype(np.uint64)),
        "width": pa.array(np.full(count, 640, np.int32)),
        "height": pa.array(np.full(count, 480, np.int32)),
        "position": pa.array(np.arange(count, dtype=np.int32) % 8),
    }
    if part.photo_bytes:
        paths = pa.array([f"{id}.jpg" for id in ids])
        columns["image"] = pa.StructArray.from_arrays(
            [pa.array(pixels, pa.binary()), paths], fields=list(IMAGE_TYPE)
        )
        columns["thumbnail"] = pa.array([generator.bytes(THUMBNAIL_BYTES) for _ in range(count)])
    if part.source == "petface":
        lists = ["train", "val", "test", "reidentification"]
        columns["source_split"] = pa.array(generator.choice(lists, count, p=[0.7, 0.1, 0.1, 0.1]))
    if part.source in ("telegram", "pet911"):
        columns["description"] = pa.array([TEXT] * count)
    return pa.table(columns, schema=SHARD_SCHEMA)


def _record(ledger: Ledger, table: pa.Table, part: Part, shard: int, name: str) -> None:
    keys = [identity.partition("/")[2] for identity in table["identity_id"].to_pylist()]
    hashes = table["sha256"].to_pylist()
    size = part.photo_bytes or 40_000
    with ledger.transaction():
        ledger.write(
            "INSERT INTO shards VALUES (?, ?, ?, ?, 'generated', 0)", shard, name, len(keys), 1
        )
        for key in dict.fromkeys(keys):
            ledger.write(
                "INSERT OR IGNORE INTO listings (source_id, url, outcome, version, "
                "current_version, first_seen_at, checked_at) VALUES (?, '', 'kept', 1, 1, 0, 0)",
                key,
            )
        for row, (key, sha256) in enumerate(zip(keys, hashes, strict=True)):
            ledger.write(
                "INSERT INTO photos (source_id, version, position, address, outcome, sha256, "
                "bytes, shard_id, row) VALUES (?, 1, ?, '', 'kept', ?, ?, ?, ?)",
                key,
                shard * 1_000_000 + row,
                sha256,
                size,
                shard,
                row,
            )
