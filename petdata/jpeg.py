"""Any photo as a canonical JPEG: whole, upright, sRGB or gray, without metadata.

An upright sRGB or gray JPEG keeps its compressed data bit for bit; everything else is decoded and
encoded once. docs/canonical-jpeg.md says what is kept, dropped and refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

from petdata.errors import Reason, RejectedPhoto
from petdata.isolated_decoder import decode_isolated
from petdata.jpeg_stream import JpegStream, read_jpeg_stream
from petdata.limits import Limits
from petdata.perceptual_hash import SCALED_DECODE_SIDE, gray_thumbnail, perceptual_hash
from petdata.picture_files import open_picture, source_format
from petdata.pictures import (
    SourceFormat,
    UInt8Array,
    encode_jpeg,
    strips,
    turned_upright,
    upright_srgb,
)
from petdata.srgb import ColourMode, ToSrgb, to_srgb

__all__ = ["CanonicalJpeg", "Limits", "canonicalise"]

DEFAULT_LIMITS: Final = Limits()

_MODES: Final[dict[int, ColourMode]] = {1: "L", 3: "RGB", 4: "CMYK"}
_BUFFERED_SAMPLE_BYTES: Final = 2  # libjpeg's JCOEF, until the last scan is read


@dataclass(frozen=True, kw_only=True, slots=True)
class CanonicalJpeg:
    jpeg: bytes = field(repr=False)
    width: int
    height: int
    sha256: str  # of `jpeg`, hex
    original_sha256: str  # of the bytes that arrived, hex
    phash: int  # 64 bits
    thumbnail: bytes = field(repr=False)  # 32 x 32 gray
    source_format: SourceFormat
    reencoded: bool


def canonicalise(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> CanonicalJpeg:
    """Turn the bytes of a photo into a canonical JPEG; raises RejectedPhoto.

    Applied to its own result it changes nothing. Decoding releases the GIL.
    """
    limits.check_bytes(len(raw))
    kind = source_format(raw)
    stream, reencoded = _canonical_stream(raw, kind, limits)
    # Even this scaled decode reads the compressed data to its end.
    gray = _decoded(stream.jpeg, "GRAY", smallest_side=SCALED_DECODE_SIDE)
    thumbnail = gray_thumbnail(gray[:, :, 0], size=(stream.width, stream.height))
    original_sha256 = hashlib.sha256(raw).hexdigest()
    return CanonicalJpeg(
        jpeg=stream.jpeg,
        width=stream.width,
        height=stream.height,
        sha256=(original_sha256 if stream.jpeg == raw else hashlib.sha256(stream.jpeg).hexdigest()),
        original_sha256=original_sha256,
        phash=perceptual_hash(thumbnail),
        thumbnail=thumbnail.tobytes(),
        source_format=kind,
        reencoded=reencoded,
    )


def _canonical_stream(raw: bytes, kind: SourceFormat, limits: Limits) -> tuple[JpegStream, bool]:
    """The photo as a JPEG without metadata, and whether it had to be encoded for that."""
    if kind == "jpeg":
        stream = read_jpeg_stream(raw)
        encoded = _encoded_upright(stream, limits)
        if encoded is None:
            return stream, False
    elif kind in ("avif", "heic"):
        encoded = decode_isolated(raw, kind, limits)
    else:
        encoded = encode_jpeg(upright_srgb(open_picture(raw, kind, limits)))
    limits.check_bytes(len(encoded))
    stream = read_jpeg_stream(encoded)
    limits.check_size(stream.width, stream.height)
    return stream, True


def _encoded_upright(stream: JpegStream, limits: Limits) -> bytes | None:
    """The photo turned and brought to sRGB; None where it needs neither."""
    mode = _MODES[stream.components]
    convert = to_srgb(stream.icc_profile, mode)
    is_canonical = stream.orientation == 1 and convert is None
    decoding_bytes = stream.buffered_samples * _BUFFERED_SAMPLE_BYTES
    if not is_canonical:  # as it was, and turned or converted
        decoding_bytes += 2 * stream.width * stream.height * stream.components
    limits.check_size(stream.width, stream.height, decoding_bytes)
    if is_canonical:
        return None
    # No name holds a step's pixels longer than the next step needs them.
    return encode_jpeg(turned_upright(_decoded_srgb(stream, mode, convert), stream.orientation))


def _decoded_srgb(stream: JpegStream, mode: ColourMode, convert: ToSrgb | None) -> UInt8Array:
    pixels = _decoded(stream.jpeg, "GRAY" if mode == "L" else mode)
    if convert is None:
        return pixels
    height, width, _ = pixels.shape
    srgb = np.empty((height, width, 3), np.uint8) if mode == "CMYK" else pixels
    # Like browsers and Adobe's programs, take ink values for inverted: 255 is no ink.
    raw_mode = "CMYK;I" if mode == "CMYK" else mode
    for rows in strips(height, width):
        strip = pixels[rows]
        picture = Image.frombytes(mode, (width, len(strip)), strip.tobytes(), "raw", raw_mode)
        srgb[rows] = np.asarray(convert(picture)).reshape(len(strip), width, -1)
    return srgb


def _decoded(jpeg: bytes, colours: str, smallest_side: int = 0) -> UInt8Array:
    """(H, W, C), scaled down as far as both sides stay as long as asked; raises RejectedPhoto."""
    try:
        pixels: UInt8Array = simplejpeg.decode_jpeg(
            jpeg, colours, min_height=smallest_side, min_width=smallest_side, strict=True
        )
    except ValueError as error:
        raise _refusal(str(error)) from error
    return pixels


def _refusal(said: str) -> RejectedPhoto:
    """Sort what libjpeg-turbo says, warnings included, by reason."""
    lowered = said.lower()
    if "premature end" in lowered:
        reason = Reason.TRUNCATED
    elif any(words in lowered for words in ("unsupported", "not supported", "subsampling")):
        reason = Reason.UNSUPPORTED
    else:
        reason = Reason.CORRUPT
    return RejectedPhoto(reason, f"JPEG: {said}")
