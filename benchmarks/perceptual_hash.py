"""How far changed copies of a photo, and other photos, lie from it in the perceptual hash.

    python benchmarks/perceptual_hash.py [--photos FOLDER] [--quick]

petdata hashes what `canonicalise` makes of the file, from a scaled decode; imagehash hashes the
full picture. Recall at distance d: the share of changed copies within d bits of their original.
False positives at d: the share of pairs of other photos within d bits. A photo's hash has 32 ones
unless it is flat or symmetric, so distances are even and odd d equal the even d below.

FOLDER holds photos in folders named after the animal; without it, pets are drawn.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps

from dataset_builder.planted_copies import (
    Change,
    as_jpeg,
    bordered,
    captioned,
    cropped,
    resized,
    unchanged,
)
from petdata.demo.pets import draw_identity, draw_photo
from petdata.jpeg import canonicalise
from petdata.perceptual_hash import THUMBNAIL_SIDE, perceptual_hash

Rates = dict[str, list[float]]  # "petdata" or "imagehash" -> a rate for each of DISTANCES

DISTANCES = range(17)
SHOWN = DISTANCES[::2]
QUALITY = 90  # JPEG, of all copies but the recompressed ones
SMALLEST_SIDE = 130  # px: petdata refuses less than 32, and copies are a quarter as large
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, help="photos in folders named after the animal")
    parser.add_argument("--quick", action="store_true", help="at most 40 photos")
    options = parser.parse_args()
    photos = list(real_photos(options.photos) if options.photos else drawn_photos(60))
    if options.quick:
        chosen = np.random.default_rng(0).permutation(len(photos))[:40]
        photos = [photos[number] for number in sorted(chosen.tolist())]
    animals = [animal for animal, _ in photos]
    files = [file for _, file in photos]
    print(f"{len(photos)} photos of {len(set(animals))} animals")

    recall = {name: recall_of(name, files) for name in CHANGES}
    print_table("recall at distance", recall, ".3f")
    false_positives = false_positive_rates(animals, files)
    print_table("false positives at distance", false_positives, ".5f")
    ratios = {
        f"mean recall at {distance}": statistics.mean(
            r["petdata"][distance] for r in recall.values()
        )
        / statistics.mean(r["imagehash"][distance] for r in recall.values())
        for distance in (4, 8)
    }
    ours, theirs = cpu_seconds(canonicalise, files), cpu_seconds(full_picture_hash, files)
    print(
        f"CPU time: canonicalise with the hash {1e3 * ours:.1f} ms, imagehash {1e3 * theirs:.1f} ms"
    )
    ratios["speed"] = theirs / ours
    report = {"ratios": ratios, "recall": recall, "false_positives": false_positives}
    print(json.dumps({"benchmark": "perceptual_hash", **report}))


# Photos


def real_photos(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            with Image.open(path) as picture:
                if min(picture.size) >= SMALLEST_SIDE:
                    yield path.parent.name, path.read_bytes()


def drawn_photos(animals: int) -> Iterator[tuple[str, bytes]]:
    for animal, number in itertools.product(range(animals), range(3)):
        picture = draw_photo(draw_identity(0, animal), number).image
        yield str(animal), as_jpeg(picture, quality=92)


# Changes


CHANGES: dict[str, tuple[Change, int]] = {  # and the JPEG quality of the copy
    **{f"quality {quality}": (unchanged, quality) for quality in (95, 85, 70, 50, 30)},
    **{f"resized to {f:.0%}": (partial(resized, f), QUALITY) for f in (2.0, 1.5, 0.75, 0.5, 0.25)},
    **{f"cropped by {p} %": (partial(cropped, p), QUALITY) for p in (2, 5, 10, 15, 20)},
    **{
        f"{colour} border of {p} %": (partial(bordered, p, colour), QUALITY)
        for colour, p in itertools.product(("white", "black"), (2, 5, 10))
    },
    **{f"text of {p} % height": (partial(captioned, p), QUALITY) for p in (5, 10)},
    "mirrored": (ImageOps.mirror, QUALITY),
    "mirrored, original too": (ImageOps.mirror, QUALITY),
}


# Hashes


def full_picture_hash(file: bytes) -> int:
    with Image.open(io.BytesIO(file)) as picture:
        return int(str(imagehash.phash(picture)), 16)


def hashes(file: bytes) -> tuple[int, int]:
    """petdata's and imagehash's."""
    return canonicalise(file).phash, full_picture_hash(file)


def mirrored_hashes(file: bytes) -> tuple[int, int]:
    """Of the mirrored photo: petdata's from the thumbnail that every record has."""
    thumbnail = np.frombuffer(canonicalise(file).thumbnail, np.uint8)
    mirrored = thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)[:, ::-1]
    with Image.open(io.BytesIO(file)) as picture:
        theirs = int(str(imagehash.phash(ImageOps.mirror(picture))), 16)
    return perceptual_hash(mirrored), theirs


def recall_of(name: str, files: list[bytes]) -> Rates:
    """The share of changed copies within each distance of their originals."""
    change, quality = CHANGES[name]
    of_original = mirrored_hashes if name == "mirrored, original too" else hashes
    pairs = []
    for file in files:
        with Image.open(io.BytesIO(file)) as picture:
            copy = as_jpeg(change(picture.convert("RGB")), quality)
        pairs.append((of_original(file), hashes(copy)))
    return rates_within(
        [np.array([[one[side], other[side]] for one, other in pairs], np.uint64) for side in (0, 1)]
    )


def false_positive_rates(animals: list[str], files: list[bytes]) -> dict[str, Rates]:
    """The share of pairs of different photos within each distance of one another."""
    found = [hashes(file) for file in files]
    groups: dict[str, list[tuple[int, int]]] = {"different animals": [], "the same animal": []}
    for one, other in itertools.combinations(range(len(files)), 2):
        same = animals[one] == animals[other]
        groups["the same animal" if same else "different animals"].append((one, other))
    return {
        f"{name} ({len(pairs):,} pairs)": rates_within(
            [
                np.array([hash_[side] for hash_ in found], np.uint64)[np.array(pairs)]
                for side in (0, 1)
            ]
        )
        for name, pairs in groups.items()
        if pairs
    }


def rates_within(pairs_of_each: Iterable[np.ndarray]) -> Rates:
    """(pairs, 2) hashes by petdata and by imagehash -> the share within each distance."""
    rates = {}
    for name, pairs in zip(("petdata", "imagehash"), pairs_of_each, strict=True):
        distances = np.bitwise_count(pairs[:, 0] ^ pairs[:, 1])
        rates[name] = [float((distances <= distance).mean()) for distance in DISTANCES]
    return rates


def cpu_seconds(way: Callable[[bytes], object], files: list[bytes]) -> float:
    """Of a photo, on average."""
    start = time.process_time()
    for file in files:
        way(file)
    return (time.process_time() - start) / len(files)


def print_table(title: str, rows: dict[str, Rates], form: str) -> None:
    width = max(len(name) for name in rows)
    print(f"\n{title:{width}} " + "".join(f"{distance:8}" for distance in SHOWN))
    for name, rates in rows.items():
        for label, of in ((name, "petdata"), ("    imagehash", "imagehash")):
            print(f"{label:{width}} " + "".join(f"{rates[of][d]:8{form}}" for d in SHOWN))


if __name__ == "__main__":
    main()
