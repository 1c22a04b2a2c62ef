"""Photos a second of `petdata import`, of JPEG and of PNG, beside what the machine could do.

    python benchmarks/import_datasets.py [--quick] [--photos 4000]

The limit is `canonicalise` alone on all cores, over photos that are in memory already: no file is
read, no shard written, no ledger kept. The import reads files (JPEG: a folder of photos as LCW has
them; PNG: 224 x 224 faces in a tar.gz as PetFace has them), and its shards and ledger are durable.
Photos a second are measured without the start of processes, CPU seconds with it, in turns; the
best of each counts. On a busy machine only CPU seconds mean something.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_builder.readers import lcw, petface
from dataset_builder.reading import Reading
from petdata.bulk_intake import BulkConfig, BulkIntake, Original
from petdata.decoding_pool import DecodingPool
from petdata.workspace import Workspace

PHOTOS_AN_IDENTITY = 4
ROUNDS = 3


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Compresses like a photo: coarse shapes, fine grain."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = generator.normal(0, 6, (height, width, 1)).astype(np.int16)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **({"quality": 80} if form == "JPEG" else {}))
    return out.getvalue()


@dataclass(frozen=True)
class Kind:
    name: str
    source: str
    write: Callable[[Path, list[bytes], int], None]
    read: Callable[[Path], Iterable[Original]]
    size: tuple[int, int]
    form: str


def write_lcw(folder: Path, photos: list[bytes], count: int) -> None:
    for number in range(count):
        cat = folder / "CatFullDataset" / str(number // PHOTOS_AN_IDENTITY)
        cat.mkdir(parents=True, exist_ok=True)
        (cat / f"{number}.jpg").write_bytes(distinct(photos, number))


def write_petface(folder: Path, photos: list[bytes], count: int) -> None:
    with tarfile.open(folder / "cat.tar.gz", "w:gz", compresslevel=1) as file:
        for number in range(count):
            identity, photo = divmod(number, PHOTOS_AN_IDENTITY)
            info = tarfile.TarInfo(f"cat/{identity:06d}/{photo:02d}.png")
            raw = distinct(photos, number)
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))


def distinct(photos: list[bytes], number: int) -> bytes:
    """Photos are drawn once and repeated: never within an identity."""
    return photos[number % len(photos)]


KINDS = (
    Kind("jpeg", "lcw", write_lcw, lambda path: lcw.read(path, Reading()), (640, 480), "JPEG"),
    Kind(
        "png",
        "petface",
        write_petface,
        lambda path: petface.PetFace(path, Reading(), ["cat"]).read(),
        (224, 224),
        "PNG",
    ),
)


@dataclass(frozen=True)
class Measured:
    photos_s: float
    cpu_ms: float  # a photo, of all processes


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def with_cpu(count: int, measure: Callable[[], float]) -> Measured:
    before = cpu_s()
    photos_s = measure()
    return Measured(photos_s, 1_000 * (cpu_s() - before) / count)


def limit(photos: list[bytes], count: int, workers: int) -> float:
    """Photos a second of the pool alone."""
    with DecodingPool(workers) as pool:
        warm(pool, photos[0])
        start = time.perf_counter()
        waiting = []
        for number in range(count):
            while pool.is_full:
                pool.result(waiting.pop(0))
            waiting.append(pool.submit(distinct(photos, number)))
        for submitted in waiting:
            pool.result(submitted)
        return count / (time.perf_counter() - start)


def warm(pool: DecodingPool, photo: bytes) -> None:
    for submitted in [pool.submit(photo) for _ in range(8 * pool.workers)]:
        pool.result(submitted)


class _Clock:
    """Starts when the first photo is judged, so that starting processes is not counted."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.before = 0


def imported(kind: Kind, data: Path, count: int, workers: int) -> float:
    home = Path(tempfile.mkdtemp(prefix="petdata-import-", dir=data.parent))
    clock = _Clock()
    try:
        with BulkIntake(Workspace(root=home), kind.source, BulkConfig(workers=workers)) as intake:

            def tick() -> None:
                kept = intake.counts["photo/kept"]
                if clock.started is None and kept:
                    clock.started, clock.before = time.perf_counter(), kept

            intake.on_progress = tick
            intake.take(kind.read(data))
            kept = intake.counts["photo/kept"]
        assert kept == count, intake.counts
        assert clock.started is not None
        return (kept - clock.before) / (time.perf_counter() - clock.started)
    finally:
        shutil.rmtree(home)


def best(rounds: Iterable[Measured]) -> Measured:
    found = list(rounds)
    return Measured(
        max(measured.photos_s for measured in found), min(measured.cpu_ms for measured in found)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600 photos only")
    parser.add_argument("--photos", type=int, default=4_000)
    options = parser.parse_args()
    count = 600 if options.quick else options.photos
    workers = len(os.sched_getaffinity(0))
    figures: dict[str, dict[str, object]] = {}
    for kind in KINDS:
        photos = [encoded(picture(seed, *kind.size), kind.form) for seed in range(64)]
        data = Path(tempfile.mkdtemp(prefix="petdata-data-"))
        try:
            kind.write(data, photos, count)
            rounds = [
                (
                    with_cpu(count, partial(limit, photos, count, workers)),
                    with_cpu(count, partial(imported, kind, data, count, workers)),
                )
                for _ in range(ROUNDS)
            ]
        finally:
            shutil.rmtree(data)
        alone, whole = (best(measured) for measured in zip(*rounds, strict=True))
        size = sum(map(len, photos)) / len(photos) / 1e3
        figures[kind.name] = {
            "kilobytes": size,
            "limit": vars(alone),
            "import": vars(whole),
            "ratio_photos_s": whole.photos_s / alone.photos_s,
            "ratio_cpu": alone.cpu_ms / whole.cpu_ms,
        }
        print(
            f"{kind.name}, {size:.0f} kB: import {whole.photos_s:6.0f} photos/s, "
            f"{whole.cpu_ms:.2f} ms CPU a photo; canonicalise alone on {workers} cores "
            f"{alone.photos_s:6.0f}, {alone.cpu_ms:.2f} ms",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory of the main process {peak:.0f} MB")
    print(
        json.dumps(
            {"benchmark": "import_datasets", "photos": count, "figures": figures, "peak_mb": peak}
        )
    )


if __name__ == "__main__":
    main()
