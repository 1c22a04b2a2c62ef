"""Colour profiles, checked against the formulas of the colour spaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import photo_makers as make
from petdata.errors import Reason, RejectedPhoto
from petdata.srgb import MAX_PROFILE_BYTES, profile_of_code_points, to_srgb

# XYZ of the primaries, adapted to D50: IEC 61966-2-1 and Adobe RGB (1998)
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def encoded_srgb(linear: np.ndarray) -> np.ndarray:
    low, high = linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    levels: np.ndarray = np.rint(255 * np.where(linear <= 0.0031308, low, high)).astype(int)
    return levels


def colours() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (1, 500, 3), np.uint8)


def converted(profile: bytes, pixels: np.ndarray) -> np.ndarray:
    convert = to_srgb(profile, "RGB")
    assert convert is not None
    return np.asarray(convert(Image.fromarray(pixels))).astype(int)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_srgb_profiles_need_no_conversion(mode: str) -> None:
    assert to_srgb(make.srgb_profile(), "L" if mode == "L" else "RGB") is None


def test_a_plain_gamma_is_not_srgb() -> None:
    pixels = colours()
    expected = encoded_srgb((pixels / 255) ** 2.2)
    assert np.abs(converted(make.rgb_profile(SRGB, 2.2), pixels) - expected).max() <= 2


def test_adobe_rgb_becomes_srgb() -> None:
    pixels = colours()
    matrix = np.linalg.inv(np.array(SRGB).T) @ np.array(ADOBE).T
    linear = ((pixels / 255) ** 2.19921875 @ matrix.T).clip(0, 1)
    profile = make.rgb_profile(ADOBE, 2.19921875)
    assert np.abs(converted(profile, pixels) - encoded_srgb(linear)).max() <= 3


def test_display_p3_by_number_becomes_srgb() -> None:
    p3 = make.in_display_p3(colours()[0])  # colours within sRGB, as Display P3 numbers
    profile = profile_of_code_points(12, 13)
    assert profile is not None
    pixels = np.array([p3], np.uint8)
    difference = np.abs(converted(profile, pixels) - colours())
    assert np.percentile(difference, 99) <= 6  # dark channels of saturated colours
    assert difference.mean() < 0.6


@pytest.mark.parametrize("gamma", [1.8, 2.2, 3.0])
def test_gray_profiles_are_honoured(gamma: float) -> None:
    convert = to_srgb(make.gray_profile(gamma), "L")
    assert convert is not None
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis]
    expected = encoded_srgb((ramp / 255) ** gamma)
    picture = convert(Image.fromarray(ramp))
    assert picture.mode == "L"
    assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 2


def test_display_p3_leaves_gray_alone() -> None:
    assert to_srgb(profile_of_code_points(12, 13), "L") is None


@pytest.mark.parametrize(
    "make_profile",
    [
        lambda: None,
        lambda: b"",
        lambda: b"not a profile" * 50,
        lambda: make.gray_profile(1.8),  # of another kind of colour
        lambda: make.rgb_profile(ADOBE, 2.2)[:200],
        lambda: make.rgb_profile(ADOBE, 2.2) + bytes(MAX_PROFILE_BYTES),
    ],
)
def test_useless_profiles_are_taken_for_srgb(make_profile: Callable[[], bytes | None]) -> None:
    assert to_srgb(make_profile(), "RGB") is None


def test_ink_without_a_profile_is_mixed_plainly() -> None:
    convert = to_srgb(None, "CMYK")
    assert convert is not None
    ink = Image.new("CMYK", (1, 1), (255, 0, 128, 0))  # cyan, and half of yellow
    assert convert(ink).getpixel((0, 0)) == (0, 255, 127)


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_refused(transfer: int) -> None:
    with pytest.raises(RejectedPhoto, match="high dynamic range") as refusal:
        profile_of_code_points(9, transfer)
    assert refusal.value.reason is Reason.UNSUPPORTED


def test_standard_code_points_are_srgb() -> None:
    assert profile_of_code_points(1, 13) is None
    assert profile_of_code_points(2, 2) is None  # unspecified
