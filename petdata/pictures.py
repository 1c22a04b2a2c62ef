"""PNG, GIF and WebP files opened without decoding, and any picture brought to upright sRGB.

AVIF and HEIC are opened in petdata.isolated_decoder.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Literal, TypeAlias

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from petdata.errors import Reason, RejectedPhoto
from petdata.exif import exif_orientation
from petdata.limits import Limits
from petdata.srgb import MAX_PROFILE_BYTES, ColourMode, ToSrgb, profile_of_code_points, to_srgb

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
MAX_PNG_CHUNKS: Final = 100_000  # libpng writes IDAT chunks of 8 KiB: 4,096 of them in 32 MiB

_MAGIC: Final[tuple[tuple[bytes, SourceFormat], ...]] = (
    (rb"\xff\xd8\xff", "jpeg"),
    (rb"\x89PNG\r\n\x1a\n", "png"),
    (rb"GIF8[79]a", "gif"),
    (rb"RIFF....WEBP", "webp"),
)
_BRANDS: Final[dict[bytes, SourceFormat]] = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"hevc": "heic",
    b"hevx": "heic",
}
_UNSUPPORTED: Final = (
    (rb"BM....\0\0\0\0", "BMP"),
    (rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", "TIFF or raw"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "JPEG 2000"),
    (rb"8BPS", "Photoshop"),
    (rb"\0\0[\1\2]\0", "icon"),
    (rb"....ftyp", "video or unknown HEIF"),
)
_STRIP_PIXELS: Final = 1 << 20

_TOO_LARGE: Final = (
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)
# What Pillow and pi_heif raise on bytes that they cannot decode (found by mutating real files).
DECODER_ERRORS: Final = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, *_TOO_LARGE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A file whose header is read and whose pixels are not decoded yet."""

    image: Image.Image
    kind: SourceFormat
    orientation: int  # EXIF: 1 is upright
    icc_profile: bytes | None


def source_format(raw: bytes) -> SourceFormat:
    """What the first bytes say the file is; raises RejectedPhoto for anything else."""
    for magic, kind in _MAGIC:
        if re.match(magic, raw, re.DOTALL):
            return kind
    if raw[4:8] == b"ftyp":
        size = min(int.from_bytes(raw[:4]), 256)
        for brand in (raw[8:12], *(raw[i : i + 4] for i in range(16, size, 4))):
            if brand in _BRANDS:
                return _BRANDS[brand]
    for magic, name in _UNSUPPORTED:
        if re.match(magic, raw, re.DOTALL):
            raise RejectedPhoto(Reason.UNSUPPORTED, f"{name} file; save it as JPEG, PNG or WebP")
    start = raw[:24].decode("ascii", "backslashreplace")
    raise RejectedPhoto(Reason.NOT_AN_IMAGE, f"{len(raw):,} bytes that begin with {start!r}")


def open_picture(raw: bytes, kind: SourceFormat, limits: Limits) -> Picture:
    """Check the header of a PNG, GIF or WebP file and open it; raises RejectedPhoto."""
    read_size = {"png": _png_size, "gif": _gif_size, "webp": _webp_size}[kind]
    opener = {"png": _open_png, "gif": _open_gif, "webp": _open_webp}[kind]
    check_size(limits, read_size(raw), kind)
    try:
        picture = opener(raw)
    except DECODER_ERRORS as error:
        raise refusal(kind, error) from error
    check_size(limits, picture.image.size, kind)  # a GIF's frame may exceed its header
    return picture


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


def turned_upright(pixels: UInt8Array, orientation: int) -> UInt8Array:
    """Undo an EXIF orientation of (H, W, C) pixels; contiguous in memory."""
    # Whole pixels as one element: transposed 2.5 times as fast as their bytes.
    whole = np.ascontiguousarray(pixels).view(f"V{pixels.shape[2]}")[:, :, 0]
    if orientation >= 5:
        whole = whole.T
    if orientation in (2, 3, 6, 7):
        whole = whole[:, ::-1]
    if orientation in (3, 4, 7, 8):
        whole = whole[::-1]
    return np.ascontiguousarray(whole).view(np.uint8).reshape(*whole.shape, pixels.shape[2])


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


