"""Workspaces of any size for benchmarks: rows as sources have them, pixels or none.

Thumbnails are random, with the spectrum of natural pictures, and hashes are theirs; 1 % are noisy
copies of others. Pixels are drawn pets, filled up to the size that is asked for with a comment of
random bytes. No photo is shown by its thumbnail: a build compares no pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from generated_hashes import bits_of, low_frequencies, pictures_of

from dataset_builder.planted_copies import as_jpeg
from petdata.demo.pets import draw_identity, draw_photo
from petdata.ledger import Ledger
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
    photo_bytes: int = 0  # of each; 0: rows without pixels
    thumbnails: bool = True
    per_shard: int = 1_677
    seed: int = 0
    first_identity: int = 0
    first_shard: int = 0


def write_world(
    root: Path, photos: int, *, photo_bytes: int = 0, thumbnails: bool = True, seed: int = 0
) -> None:
    per_shard = max(1, 64 * 2**20 // (photo_bytes or 40_000))
    for source, share in SHARES.items():
        write_part(
            root,
            Part(
                source=source,
                photos=max(1, int(photos * share)),
                photo_bytes=photo_bytes,
                per_shard=per_shard,
                thumbnails=thumbnails,
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
    pixels = [_pixels(generator, part.photo_bytes) for _ in range(count)]
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
        "width": pa.array(np.full(count, 300, np.int32)),
        "height": pa.array(np.full(count, 400, np.int32)),
        "position": pa.array(np.arange(count, dtype=np.int32) % 8),
    }
    thumbnails = _thumbnails(generator, count)
    columns["phash"] = pa.array(bits_of(low_frequencies(thumbnails)))
    if part.thumbnails:
        columns["thumbnail"] = pa.array([thumbnail.tobytes() for thumbnail in thumbnails])
    if part.photo_bytes:
        paths = pa.array([f"{id}.jpg" for id in ids])
        columns["image"] = pa.StructArray.from_arrays(
            [pa.array(pixels, pa.binary()), paths], fields=list(IMAGE_TYPE)
        )
    if part.source == "petface":
        lists = ["train", "val", "test", "reidentification"]
        columns["source_split"] = pa.array(generator.choice(lists, count, p=[0.7, 0.1, 0.1, 0.1]))
    if part.source in ("telegram", "pet911"):
        columns["description"] = pa.array([TEXT] * count)
    return pa.table(columns, schema=SHARD_SCHEMA)


def _pixels(generator: np.random.Generator, size: int) -> bytes:
    if not size:
        return generator.bytes(16)
    jpeg = _drawn_pets()[int(generator.integers(len(_drawn_pets())))]
    room = size - len(jpeg) - 4
    comment = b"\xff\xfe" + (room + 2).to_bytes(2, "big") + generator.bytes(room)
    return jpeg[:2] + comment + jpeg[2:]


@cache
def _drawn_pets() -> list[bytes]:
    photos = [draw_photo(draw_identity(0, number), 0).image for number in range(32)]
    return [as_jpeg(photo.resize((300, 400)), 85) for photo in photos]


def _thumbnails(generator: np.random.Generator, count: int) -> np.ndarray:
    frequencies = np.hypot(*np.meshgrid(np.arange(8), np.arange(8))).ravel()
    spread = 1 / np.maximum(frequencies, 1)
    pictures = pictures_of(generator.standard_normal((count, 64)) * spread)
    copies = count // 100
    pictures[count - copies :] = pictures[:copies]
    noise = np.frombuffer(generator.bytes(pictures.size), np.uint8).reshape(pictures.shape) & 7
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def _record(ledger: Ledger, table: pa.Table, part: Part, shard: int, name: str) -> None:
    keys = [identity.partition("/")[2] for identity in table["identity_id"].to_pylist()]
    hashes = table["sha256"].to_pylist()
    size = part.photo_bytes or 40_000
    stated = hashlib.sha256("".join(hashes).encode()).hexdigest()  # of other shards, another
    with ledger.transaction():
        ledger.write(
            "INSERT INTO shards VALUES (?, ?, ?, ?, ?, 0)", shard, name, len(keys), 1, stated
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
