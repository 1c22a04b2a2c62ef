"""An opened picture of any format becomes upright sRGB pixels on white, and those a JPEG."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from petdata.errors import Reason, RejectedPhoto
from petdata.limits import Limits
from petdata.memory import give_back
from petdata.srgb import ColourMode, ToSrgb, to_srgb

SourceFormat: TypeAlias = Literal["jpeg", "png", "gif", "webp", "avif", "heic"]
UInt8Array: TypeAlias = NDArray[np.uint8]

QUALITY: Final = 95
# Phones, sites and lossy WebP, HEIC and AVIF halve the colour resolution already.
SUBSAMPLING: Final = "420"
# Peak bytes a pixel from the opened file to its JPEG, measured. For AVIF and HEIC those of usual
# photos, as the child that decodes them is stopped at its limit.
DECODING_BYTES_PER_PIXEL: Final[dict[SourceFormat, int]] = {
    "png": 12,
    "gif": 8,
    "webp": 24,
    "avif": 8,
    "heic": 6,
}

_STRIP_PIXELS: Final = 1 << 20
_LARGE_BYTES: Final = 24 * 2**20  # from here on two copies at a time are too much

_TOO_LARGE: Final = (
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)
# What Pillow and pi_heif raise on bytes that they cannot decode (found by mutating real files).
DECODER_ERRORS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    zlib.error,
    *_TOO_LARGE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A file whose header is read and whose pixels are not decoded yet."""

    image: Image.Image
    kind: SourceFormat
    orientation: int  # EXIF: 1 is upright
    icc_profile: bytes | None


def check_size(limits: Limits, size: tuple[int, int], kind: SourceFormat) -> None:
    limits.check_size(*size, decoding_bytes=size[0] * size[1] * DECODING_BYTES_PER_PIXEL[kind])


def upright_srgb(picture: Picture) -> UInt8Array:
    """Decode to (H, W, 3) or, where the file is gray, (H, W, 1): white where transparent."""
    image = picture.image
    try:
        image.load()
    except DECODER_ERRORS as error:
        raise refusal(picture.kind, error) from error
    mode: ColourMode = "L" if image.mode in ("1", "L", "LA", "I;16") else "RGB"
    convert = to_srgb(picture.icc_profile, mode)
    width, height = image.size
    pixels = np.empty((height, width, 1 if mode == "L" else 3), np.uint8)
    for rows in strips(height, width):
        strip = image.crop((0, rows.start, width, rows.stop))
        pixels[rows] = np.atleast_3d(np.asarray(_on_white(strip, mode, convert)))
    return turned_upright(pixels, picture.orientation)


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows in portions of about a megapixel, so that intermediate copies stay small."""
    step = max(1, _STRIP_PIXELS // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def turned_upright(
    pixels: UInt8Array, orientation: int, large_bytes: int = _LARGE_BYTES
) -> UInt8Array:
    """Undo an EXIF orientation of (H, W, C) pixels; contiguous in memory.

    Where they are large they are used up, so that there are never two copies of all.
    """
    channels = pixels.shape[2]
    # Whole pixels as one element: transposed 2.5 times as fast as their bytes.
    whole = np.ascontiguousarray(pixels).view(f"V{channels}")[:, :, 0]
    is_large = pixels.nbytes >= large_bytes
    if orientation >= 5:
        whole = _transposed(whole) if is_large else whole.T
    if orientation in (2, 3, 6, 7):
        whole = _mirrored(whole) if is_large else whole[:, ::-1]
    if orientation in (3, 4, 7, 8):
        whole = _upended(whole) if is_large else whole[::-1]
    return np.ascontiguousarray(whole).view(np.uint8).reshape(*whole.shape, channels)


def _transposed(whole: NDArray[np.void]) -> NDArray[np.void]:
    """(H, W) -> (W, H) by way of bands, each of which takes the memory of what it was made of."""
    height, width = whole.shape
    bands = []
    for rows in _parts(height):
        bands.append(np.ascontiguousarray(whole[rows].T))
        give_back(whole[rows])
    turned = np.empty((width, height), whole.dtype)
    for rows in _parts(width):
        np.concatenate([band[rows] for band in bands], axis=1, out=turned[rows])
        for band in bands:
            give_back(band[rows])
    return turned


def _mirrored(whole: NDArray[np.void]) -> NDArray[np.void]:
    for rows in _parts(len(whole)):
        whole[rows] = whole[rows, ::-1].copy()
    return whole


def _upended(whole: NDArray[np.void]) -> NDArray[np.void]:
    height = len(whole)
    for rows in _parts(height // 2):
        top, bottom = whole[rows], whole[height - rows.stop : height - rows.start]
        top[:], bottom[:] = bottom[::-1].copy(), top[::-1].copy()
    return whole


def _parts(length: int) -> Iterator[slice]:
    """Sixteen slices of as many rows or columns, or fewer."""
    step = max(1, -(-length // 16))
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def encode_jpeg(pixels: UInt8Array) -> bytes:
    """(H, W, 3) sRGB or (H, W, 1) gray as a baseline JPEG of quality 95."""
    is_gray = pixels.shape[2] == 1
    jpeg: bytes = simplejpeg.encode_jpeg(
        pixels,
        quality=QUALITY,
        colorspace="GRAY" if is_gray else "RGB",
        colorsubsampling="Gray" if is_gray else SUBSAMPLING,
    )
    return jpeg


def _on_white(strip: Image.Image, mode: ColourMode, convert: ToSrgb | None) -> Image.Image:
    if strip.mode == "I;16":  # Pillow would clip instead of scaling
        strip = Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
    alpha = None
    if strip.has_transparency_data:
        strip = strip.convert("LA" if mode == "L" else "RGBA")
        alpha = strip.getchannel("A")
    colours = strip.convert(mode)
    if convert is not None:
        colours = convert(colours)
    if alpha is None:
        return colours
    on_white = Image.new(mode, strip.size, "white")
    on_white.paste(colours, mask=alpha)
    return on_white


def refusal(kind: SourceFormat, error: BaseException) -> RejectedPhoto:
    """What to raise for what a decoder raised."""
    said = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        said = "the header cannot be read"  # Pillow names the buffer instead
    if isinstance(error, _TOO_LARGE) or "memory" in said.lower():
        reason = Reason.TOO_MANY_PIXELS
    elif any(words in said.lower() for words in ("truncated", "end of file", "file bounds")):
        reason = Reason.TRUNCATED
    else:
        reason = Reason.CORRUPT
    return RejectedPhoto(reason, f"{kind.upper()}: {said}")
