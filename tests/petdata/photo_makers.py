"""Photo files built for tests: one test picture in any format, and files no encoder would write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, YELLOW = (190, 60, 50), (80, 150, 80), (60, 80, 180), (200, 185, 80)
QUADRANTS = (RED, GREEN, BLUE, YELLOW)  # top left, top right, bottom left, bottom right
SECRET = b"GPS 55.7558 N 37.6173 E"  # must not be in any canonical JPEG


def quadrants() -> Image.Image:
    """Four colours, so that every turn and mirror image shows; with grain, as photos have."""
    return Image.fromarray(quadrant_pixels())


def quadrant_pixels(colours: Sequence[Sequence[int]] = QUADRANTS) -> NDArray[np.uint8]:
    corners = np.array(colours, np.int16).reshape(2, 2, -1)
    pixels = corners.repeat(HEIGHT // 2, axis=0).repeat(WIDTH // 2, axis=1)
    grain = np.random.default_rng(7).normal(0, 8, (HEIGHT, WIDTH, 1)).astype(np.int16)
    return (pixels + grain).clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    return encoded(image or quadrants(), "JPEG", **{"quality": 92, **options})


def exif(orientation: int) -> bytes:
    """EXIF as cameras write it: orientation, maker, GPS and a thumbnail."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = SECRET.decode()
    block.get_ifd(0x8825)[29] = SECRET.decode()
    return block.tobytes()


def stored_turned(orientation: int) -> Image.Image:
    """The test picture as a camera stores it that states this orientation."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quadrants()
    return image.transpose(undo[orientation]) if orientation in undo else image


def in_display_p3(colours: Sequence[Sequence[int]]) -> list[list[int]]:
    """sRGB colours as Display P3 numbers, worked out from the chromaticities of both (D65)."""
    srgb = _to_xyz(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
    p3 = _to_xyz(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)))
    encoded_values = np.array(colours) / 255
    low = encoded_values / 12.92
    linear = np.where(encoded_values <= 0.04045, low, ((encoded_values + 0.055) / 1.055) ** 2.4)
    mixed = (np.linalg.inv(p3) @ srgb @ linear.T).T.clip(0, 1)
    low, high = mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055
    numbers: list[list[int]] = (
        np.rint(255 * np.where(mixed <= 0.0031308, low, high)).astype(int).tolist()
    )
    return numbers


def _to_xyz(chromaticities: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in chromaticities]).T
    white = np.array((0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290))
    matrix: NDArray[np.float64] = columns * np.linalg.solve(columns, white)
    return matrix


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gray_profile(gamma: float) -> bytes:
    """A minimal ICC version 2 profile of gray with a plain power curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    return _icc(b"GRAY", {b"wtpt": _D50, b"kTRC": curve})


