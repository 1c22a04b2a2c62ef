"""Photos a CPU second for canonicalise, hashes and shard write, beside others.

    python benchmarks/canonicalise.py [--photos FOLDER] [--quick]

The others are a bare decode by Pillow and img2dataset. Without --photos it makes natural-looking
JPEGs (1200 x 900, 4:2:0, about 190 kB). CPU seconds are user and system time; of several
interleaved rounds the best counts.

img2dataset runs in an environment of its own (`make peers`) and fetches from a local server, as
petdata does in that comparison, over http.client. Its CPU seconds are those of its whole process
tree less those of a run over one photo: starting Python and importing is not counted on either
side. All its options but those printed are its defaults: JPEG of quality 95, SHA-256.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from petdata.errors import RejectedPhoto
from petdata.jpeg import canonicalise
from petdata.records import Photo, Species
from petdata.shards import write_shard
from petdata.srgb import profile_of_code_points

PEER = Path(".venv-peers/bin/img2dataset")
PEER_NAME = PEER.name
PEER_OPTIONS = {
    "input_format": "txt",
    "output_format": "parquet",
    "resize_mode": "no",
    "processes_count": "1",
    "enable_wandb": "False",
}
PEER_THREADS = ("256", "16")  # 256 is its default; fewer may suit it better
# Python's own file server, with room for 256 connections at once.
SERVER = """
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer, test

ThreadingHTTPServer.request_queue_size = 1024
handler = partial(SimpleHTTPRequestHandler, directory=sys.argv[1])
SimpleHTTPRequestHandler.disable_nagle_algorithm = True  # else each answer waits 40 ms
test(handler, ThreadingHTTPServer, "HTTP/1.1", 0, "127.0.0.1")
"""
BARS = {"bare_decode": 1.0, "img2dataset": 2.5}


def natural_jpegs(count: int) -> Iterator[bytes]:
    """Noise with the spectrum of photographs: much of it coarse, some fine, and grain."""
    width, height = 1200, 900
    frequency = np.hypot(np.fft.rfftfreq(width), np.fft.fftfreq(height)[:, np.newaxis])
    amplitude = np.maximum(frequency, 1 / width) ** -1.5
    for seed in range(count):
        rng = np.random.default_rng(seed)

        def layer(deviation: float, rng: np.random.Generator = rng) -> np.ndarray:
            phase = np.exp(2j * np.pi * rng.random(amplitude.shape))
            values = np.fft.irfft2(amplitude * phase, (height, width))
            scaled: np.ndarray = deviation * values / values.std()
            return scaled

        light = 128 + layer(50) + rng.normal(0, 2, (height, width))
        pixels = np.stack([light, 128 + layer(15), 128 + layer(15)], axis=-1)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "YCbCr")
        yield encoded(image, "JPEG", quality=85)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def upright_jpegs(folder: Path, count: int) -> list[bytes]:
    """The JPEGs of a folder that need no encoding."""
    found = []
    for path in sorted(folder.rglob("*.jp*g")):
        raw = path.read_bytes()
        try:
            if not canonicalise(raw).reencoded:
                found.append(raw)
        except RejectedPhoto as rejected:
            print(f"# {path.name}: {rejected}")
        if len(found) == count:
            break
    return found


def variants(raws: Sequence[bytes]) -> dict[str, list[bytes]]:
    """The same photos as they need encoding: WebP, stored turned, in Display P3."""
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds: dict[str, list[bytes]] = {"WebP": [], "turned JPEG": [], "Display P3 JPEG": []}
    for raw in raws:
        image = Image.open(BytesIO(raw))
        quality = {"quality": 85, "subsampling": "4:2:0"} if image.mode == "RGB" else {}
        kinds["WebP"].append(encoded(image, "WEBP", quality=80))
        kinds["turned JPEG"].append(encoded(image, "JPEG", exif=turned.tobytes(), **quality))
        profile = profile_of_code_points(12, 13)
        kinds["Display P3 JPEG"].append(encoded(image, "JPEG", icc_profile=profile, **quality))
    return kinds


# What is measured --------------------------------------------------------------------------------


def bare_decode(raws: Iterable[bytes]) -> None:
    for raw in raws:
        Image.open(BytesIO(raw)).load()


def only_canonicalise(raws: Iterable[bytes]) -> None:
    for raw in raws:
        canonicalise(raw)


def to_shard(raws: Iterable[bytes]) -> None:
    """Canonicalise, hash and write one shard, as intake does."""
    with tempfile.TemporaryDirectory() as folder:
        write_shard(Path(folder) / "part-00000.parquet", map(photo_of, raws))


def photo_of(raw: bytes) -> Photo:
    canonical = canonicalise(raw)
    identity = f"benchmark/{canonical.sha256[:8]}"
    return Photo(
        photo_id=f"{identity}/{canonical.sha256[:12]}",
        identity_id=identity,
        source="benchmark",
        species=Species.CAT,
        image=canonical.jpeg,
        width=canonical.width,
        height=canonical.height,
        sha256=canonical.sha256,
        original_sha256=canonical.original_sha256,
        phash=canonical.phash,
        thumbnail=canonical.thumbnail,
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def rates(
    works: Mapping[str, Callable[[Sequence[bytes]], None]], raws: Sequence[bytes], rounds: int
) -> dict[str, float]:
    """Photos a CPU second of each, the best of the rounds; they take turns in each round."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            best[name] = min(best[name], cpu_seconds(partial(work, raws)))
    return {name: len(raws) / seconds for name, seconds in best.items()}


