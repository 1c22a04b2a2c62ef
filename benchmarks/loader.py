"""Photos into tensors, beside a bare loop of the same work and the ways of others.

    python benchmarks/loader.py [--quick] [--workers N] [--folder DIR]

Real pets where PETDATA_REAL_DATA names them, 58 identities x 2 photos a batch in random order, the
pixels of CLIP at 224. The bare loop decodes and transforms JPEGs that are in memory already, in as
many processes. `datasets`, a folder of files and webdataset (where it is installed) go through
torch's DataLoader, with Pillow, and the same transform. Rates are medians of rounds in turn, per
second of wall time and per second of CPU time, which other work beside disturbs less. From the Hub:
a local one 20 ms away, with nothing in the cache. Ratios above 1: petdata is ahead.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from generated_releases import some_jpegs, write_large_release, write_release
from PIL import Image
from transformers import CLIPImageProcessor

from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.data import PhotoLoader, PhotoSet, default_workers, open_photos
from trainer.decoding import decode
from trainer.sampler import IdentityBatchSampler, Rows
from trainer.transforms import ResizeCropNormalise, transform_of, with_scaled_decoding

LATENCY_S = 0.020
ROUNDS = 3
EPOCHS = 10

Way = Callable[[], int]  # one epoch; how many photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer photos and rounds")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary one)")
    parser.add_argument("--from-hub", type=Path, help=argparse.SUPPRESS)  # by this script itself
    options = parser.parse_args()
    if options.from_hub:
        print(json.dumps(epoch_from_hub(options.from_hub, options.workers)))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        jpegs = some_jpegs()
        photos = 445 if options.quick else 2_000
        repeated = [jpegs[n % len(jpegs)] for n in range(photos)]
        release = write_release(root / "releases" / "generated" / "1.0.0", repeated)
        mean = sum(map(len, repeated)) / photos / 1e3
        print(f"{photos:,} photos of {mean:.0f} kB, {options.workers} workers")
        rounds = 2 if options.quick else ROUNDS
        ratios = compare(root, release, repeated, options.workers, rounds)
        ratios |= compare_hub(root, release, options.workers, 1 if options.quick else 3)
        seconds = {}
        for rows in (100_000,) if options.quick else (100_000, 2_000_000):
            seconds[f"{rows:,} rows"] = first_batch(root / f"{rows}", rows, jpegs[0])
    print(json.dumps({"benchmark": "loader", "ratios": ratios, "seconds_to_first_batch": seconds}))


def transform() -> ResizeCropNormalise:
    found = transform_of(CLIPImageProcessor())
    assert isinstance(found, ResizeCropNormalise)
    return found


def opened(release: Path, workspace: Path) -> PhotoSet:
    return open_photos(open_release(release, workspace=Workspace(root=workspace)), "train")


def batches(photos: PhotoSet, epochs: int = EPOCHS) -> list[Rows]:
    """Of some epochs: starting processes is to be no part of a rate."""
    sampler = IdentityBatchSampler(photos.labels, identities_per_batch=min(58, len(photos) // 8))
    numbers = range(sampler.batches_per_epoch)
    return [sampler.rows(epoch, number) for epoch in range(epochs) for number in numbers]


# Local


def compare(
    root: Path, release: Path, jpegs: list[bytes], workers: int, rounds: int
) -> dict[str, float]:
    photos, chosen = opened(release, root), transform()
    wanted = batches(photos)
    rows = [batch.tolist() for batch in wanted]
    ways: dict[str, Way] = {
        "petdata": lambda: count(PhotoLoader(photos, chosen, wanted, workers=workers)),
        "bare loop": lambda: bare_loop(jpegs, rows, chosen, workers),
        "datasets": with_datasets(root, release, rows, chosen, workers),
        "folder of files": folder_of_files(root, jpegs, rows, chosen, workers),
    }
    if (tars := webdataset_tars(root, jpegs, rows, chosen, workers)) is not None:
        ways["webdataset"] = tars
    ways["petdata, scaled decoding"] = lambda: count(
        PhotoLoader(photos, with_scaled_decoding(chosen), wanted, workers=workers)
    )
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start, used = time.perf_counter(), cpu_seconds()
            done = way()
            wall[name].append(done / (time.perf_counter() - start))
            cpu[name].append(done / (cpu_seconds() - used))
    ratios = {}
    for name in ways:
        rate, per_cpu = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"  {name:26} {rate:8.0f} photos/s   {per_cpu:8.0f} per CPU second")
        if name != "petdata":
            ratios[name] = statistics.median(
                mine / theirs for mine, theirs in zip(wall["petdata"], wall[name], strict=True)
            )
            ratios[f"{name}, per CPU second"] = statistics.median(
                mine / theirs for mine, theirs in zip(cpu["petdata"], cpu[name], strict=True)
            )
    return {name: round(ratio, 3) for name, ratio in ratios.items()}


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def count(loader: Iterable[Any]) -> int:
    return sum(len(batch) for batch in loader)


def bare_loop(
    jpegs: list[bytes], rows: list[list[int]], chosen: ResizeCropNormalise, workers: int
) -> int:
    """The limit: nothing read, nothing handed on."""
    order = [row for batch in rows for row in batch]
    fork = multiprocessing.get_context("fork")
    parts = [order[n::workers] for n in range(workers)]
    processes = [fork.Process(target=_decode_all, args=(jpegs, p, chosen)) for p in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return len(order)


def _decode_all(jpegs: list[bytes], rows: list[int], chosen: ResizeCropNormalise) -> None:
    torch.set_num_threads(1)
    target = torch.empty(3, 224, 224)
    with torch.no_grad():
        for row in rows:
            target.copy_(chosen.of_array(decode(jpegs[row])))


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, folder: Path, chosen: ResizeCropNormalise) -> None:
        self.folder, self.chosen = folder, chosen

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.folder / f"{row}.jpg") as picture:
            return self.chosen(picture)


def through_data_loader(dataset: Any, rows: list[list[int]], workers: int) -> int:
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=rows, num_workers=workers)
    return count(loader)


def folder_of_files(
    root: Path, jpegs: list[bytes], rows: list[list[int]], chosen: ResizeCropNormalise, workers: int
) -> Way:
    folder = root / "files"
    folder.mkdir()
    for row, jpeg in enumerate(jpegs):
        (folder / f"{row}.jpg").write_bytes(jpeg)
    files = _Files(folder, chosen)
    return lambda: through_data_loader(files, rows, workers)


def with_datasets(
    root: Path, release: Path, rows: list[list[int]], chosen: ResizeCropNormalise, workers: int
) -> Way:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    datasets.disable_progress_bars()
    files = [str(path) for path in sorted(release.glob("data/**/*.parquet"))]
    loaded = datasets.load_dataset(
        "parquet", data_files=files, cache_dir=str(root / "cache-of-datasets"), split="train"
    )
    images = loaded.select_columns("image")

    def apply(columns: dict[str, list[Any]]) -> dict[str, list[torch.Tensor]]:
        return {"image": [chosen(picture) for picture in columns["image"]]}

    images = images.with_transform(apply)

    def epoch() -> int:
        loader = torch.utils.data.DataLoader(images, batch_sampler=rows, num_workers=workers)
        return sum(len(batch["image"]) for batch in loader)

    return epoch


def webdataset_tars(
    root: Path, jpegs: list[bytes], rows: list[list[int]], chosen: ResizeCropNormalise, workers: int
) -> Way | None:
    """In the order of the tars: they have no random order of identities."""
    try:
        import webdataset
    except ImportError:
        print("  webdataset is not installed: left out")
        return None
    folder = root / "tars"
    folder.mkdir()
    order = [row for batch in rows for row in batch]
    for number in range(workers):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for place, row in enumerate(order[number::workers]):
                member = tarfile.TarInfo(f"{place:06d}.jpg")
                member.size = len(jpegs[row])
                tar.addfile(member, io.BytesIO(jpegs[row]))

    def epoch() -> int:
        tars = [str(folder / f"{number}.tar") for number in range(workers)]
        photos = (
            webdataset.WebDataset(tars, shardshuffle=False)
            .decode("pil")
            .to_tuple("jpg")
            .map_tuple(chosen)
            .batched(len(rows[0]))
        )
        loader = torch.utils.data.DataLoader(photos, batch_size=None, num_workers=workers)
        return sum(len(batch[0]) for batch in loader)

    return epoch


# From a Hub


SERVE = """
import sys
from pathlib import Path
from dataset_builder.hub import PushOptions, push
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.hub_faults import Fault
with HubServer() as hub:
    push(Path(sys.argv[1]), "user/pets", PushOptions(
        private=True, include_restricted=True, token=TOKEN, endpoint=hub.url))
    hub.fail("any", Fault(delay_s=float(sys.argv[2])), times=10**9)
    print(hub.url, TOKEN, flush=True)
    sys.stdin.read()
