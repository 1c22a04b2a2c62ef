"""Colour profiles: is a picture sRGB already, and if not, how does it become so."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Final, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageCms

from petdata.errors import Reason, RejectedPhoto

# CMYK profiles of print shops are the largest in use: 0.5 to 3 MB.
MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
# The sRGB profiles in circulation differ from each other by rounding: 1 level of 255 on real
# photos. A plain gamma of 2.2 is off by 9, Display P3 by 102.
MAX_SRGB_DEVIATION: Final = 2

ColourMode: TypeAlias = Literal["L", "RGB", "CMYK"]
ToSrgb: TypeAlias = Callable[[Image.Image], Image.Image]  # of that mode -> "L" or "RGB"

_PROFILE_SPACES: Final = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}

# H.273 colour primaries -> XYZ of red, green and blue, adapted to D50 (Skia's SkNamedGamut).
_PRIMARIES: Final = {
    9: (  # BT.2020
        (0.673459, 0.279033, -0.00193139),
        (0.165661, 0.675338, 0.0299794),
        (0.125100, 0.0456288, 0.797162),
    ),
    12: (  # Display P3
        (0.515102, 0.241182, -0.00104941),
        (0.291965, 0.692236, 0.0418818),
        (0.157153, 0.0665819, 0.784378),
    ),
}
_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # ICC parametric type 3


def to_srgb(profile: bytes | None, mode: ColourMode) -> ToSrgb | None:
    """How to convert pictures with this ICC profile; None where they are sRGB as they stand.

    Like browsers, it takes a picture whose profile is absent, unreadable or made for another kind
    of colour for sRGB.
    """
    convert = None
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        convert = _conversion(profile, mode)
    if convert is None and mode == "CMYK":
        return lambda picture: picture.convert("RGB")
    return convert


def profile_of_code_points(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile that HEIC, AVIF and PNG name by H.273 numbers; None means sRGB.

    Transfer functions of standard dynamic range count as sRGB's, as browsers have it.
    """
    if transfer in _HDR_TRANSFERS:
        raise RejectedPhoto(
            Reason.UNSUPPORTED,
            f"high dynamic range ({_HDR_TRANSFERS[transfer]}); export it as standard range",
        )
    return _matrix_profile(_PRIMARIES[primaries]) if primaries in _PRIMARIES else None


@lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: ColourMode) -> ToSrgb | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in _PROFILE_SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            "L" if space == "GRAY" else space,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None

    def convert(picture: Image.Image) -> Image.Image:
        if mode == "L" and space == "RGB":
            picture = picture.convert("RGB")
        converted = transform.apply(picture)
        return converted.getchannel("G") if mode == "L" else converted

    return None if mode != "CMYK" and _leaves_alone(convert, mode) else convert


def _leaves_alone(convert: ToSrgb, mode: ColourMode) -> bool:
    """Whether a conversion changes no colour by more than sRGB profiles differ anyway."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)  # 18 levels
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[np.newaxis]
    else:
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
        colours = cube.reshape(len(steps), -1, 3)
    converted = np.asarray(convert(Image.fromarray(colours)))
    return bool(np.abs(converted.astype(int) - colours).max() <= MAX_SRGB_DEVIATION)


def _matrix_profile(primaries: tuple[tuple[float, float, float], ...]) -> bytes:
    """A display profile (ICC.1:2022, version 4) of these primaries with sRGB's curve."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(*_SRGB_CURVE)
    white = b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)  # D50
    colourants = [b"XYZ \0\0\0\0" + _fixed(*xyz) for xyz in primaries]
    tags = dict(
        zip(
            (b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"),
            (white, *colourants, curve, curve, curve),
            strict=True,
        )
    )
    table, values = b"", b""
    for name, value in tags.items():
        offset = 128 + 4 + 12 * len(tags) + len(values)
        table += name + struct.pack(">II", offset, len(value))
        values += value
    body = struct.pack(">I", len(tags)) + table + values
    header = struct.pack(">I", 128 + len(body)) + b"\0\0\0\0" + b"\x04\x30\0\0" + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return header + body


def _fixed(*numbers: float) -> bytes:
    """ICC's s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
