"""PNG, GIF and WebP files: told apart by their first bytes, checked, and opened undecoded.

What could bite is left out before a decoder sees it: text that inflates, later frames, whatever
follows the end. JPEG is read in petdata.jpeg_stream, AVIF and HEIC in petdata.isolated_decoder.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from PIL import Image

from petdata.errors import Reason, RejectedPhoto
from petdata.exif import exif_orientation
from petdata.limits import Limits
from petdata.pictures import DECODER_ERRORS, Picture, SourceFormat, check_size, refusal
from petdata.srgb import MAX_PROFILE_BYTES, profile_of_code_points

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

_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
# First column and row of each interlacing pass, and the steps to the next ones.
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_INFLATED_AT_ONCE: Final = 1 << 20


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


def _png_size(raw: bytes) -> tuple[int, int]:
    if raw[12:16] != b"IHDR" or len(raw) < 24:
        raise RejectedPhoto(Reason.CORRUPT, "PNG without a header chunk")
    return int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])


def _open_png(raw: bytes) -> Picture:
    """Hand Pillow only the chunks that make pixels: no text that inflates, no animation."""
    kept, compressed = [memoryview(raw)[:8]], []
    profile, exif = None, b""
    code_points: tuple[int, int] | None = None
    for name, chunk in _png_chunks(raw):
        body = chunk[8:-4]
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(chunk)
        if name == b"IDAT":
            compressed.append(body)
        elif name == b"iCCP":
            profile = _inflated(bytes(body).partition(b"\0")[2][1:])
        elif name == b"cICP" and len(body) == 4:
            code_points = body[0], body[1]
        elif name == b"eXIf":
            exif = bytes(body)
        elif name == b"tRNS" and raw[24] == 16:  # Pillow compares the key with 8-bit colours
            raise RejectedPhoto(Reason.UNSUPPORTED, "16-bit PNG with a transparent colour")
    _check_png_rows(raw[16:29], compressed)
    if code_points is not None:
        profile = profile_of_code_points(*code_points)
    image = Image.open(BytesIO(b"".join(kept)), formats=["PNG"])
    return Picture(image=image, kind="png", orientation=exif_orientation(exif), icc_profile=profile)


def _check_png_rows(header: bytes, compressed: list[memoryview]) -> None:
    """Refuse data that end before the last row: Pillow would leave it black."""
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    pixel_bits = bits * _PNG_CHANNELS.get(colour_type, 0)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    missing = 0
    for left, top, right_step, down_step in passes:
        columns, rows = -((left - width) // right_step), -((top - height) // down_step)
        if columns > 0:
            missing += rows * (1 + -(-columns * pixel_bits // 8))
    inflater = zlib.decompressobj()
    for data in compressed:
        rest: bytes | memoryview = data
        while rest and missing > 0:
            missing -= len(inflater.decompress(rest, _INFLATED_AT_ONCE))
            rest = inflater.unconsumed_tail
    if missing > 0:
        raise RejectedPhoto(Reason.TRUNCATED, f"PNG that lacks {missing:,} bytes of its rows")


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
