"""Changed copies of a photo, as people and sites make them: what near duplicates are tried on."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Final

from PIL import Image, ImageDraw, ImageOps

Change = Callable[[Image.Image], Image.Image]

_QUALITY: Final = 90  # JPEG, of all copies but the recompressed ones


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def unchanged(picture: Image.Image) -> Image.Image:
    return picture


def resized(factor: float, picture: Image.Image) -> Image.Image:
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.BICUBIC)


def cropped(percent: int, picture: Image.Image) -> Image.Image:
    """So many percent of each side away, a third of it left and top, the rest right and bottom."""
    width, height = (side * percent / 100 for side in picture.size)
    right, bottom = picture.width - width * 2 / 3, picture.height - height * 2 / 3
    return picture.crop((round(width / 3), round(height / 3), round(right), round(bottom)))


def bordered(percent: int, colour: str, picture: Image.Image) -> Image.Image:
    """So many percent of the longer side around it."""
    return ImageOps.expand(picture, round(max(picture.size) * percent / 100), colour)


def captioned(height_percent: int, picture: Image.Image) -> Image.Image:
    """A line of white text with a black outline at the bottom."""
    lettered = picture.copy()
    height = picture.height * height_percent / 100
    ImageDraw.Draw(lettered).text(
        (picture.width / 2, picture.height - height),
        "LOST: 8 (900) 000-00-00",
        font_size=height,
        anchor="mm",
        fill="white",
        stroke_fill="black",
        stroke_width=max(1, round(height / 12)),
    )
    return lettered


CHANGES: Final[dict[str, tuple[Change, int]]] = {  # and the JPEG quality of the copy
    **{f"recompressed, quality {quality}": (unchanged, quality) for quality in (85, 50, 30)},
    **{f"resized to {f:.0%}": (partial(resized, f), _QUALITY) for f in (0.5, 0.25)},
    **{f"border of {p} %, white": (partial(bordered, p, "white"), _QUALITY) for p in (2, 5, 10)},
    **{f"border of {p} %, black": (partial(bordered, p, "black"), _QUALITY) for p in (2, 5, 10)},
    **{f"cropped by {p} %": (partial(cropped, p), _QUALITY) for p in (2, 5, 10, 15, 20, 50)},
    "mirrored": (ImageOps.mirror, _QUALITY),
    **{f"text of {p} % height": (partial(captioned, p), _QUALITY) for p in (5, 10)},
}


def copies(picture: Image.Image) -> dict[str, bytes]:
    """A JPEG file for each change."""
    return {name: as_jpeg(change(picture), quality) for name, (change, quality) in CHANGES.items()}