def rgb_profile(primaries: Sequence[Sequence[float]], gamma: float) -> bytes:
    """A minimal ICC version 2 display profile: D50 colourants and a plain power curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"wtpt": _D50}
    for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = _xyz(xyz)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _icc(b"RGB ", tags)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


_D50 = _xyz((0.9642, 1.0, 0.8249))


def _icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    table, values = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(values), len(value))
        values += value
    header = bytearray(128)
    header[0:4] = struct.pack(">I", offset + len(values))
    header[8:12] = b"\x02\x10\0\0"
    header[12:24] = b"mntr" + space + b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _D50[8:]
    return bytes(header) + table + values


# JPEG by hand ------------------------------------------------------------------------------------


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def with_segments(raw: bytes, *segments: bytes) -> bytes:
    """The same JPEG with these segments right behind its start marker."""
    return raw[:2] + b"".join(segments) + raw[2:]


def icc_segments(profile: bytes) -> list[bytes]:
    chunks = [profile[i : i + 65_000] for i in range(0, len(profile), 65_000)]
    return [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((n, len(chunks))) + chunk)
        for n, chunk in enumerate(chunks, start=1)
    ]


def segments_of(raw: bytes) -> list[tuple[int, bytes]]:
    """Marker and body of each segment, by a plain loop; entropy-coded data has marker 0."""
    found, position = [], 2
    while raw[position + 1] != 0xD9:
        marker = raw[position + 1]
        end = position + 2 + int.from_bytes(raw[position + 2 : position + 4])
        found.append((marker, raw[position + 4 : end]))
        position = end
        if marker == 0xDA:
            while raw[position] != 0xFF or raw[position + 1] in (0, *range(0xD0, 0xD8)):
                position += 1
            found.append((0, raw[end:position]))
    return found


def flat_jpeg(
    width: int,
    height: int,
    *,
    sampling: Sequence[tuple[int, int]] = ((1, 1),),
    frame: int = 0xC0,
    precision: int = 8,
    data: bytes | None = None,
) -> bytes:
    """A sequential JPEG of one gray, however large, in 2 bits a block."""
    widest, tallest = max(h for h, _ in sampling), max(v for _, v in sampling)
    if len(sampling) == 1:
        blocks = -(-width // 8) * -(-height // 8)
    else:
        units = -(-width // (8 * widest)) * -(-height // (8 * tallest))
        blocks = units * sum(h * v for h, v in sampling)
    if data is None:
        full, rest = divmod(2 * blocks, 8)  # a 0 for "same brightness", a 0 for "end of block"
        data = bytes(full) + (bytes((0xFF >> rest,)) if rest else b"")
    return (
        b"\xff\xd8"
        + _quantisation()
        + _frame(frame, width, height, sampling, precision)
        + _one_code(0x00, 0x00)
        + _one_code(0x10, 0x00)
        + _scan_header(range(1, len(sampling) + 1), 0, 63, 0, 0)
        + data
        + b"\xff\xd9"
    )


def progressive_jpeg(width: int, height: int, scans: Sequence[tuple[int, int, int, int]]) -> bytes:
    """A flat gray progressive JPEG; scans are first and last coefficient, high and low bit."""
    blocks = -(-width // 8) * -(-height // 8)
    raw = b"\xff\xd8" + _quantisation() + _frame(0xC2, width, height, ((1, 1),), 8)
    for first, last, high, low in scans:
        if first:
            # code 0 and 14 bits: this block and the next 2**14 - 1 + bits end here (EOB14)
            runs, rest = divmod(blocks, 2**15 - 1)
            bits = "0" + "1" * 14
            bits *= runs
            if rest >= 2**14:
                bits += "0" + f"{rest - 2**14:014b}"
                rest = 0
            raw += _one_code(0x10, 0xE0) + _scan_header([1], first, last, high, low)
            if rest:
                raise ValueError("choose a size whose last run is 16,384 blocks or longer")
        else:
            bits = "0" * blocks
            raw += _one_code(0x00, 0x00) + _scan_header([1], 0, last, high, low)
        bits += "1" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8)
        raw += data.replace(b"\xff", b"\xff\0")
    return raw + b"\xff\xd9"


def _quantisation() -> bytes:
    return segment(0xDB, b"\0" + bytes([16] * 64))


def _frame(
    marker: int, width: int, height: int, sampling: Sequence[tuple[int, int]], precision: int
) -> bytes:
    body = struct.pack(">BHHB", precision, height, width, len(sampling))
    for number, (h, v) in enumerate(sampling, start=1):
        body += bytes((number, h << 4 | v, 0))
    return segment(marker, body)


def _one_code(table: int, symbol: int) -> bytes:
    """A Huffman table in which the code 0 means this symbol."""
    return segment(0xC4, bytes((table, 1)) + bytes(15) + bytes((symbol,)))


def _scan_header(components: Sequence[int], first: int, last: int, high: int, low: int) -> bytes:
    body = bytes((len(components),)) + b"".join(bytes((c, 0)) for c in components)
    return segment(0xDA, body + bytes((first, last, high << 4 | low)))


# PNG, GIF and WebP by hand ------------------------------------------------------------------------


def png_chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int, bits: int = 8, colour_type: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def png(
    rows: NDArray[Any], *extra: bytes, bits: int = 8, colour_type: int = 2, after: bytes = b""
) -> bytes:
    """(H, W, C) samples, packed already where they are below 8 bits, with extra chunks."""
    big_endian = rows.astype(">u2") if bits == 16 else rows
    height, width = rows.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in big_endian)
    header = png_header(width * 8 // bits if bits < 8 else width, height, bits, colour_type)
    data = png_chunk(b"IDAT", zlib.compress(lines))
    return header + b"".join(extra) + data + after + png_chunk(b"IEND")


def interlaced_png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) in the seven passes of Adam7."""
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    lines = b"".join(
        b"\0" + line.tobytes()
        for top, left, down, right in passes
        for line in pixels[top::down, left::right]
    )
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(lines))
        + png_chunk(b"IEND")
    )


def png_with(raw: bytes, *extra: bytes) -> bytes:
    """The same PNG with these chunks right behind its header."""
    return raw[:33] + b"".join(extra) + raw[33:]


