"""The join against a slow loop over all pairs, and what planted copies of drawn pets match by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dataset_builder.borders import find_borders, without_borders
from dataset_builder.hash_variants import Thumbnails, hash_variants
from dataset_builder.near_duplicates import (
    VARIANTS,
    Matches,
    Pictures,
    near_duplicates,
)
from dataset_builder.planted_copies import as_jpeg, bordered, copies
from dataset_builder.thumbnail_matching import same_picture
from petdata.demo.pets import draw_identity, draw_photo
from petdata.jpeg import canonicalise
from petdata.perceptual_hash import perceptual_hash

Found = dict[tuple[int, int], tuple[str, int]]


def pictures(thumbnails: Thumbnails) -> Pictures:
    hashes = [perceptual_hash(thumbnail.reshape(32, 32)) for thumbnail in thumbnails]
    return Pictures(hash_variants(np.array(hashes, np.uint64), thumbnails), thumbnails)


def collected(matches: Iterable[Matches]) -> Found:
    """Also checks that no pair comes twice."""
    rows = [row for array in matches for row in zip(*(c.tolist() for c in array), strict=True)]
    found = {(one, other): (VARIANTS[variant], bits) for one, other, variant, bits in rows}
    assert len(found) == len(rows)
    return found


@cache
def drawn_pets(count: int) -> list[Image.Image]:
    return [draw_photo(draw_identity(5, n), 0).image.resize((300, 400)) for n in range(count)]


def thumbnail(file: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(canonicalise(file).thumbnail, np.uint8)


@cache
def world() -> Thumbnails:
    """Four pets, copies of each, copies of copies, a pair of flat pictures and one more."""
    rows = []
    for picture in drawn_pets(4):
        framed = bordered(8, "white", picture)
        rows += [thumbnail(file) for file in copies(picture).values()]
        rows += [thumbnail(as_jpeg(p, 90)) for p in (picture, framed, ImageOps.mirror(framed))]
    flat = [np.full(1024, level, np.uint8) for level in (0, 200, 200)]
    return np.stack(rows + flat)


@dataclass
class Look:
    """A photo as it is or without its border, and its hashes as it is and mirrored."""

    pixels: NDArray[np.uint8]
    hashes: tuple[int, int]


def looks(row: NDArray[np.uint8]) -> list[Look]:
    box = find_borders(row[None])
    inner = [without_borders(row[None], box)[0]] if (box != (0, 0, 32, 32)).any() else []
    found = []
    for pixels in (row, *inner):
        square = pixels.reshape(32, 32)
        hashes = perceptual_hash(square), perceptual_hash(square[:, ::-1])
        if hashes[0].bit_count() == hashes[1].bit_count() == 32:
            found.append(Look(pixels, hashes))
    return found


def slow(thumbnails: Thumbnails, bits: int) -> Found:
    """Every pair under every variant, one after the other."""
    seen = [looks(row) for row in thumbnails]
    found: Found = {}
    for one, other in combinations(range(len(seen)), 2):
        if seen[one] and seen[other]:
            for match in slow_match(seen[one], seen[other], bits):
                found[one, other] = match
        elif not seen[one] and not seen[other] and (thumbnails[one] == thumbnails[other]).all():
            found[one, other] = ("flat", 0)
    return found


def slow_match(ones: list[Look], others: list[Look], bits: int) -> list[tuple[str, int]]:
    """The first variant that matches and the least distance of all; or nothing."""
    near = []
    for (a, one), (b, other) in product(enumerate(ones), enumerate(others)):
        for left, right in ((0, 0), (1, 0), (0, 1)):
            apart = (one.hashes[left] ^ other.hashes[right]).bit_count()
            variant = 2 * (left or right) + (a or b)
            if apart <= bits:
                near.append((variant, apart, one.pixels[None], other.pixels[None]))
    near.sort(key=lambda way: way[0])
    for variant, _, one_pixels, other_pixels in near:
        if same_picture(one_pixels, other_pixels, variant >= 2)[0]:
            return [(VARIANTS[variant], min(apart for _, apart, _, _ in near))]
    return []


@pytest.mark.parametrize("bits", [0, 1, 4, 10, 12])
def test_a_slow_loop_finds_the_same(bits: int) -> None:
    thumbnails = world()
    found = collected(near_duplicates(pictures(thumbnails), None, bits))
    assert found == slow(thumbnails, bits)
    assert len(found) > 200


@pytest.mark.parametrize("bits", [4, 10])
def test_new_and_known_give_what_all_give(bits: int) -> None:
    thumbnails = np.random.default_rng(0).permutation(world())
    for known in (0, 1, 100, len(thumbnails)):
        old, new = pictures(thumbnails[:known]), pictures(thumbnails[known:])
        parts = collected(near_duplicates(old, None, bits))
        for matches in near_duplicates(old, new, bits):
            parts |= collected([matches._replace(other=matches.other + known)])
        for matches in near_duplicates(new, None, bits):
            moved = matches._replace(one=matches.one + known, other=matches.other + known)
            parts |= collected([moved])
        assert parts == collected(near_duplicates(pictures(thumbnails), None, bits))


def test_order_and_threads_do_not_matter() -> None:
    thumbnails = world()
    order = np.random.default_rng(1).permutation(len(thumbnails))
    moved = collected(near_duplicates(pictures(thumbnails[order]), None, 10, threads=3))
    back = {(*sorted((int(order[a]), int(order[b]))),): match for (a, b), match in moved.items()}
    assert back == collected(near_duplicates(pictures(thumbnails), None, 10, threads=1))


def test_thumbnails_may_be_a_mapped_file(tmp_path: Path) -> None:
    thumbnails = world()
    (tmp_path / "thumbnails").write_bytes(thumbnails.tobytes())
    mapped = np.memmap(tmp_path / "thumbnails", np.uint8, "r").reshape(-1, 1024)
    expected = collected(near_duplicates(pictures(thumbnails), None, 4))
    assert collected(near_duplicates(pictures(mapped), None, 4)) == expected


@pytest.mark.parametrize(
    ("change", "variant"),
    [
        ("recompressed, quality 30", "plain"),
        ("resized to 25%", "plain"),
        ("mirrored", "mirrored"),
        ("border of 5 %, white", "borderless"),
        ("border of 10 %, black", "borderless"),
    ],
)
def test_what_a_planted_copy_matches_by(change: str, variant: str) -> None:
    pets = drawn_pets(6)
    originals = pictures(np.stack([thumbnail(as_jpeg(pet, 90)) for pet in pets]))
    changed = pictures(np.stack([thumbnail(copies(pet)[change]) for pet in pets]))
    found = collected(near_duplicates(originals, changed, 10))
    assert {pair: name for pair, (name, _) in found.items()} == {(n, n): variant for n in range(6)}


def test_a_mirrored_copy_inside_a_border() -> None:
    [pet] = drawn_pets(1)
    copy = bordered(6, "black", ImageOps.mirror(pet))
    both = pictures(np.stack([thumbnail(as_jpeg(pet, 90)), thumbnail(as_jpeg(copy, 90))]))
    [(pair, (name, _))] = collected(near_duplicates(both, None, 10)).items()
    assert (pair, name) == ((0, 1), "mirrored borderless")


def test_flat_pictures_match_only_the_same_thumbnail() -> None:
    """Their hashes, 8000000000000000, are all alike."""
    levels = [np.full(1024, level, np.uint8) for level in (90, 200, 90, 91, 90)]
    found = collected(near_duplicates(pictures(np.stack(levels)), None, 10))
    assert found == {pair: ("flat", 0) for pair in ((0, 2), (0, 4), (2, 4))}
    ones, others = pictures(np.stack(levels[:2])), pictures(np.stack(levels[2:]))
    assert set(collected(near_duplicates(ones, others, 10))) == {(0, 0), (0, 2)}


def test_photos_of_one_session_are_different(real_data: Path) -> None:
    """Of 111,000 pairs of real photos, only those match that were cut out of one shot."""
    files = sorted((real_data / "real-pets").rglob("*.jp*g"))
    photos = pictures(np.stack([thumbnail(path.read_bytes()) for path in files]))
    matched = [
        [f"{files[n].parent.name}/{files[n].name}" for n in pair]
        for pair in collected(near_duplicates(photos, None, 16))
    ]
    assert sorted(matched) == [
        ["s1-Tigro/15.jpg", "s1-Tigro/27.jpg"],
        ["s1-Tigro/25.jpg", "s1-Tigro/26.jpg"],
        ["s1-Tigro/t15.jpg", "s1-Tigro/t27.jpg"],
        ["s1-Tigro/t25.jpg", "s1-Tigro/t26.jpg"],
        ["s23-Sophie/7.jpg", "s23-Sophie/8.jpg"],
        ["s8-Rudi/12.jpg", "s8-Rudi/16.jpg"],
    ]