# Beside img2dataset ------------------------------------------------------------------------------


@contextmanager
def served(raws: Sequence[bytes], folder: Path) -> Iterator[int]:
    """Serve these photos from a process of its own; yields the port."""
    for number, raw in enumerate(raws):
        (folder / f"{number}.jpg").write_bytes(raw)
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVER, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline().partition(" port ")[2].split()[0])
    finally:
        server.terminate()
        server.wait()


def fetched(port: int, names: Iterable[str]) -> Iterator[bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for name in names:
        connection.request("GET", f"/{name}")
        yield connection.getresponse().read()
    connection.close()


def peer_cpu_seconds(port: int, names: Sequence[str], folder: Path, **options: str) -> float:
    urls, output = folder / "urls.txt", folder / "output"
    urls.write_text("".join(f"http://127.0.0.1:{port}/{name}\n" for name in names))
    shutil.rmtree(output, ignore_errors=True)
    command = [str(PEER), f"--url_list={urls}", f"--output_folder={output}"]
    command += [f"--{name}={value}" for name, value in {**PEER_OPTIONS, **options}.items()]
    if len(names) > 1:
        print(f"$ {shlex.join(command)}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    stats = [json.loads(path.read_text()) for path in output.glob("*_stats.json")]
    kept = sum(shard["successes"] for shard in stats)
    if kept != len(names):
        raise SystemExit(f"img2dataset kept {kept} of {len(names)} photos: run it again: {stats}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def beside_img2dataset(raws: Sequence[bytes], count: int, quick: bool) -> dict[str, float]:
    """Photos a CPU second, fetching included: ours, theirs, theirs without encoding."""
    variants = {f"{PEER_NAME}, {n} threads": {"thread_count": n} for n in PEER_THREADS}
    skipping = {"thread_count": PEER_THREADS[-1], "skip_reencode": "True"}
    variants[f"{PEER_NAME}, re-encoding skipped"] = skipping
    if quick:
        variants = dict([*variants.items()][:1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        with served(raws, folder / "photos") as port:
            names = [f"{n % len(raws)}.jpg?{n}" for n in range(count)]
            runs = [cpu_seconds(lambda: to_shard(fetched(port, names))) for _ in range(3)]
            ours = statistics.median(runs)
            found = {"petdata": count / ours}
            starts = [peer_cpu_seconds(port, names[:1], folder) for _ in range(1 if quick else 3)]
            starting = statistics.median(starts)
            for label, options in variants.items():
                working = peer_cpu_seconds(port, names, folder, **options)
                print(f"# {working:.2f} CPU s, of which starting takes {starting:.2f}")
                found[label] = (count - 1) / (working - starting)
    return found


def compared_with_img2dataset(rates_with_fetching: dict[str, float]) -> float:
    """Ours over theirs at the better number of threads."""
    for name, rate in rates_with_fetching.items():
        print(f"{name:34} {rate:7.1f}/s   {rates_with_fetching['petdata'] / rate:5.2f}")
    theirs = [rate for name, rate in rates_with_fetching.items() if name.endswith("threads")]
    return rates_with_fetching["petdata"] / max(theirs)


# -------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="folder with JPEGs to measure with")
    parser.add_argument("--quick", action="store_true", help="fewer photos and rounds")
    options = parser.parse_args()
    count, rounds, peer_count = (24, 3, 600) if options.quick else (100, 7, 1_500)

    folder = options.photos
    raws = upright_jpegs(folder, 40 * count) if folder else [*natural_jpegs(count)]
    print(
        f"# {len(raws)} upright JPEGs, {sum(map(len, raws)) / len(raws) / 1000:.0f} kB on average"
    )
    others = variants(raws[:: max(1, len(raws) // 12)])

    works = {"bare decode": bare_decode, "canonicalise": only_canonicalise, "to shard": to_shard}
    result: dict[str, dict[str, float]] = {}
    # A shard's own cost is that of a full one, not of 24 photos.
    upright_photos = raws * max(1, 100 // len(raws))
    for kind, photos in {"upright JPEG": upright_photos, **others}.items():
        result[kind] = rates(works, photos, rounds)
        line = "  ".join(f"{name} {rate:6.1f}/s" for name, rate in result[kind].items())
        ratio = result[kind]["to shard"] / result[kind]["bare decode"]
        print(f"{kind:16} {line}  to shard / bare decode {ratio:.2f}")
    upright = result["upright JPEG"]
    ratios = {"bare_decode": upright["to shard"] / upright["bare decode"]}

    if PEER.exists():
        result["with fetching"] = beside_img2dataset(raws, peer_count, options.quick)
        ratios["img2dataset"] = compared_with_img2dataset(result["with fetching"])
    else:
        print(f"# no {PEER}: `make peers` installs img2dataset to compare with")
    for name, ratio in ratios.items():
        verdict = "reached" if ratio >= BARS[name] else "MISSED"
        print(f"{name}: {ratio:.2f}, bar {BARS[name]}: {verdict}")
    print(json.dumps({"benchmark": "canonicalise", "ratios": ratios, "photos_per_cpu_s": result}))


if __name__ == "__main__":
    main()
