"""Small pictures that pass every limit, for tests that are not about pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def jpeg(seed: int, width: int = 320, height: int = 240, quality: int = 80) -> bytes:
    """A JPEG that differs for every seed and compresses like a photo."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (8, 10, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()