def flat_png(width: int, height: int, *extra: bytes, colour_type: int = 0) -> bytes:
    """One colour, however large, without holding its pixels."""
    deflate = zlib.compressobj(9)
    line = bytes(1 + width * (4 if colour_type == 6 else 1))
    data = b"".join(deflate.compress(line) for _ in range(height)) + deflate.flush()
    header = png_header(width, height, 8, colour_type)
    return header + b"".join(extra) + png_chunk(b"IDAT", data) + png_chunk(b"IEND")


@cache
def zeros_deflated(megabytes: int) -> bytes:
    deflate = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(deflate.compress(block) for _ in range(megabytes)) + deflate.flush()


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"WEBP"
    for name, content in chunks:
        body += name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunks(raw: bytes) -> list[tuple[bytes, bytes]]:
    chunks, position = [], 12
    while position + 8 <= len(raw):
        size = int.from_bytes(raw[position + 4 : position + 8], "little")
        chunks.append((raw[position : position + 4], raw[position + 8 : position + 8 + size]))
        position += 8 + size + size % 2
    return chunks


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes((flags, 0, 0, 0)) + size


# AVIF and HEIC by hand ----------------------------------------------------------------------------


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + name + body


def find_box(raw: bytes, name: bytes) -> bytes:
    """The first box of that name, by its four letters."""
    start = raw.index(name) - 4
    return raw[start : start + int.from_bytes(raw[start : start + 4])]


def grid_of(raw: bytes, *, columns: int, rows: int, width: int, height: int) -> bytes:
    """A grid (ISO/IEC 23008-12, 6.6.2.3) whose tiles are all the one picture of an AVIF or HEIC."""
    item = b"av01" if b"av1C" in raw else b"hvc1"
    codec = find_box(raw, b"av1C" if item == b"av01" else b"hvcC")
    tile_size = find_box(raw, b"ispe")
    start, length = _first_extent(raw)
    tile = raw[start : start + length]
    grid = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    tiles = columns * rows
    meta_size = len(_grid_meta(item, codec, tile_size, tiles, (width, height), (0, 0, 0)))
    brand = b"avif" if item == b"av01" else b"heic"
    head = box(b"ftyp", brand, b"\0\0\0\0", brand, b"mif1")
    data_start = len(head) + meta_size + 8
    where = (data_start, len(grid), len(tile))
    meta = _grid_meta(item, codec, tile_size, tiles, (width, height), where)
    return head + meta + box(b"mdat", grid, tile)


def _grid_meta(
    item: bytes,
    codec: bytes,
    tile_size: bytes,
    tiles: int,
    size: tuple[int, int],
    where: tuple[int, int, int],
) -> bytes:
    """Item 1 is the grid, items 2 and up its tiles; `where`: grid, its length, a tile's length."""
    data_start, grid_length, tile_length = where
    infos = box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"grid\0")
    infos += b"".join(
        box(b"infe", b"\2\0\0\1", struct.pack(">HH", n, 0), item, b"\0")
        for n in range(2, tiles + 2)
    )
    places = struct.pack(">HHHII", 1, 0, 1, data_start, grid_length)
    places += b"".join(
        struct.pack(">HHHII", n, 0, 1, data_start + grid_length, tile_length)
        for n in range(2, tiles + 2)
    )
    references = struct.pack(">HH", 1, tiles)
    references += b"".join(struct.pack(">H", n) for n in range(2, tiles + 2))
    pixels = box(b"pixi", b"\0\0\0\0\3\x08\x08\x08")
    properties = box(
        b"ipco", box(b"ispe", bytes(4), struct.pack(">II", *size)), tile_size, codec, pixels
    )
    links = struct.pack(">HBBB", 1, 2, 0x81, 0x04)
    links += b"".join(struct.pack(">HBBBB", n, 3, 0x02, 0x83, 0x04) for n in range(2, tiles + 2))
    return box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", bytes(4), struct.pack(">H", 1)),
        box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", tiles + 1), places),
        box(b"iinf", bytes(4), struct.pack(">H", tiles + 1), infos),
        box(b"iref", bytes(4), box(b"dimg", references)),
        box(b"iprp", properties, box(b"ipma", bytes(4), struct.pack(">I", tiles + 1), links)),
    )


def _first_extent(raw: bytes) -> tuple[int, int]:
    """Offset and length of the first item of the media data box, which our encoders fill alone."""
    data = find_box(raw, b"mdat")
    return raw.index(b"mdat") + 4, len(data) - 8
