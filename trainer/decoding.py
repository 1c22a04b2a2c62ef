"""One photo of a set: read, decoded, cut to its box, transformed."""

from __future__ import annotations

import math
from typing import Final, Protocol, runtime_checkable

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image

from trainer.photo_set import BadPhoto, BoxUse, PhotoSet

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
GREY: Final = 128  # of every colour, in what a control hides


class Transform(Protocol):
    def __call__(self, image: Image.Image, /) -> torch.Tensor:
        """(3, H, W) float32, of one size for every photo."""


@runtime_checkable
class ArrayTransform(Protocol):
    """A transform that spares the way over PIL."""

    smallest_side: int | None  # pixels that it needs on the shorter side; None: all there are
    scaled_decoding: bool  # the JPEG may be decoded at a half, a quarter or an eighth

    def of_array(self, pixels: Pixels, /, out: torch.Tensor | None = None) -> torch.Tensor:
        """Into `out`, which it then returns, where that is possible and has the right shape."""


class PhotoDecoder:
    """Makes tensors of the photos of a set."""

    def __init__(self, photos: PhotoSet, transform: Transform) -> None:
        self._photos = photos
        self._transform = transform
        self._arrays: ArrayTransform | None = None
        self._side_needed: int | None = None
        if isinstance(transform, ArrayTransform):
            self._arrays = transform
            self._side_needed = transform.smallest_side if transform.scaled_decoding else None

    def load(self, row: int, out: torch.Tensor | None = None) -> torch.Tensor:
        """(3, H, W) float32: `out`, or another tensor. Raises BadPhoto, naming file and photo."""
        photos = self._photos
        jpeg = photos.read_one(row)
        box = None if photos.boxes is None else photos.boxes[row]
        try:
            pixels = self._pixels(jpeg, box)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise BadPhoto(f"{photos.describe(row)} cannot be decoded: {error}") from error
        return self._transformed(pixels, out)

    def tensor(self, jpeg: bytes, box: NDArray[np.float32] | None = None) -> torch.Tensor:
        """(3, H, W) float32 of a photo that may be none of the set, treated as those are."""
        return self._transformed(self._pixels(jpeg, box))

    def _pixels(self, jpeg: bytes, box: NDArray[np.float32] | None) -> Pixels:
        padding, use = self._photos.box_padding, self._photos.box_use
        if box is None or use == "cut":
            return decode(jpeg, box, padding, self._side_needed)
        return decode_alone(jpeg, box, padding, use, self._side_needed)

    def _transformed(self, pixels: Pixels, out: torch.Tensor | None = None) -> torch.Tensor:
        if self._arrays is not None:
            return self._arrays.of_array(pixels, out)
        return self._transform(Image.fromarray(pixels))


def decode(
    jpeg: bytes,
    box: NDArray[np.float32] | None = None,
    padding: float = 0.0,
    side_needed: int | None = None,
) -> Pixels:
    """RGB, pixel for pixel what Pillow gives; cut to a box in pixels, unless that is NaN.

    With `side_needed` it may be smaller by 2, 4 or 8, as long as the shorter side, of the box where
    there is one, keeps so many pixels.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    cut = (0, 0, width, height) if box is None else padded(box, padding, width, height)
    factor = 1
    if side_needed is not None:
        shorter = min(cut[2] - cut[0], cut[3] - cut[1])
        factor = max(f for f in (1, 2, 4, 8) if f == 1 or shorter // f >= side_needed)
    found: Pixels = simplejpeg.decode_jpeg(
        jpeg,
        colorspace="RGB",
        min_height=0 if factor == 1 else math.ceil(height / factor),
        min_width=0 if factor == 1 else math.ceil(width / factor),
    )
    if cut == (0, 0, width, height):
        return found
    return found[_place_in(cut, found, width, height)]


def decode_alone(
    jpeg: bytes,
    box: NDArray[np.float32],
    padding: float,
    use: BoxUse,
    side_needed: int | None = None,
) -> Pixels:
    """The whole picture with its box grey ("background") or all but the box ("animal").

    A NaN box leaves it as it is. `side_needed`: as for `decode`.
    """
    found = decode(jpeg, side_needed=side_needed)
    if np.isnan(box[0]):
        return found
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    inside = _place_in(padded(box, padding, width, height), found, width, height)
    if use == "background":
        found[inside] = GREY
        return found
    alone = np.full_like(found, GREY)
    alone[inside] = found[inside]
    return alone


def _place_in(
    cut: tuple[int, int, int, int], found: Pixels, width: int, height: int
) -> tuple[slice, slice]:
    """Rows and columns of a picture that was decoded at another scale than width x height."""
    x, y = found.shape[1] / width, found.shape[0] / height
    return (
        slice(math.floor(cut[1] * y), math.ceil(cut[3] * y)),
        slice(math.floor(cut[0] * x), math.ceil(cut[2] * x)),
    )


def padded(
    box: NDArray[np.float32], padding: float, width: int, height: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels: all that the box touches, widened on each side by
    a share of its own width and height, within the picture.
    """
    x0, y0, x1, y1 = map(float, box)
    if math.isnan(x0):
        return 0, 0, width, height
    right, down = padding * (x1 - x0), padding * (y1 - y0)
    left, top = max(0, math.floor(x0 - right)), max(0, math.floor(y0 - down))
    found = (left, top, min(width, math.ceil(x1 + right)), min(height, math.ceil(y1 + down)))
    if found[0] >= found[2] or found[1] >= found[3]:
        raise ValueError(f"box {x0:g}, {y0:g}, {x1:g}, {y1:g} is outside its {width} x {height}")
    return found
