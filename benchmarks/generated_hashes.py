"""Perceptual hashes of many pictures at once, drawn in terms of their low frequencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


COSINES = np.cos(np.pi * np.outer(2 * np.arange(32) + 1, np.arange(8)) / 64)


def low_frequencies(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 64) DCT coefficients, vertical frequency first."""
    pixels = thumbnails.reshape(-1, 32, 32).astype(np.float64)
    square: NDArray[np.float64] = COSINES.T @ pixels @ COSINES
    return square.reshape(-1, 64)


def mirrored(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    signs: NDArray[np.float64] = np.tile([1.0, -1.0], 32)
    return coefficients * signs


def bits_of(coefficients: NDArray[np.float64]) -> Hashes:
    above = coefficients > np.median(coefficients, axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8").ravel().astype(np.uint64)


def pictures_of(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 1024) gray levels around 124, most of them within 0 to 248."""
    basis = np.kron(COSINES, COSINES).astype(np.float32)  # (1024, 64)
    pictures = coefficients.astype(np.float32) @ basis.T
    spread = pictures.std(axis=1, keepdims=True)
    result: NDArray[np.float64] = 124 + 50 * pictures / spread
    return result
