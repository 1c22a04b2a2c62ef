"""What `canonicalise` keeps, changes and refuses; hostile files are in test_hostile_photos."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

import photo_makers as make
from petdata.errors import Reason, RejectedPhoto
from petdata.jpeg import CanonicalJpeg, Limits, canonicalise
from petdata.pictures import turned_upright

DROPPED = {*range(0xE0, 0xF0), 0xFE}


def opened(canonical: CanonicalJpeg) -> Image.Image:
    image = Image.open(BytesIO(canonical.jpeg))
    image.load()
    return image


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": "4:4:4", "restart_marker_rows": 1}],
    ids=["baseline", "progressive", "restarts"],
)
def test_coded_data_of_an_upright_photo_stay_bit_for_bit(options: dict[str, Any]) -> None:
    raw = make.jpeg(exif=make.exif(1), comment=make.SECRET, **options)
    canonical = canonicalise(raw)
    kept = [part for part in make.segments_of(raw) if part[0] not in DROPPED]
    assert [p for p in make.segments_of(canonical.jpeg) if p[0] not in DROPPED] == kept
    assert {marker for marker, _ in make.segments_of(canonical.jpeg)} & DROPPED == {0xE0}
    assert not canonical.reencoded


def test_jfif_and_adobe_headers_stay() -> None:
    adobe = make.segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
    raw = make.with_segments(make.jpeg(dpi=(300, 300)), make.segment(0xE1, b"Exif\0\0"), adobe)
    headers = make.segments_of(canonicalise(raw).jpeg)[:2]
    assert headers == [
        (0xE0, b"JFIF\0\1\1\1\1\x2c\1\x2c\0\0"),  # 300 dots an inch, no thumbnail
        (0xEE, b"Adobe\0\x64\0\0\0\0\1"),
    ]


def test_hashes_are_of_what_arrived_and_what_is_kept() -> None:
    raw = make.jpeg(comment=make.SECRET)
    canonical = canonicalise(raw)
    assert canonical.original_sha256 == hashlib.sha256(raw).hexdigest()
    assert canonical.sha256 == hashlib.sha256(canonical.jpeg).hexdigest()
    assert canonical.sha256 != canonical.original_sha256
    again = canonicalise(canonical.jpeg)
    assert again.sha256 == again.original_sha256 == canonical.sha256


def test_thumbnail_and_hash_are_those_of_the_picture() -> None:
    y, x = np.mgrid[0:900, 0:1200] / 300
    gray = 128 + 60 * np.sin(x * x + y) + 60 * np.cos(3 * y - x)
    image = Image.fromarray(gray.astype(np.uint8)).convert("RGB")
    canonical = canonicalise(make.jpeg(image))
    small = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    thumbnail = np.frombuffer(canonical.thumbnail, np.uint8).reshape(32, 32)
    assert np.abs(thumbnail.astype(int) - small).mean() < 1.5
    assert (int(str(imagehash.phash(image)), 16) ^ canonical.phash).bit_count() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(5, 7), (301, 113), (1, 40)])
@pytest.mark.parametrize("large_bytes", [0, 2**30])
def test_turning_agrees_with_pillow(
    orientation: int, channels: int, height: int, width: int, large_bytes: int
) -> None:
    shape = (height, width, channels)
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    image = Image.fromarray(pixels.reshape(shape[: 3 if channels > 1 else 2]))
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image)).reshape(-1, channels)
    turned = turned_upright(pixels, orientation, large_bytes)
    assert turned.flags.c_contiguous
    assert turned.shape[:2] == ((width, height) if orientation >= 5 else (height, width))
    assert (turned.reshape(-1, channels) == expected).all()


def test_encoded_once_at_quality_95_with_halved_colour() -> None:
    smooth = make.quadrants().filter(ImageFilter.GaussianBlur(4))
    canonical = canonicalise(make.encoded(smooth, "PNG"))
    reference = make.jpeg(smooth, quality=95, subsampling="4:2:0")
    for marker in (0xC0, 0xDB):  # the frame header states the subsampling; the tables the quality
        assert (
            dict(make.segments_of(canonical.jpeg))[marker]
            == dict(make.segments_of(reference))[marker]
        )
    assert [m for m, _ in make.segments_of(canonical.jpeg)].count(0xDB) == 2
    difference = np.abs(np.asarray(opened(canonical)).astype(int) - np.asarray(smooth))
    assert difference.mean() < 1.5


def test_gray_stays_gray() -> None:
    canonical = canonicalise(make.encoded(make.quadrants().convert("L"), "PNG"))
    assert opened(canonical).mode == "L"


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_truncation_is_found_wherever_it_is(options: dict[str, Any]) -> None:
    whole = canonicalise(make.jpeg(**options)).jpeg
    for length in range(len(whole) - 2):
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(RejectedPhoto):
                canonicalise(whole[:length] + end)
    canonicalise(whole)


def test_two_threads_agree_with_one() -> None:
    raws = [make.jpeg(make.stored_turned(n), exif=make.exif(n)) for n in range(1, 9)] * 4
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(canonicalise, raws)) == [canonicalise(raw) for raw in raws]


# Limits ------------------------------------------------------------------------------------------


def test_limits_include_their_own_value() -> None:
    raw = make.jpeg()  # 96 x 64
    fitting = Limits(max_bytes=len(raw), max_pixels=96 * 64, min_side=64)
    assert canonicalise(raw, fitting).width == 96


@pytest.mark.parametrize(
    ("limits", "reason", "named"),
    [
        (Limits(max_bytes=1_000), Reason.TOO_MANY_BYTES, "1,000"),
        (Limits(max_pixels=96 * 64 - 1), Reason.TOO_MANY_PIXELS, "6,143"),
        (Limits(min_side=65), Reason.TOO_FEW_PIXELS, "65"),
        (Limits(max_decoding_bytes=96 * 64), Reason.TOO_MANY_PIXELS, "6,144"),
    ],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_refusal_names_the_limit(
    limits: Limits, reason: Reason, named: str, file_format: str
) -> None:
    raw = make.encoded(make.stored_turned(6), file_format, exif=make.exif(6))
    with pytest.raises(RejectedPhoto, match=named) as refusal:
        canonicalise(raw, limits)
    assert refusal.value.reason is reason


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_limits_check_themselves(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})
    with pytest.raises(ValueError, match="max_pixels"):
        Limits(max_pixels=10**9)


# Laws --------------------------------------------------------------------------------------------


MODES_AND_FORMATS = [
    *[(mode, "JPEG") for mode in ("RGB", "L", "CMYK")],
    *[(mode, "PNG") for mode in ("RGBA", "P", "LA", "1")],
    *[(mode, "WEBP") for mode in ("RGB", "RGBA")],
    ("P", "GIF"),
]


@st.composite
def photos(draw: st.DrawFn) -> bytes:
    """A small photo in a random format with random options and metadata."""
    width, height = draw(st.integers(32, 90)), draw(st.integers(32, 90))
    pixels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (4, 5, 4), np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    mode, file_format = draw(st.sampled_from(MODES_AND_FORMATS))
    options: dict[str, Any] = {}
    if file_format != "GIF" and draw(st.booleans()):
        options["exif"] = make.exif(draw(st.integers(0, 9)))
    if file_format == "JPEG":
        options["quality"] = draw(st.integers(5, 100))
        options["progressive"] = draw(st.booleans())
        options["optimize"] = draw(st.booleans())
        if mode == "RGB":
            options["subsampling"] = draw(st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]))
    return make.encoded(image.convert(mode), file_format, **options)


@given(photos())
@settings(max_examples=150, deadline=None)
def test_a_canonical_photo_stays_as_it_is(raw: bytes) -> None:
    once = canonicalise(raw)
    twice = canonicalise(once.jpeg)
    assert twice.jpeg == once.jpeg
    assert not twice.reencoded
    for name in ("width", "height", "sha256", "phash", "thumbnail"):
        assert getattr(twice, name) == getattr(once, name)


@cache
def seeds() -> list[bytes]:
    """One photo of each format and of each way through the code."""
    image, profile = (
        make.quadrants(),
        make.rgb_profile(((0.6, 0.3, 0), (0.2, 0.6, 0.1), (0.1, 0.1, 0.7)), 2.2),
    )
    turned = make.exif(6)
    rgba = image.convert("RGBA")
    rgba.putalpha(image.convert("L"))
    return [
        make.jpeg(exif=turned, icc_profile=profile),
        make.jpeg(progressive=True),
        make.jpeg(image.convert("CMYK")),
        make.jpeg(image.convert("L"), exif=make.exif(1)),
        make.encoded(rgba, "PNG", icc_profile=profile, exif=turned),
        make.encoded(image.quantize(16), "PNG"),
        make.interlaced_png(make.quadrant_pixels()),
        make.encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        make.encoded(rgba, "WEBP", exif=turned, icc_profile=profile),
        make.encoded(image, "WEBP", lossless=True),
    ]


@cache
def isolated_seeds() -> list[bytes]:
    image = make.quadrants()
    folder = Path(__file__).parent / "photos"
    heic = [(folder / name).read_bytes() for name in ("turned.heic", "transparent.heic")]
    return [make.encoded(image, "AVIF", exif=make.exif(6)), *heic]


def mutated(raw: bytes, generator: random.Random) -> bytes:
    """A few bytes changed, removed, repeated, put in; often near the start, where headers are."""
    changed = bytearray(raw)
    for _ in range(generator.randint(1, 5)):
        reach = generator.choice([60, 400, len(changed), len(changed)])
        at = generator.randrange(min(reach, len(changed)))
        match generator.randrange(6):
            case 0:
                changed[at] = generator.randrange(256)
            case 1:
                changed[at] ^= 1 << generator.randrange(8)
            case 2:
                del changed[at + 1 : at + generator.randint(2, 30)]
            case 3:
                changed[at:at] = generator.randbytes(generator.randint(1, 30))
            case 4:
                extremes = [b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\0\x40\0"]
                changed[at : at + 4] = generator.choice(extremes)
            case 5:
                changed[at:at] = changed[at : at + generator.randint(1, 300)]
    return bytes(changed)


def assert_kept_or_refused(raw: bytes) -> None:
    try:
        canonical = canonicalise(raw)
    except RejectedPhoto:
        return
    assert canonicalise(canonical.jpeg).jpeg == canonical.jpeg
    assert opened(canonical).size == (canonical.width, canonical.height)


@given(st.integers(0, 9), st.integers(0, 2**32))
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_but_a_refusal_comes_of_damaged_files(seed: int, state: int) -> None:
    assert_kept_or_refused(mutated(seeds()[seed], random.Random(state)))


@given(st.integers(0, 2), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_but_a_refusal_comes_of_damaged_avif_and_heic(seed: int, state: int) -> None:
    assert_kept_or_refused(mutated(isolated_seeds()[seed], random.Random(state)))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF"]))
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_refusal_comes_of_noise(noise: bytes, magic: bytes) -> None:
    with pytest.raises(RejectedPhoto):
        canonicalise(magic + noise)


# Real photos -------------------------------------------------------------------------------------


def real_photos(real_data: Path) -> list[Path]:
    return sorted(path for path in (real_data / "real-pets").rglob("*.jp*g"))


def test_real_photos_are_kept(real_data: Path) -> None:
    paths = real_photos(real_data)
    assert len(paths) >= 400
    for path in paths:
        raw = path.read_bytes()
        canonical = canonicalise(raw)
        assert len(canonical.jpeg) <= len(raw) or canonical.reencoded, path
        assert canonicalise(canonical.jpeg).jpeg == canonical.jpeg, path


def test_real_photos_keep_their_pixels(real_data: Path) -> None:
    for path in real_photos(real_data)[::8]:
        canonical = canonicalise(path.read_bytes())
        if not canonical.reencoded:
            assert (np.asarray(opened(canonical)) == np.asarray(Image.open(path))).all(), path


def test_truncated_real_photos_are_refused(real_data: Path) -> None:
    generator = random.Random(11)
    for path in real_photos(real_data)[::8]:
        raw = canonicalise(path.read_bytes()).jpeg
        cut = raw[: generator.randrange(2, len(raw) - 2)]
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(RejectedPhoto):
                canonicalise(cut + end)


def test_damaged_real_photos_end_in_a_refusal_at_most(real_data: Path) -> None:
    generator = random.Random(12)
    for path in real_photos(real_data)[::8]:
        raw = path.read_bytes()
        for _ in range(4):
            assert_kept_or_refused(mutated(raw, generator))


def test_real_photos_as_webp_look_the_same(real_data: Path) -> None:
    for path in real_photos(real_data)[::40]:
        with Image.open(path) as image:
            raw = make.encoded(image, "WEBP", lossless=True, quality=0)
            before = np.asarray(image.convert("RGB")).astype(int)
        canonical = canonicalise(raw)
        assert canonical.source_format == "webp"
        after = np.asarray(opened(canonical).convert("RGB"))
        assert np.abs(before - after).mean() < 4, path
