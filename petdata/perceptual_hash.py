"""A 64-bit DCT hash of a picture and the 32 x 32 gray thumbnail it is computed from.

The thumbnail goes through a two-dimensional DCT-II. Each of its 8 x 8 lowest frequencies gives a 1
where it lies above the median of the 64, row by row, vertical frequency first; the first bit, the
mean of the picture, is the most significant. So `f"{perceptual_hash(thumbnail):016x}"` equals
`str(imagehash.phash(picture))` of ImageHash 4.3.

In flat, symmetric or chequered pictures coefficients equal the median but for rounding errors. So
that imagehash's bits come out there too, the transform repeats scipy's floating point operations
(pocketfft, which numpy has as well) in their order. There is no BLAS in it and no kernel chosen at
run time; a numpy compiled to fuse multiplications with additions may turn such ties, nothing else.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE: Final = 32
THUMBNAIL_BYTES: Final = THUMBNAIL_SIDE**2
# Shortest side of a scaled JPEG decode that may stand for the whole picture: from here on the hash
# differs from the full decode's by 0.1 bits on average and 2 at most, the thumbnail by 0.3 levels;
# at 32 pixels it is 0.2 bits, 2 bits and 0.8 levels (155 real photos; docs/record.md).
SCALED_DECODE_SIDE: Final = 64
_FREQUENCIES: Final = 8


def gray_thumbnail(
    gray: Image.Image | NDArray[np.uint8], size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """(H, W) gray, as an array or a picture of mode "L" -> (32, 32), by LANCZOS.

    `size` is the picture's own (width, height) where `gray` is a JPEG decode scaled to n/8. Such a
    decode is rounded up to whole pixels: its last row and column reach beyond the picture, and
    without `size` the thumbnail is shrunk by that much.
    """
    picture = gray if isinstance(gray, Image.Image) else Image.fromarray(gray)
    if picture.mode != "L":
        raise ValueError(f"a picture of mode {picture.mode} where gray (L, uint8) is needed")
    width, height = size or picture.size
    eighths = 8 * picture.width // width
    extent = (0, 0, width * eighths / 8, height * eighths / 8)
    target = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(picture.resize(target, Image.Resampling.LANCZOS, box=extent))


def perceptual_hash(thumbnail: NDArray[np.uint8]) -> int:
    """(32, 32) gray -> 0 .. 2**64 - 1."""
    columns = _dct(thumbnail.T.astype(np.float64))[:, :_FREQUENCIES]  # (32, 8)
    frequencies = _dct(columns.T)[:, :_FREQUENCIES].ravel()  # (64,)
    below, above = np.partition(frequencies, (31, 32))[31:33]
    ones = frequencies > (below + above) / 2
    return int.from_bytes(np.packbits(ones).tobytes(), "big")


def hamming_distance(one: int, other: int) -> int:
    """Bits that differ, 0 .. 64."""
    return (one ^ other).bit_count()


def _twiddles() -> NDArray[np.float64]:
    """cos(k pi / 64) for k = 0 .. 31, rounded as pocketfft does: from 16 on as cosines of sums."""
    fine = [k * math.pi / 64 for k in range(16)]
    eighth = math.pi / 4
    coarse = [math.sin(eighth) * math.cos(a) - math.cos(eighth) * math.sin(a) for a in fine]
    return np.array([math.cos(a) for a in fine] + coarse)


_TWIDDLES: Final = _twiddles()
_RISING: Final = _TWIDDLES[1:16]
_FALLING: Final = _TWIDDLES[:16:-1]


def _dct(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """DCT-II, unnormalised, of each row of 32: y[k] = 2 * sum(x[n] * cos(pi * k * (2n + 1) / 64)).

    Through an inverse real FFT of the sums and differences of neighbours (Makhoul 1980).
    """
    spectrum = np.empty((len(rows), 17), np.complex128)
    odd, even = rows[:, 1:31:2], rows[:, 2:31:2]
    spectrum[:, 0] = rows[:, 0] * 2
    spectrum[:, 16] = rows[:, 31] * 2
    spectrum.real[:, 1:16] = odd + even
    spectrum.imag[:, 1:16] = even - odd
    unfolded = np.fft.irfft(spectrum, norm="forward")
    low, high = unfolded[:, 1:16], unfolded[:, :16:-1]
    total = _RISING * high + _FALLING * low
    difference = _RISING * low - _FALLING * high
    unfolded[:, 16] *= _TWIDDLES[16]
    unfolded[:, 1:16], unfolded[:, :16:-1] = (total + difference) / 2, (total - difference) / 2
    return unfolded
