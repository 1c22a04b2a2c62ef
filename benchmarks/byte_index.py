"""Random reads of photos and the time that indexing takes, beside the ways of others.

    python benchmarks/byte_index.py [--quick] [--folder DIR]

Photos are bytes that do not compress. Every photo is read once as `bytes`, in one random order for
all ways, out of the page cache: an epoch. Files are opened anew for it, as by a worker of a data
loader; "again" is a second epoch, with the pages of a memory map in place. Rates are per second of
CPU time, the median of several rounds in turn. Ratios above 1: petdata is ahead.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from petdata.byte_index import ByteIndex, PhotoReader, index_shard
from petdata.records import Photo, Species
from petdata.shards import write_shard

Read = Callable[[int, int], bytes | None]  # shard and row -> photo

SHARD_BYTES = 64 * 2**20
COLLECTED_BYTES = 150_000  # median; announcements and channels show 800 to 1280 pixels
PUBLIC_BYTES = 40_000  # median; public datasets are smaller
SLOW_READS, VERY_SLOW_READS = 2_000, 60
ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer photos, smaller ones to index")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary one)")
    options = parser.parse_args()
    megabytes, indexed_bytes = (300, 4_000) if options.quick else (1_200, PUBLIC_BYTES)
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for kind, median_bytes in (("collected", COLLECTED_BYTES), ("public", PUBLIC_BYTES)):
            folder = Path(name) / kind
            found = benchmark_reads(folder, megabytes * 1_000_000 // median_bytes, median_bytes)
            ratios |= {f"{kind} photos, {way}": ratio for way, ratio in found.items()}
        seconds = benchmark_index(Path(name) / "index", 100_000, indexed_bytes)
    print(json.dumps({"benchmark": "byte_index", "ratios": ratios, "index_seconds": seconds}))


# Files


def make_shards(folder: Path, photos: int, median_bytes: int) -> list[Path]:
    folder.mkdir()
    generator = np.random.default_rng(0)
    noise = generator.bytes(2**26)
    sizes = generator.lognormal(np.log(median_bytes), 0.5, photos).astype(int) + 100
    paths: list[Path] = []
    first = 0
    while first < photos:
        last = first + int(np.searchsorted(np.cumsum(sizes[first:]), SHARD_BYTES)) + 1
        paths.append(folder / f"part-{len(paths):05d}.parquet")
        write_shard(paths[-1], noise_photos(noise, sizes[first:last].tolist(), first))
        first = last
    return paths


def noise_photos(noise: bytes, sizes: list[int], first: int) -> Iterator[Photo]:
    for number, size in enumerate(sizes, first):
        start = number * 7919 % (len(noise) - size)
        sha256 = hashlib.sha256(b"%d" % number).hexdigest()
        yield Photo(
            photo_id=f"noise/{number // 4}/{sha256[:12]}",
            identity_id=f"noise/{number // 4}",
            source="noise",
            species=Species.UNKNOWN,
            image=noise[start : start + size],
            sha256=sha256,
            phash=number,
            thumbnail=noise[number : number + 1024],
        )


# Reads


def benchmark_reads(folder: Path, photos: int, median_bytes: int) -> dict[str, float]:
    paths = make_shards(folder, photos, median_bytes)
    indexes = [index for index in map(index_shard, paths) if index is not None]
    places = [(shard, row) for shard, index in enumerate(indexes) for row in range(index.rows)]
    order = [places[n] for n in np.random.default_rng(1).permutation(len(places))]
    kilobytes = sum(int(index.lengths.sum()) for index in indexes) / photos / 1e3
    print(f"{photos:,} photos of {kilobytes:.0f} kB on average in {len(paths)} shards")
    arrow_files = write_arrow_files(paths)
    mapped = arrow_memory_map(arrow_files)
    loaded = with_datasets(folder, paths)
    ways: dict[str, tuple[Callable[[], Read], int]] = {
        "petdata": (lambda: PhotoReader(paths, indexes).read, photos),
        "bare os.pread": (lambda: bare_pread(paths, indexes), photos),
        "Arrow memory map": (lambda: arrow_memory_map(arrow_files), photos),
        "Arrow memory map, again": (lambda: mapped, photos),
        "datasets": (lambda: loaded, SLOW_READS),
        "pyarrow row groups": (lambda: row_groups(paths), VERY_SLOW_READS),
    }
    bare = bare_pread(paths, indexes)
    for name, (open_files, count) in ways.items():  # brings the files into the page cache as well
        read = open_files()
        if any(read(*place) != bare(*place) for place in order[:count]):
            raise SystemExit(f"{name} reads other bytes")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (open_files, count) in ways.items():
            seconds[name].append(cpu_seconds(open_files, order[:count]) / count)
    typical = {name: statistics.median(found) for name, found in seconds.items()}
    ratios = {name: found / typical["petdata"] for name, found in typical.items()}
    for name, found in typical.items():
        print(f"  {name:24} {1 / found:10,.0f} reads/s   petdata is {ratios[name]:.2f} times that")
    return {name: ratio for name, ratio in ratios.items() if name != "petdata"}


def cpu_seconds(open_files: Callable[[], Read], places: list[tuple[int, int]]) -> float:
    start = time.process_time()
    read = open_files()
    for shard, row in places:
        read(shard, row)
    return time.process_time() - start


def bare_pread(paths: list[Path], indexes: list[ByteIndex]) -> Read:
    """The physical limit: the system call, with all that it needs at hand."""
    descriptors = [os.open(path, os.O_RDONLY) for path in paths]
    offsets = [index.offsets.tolist() for index in indexes]
    lengths = [index.lengths.tolist() for index in indexes]
    pread = os.pread
    return lambda shard, row: pread(descriptors[shard], lengths[shard][row], offsets[shard][row])


def write_arrow_files(paths: list[Path]) -> list[str]:
    """An Arrow file for each shard, its images one array of binaries."""
    targets = [str(path.with_suffix(".arrow")) for path in paths]
    for path, target in zip(paths, targets, strict=True):
        column = pq.ParquetFile(path).read(["image.bytes"]).column("image").combine_chunks()
        with pa.ipc.new_file(target, pa.schema({"bytes": pa.binary()})) as writer:
            writer.write_batch(pa.record_batch([column.field("bytes")], ["bytes"]))
    return targets


def arrow_memory_map(files: list[str]) -> Read:
    """The quickest way in pyarrow: no struct, no chunks, no slice before the value."""
    images = [pa.ipc.open_file(pa.memory_map(file)).get_batch(0).column(0) for file in files]
    return lambda shard, row: images[shard][row].as_py()


def with_datasets(folder: Path, paths: list[Path]) -> Read:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    datasets.disable_progress_bars()
    files = [str(path) for path in paths]
    loaded = datasets.load_dataset(
        "parquet", data_files=files, cache_dir=str(folder / "cache"), split="train"
    )
    images = loaded.select_columns("image").cast_column("image", datasets.Image(decode=False))
    counts = [pq.read_metadata(path).num_rows for path in paths]
    firsts = np.cumsum([0, *counts]).tolist()
    return lambda shard, row: images[firsts[shard] + row]["image"]["bytes"]


def row_groups(paths: list[Path]) -> Read:
    """What there is without an index: the row group around the photo."""
    files = [pq.ParquetFile(path) for path in paths]
    ends = [
        np.cumsum([f.metadata.row_group(g).num_rows for g in range(f.num_row_groups)]).tolist()
        for f in files
    ]

    def read(shard: int, row: int) -> bytes | None:
        group = bisect.bisect_right(ends[shard], row)
        first = ends[shard][group - 1] if group else 0
        table = files[shard].read_row_group(group, columns=["image.bytes"], use_threads=False)
        photo: bytes | None = table.column("image")[row - first]["bytes"].as_py()
        return photo

    return read


# Index


def benchmark_index(folder: Path, photos: int, median_bytes: int) -> dict[str, float]:
    paths = make_shards(folder, photos, median_bytes)
    gigabytes = sum(path.stat().st_size for path in paths) / 1e9
    print(f"index of {photos:,} photos, {gigabytes:.1f} GB in {len(paths)} shards")
    ways: dict[str, Callable[[], object]] = {
        "walk": lambda: list(map(index_shard, paths)),
        "walk in 8 threads": lambda: walk_in_threads(paths),
        "read all bytes": lambda: read_through(*paths),
    }
    seconds: dict[str, float] = {}
    for name, way in ways.items():
        evict(*paths)
        seconds[f"{name}, cold"] = wall_seconds(way)
        read_through(*paths)
        seconds[f"{name}, warm"] = min(wall_seconds(way) for _ in range(3))
    for name, found in seconds.items():
        print(f"  {name:24} {found:8.2f} s")
    return seconds


def walk_in_threads(paths: list[Path]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(index_shard, paths))


def wall_seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def read_through(*paths: Path) -> None:
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(2**22):
                pass


def evict(*paths: Path) -> None:
    """Take files out of the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()
