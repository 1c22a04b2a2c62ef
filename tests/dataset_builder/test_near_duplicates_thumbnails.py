"""Hashes of variants, borders and the comparison of two thumbnails."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from dataset_builder.borders import find_borders, without_borders
from dataset_builder.hash_variants import (
    BORDERLESS,
    MIRRORED,
    MIRRORED_BORDERLESS,
    PLAIN,
    hash_variants,
)
from dataset_builder.planted_copies import Change, bordered, captioned, cropped
from dataset_builder.thumbnail_matching import same_picture
from petdata.demo.pets import draw_identity, draw_photo
from petdata.perceptual_hash import gray_thumbnail, perceptual_hash

Pixels = NDArray[np.uint8]


@cache
def pet(number: int) -> Image.Image:
    return draw_photo(draw_identity(6, number), 0).image.resize((640, 480))


@cache
def scene(number: int) -> Image.Image:
    """Coloured clouds: no two rows or columns of it are alike."""
    rng = np.random.default_rng(number)
    clouds = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(clouds).resize((640, 480), Image.Resampling.BICUBIC)


def seen(picture: Image.Image) -> Pixels:
    """(1, 1024)"""
    return gray_thumbnail(picture.convert("L")).reshape(1, 1024)


def hashed(square: Pixels) -> int:
    """0 for hashes that are not looked for."""
    value = perceptual_hash(square)
    return value if value.bit_count() == 32 else 0


levels = st.sampled_from([(0, 255), (0, 1), (100, 104), (7, 7)]).flatmap(
    lambda ends: arrays(np.uint8, (32, 32), elements=st.integers(*ends))
)


@given(square=levels, fold=st.sampled_from(["", "left to right", "diagonal"]))
@settings(deadline=None)
def test_hashes_are_those_of_the_changed_thumbnail(square: Pixels, fold: str) -> None:
    """Symmetric pictures too, whose coefficients equal the median but for rounding."""
    if fold == "left to right":
        square = np.maximum(square, square[:, ::-1])
    elif fold == "diagonal":
        square = np.maximum(square, square.T)
    row = square.reshape(1, 1024)
    [found] = hash_variants(np.array([perceptual_hash(square)], np.uint64), row)
    inner = without_borders(row, find_borders(row)).reshape(32, 32)
    bordered = bool((find_borders(row) != (0, 0, 32, 32)).any())
    expected = [hashed(square), 0, hashed(square[:, ::-1]), 0]
    if bordered:
        expected[BORDERLESS], expected[MIRRORED_BORDERLESS] = hashed(inner), hashed(inner[:, ::-1])
    assert found.tolist() == (expected if expected[PLAIN] else [0, 0, 0, 0])


def test_columns_of_a_framed_photo() -> None:
    thumbnail = seen(bordered(8, "white", pet(0)))
    [row] = hash_variants(
        np.array([perceptual_hash(thumbnail.reshape(32, 32))], np.uint64), thumbnail
    )
    original = perceptual_hash(seen(pet(0)).reshape(32, 32))
    mirrored = perceptual_hash(seen(ImageOps.mirror(pet(0))).reshape(32, 32))
    assert (int(row[BORDERLESS]) ^ original).bit_count() <= 4
    assert (int(row[MIRRORED_BORDERLESS]) ^ mirrored).bit_count() <= 4
    assert (int(row[MIRRORED]) ^ mirrored).bit_count() > 10


@pytest.mark.parametrize("colour", ["white", "black", "gray"])
@pytest.mark.parametrize("percent", [2, 3, 5, 8, 12])
def test_the_edge_of_a_border_is_found_between_pixels(percent: int, colour: str) -> None:
    for number in range(4):
        [box] = find_borders(seen(bordered(percent, colour, scene(number))))
        thickness = 640 * percent / 100
        across, down = (
            32 * thickness / (640 + 2 * thickness),
            32 * thickness / (480 + 2 * thickness),
        )
        expected = [across, down, 32 - across, 32 - down]
        assert box == pytest.approx(expected, abs=0.35)


def test_bars_at_two_sides() -> None:
    [box] = find_borders(seen(ImageOps.expand(scene(1), (0, 60), "black")))
    assert box == pytest.approx([0, 3.2, 32, 28.8], abs=0.2)
    [box] = find_borders(seen(ImageOps.expand(scene(1), (0, 60, 0, 0), "black")))
    assert box.tolist() == [0, 0, 32, 32]  # a dark sky, perhaps


def test_photos_have_no_border() -> None:
    for number in range(20):
        assert find_borders(seen(scene(number))).tolist() == [[0, 0, 32, 32]]


def test_a_border_that_leaves_nothing() -> None:
    for level in (0, 128, 255):
        assert find_borders(np.full((1, 1024), level, np.uint8)).tolist() == [[0, 0, 32, 32]]


CHANGES: dict[str, Change] = {
    "cropped": partial(cropped, 9),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
    "captioned": partial(captioned, 8),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_same_picture(name: str, mirrored: bool) -> None:
    for number in range(5):
        changed = CHANGES[name](pet(number))
        one, other = seen(pet(number)), seen(ImageOps.mirror(changed) if mirrored else changed)
        assert same_picture(one, other, mirrored).all()
        assert same_picture(other, one, mirrored).all()
        assert not same_picture(one, other, not mirrored).any()


def test_two_parts_of_one_picture() -> None:
    """Moved by 2 pixels of 32 along one axis and 1 along the other."""
    for number in range(5):
        one, other = pet(number).crop((40, 0, 640, 465)), pet(number).crop((0, 15, 600, 480))
        assert same_picture(seen(one), seen(other), False).all()


def test_other_pictures_of_one_animal() -> None:
    photos = [
        draw_photo(draw_identity(6, 3), number).image.resize((640, 480)) for number in range(6)
    ]
    rows = np.concatenate([seen(photo) for photo in photos])
    one, other = np.triu_indices(6, 1)
    assert not same_picture(rows[one], rows[other], False).any()


@given(
    pixels=arrays(np.uint8, (2, 1024), elements=st.integers(0, 255)),
    blend=st.floats(0, 1),
    mirrored=st.booleans(),
)
@settings(deadline=None)
def test_the_answer_does_not_depend_on_the_order(
    pixels: Pixels, blend: float, mirrored: bool
) -> None:
    one = pixels[:1]
    other = (blend * one + (1 - blend) * pixels[1:]).astype(np.uint8)
    assert same_picture(one, other, mirrored) == same_picture(other, one, mirrored)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_nothing_is_told_of_flat_pictures(level: int) -> None:
    flat = np.full((1, 1024), level, np.uint8)
    assert not same_picture(flat, flat, False).any()
    assert not same_picture(flat, seen(pet(0)), False).any()
