"""The perceptual hashes under which a photo is looked for: plain, mirrored, without its border."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dataset_builder.borders import find_borders, without_borders
from dataset_builder.compiled import compiled
from petdata.perceptual_hash import THUMBNAIL_SIDE, perceptual_hash

Hashes = NDArray[np.uint64]
Thumbnails = NDArray[np.uint8]  # (n, 1024), in memory or mapped

PLAIN, BORDERLESS, MIRRORED, MIRRORED_BORDERLESS = range(4)  # columns
ONES: Final = 32  # in the hash of a picture that is neither flat nor symmetric
_AT_A_TIME: Final = 4096
_FREQUENCIES: Final = 8
_COSINES: Final = 2 * np.cos(
    np.pi * np.outer(2 * np.arange(THUMBNAIL_SIDE) + 1, np.arange(_FREQUENCIES)) / 64
)
_MIRRORED_SIGNS: Final = np.tile([1.0, -1.0], 32)  # odd horizontal frequencies change theirs
# Coefficients reach 2**20, and two ways of computing them differ by less than 1e-8. Where one lies
# so near to the median, perceptual_hash itself decides.
_TIE: Final = 1e-6


def hash_variants(phash: Hashes, thumbnails: Thumbnails) -> Hashes:
    """(n, 4): columns PLAIN, BORDERLESS, MIRRORED, MIRRORED_BORDERLESS; 0 stands for none.

    `phash` is the record's. The others are perceptual_hash of the changed thumbnail, bit for bit.
    Flat pictures have none, since so many of them would be alike.
    """
    variants = np.zeros((len(phash), 4), np.uint64)
    for start in range(0, len(phash), _AT_A_TIME):
        part = variants[start : start + _AT_A_TIME]
        pixels = np.asarray(thumbnails[start : start + _AT_A_TIME])
        part[:, PLAIN] = phash[start : start + _AT_A_TIME]
        part[:, MIRRORED] = _plain_and_mirrored(pixels)[1]
        boxes = find_borders(pixels)
        bordered = np.flatnonzero((boxes != (0, 0, THUMBNAIL_SIDE, THUMBNAIL_SIDE)).any(axis=1))
        inner = without_borders(pixels[bordered], boxes[bordered])
        part[bordered, BORDERLESS], part[bordered, MIRRORED_BORDERLESS] = _plain_and_mirrored(inner)
    variants[np.bitwise_count(variants) != ONES] = 0
    variants[variants[:, PLAIN] == 0] = 0
    return variants


def _plain_and_mirrored(thumbnails: Thumbnails) -> tuple[Hashes, Hashes]:
    pixels = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    coefficients = _low_frequencies(pixels, _COSINES)
    return (
        _hashes(coefficients, pixels),
        _hashes(coefficients * _MIRRORED_SIGNS, pixels[:, :, ::-1]),
    )


@compiled
def _low_frequencies(
    pixels: NDArray[np.uint8], cosines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 64), vertical frequency first. Not by BLAS, whose threads get in each other's way."""
    found = np.empty((len(pixels), 64))
    line, down, square = np.empty(32), np.empty((8, 32)), np.empty((8, 8))
    for n in range(len(pixels)):
        down[:], square[:] = 0, 0
        for y in range(32):
            for x in range(32):
                line[x] = pixels[n, y, x]
            for vertical in range(8):
                factor = cosines[y, vertical]
                for x in range(32):
                    down[vertical, x] += line[x] * factor
        for x in range(32):
            for vertical in range(8):
                factor = down[vertical, x]
                for horizontal in range(8):
                    square[vertical, horizontal] += factor * cosines[x, horizontal]
        found[n] = square.ravel()
    return found


def _hashes(coefficients: NDArray[np.float64], pixels: NDArray[np.uint8]) -> Hashes:
    middle = np.partition(coefficients, (31, 32), axis=1)[:, 31:33].mean(axis=1, keepdims=True)
    above = coefficients - middle
    hashes = np.packbits(above > 0, axis=1).view(">u8").ravel().astype(np.uint64)
    for tied in np.flatnonzero(np.abs(above).min(axis=1, initial=np.inf) < _TIE):
        hashes[tied] = perceptual_hash(pixels[tied])
    return hashes