def _png_size(raw: bytes) -> tuple[int, int]:
    if raw[12:16] != b"IHDR" or len(raw) < 24:
        raise RejectedPhoto(Reason.CORRUPT, "PNG without a header chunk")
    return int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])


def _open_png(raw: bytes) -> Picture:
    """Hand Pillow only the chunks that make pixels: no text that inflates, no animation."""
    kept = [memoryview(raw)[:8]]
    profile, exif = None, b""
    code_points: tuple[int, int] | None = None
    for name, chunk in _png_chunks(raw):
        body = chunk[8:-4]
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(chunk)
        elif name == b"iCCP":
            profile = _inflated(bytes(body).partition(b"\0")[2][1:])
        elif name == b"cICP" and len(body) == 4:
            code_points = body[0], body[1]
        elif name == b"eXIf":
            exif = bytes(body)
        if name == b"tRNS" and raw[24] == 16:  # Pillow compares the key with 8-bit colours
            raise RejectedPhoto(Reason.UNSUPPORTED, "16-bit PNG with a transparent colour")
    if code_points is not None:
        profile = profile_of_code_points(*code_points)
    image = Image.open(BytesIO(b"".join(kept)), formats=["PNG"])
    return Picture(image=image, kind="png", orientation=exif_orientation(exif), icc_profile=profile)


def _png_chunks(raw: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and whole of each chunk up to IEND, checksums verified; raises RejectedPhoto."""
    position = 8
    for _ in range(MAX_PNG_CHUNKS):
        end = position + 12 + int.from_bytes(raw[position : position + 4])
        if end > len(raw):
            raise RejectedPhoto(Reason.TRUNCATED, f"PNG without its end in {len(raw):,} bytes")
        name = raw[position + 4 : position + 8]
        chunk = memoryview(raw)[position:end]
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise RejectedPhoto(Reason.CORRUPT, f"PNG checksum of the chunk at byte {position:,}")
        yield name, chunk
        if name == b"IEND":
            return
        position = end
    raise RejectedPhoto(Reason.UNSUPPORTED, f"PNG of more than {MAX_PNG_CHUNKS:,} chunks")


def _inflated(compressed: bytes) -> bytes | None:
    """The profile in an iCCP chunk; None where it is broken or larger than any in use."""
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed, MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _gif_size(raw: bytes) -> tuple[int, int]:
    if len(raw) < 13:
        raise RejectedPhoto(Reason.TRUNCATED, f"GIF of {len(raw)} bytes")
    return int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")


def _open_gif(raw: bytes) -> Picture:
    image = Image.open(BytesIO(raw), formats=["GIF"])
    return Picture(image=image, kind="gif", orientation=1, icc_profile=None)


def _webp_size(raw: bytes) -> tuple[int, int]:
    """Canvas size (RFC 9649, sections 2.5 to 2.7)."""
    announced = int.from_bytes(raw[4:8], "little") + 8
    if announced > len(raw) or len(raw) < 30:
        raise RejectedPhoto(Reason.TRUNCATED, f"WebP of {announced:,} bytes in {len(raw):,}")
    if raw[12:16] == b"VP8X":
        return 1 + int.from_bytes(raw[24:27], "little"), 1 + int.from_bytes(raw[27:30], "little")
    if raw[12:16] == b"VP8L":
        bits = int.from_bytes(raw[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if raw[12:16] == b"VP8 ":
        width, height = raw[26:28], raw[28:30]
        return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
    raise RejectedPhoto(Reason.CORRUPT, f"WebP that begins with a chunk {raw[12:16]!r}")


def _open_webp(raw: bytes) -> Picture:
    riff = raw[: int.from_bytes(raw[4:8], "little") + 8]
    image = Image.open(BytesIO(riff), formats=["WEBP"])
    exif: bytes = image.info.get("exif", b"")
    return Picture(
        image=image,
        kind="webp",
        orientation=exif_orientation(exif.removeprefix(b"Exif\0\0")),
        icc_profile=image.info.get("icc_profile"),
    )