"""


def compare_hub(root: Path, release: Path, workers: int, rounds: int) -> dict[str, float]:
    environment = os.environ | {
        "HF_HOME": str(root / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0",
        "OMP_NUM_THREADS": "1",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(release), str(LATENCY_S)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url, token = server.stdout.readline().split()
        found = []
        for number in range(rounds):
            cache = root / f"elsewhere-{number}"
            script = [sys.executable, __file__, "--from-hub", str(cache), "--workers", str(workers)]
            answer = subprocess.run(
                script,
                env=environment | {"HF_ENDPOINT": url, "HF_TOKEN": token, "RELEASE": str(release)},
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(json.loads(answer.stdout.splitlines()[-1]))
    finally:
        server.communicate("")
    typical = {name: statistics.median(one[name] for one in found) for name in found[0]}
    for name, value in typical.items():
        print(f"  from the Hub: {name} {value:.2f}")
    ratio = statistics.median(one["photos/s"] / one["local photos/s"] for one in found)
    again = statistics.median(one["second epoch"] / one["local photos/s"] for one in found)
    return {"Hub, first epoch, to local": round(ratio, 3), "Hub, second": round(again, 3)}


def epoch_from_hub(cache: Path, workers: int) -> dict[str, float]:
    """In a process whose client of the Hub is set up by its environment."""
    torch.set_num_threads(1)
    chosen = transform()
    found: dict[str, float] = {}
    start = time.perf_counter()
    photos = open_photos(open_release("user/pets", workspace=Workspace(root=cache)), "train")
    found["seconds to open"] = time.perf_counter() - start
    here = opened(Path(os.environ["RELEASE"]), cache)
    for name, chosen_photos in (
        ("photos/s", photos),
        ("second epoch", photos),
        ("local photos/s", here),
    ):
        start = time.perf_counter()
        loader = PhotoLoader(chosen_photos, chosen, batches(here, 1), workers=workers)
        done = count(loader)
        found[name] = done / (time.perf_counter() - start)
    return found


# Size


def first_batch(folder: Path, rows: int, jpeg: bytes) -> float:
    release = write_large_release(folder / "releases" / "generated" / "1.0.0", rows, jpeg)
    chosen = transform()
    start = time.perf_counter()
    photos = opened(release, folder)
    at = {"photos open": time.perf_counter() - start}
    # All places are those of one JPEG, whose hash cannot be that of every row.
    photos._photos._sha256 = _Same(jpeg)  # type: ignore[attr-defined]
    start = time.perf_counter()
    sampler = IdentityBatchSampler(photos.labels)
    order = iter(sampler)
    at["sampler"] = time.perf_counter() - start
    next(iter(PhotoLoader(photos, chosen, order)))
    at["first batch"] = time.perf_counter() - start + at["photos open"]
    said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in at.items())
    print(f"{rows:,} rows: {said}")
    return round(at["first batch"], 3)


class _Same:
    """The hash of one JPEG, for every row."""

    def __init__(self, jpeg: bytes) -> None:
        self.value = pa.scalar(hashlib.sha256(jpeg).hexdigest())

    def __getitem__(self, row: int) -> Any:
        return self.value


if __name__ == "__main__":
    main()
