"""The join of perceptual hashes that proposes near duplicates, and the comparison that confirms.

    python benchmarks/near_duplicates.py [--photos FOLDER] [--quick] [--imagededup PYTHON]

Hashes are drawn from the distribution of real photos: DCT coefficients with the means, spreads and
correlations of the photos in FOLDER (without it, of drawn pets), 5 % of them in families of near
copies whose sizes fall off as 1 / rank, a fifth with a border and thus a borderless hash. Beside
it, at a size that they finish, plain hashes only: faiss's binary indexes and imagededup, which runs
in the environment of PYTHON if that is given. Peak memory is of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from generated_hashes import bits_of, low_frequencies, mirrored
from numpy.typing import NDArray

from dataset_builder.detection_power import detection_power
from dataset_builder.hamming_join import hamming_join
from dataset_builder.hash_variants import (
    BORDERLESS,
    MIRRORED,
    MIRRORED_BORDERLESS,
    PLAIN,
    hash_variants,
)
from dataset_builder.near_duplicates import candidates
from dataset_builder.planted_copies import as_jpeg
from dataset_builder.thumbnail_matching import same_picture
from petdata.demo.pets import draw_identity, draw_photo
from petdata.jpeg import canonicalise

Hashes = NDArray[np.uint64]
Measured = dict[str, Any]

BITS = (4, 10)
BARS_S = {4: 30, 10: 900}
PEAK_BAR_MB = 4000
FAMILIES_SHARE, FAMILIES, BORDERED_SHARE = 0.05, 2000, 0.2
PEER_CODE = """
import json, sys, time
from imagededup.handlers.search.retrieval import HashEval
from imagededup.methods.hashing import Hashing
hashes, bits, method = json.load(open(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
names = {str(n): value for n, value in enumerate(hashes)}
start = time.perf_counter()
found = HashEval(names, names, Hashing.hamming_distance, verbose=False, threshold=bits,
                 search_method=method).retrieve_results()
print(json.dumps([time.perf_counter() - start, sum(map(len, found.values())) // 2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, help="photos that hashes are drawn after")
    parser.add_argument("--imagededup", type=Path, help="a Python that has it")
    parser.add_argument("--quick", action="store_true", help="100,000 photos, smaller peers")
    options = parser.parse_args()
    count, peer_count = (100_000, 5_000) if options.quick else (1_900_000, 100_000)
    files = photo_files(options.photos, 60 if options.quick else 460)
    thumbnails = np.stack([np.frombuffer(canonicalise(f).thumbnail, np.uint8) for f in files])
    hashes = drawn_hashes(thumbnails, count)
    list(candidates(hashes[:1000], None, 4))  # compiles
    report: Measured = {"photos": count, "hashes": int((hashes != 0).sum())}
    print(f"{count:,} photos, {report['hashes']:,} hashes")
    for bits in BITS:
        report[f"{bits} bits"] = joined(hashes, bits)
    report["peak MB of the joins"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report["thumbnails"] = thumbnail_rates(thumbnails)
    report["detection"] = detection(files[: 20 if options.quick else 200])
    report["peers"] = {
        f"{bits} bits": peers(hashes[:peer_count, PLAIN], bits, options.imagededup) for bits in BITS
    }
    print_report(report)
    print(json.dumps({"benchmark": "near_duplicates", **report}))


def photo_files(folder: Path | None, count: int) -> list[bytes]:
    if folder:
        found = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg")]
        chosen = np.random.default_rng(0).permutation(len(found))[:count]
        return [found[n].read_bytes() for n in sorted(chosen.tolist())]
    return [as_jpeg(draw_photo(draw_identity(0, n), 0).image, 90) for n in range(count)]


# Hashes


def drawn_hashes(thumbnails: NDArray[np.uint8], count: int) -> Hashes:
    """(count, 4) as hash_variants gives them."""
    rng = np.random.default_rng(0)
    real = low_frequencies(thumbnails)
    scale = np.abs(real).mean(axis=1, keepdims=True)  # a photo's contrast does not change its hash
    mean, covariance = (real / scale).mean(axis=0), np.cov((real / scale).T)
    families = rng.multivariate_normal(mean, covariance, FAMILIES)
    odds = 1 / np.arange(1, FAMILIES + 1)
    hashes = np.zeros((count, 4), np.uint64)
    for start in range(0, count, 50_000):
        part = hashes[start : start + 50_000]
        drawn = rng.multivariate_normal(mean, covariance, len(part))
        near = np.flatnonzero(rng.random(len(part)) < FAMILIES_SHARE)
        parents = families[rng.choice(FAMILIES, len(near), p=odds / odds.sum())]
        drawn[near] = parents + 0.15 * (drawn[near] - mean)
        part[:, PLAIN], part[:, MIRRORED] = bits_of(drawn), bits_of(mirrored(drawn))
        bordered = np.flatnonzero(rng.random(len(part)) < BORDERED_SHARE)
        inner = rng.multivariate_normal(mean, covariance, len(bordered))
        part[bordered, BORDERLESS] = bits_of(inner)
        part[bordered, MIRRORED_BORDERLESS] = bits_of(mirrored(inner))
    return hashes


# Ours


def joined(hashes: Hashes, bits: int) -> Measured:
    new = len(hashes) // 100
    known = hashes[:-new]
    wall, cpu, pairs = timed(lambda: total(candidates(hashes, None, bits)))
    new_wall, new_cpu, _ = timed(
        lambda: (
            total(candidates(known, hashes[-new:], bits))
            + total(candidates(hashes[-new:], None, bits))
        )
    )
    print(
        f"{bits} bits: {wall:.1f} s, {cpu:.1f} CPU s, {pairs:,} pairs; 1 % new {new_cpu / cpu:.1%}"
    )
    return {
        "wall s": wall,
        "CPU s": cpu,
        "bar s": BARS_S[bits],
        "candidates": pairs,
        "1 % new, wall s": new_wall,
        "1 % new, share of CPU": new_cpu / cpu,
    }


def total(arrays: Iterable[tuple[NDArray[Any], ...]]) -> int:
    return sum(len(columns[0]) for columns in arrays)


def timed(way: Callable[[], int]) -> tuple[float, float, int]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = way()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def thumbnail_rates(thumbnails: NDArray[np.uint8]) -> Measured:
    """CPU microseconds a photo and a pair."""
    phash = bits_of(low_frequencies(thumbnails))
    one, other = np.triu_indices(len(thumbnails), 1)
    apart = np.bitwise_count(phash[one] ^ phash[other])
    near = np.argsort(apart, kind="stable")[:1000]  # as candidates are: alike
    hash_variants(phash[:50], thumbnails[:50])
    same_picture(thumbnails[:1], thumbnails[:1], False)
    _, variants, _ = timed(lambda: len(hash_variants(phash, thumbnails)))
    pairs = thumbnails[one[near]], thumbnails[other[near]]
    _, comparison, _ = timed(lambda: int(same_picture(*pairs, False).sum()))
    return {
        "hash_variants, CPU us a photo": 1e6 * variants / len(phash),
        "same_picture, CPU us a pair": 1e6 * comparison / len(near),
    }


def detection(files: list[bytes]) -> Measured:
    found: Measured = {}
    for bits in BITS:
        start = time.process_time()
        power = detection_power(files, bits)
        found[f"{bits} bits"] = {
            "photos": power.photos,
            "CPU s": time.process_time() - start,
            "recall": power.recall,
            "pairs": power.pairs,
            "pairs matched": power.pairs_matched,
        }
    return found


# Peers: plain hashes, each against each


def peers(hashes: Hashes, bits: int, imagededup: Path | None) -> Measured:
    """Seconds, and the share of the pairs that each finds, at a size that it finishes."""
    ways: dict[str, Callable[[], int]] = {
        "petdata": lambda: total(hamming_join(hashes, None, bits)),
        **{name: faiss_way(index, hashes, bits) for name, index in faiss_indexes(bits).items()},
    }
    report: Measured = {}
    pairs = ways["petdata"]()
    for name, way in ways.items():
        wall, cpu, number = timed(way)
        report[name] = {
            "hashes": len(hashes),
            "wall s": wall,
            "CPU s": cpu,
            "found": number / pairs,
        }
    for method, share in (("bktree", 50), ("brute_force_cython", 5)):
        name, fewer = f"imagededup {method}", hashes[: len(hashes) // share]
        if imagededup is None:
            report[name] = "not measured: no --imagededup PYTHON given"
        else:
            wall, number = by_imagededup(imagededup, fewer, bits, method)
            pairs = total(hamming_join(fewer, None, bits))
            report[name] = {"hashes": len(fewer), "wall s": wall, "found": number / max(pairs, 1)}
    return report


def faiss_indexes(bits: int) -> dict[str, Any]:
    """Of these BinaryHash loses pairs; MultiHash is complete with bits // 4 flips in 4 tables."""
    multi = faiss.IndexBinaryMultiHash(64, 4, 16)
    multi.nflip = bits // 4
    single = faiss.IndexBinaryHash(64, 16)
    single.nflip = bits // 4
    return {
        "faiss BinaryFlat": faiss.IndexBinaryFlat(64),
        "faiss BinaryMultiHash": multi,
        "faiss BinaryHash": single,
    }


def faiss_way(index: Any, hashes: Hashes, bits: int) -> Callable[[], int]:
    def search() -> int:
        rows = np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 8)
        index.reset()
        index.add(rows)
        pairs = 0
        for start in range(0, len(rows), 10_000):
            limits, _, _ = index.range_search(rows[start : start + 10_000], bits + 1)
            pairs += int(limits[-1])
        return (pairs - len(rows)) // 2  # each pair comes twice, and each hash finds itself

    return search


def by_imagededup(python: Path, hashes: Hashes, bits: int, method: str) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hashes.json"
        file.write_text(json.dumps([f"{value:016x}" for value in hashes.tolist()]))
        command = [str(python), "-c", PEER_CODE, str(file), str(bits), method]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, pairs = json.loads(answer.stdout.splitlines()[-1])
    return wall, pairs


def print_report(report: Measured) -> None:
    print(f"peak memory of the joins {report['peak MB of the joins']:,} MB (bar {PEAK_BAR_MB:,})")
    for name, value in report["thumbnails"].items():
        print(f"{name}: {value:.1f}")
    for bits, rows in report["peers"].items():
        for name, row in rows.items():
            shown = row if isinstance(row, str) else {k: round(v, 3) for k, v in row.items()}
            print(f"{bits}, {name}: {shown}")
    for bits, power in report["detection"].items():
        print(f"{bits}: recall of {power['photos']} photos' copies, {power['CPU s']:.0f} CPU s")
        print("  " + ", ".join(f"{name} {share:.2f}" for name, share in power["recall"].items()))


if __name__ == "__main__":
    main()
