from __future__ import annotations

import io
import math
from pathlib import Path

import imagehash
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from petdata.perceptual_hash import (
    SCALED_DECODE_SIDE,
    gray_thumbnail,
    hamming_distance,
    perceptual_hash,
)

Gray = NDArray[np.uint8]

thumbnails = arrays(np.uint8, (32, 32))


def oracle(gray: Gray) -> str:
    return str(imagehash.phash(Image.fromarray(gray)))


def pattern(name: str) -> Gray:
    y, x = np.mgrid[:32, :32]
    values: NDArray[np.generic] = {
        "flat": np.full((32, 32), 128),
        "black": np.zeros((32, 32)),
        "slope": x * 8,
        "chequers": (x // 4 + y // 4) % 2 * 255,
        "disc": ((x - 15.5) ** 2 + (y - 15.5) ** 2 < 100) * 255,
        "dot": (x == 5) & (y == 5),
        "texture": (x * x * 7 + y * 13 + x * y) % 256,
    }[name]
    gray: Gray = values.astype(np.uint8)
    return gray


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flat", "8000000000000000"),
        ("black", "0000000000000000"),
        ("slope", "8000000000000000"),
        ("chequers", "8000000000000000"),
        ("disc", "8200280020008200"),
        ("dot", "e0e0e0071f1f1f1f"),
        ("texture", "a22b20007ffd6677"),
    ],
)
def test_the_definition_is_frozen(name: str, expected: str) -> None:
    assert f"{perceptual_hash(pattern(name)):016x}" == expected


@settings(deadline=None)  # the first call imports scipy
@given(thumbnails)
def test_bits_are_those_of_imagehash(thumbnail: Gray) -> None:
    assert f"{perceptual_hash(thumbnail):016x}" == oracle(thumbnail)


@settings(deadline=None)
@given(thumbnails, st.sampled_from(["left", "top", "both", "diagonal", "turned", "rows", "tiles"]))
def test_ties_of_symmetric_pictures_are_decided_as_by_imagehash(
    thumbnail: Gray, symmetry: str
) -> None:
    half = thumbnail[:, :16]
    symmetric = {
        "left": np.hstack([half, half[:, ::-1]]),
        "top": np.vstack([half.T, half.T[::-1]]),
        "both": np.block([[half[:16], half[:16, ::-1]], [half[15::-1], half[15::-1, ::-1]]]),
        "diagonal": np.maximum(thumbnail, thumbnail.T),
        "turned": np.hstack([half, half[::-1, ::-1]]),
        "rows": np.repeat(thumbnail[:1], 32, axis=0),
        "tiles": np.kron(thumbnail[:4, :4], np.ones((8, 8), np.uint8)),
    }[symmetry]
    assert f"{perceptual_hash(symmetric):016x}" == oracle(symmetric)


def test_bits_are_those_of_a_dct_by_the_book() -> None:
    thumbnail = pattern("texture").astype(float)
    cosines = [[math.cos(math.pi * k * (2 * n + 1) / 64) for n in range(32)] for k in range(8)]
    frequencies = [
        sum(
            thumbnail[y, x] * cosines[vertical][y] * cosines[horizontal][x]
            for y in range(32)
            for x in range(32)
        )
        for vertical in range(8)
        for horizontal in range(8)
    ]
    ranked = sorted(frequencies)
    median = (ranked[31] + ranked[32]) / 2
    bits = "".join("1" if frequency > median else "0" for frequency in frequencies)
    assert perceptual_hash(pattern("texture")) == int(bits, 2)
    assert bits.count("1") == 32


def test_thumbnail_of_an_array_and_of_a_picture_is_pillows() -> None:
    gray = np.random.default_rng(5).integers(0, 256, (75, 130), np.uint8)
    expected = np.asarray(Image.fromarray(gray).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(gray_thumbnail(gray), expected)
    np.testing.assert_array_equal(gray_thumbnail(Image.fromarray(gray)), expected)


def test_thumbnail_of_a_colour_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="mode RGB"):
        gray_thumbnail(Image.new("RGB", (64, 64)))


def test_hamming_distance_counts_differing_bits() -> None:
    assert hamming_distance(0b1011, 0b0010) == 2
    assert hamming_distance(0, 2**64 - 1) == 64


def test_a_scaled_decode_stands_for_the_picture(real_data: Path) -> None:
    distances = []
    for path in sorted(real_data.glob("real-pets/*/images/*/*.jpg"))[::10]:
        jpeg = path.read_bytes()
        with Image.open(io.BytesIO(jpeg)) as picture:
            expected = int(str(imagehash.phash(picture)), 16)
            size = picture.size
        if min(size) < SCALED_DECODE_SIDE:
            continue
        gray = simplejpeg.decode_jpeg(
            jpeg, "GRAY", min_height=SCALED_DECODE_SIDE, min_width=SCALED_DECODE_SIDE, min_factor=1
        )
        found = perceptual_hash(gray_thumbnail(gray[:, :, 0], size))
        assert found.bit_count() == 32
        distances.append(hamming_distance(found, expected))
    assert len(distances) > 20
    assert max(distances) <= 4
    assert sum(distances) / len(distances) < 0.5


@pytest.mark.parametrize("eighths", [1, 2, 3])
def test_the_padding_of_a_scaled_decode_stays_out_of_the_thumbnail(eighths: int) -> None:
    width, height = 257, 129  # one pixel over a multiple of 8
    slope = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    expected = gray_thumbnail(np.ascontiguousarray(slope)).astype(int)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(slope)).save(buffer, "JPEG", quality=95)
    target = {"min_width": width * eighths // 8, "min_height": height * eighths // 8}
    scaled = simplejpeg.decode_jpeg(buffer.getvalue(), "GRAY", min_factor=1, **target)[:, :, 0]
    assert scaled.shape == (math.ceil(height * eighths / 8), math.ceil(width * eighths / 8))
    assert abs(gray_thumbnail(scaled, (width, height)) - expected).max() <= 1
