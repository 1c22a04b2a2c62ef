"""Bad, odd and malicious photo files, each with its documented outcome.

`HOSTILE_PHOTOS` maps a name to a file and what must come of it. Files are made on request, because
some are large. The sane ones show `photo_makers.quadrants()`, so that wrong turns and wrong colours
are seen. The HEIC files in photos/ are that picture too, written by pillow-heif 1.8; its bombs are
flat and some 60 megapixels large.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import simplejpeg
from PIL import Image

import photo_makers as make
from petdata.errors import Reason
from petdata.limits import Limits
from petdata.srgb import MAX_PROFILE_BYTES
from photo_makers import HEIGHT, QUADRANTS, SECRET, WIDTH, encoded, quadrants, segment

Colours: TypeAlias = Sequence[tuple[int, int, int]]
WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class HostilePhoto:
    make: Callable[[], bytes]
    reason: Reason | None = None  # None: the photo is kept
    reencoded: bool = True
    size: tuple[int, int] = (WIDTH, HEIGHT)
    colours: Colours | None = QUADRANTS  # of the four quadrants; None where that is not the point


def _refused(reason: Reason, **makers: Callable[[], bytes]) -> dict[str, HostilePhoto]:
    return {name: HostilePhoto(make=maker, reason=reason) for name, maker in makers.items()}


def _stripped(**makers: Callable[[], bytes]) -> dict[str, HostilePhoto]:
    """JPEGs whose coded data stays."""
    return {name: HostilePhoto(make=maker, reencoded=False) for name, maker in makers.items()}


def _converted(**makers: Callable[[], bytes]) -> dict[str, HostilePhoto]:
    return {name: HostilePhoto(make=maker) for name, maker in makers.items()}


def _fixture(name: str) -> bytes:
    return (Path(__file__).parent / "photos" / name).read_bytes()


# JPEG --------------------------------------------------------------------------------------------


def _progressive() -> bytes:
    return make.jpeg(progressive=True)


def _cut(share: float, end: bytes = b"", *, raw: Callable[[], bytes] = make.jpeg) -> bytes:
    whole = raw()
    data_start = whole.index(b"\xff\xda")
    return whole[: data_start + 20 + round(share * (len(whole) - data_start - 22))] + end


def _with_garbage(garbage: bytes, *, replace: bool = True) -> bytes:
    """Bytes put into the middle of the coded data."""
    whole = make.jpeg()
    middle = (whole.index(b"\xff\xda") + len(whole)) // 2
    return whole[:middle] + garbage + whole[middle + (len(garbage) if replace else 0) :]


def _without_last_scan(end: bytes = b"\xff\xd9") -> bytes:
    whole = _progressive()
    return whole[: whole.rindex(b"\xff\xda")] + end


def _frame_marker(marker: int) -> bytes:
    return make.jpeg().replace(b"\xff\xc0", bytes((0xFF, marker)), 1)


def _without(marker: int) -> bytes:
    """The test picture without its segments of one kind."""
    whole = make.jpeg()
    for body in [body for m, body in make.segments_of(whole) if m == marker]:
        whole = whole.replace(segment(marker, body), b"", 1)
    return whole


def _noise_jpeg() -> bytes:
    return bytes(np.random.default_rng(3).integers(0, 255, 400, np.uint8))


def _jfif_thumbnail() -> bytes:
    thumbnail = (SECRET * 3)[: 3 * 4 * 4]
    body = b"JFIF\0\1\2\0\0\1\0\1\4\4" + thumbnail
    whole = make.jpeg()
    first = segment(0xE0, make.segments_of(whole)[0][1])
    return whole.replace(first, segment(0xE0, body) + segment(0xE0, b"JFXX\0\x10" + SECRET))


def _motion_photo() -> bytes:
    video = b"\0\0\0\x18ftypmp42" + SECRET * 100
    return make.jpeg() + video + b"MotionPhoto_Data"


def _multi_picture() -> bytes:
    index = segment(0xE2, b"MPF\0II*\0" + SECRET)
    return make.with_segments(make.jpeg(), index) + make.jpeg(exif=make.exif(1))


def _huge_metadata() -> bytes:
    extended = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + SECRET * 2_800)
    return make.with_segments(make.jpeg(), *[extended] * 400)


def _ycck() -> bytes:
    ink = 255 - np.asarray(quadrants().convert("CMYK"))
    raw: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(ink), quality=95, colorspace="CMYK", colorsubsampling="444"
    )
    return raw


def _rgb_jpeg() -> bytes:
    return make.jpeg(keep_rgb=True)


def _p3_image() -> Image.Image:
    return Image.fromarray(make.quadrant_pixels(make.in_display_p3(QUADRANTS)))


def _p3_profile() -> bytes:
    from petdata.srgb import profile_of_code_points

    profile = profile_of_code_points(12, 13)
    assert profile is not None
    return profile


def _with_icc(profile: bytes, image: Image.Image | None = None) -> bytes:
    return make.with_segments(make.jpeg(image), *make.icc_segments(profile))


def _missing_icc_chunk() -> bytes:
    chunk = b"ICC_PROFILE\0\2\2" + make.srgb_profile()
    return make.with_segments(make.jpeg(), segment(0xE2, chunk))


def _looping_exif() -> bytes:
    """A directory that points to itself, with 65,535 entries announced."""
    directory = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x8769, 4, 1, 8) * 20
    return make.with_segments(make.jpeg(), segment(0xE1, b"Exif\0\0" + directory + SECRET))


def _many_scans() -> bytes:
    scans = [(0, 0, 0, 0)] + [(k, k, 0, 1) for k in range(1, 64)]
    scans += [(k, k, 1, 0) for k in range(1, 64)]
    return make.progressive_jpeg(8_160, 6_120, scans)


_JPEG: Final = {
    **_refused(
        Reason.TRUNCATED,
        jpeg_magic_only=lambda: b"\xff\xd8\xff",
        jpeg_ends_in_a_length=lambda: b"\xff\xd8\xff\xe0\0",
        jpeg_ends_in_a_segment=lambda: make.jpeg()[:100],
        jpeg_ends_before_the_scan=lambda: make.jpeg()[: make.jpeg().index(b"\xff\xda")],
        jpeg_cut_at_1_percent=partial(_cut, 0.01),
        jpeg_cut_at_half=partial(_cut, 0.5),
        jpeg_cut_at_99_percent=partial(_cut, 0.99),
        jpeg_without_end_marker=lambda: make.jpeg()[:-2],
        jpeg_without_last_byte=lambda: make.jpeg()[:-1],
        jpeg_cut_at_1_percent_end_marker_glued_on=partial(_cut, 0.01, b"\xff\xd9"),
        jpeg_cut_at_half_end_marker_glued_on=partial(_cut, 0.5, b"\xff\xd9"),
        jpeg_cut_at_99_percent_end_marker_glued_on=partial(_cut, 0.99, b"\xff\xd9"),
        jpeg_cut_tail_zeroed=partial(_cut, 0.5, bytes(5_000)),
        progressive_cut_in_first_scan=partial(_cut, 0.02, b"\xff\xd9", raw=_progressive),
        progressive_cut_in_last_scan=partial(_cut, 0.99, b"\xff\xd9", raw=_progressive),
        progressive_without_last_scan=_without_last_scan,
        progressive_without_last_scan_nor_end=partial(_without_last_scan, b""),
        progressive_first_scan_alone=lambda: make.progressive_jpeg(1_032, 1_024, [(0, 0, 0, 1)]),
        fill_bytes_for_a_megabyte=lambda: b"\xff\xd8" + b"\xff" * 1_000_000,
    ),
    **_refused(
        Reason.CORRUPT,
        jpeg_garbage_in_the_middle=lambda: _with_garbage(_noise_jpeg()),
        jpeg_garbage_put_in=lambda: _with_garbage(_noise_jpeg(), replace=False),
        jpeg_no_huffman_table=partial(_without, 0xC4),
        jpeg_no_quantisation_table=partial(_without, 0xDB),
        jpeg_no_frame=partial(_without, 0xC0),
        jpeg_no_picture=lambda: b"\xff\xd8" + segment(0xFE, SECRET) + b"\xff\xd9",
        jpeg_two_frames=lambda: make.with_segments(
            make.jpeg(), segment(0xC0, make.segments_of(make.flat_jpeg(9, 9))[1][1])
        ),
        jpeg_segment_of_length_0=lambda: make.with_segments(make.jpeg(), b"\xff\xe1\0\0"),
        jpeg_bytes_between_segments=lambda: make.with_segments(
            make.jpeg(), segment(0xFE, SECRET), b"\0" * 64
        ),
        jpeg_start_marker_twice=lambda: make.with_segments(make.jpeg(), b"\xff\xd8"),
        jpeg_width_0=lambda: make.flat_jpeg(0, 64, data=b""),
        jpeg_scan_of_another_component=lambda: make.jpeg().replace(
            b"\xff\xda\0\x0c\3\1", b"\xff\xda\0\x0c\3\x63"
        ),
        progressive_scan_repeated=lambda: make.progressive_jpeg(
            1_032, 1_024, [(0, 0, 0, 0)] * 50 + [(1, 63, 0, 0)]
        ),
        jpeg_data_after_the_last_block=lambda: make.jpeg()[:-2] + SECRET + b"\xff\xd9",
    ),
    **_refused(
        Reason.UNSUPPORTED,
        jpeg_lossless=partial(_frame_marker, 0xC3),
        jpeg_hierarchical=partial(_frame_marker, 0xC5),
        jpeg_arithmetic=partial(_frame_marker, 0xC9),
        jpeg_arithmetic_progressive=partial(_frame_marker, 0xCA),
        jpeg_12_bit=lambda: make.flat_jpeg(WIDTH, HEIGHT, frame=0xC1, precision=12),
        jpeg_height_stated_later=lambda: make.flat_jpeg(WIDTH, 0, data=b""),
        jpeg_2_components=lambda: make.flat_jpeg(WIDTH, HEIGHT, sampling=((1, 1), (1, 1))),
        jpeg_odd_subsampling=lambda: make.flat_jpeg(
            WIDTH, HEIGHT, sampling=((3, 1), (1, 1), (1, 1))
        ),
        jpeg_100_000_segments=lambda: make.with_segments(make.jpeg(), segment(0xE5, b"") * 100_000),
        jpeg_127_scans_of_50_megapixels=_many_scans,
        jpeg_reserved_marker=lambda: make.with_segments(make.jpeg(), segment(0xF3, SECRET)),
    ),
    **_refused(
        Reason.TOO_MANY_PIXELS,
        jpeg_65_500_squared=lambda: make.flat_jpeg(65_500, 65_500, data=b""),
        jpeg_65_535_wide=lambda: make.flat_jpeg(65_535, 64),
        jpeg_100_megapixels_flat=lambda: make.flat_jpeg(10_000, 10_000),
        cmyk_50_megapixels=lambda: make.flat_jpeg(8_000, 6_000, sampling=((1, 1),) * 4),
    ),
    **_stripped(
        jpeg_plain=make.jpeg,
        jpeg_progressive=_progressive,
        jpeg_444=lambda: make.jpeg(subsampling="4:4:4"),
        jpeg_422=lambda: make.jpeg(subsampling="4:2:2"),
        jpeg_rgb=_rgb_jpeg,
        jpeg_restart_markers=lambda: make.jpeg(restart_marker_blocks=1),
        jpeg_exif_gps=lambda: make.jpeg(exif=make.exif(1)),
        jpeg_xmp=lambda: make.jpeg(xmp=b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"),
        jpeg_iptc=lambda: make.with_segments(
            make.jpeg(), segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04" + SECRET)
        ),
        jpeg_comment=lambda: make.jpeg(comment=SECRET),
        jpeg_jfif_thumbnail=_jfif_thumbnail,
        jpeg_motion_photo=_motion_photo,
        jpeg_multi_picture=_multi_picture,
        jpeg_zip_behind=lambda: make.jpeg() + b"PK\3\4" + SECRET + b"<script>alert(1)</script>",
        jpeg_script_in_comment=lambda: make.jpeg(comment=b"*/<script>" + SECRET + b"</script>/*"),
        jpeg_26_megabytes_of_metadata=_huge_metadata,
        jpeg_fill_bytes=lambda: make.jpeg().replace(b"\xff\xd9", b"\xff" * 50_000 + b"\xd9"),
        jpeg_icc_srgb=lambda: _with_icc(make.srgb_profile()),
        jpeg_icc_garbage=lambda: _with_icc(SECRET * 100),
        jpeg_icc_too_large=lambda: _with_icc(SECRET * (1 + MAX_PROFILE_BYTES // len(SECRET))),
        jpeg_icc_chunk_missing=_missing_icc_chunk,
        jpeg_icc_of_gray=lambda: _with_icc(make.gray_profile(1.8)),
        jpeg_exif_that_loops=_looping_exif,
        jpeg_exif_orientation_0=lambda: make.jpeg(exif=make.exif(0)),
        jpeg_exif_orientation_9=lambda: make.jpeg(exif=make.exif(9)),
    ),
    "jpeg_gray": HostilePhoto(
        make=lambda: make.jpeg(quadrants().convert("L")), reencoded=False, colours=None
    ),
    "jpeg_50_megapixels_flat": HostilePhoto(
        make=lambda: make.flat_jpeg(8_160, 6_120),
        reencoded=False,
        size=(8_160, 6_120),
        colours=None,
    ),
    "jpeg_50_megapixels_turned": HostilePhoto(
        make=lambda: make.with_segments(
            make.flat_jpeg(8_160, 6_120, sampling=((2, 2), (1, 1), (1, 1))),
            segment(0xE1, make.exif(6)),
        ),
        size=(6_120, 8_160),
        colours=None,
    ),
    "cmyk_12_megapixels": HostilePhoto(
        make=lambda: make.flat_jpeg(4_000, 3_000, sampling=((1, 1),) * 4),
        size=(4_000, 3_000),
        colours=None,
    ),
    "progressive_64_scans_of_50_megapixels": HostilePhoto(
        make=lambda: make.progressive_jpeg(
            8_160, 6_120, [(0, 0, 0, 0)] + [(k, k, 0, 0) for k in range(1, 64)]
        ),
        reencoded=False,
        size=(8_160, 6_120),
        colours=None,
    ),
    **_converted(
        **{
            f"jpeg_orientation_{n}": partial(
                lambda n: make.jpeg(make.stored_turned(n), exif=make.exif(n)), n
            )
            for n in range(2, 9)
        },
        jpeg_display_p3=lambda: _with_icc(_p3_profile(), _p3_image()),
        jpeg_cmyk=lambda: make.jpeg(quadrants().convert("CMYK")),
        jpeg_cmyk_progressive=lambda: make.jpeg(quadrants().convert("CMYK"), progressive=True),
        jpeg_ycck=_ycck,
    ),
}


# PNG ---------------------------------------------------------------------------------------------


def _rgb16() -> bytes:
    return make.png(make.quadrant_pixels().astype(np.uint16) * 257, bits=16)


def _gray16() -> bytes:
    gray = np.asarray(quadrants().convert("L")).astype(np.uint16) * 257
    return make.png(gray[:, :, np.newaxis], bits=16, colour_type=0)


def _top_left_transparent() -> Image.Image:
    image = quadrants().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, WIDTH // 2, HEIGHT // 2))
    return image


def _transparent_palette() -> bytes:
    indices = np.arange(4, dtype=np.uint8).reshape(2, 2)
    rows = indices.repeat(HEIGHT // 2, 0).repeat(WIDTH // 2, 1)[:, :, np.newaxis]
    palette = make.png_chunk(b"PLTE", bytes(v for colour in QUADRANTS for v in colour))
    return make.png(rows, palette, make.png_chunk(b"tRNS", b"\0"), colour_type=3)


def _transparent_colour() -> bytes:
    pixels = make.quadrant_pixels()
    pixels[: HEIGHT // 2, : WIDTH // 2] = (1, 2, 3)
    return make.png(pixels, make.png_chunk(b"tRNS", bytes((0, 1, 0, 2, 0, 3))))


def _one_bit() -> bytes:
    rows = np.zeros((HEIGHT, WIDTH // 8, 1), np.uint8)
    rows[:, WIDTH // 16 :] = 255
    return make.png(rows, bits=1, colour_type=0)


def _animated_png(frames: int) -> bytes:
    control = make.png_chunk(b"acTL", struct.pack(">II", frames, 0))
    step = struct.pack(">IIIIIHHBB", 0, 60_000, 60_000, 0, 0, 1, 1, 0, 0)
    data = make.png_chunk(b"fdAT", struct.pack(">I", 1) + make.zeros_deflated(1))
    later = (make.png_chunk(b"fcTL", step) + data) * frames
    return make.png(make.quadrant_pixels(), control, after=later)


def _png_with(name: bytes, body: bytes) -> bytes:
    return make.png_with(encoded(quadrants(), "PNG"), make.png_chunk(name, body))


def _lying_png() -> bytes:
    """Data that inflate to 400 MB behind a header of 96 x 64 pixels."""
    data = make.png_chunk(b"IDAT", make.zeros_deflated(400))
    return make.png_header(WIDTH, HEIGHT) + data + make.png_chunk(b"IEND")


def _png_checksum_wrong() -> bytes:
    raw = bytearray(encoded(quadrants(), "PNG"))
    raw[raw.index(b"IDAT") + 50] ^= 1
    return bytes(raw)


_PNG: Final = {
    **_refused(
        Reason.TRUNCATED,
        png_size_alone=lambda: encoded(quadrants(), "PNG")[:24],
        png_cut_at_half=lambda: encoded(quadrants(), "PNG")[:5_000],
        png_without_end=lambda: encoded(quadrants(), "PNG")[:-12],
        png_rows_missing=lambda: (
            make.png_header(WIDTH, 2 * HEIGHT) + encoded(quadrants(), "PNG")[33:]
        ),
        png_chunk_of_4_gigabytes=lambda: make.png_header(99, 99) + b"\xff\xff\xff\xffIDAT" + SECRET,
    ),
    **_refused(
        Reason.CORRUPT,
        png_checksum_wrong=_png_checksum_wrong,
        png_without_header=lambda: b"\x89PNG\r\n\x1a\n" + make.png_chunk(b"IDAT", SECRET),
        png_data_are_noise=lambda: (
            make.png_header(WIDTH, HEIGHT)
            + make.png_chunk(b"IDAT", SECRET * 50)
            + make.png_chunk(b"IEND")
        ),
        png_unknown_colour_type=lambda: (
            make.png_header(WIDTH, HEIGHT, 8, 5) + encoded(quadrants(), "PNG")[33:]
        ),
    ),
    **_refused(
        Reason.TOO_MANY_PIXELS,
        png_100_000_squared=lambda: (
            make.png_header(100_000, 100_000)
            + make.png_chunk(b"IDAT", make.zeros_deflated(1))
            + make.png_chunk(b"IEND")
        ),
        png_400_megapixels_flat=lambda: (
            make.png_header(20_000, 20_000, 8, 0)
            + make.png_chunk(b"IDAT", make.zeros_deflated(400))
            + make.png_chunk(b"IEND")
        ),
        png_wider_than_jpeg_can_be=lambda: make.flat_png(65_600, 32),
        png_40_megapixels=lambda: make.flat_png(8_000, 5_000),
    ),
    **_refused(
        Reason.UNSUPPORTED,
        png_200_000_chunks=lambda: make.png_with(
            encoded(quadrants(), "PNG"), make.png_chunk(b"tIME", bytes(7)) * 200_000
        ),
        png_16_bit_transparent_colour=lambda: make.png_with(
            _rgb16(), make.png_chunk(b"tRNS", bytes(6))
        ),
        png_hdr=lambda: _png_with(b"cICP", bytes((9, 16, 0, 1))),
    ),
    "png_width_0": HostilePhoto(
        make=lambda: make.png_header(0, 64) + make.png_chunk(b"IEND"),
        reason=Reason.TOO_FEW_PIXELS,
    ),
    **_converted(
        png_plain=lambda: encoded(quadrants(), "PNG"),
        png_16_bit=_rgb16,
        png_interlaced=lambda: make.interlaced_png(make.quadrant_pixels()),
        png_exif_turned=lambda: encoded(make.stored_turned(6), "PNG", exif=make.exif(6)),
        png_text_bomb=lambda: _png_with(b"zTXt", b"Comment\0\0" + make.zeros_deflated(400)),
        png_international_text_bomb=lambda: _png_with(
            b"iTXt", b"Comment\0\1\0\0\0" + make.zeros_deflated(400)
        ),
        png_icc_bomb=lambda: _png_with(b"iCCP", b"icc\0\0" + make.zeros_deflated(400)),
        png_text=lambda: _png_with(b"tEXt", b"GPS\0" + SECRET),
        png_animated=partial(_animated_png, 2_000),
        png_display_p3=lambda: encoded(_p3_image(), "PNG", icc_profile=_p3_profile()),
        png_display_p3_by_number=lambda: make.png_with(
            encoded(_p3_image(), "PNG"), make.png_chunk(b"cICP", bytes((12, 13, 0, 1)))
        ),
        png_zip_behind=lambda: encoded(quadrants(), "PNG") + b"PK\3\4" + SECRET,
    ),
    "png_transparent": HostilePhoto(
        make=lambda: encoded(_top_left_transparent(), "PNG"), colours=(WHITE, *QUADRANTS[1:])
    ),
    "png_transparent_palette": HostilePhoto(
        make=_transparent_palette, colours=(WHITE, *QUADRANTS[1:])
    ),
    "png_transparent_colour": HostilePhoto(
        make=_transparent_colour, colours=(WHITE, *QUADRANTS[1:])
    ),
    "png_16_bit_gray": HostilePhoto(
        make=_gray16,
        colours=tuple((round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in QUADRANTS),
    ),
    "png_1_bit": HostilePhoto(make=_one_bit, colours=((0, 0, 0), WHITE, (0, 0, 0), WHITE)),
    "png_that_inflates_to_400_megabytes": HostilePhoto(make=_lying_png, colours=[(0, 0, 0)] * 4),
    "png_27_megapixels_transparent_turned": HostilePhoto(
        make=lambda: make.flat_png(
            6_000, 4_600, make.png_chunk(b"eXIf", make.exif(6)[6:]), colour_type=6
        ),
        size=(4_600, 6_000),
        colours=None,
    ),
}


# GIF and WebP ------------------------------------------------------------------------------------


def _gif(frames: int = 1) -> bytes:
    later = [Image.new("RGB", (WIDTH, HEIGHT), (n % 256, 99, 0)) for n in range(1, frames)]
    return encoded(quadrants(), "GIF", save_all=frames > 1, append_images=later)


def _gif_screen(width: int, height: int) -> bytes:
    raw = _gif()
    return raw[:6] + struct.pack("<HH", width, height) + raw[10:]


def _gif_frame_beyond_screen() -> bytes:
    raw = _gif()
    frame = raw.index(b"\x2c" + struct.pack("<HHHH", 0, 0, WIDTH, HEIGHT))
    return raw[: frame + 1] + b"\xff" * 8 + raw[frame + 9 :]


def _gif_comments(count: int) -> bytes:
    raw = _gif()
    frame = raw.index(b"\x2c" + struct.pack("<HHHH", 0, 0, WIDTH, HEIGHT))
    comment = b"\x21\xfe" + bytes((len(SECRET),)) + SECRET + b"\0"
    return raw[:frame] + comment * count + raw[frame:]


def _webp(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or quadrants(), "WEBP", **{"quality": 92, **options})


def _webp_frames(count: int) -> bytes:
    """An animation that repeats one frame."""
    name, data = make.webp_chunks(_webp())[0]
    position = bytes(6) + (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    still = name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    frame = (b"ANMF", position + b"\x64\0\0\0" + still)
    return make.riff(make.vp8x(WIDTH, HEIGHT, 2), (b"ANIM", bytes(6)), *[frame] * count)


def _flat_webp(width: int, height: int) -> bytes:
    return encoded(Image.new("L", (width, height)), "WEBP", lossless=True, quality=0, method=0)


def _webp_canvas(width: int, height: int) -> bytes:
    return make.riff(make.vp8x(width, height), *make.webp_chunks(_webp()))


_GIF_AND_WEBP: Final = {
    **_refused(
        Reason.TRUNCATED,
        gif_magic_only=lambda: b"GIF89a",
        gif_cut_at_half=lambda: _gif()[: len(_gif()) // 2],
        webp_magic_only=lambda: b"RIFF\x10\0\0\0WEBPVP8 ",
        webp_cut_at_half=lambda: _webp()[: len(_webp()) // 2],
        webp_without_last_byte=lambda: _webp()[:-1],
        webp_length_of_4_gigabytes=lambda: _webp()[:4] + b"\xff\xff\xff\xff" + _webp()[8:],
    ),
    **_refused(
        Reason.CORRUPT,
        webp_without_picture=lambda: make.riff(make.vp8x(WIDTH, HEIGHT), (b"EXIF", SECRET)),
        webp_unknown_chunk=lambda: make.riff((b"ABCD", SECRET)),
        webp_canvas_of_another_size=partial(_webp_canvas, 500, 500),
        webp_data_are_noise=lambda: _webp()[:40] + SECRET * 20 + _webp()[40 + 20 * len(SECRET) :],
    ),
    **_refused(
        Reason.TOO_MANY_PIXELS,
        gif_65_535_squared=partial(_gif_screen, 65_535, 65_535),
        gif_and_javascript=lambda: b"GIF89a/*" + SECRET + b"*/=1;alert(document.cookie)",
        gif_frame_beyond_screen=_gif_frame_beyond_screen,
        webp_canvas_16_384_squared=partial(_webp_canvas, 16_384, 16_384),
        webp_canvas_16_777_216_squared=partial(_webp_canvas, 1 << 24, 1 << 24),
        webp_16_383_squared_flat=lambda: make.riff((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(20))),
        webp_20_megapixels=lambda: _flat_webp(5_000, 4_000),
    ),
    "gif_tracking_pixel": HostilePhoto(
        make=lambda: encoded(Image.new("L", (1, 1)), "GIF"), reason=Reason.TOO_FEW_PIXELS
    ),
    **_converted(
        gif_plain=_gif,
        gif_animated=partial(_gif, 200),
        gif_50_000_comments=partial(_gif_comments, 50_000),
        webp_plain=_webp,
        webp_lossless=lambda: _webp(lossless=True),
        webp_5_000_frames=partial(_webp_frames, 5_000),
        webp_exif_turned=lambda: _webp(make.stored_turned(8), exif=make.exif(8)),
        webp_display_p3=lambda: _webp(_p3_image(), icc_profile=_p3_profile()),
        webp_bytes_behind=lambda: _webp() + SECRET,
    ),
    "gif_transparent": HostilePhoto(
        make=lambda: encoded(_top_left_transparent(), "GIF"), colours=(WHITE, *QUADRANTS[1:])
    ),
    "webp_transparent": HostilePhoto(
        make=lambda: _webp(_top_left_transparent()), colours=(WHITE, *QUADRANTS[1:])
    ),
    "webp_13_megapixels_flat": HostilePhoto(
        make=partial(_flat_webp, 4_000, 3_250), size=(4_000, 3_250), colours=None
    ),
    "gif_40_megapixels_around_a_small_frame": HostilePhoto(
        make=partial(_gif_screen, 8_000, 5_000), size=(8_000, 5_000), colours=None
    ),
}


# AVIF and HEIC -----------------------------------------------------------------------------------


def _avif(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or quadrants(), "AVIF", **{"quality": 92, **options})


def _restated(raw: bytes, old: tuple[int, int], new: tuple[int, int]) -> bytes:
    """The same file with another size in its container than in its coded picture."""
    return raw.replace(struct.pack(">II", *old), struct.pack(">II", *new))


def _avif_p3() -> bytes:
    """Display P3 by number alone, as Pillow would not write it."""
    return _avif(_p3_image()).replace(b"colrnclx\0\1", b"colrnclx\0\x0c")


def _grid(columns: int, rows: int, raw: bytes) -> bytes:
    size = {"width": columns * WIDTH, "height": rows * HEIGHT}
    return make.grid_of(raw, columns=columns, rows=rows, **size)


_AVIF_AND_HEIC: Final = {
    **_refused(
        Reason.TRUNCATED,
        avif_cut_at_half=lambda: _avif()[: len(_avif()) // 2],
        heic_cut_at_half=lambda: _fixture("plain.heic")[:2_500],
    ),
    **_refused(
        Reason.CORRUPT,
        avif_brand_alone=lambda: make.box(b"ftyp", b"avif", bytes(4), b"avif"),
        heic_brand_alone=lambda: make.box(b"ftyp", b"heic", bytes(4), b"mif1"),
        heic_grid_of_90_000_tiles=lambda: make.grid_of(
            _fixture("plain.heic"), columns=250, rows=250, width=6_000, height=6_000
        ),
    ),
    **_refused(
        Reason.TOO_MANY_PIXELS,
        avif_67_megapixels_flat=lambda: _fixture("bomb.avif"),
        avif_grid_of_61_megapixels=lambda: _grid(100, 100, _avif()),
        heic_67_megapixels_flat=lambda: _fixture("bomb.heic"),
        heic_67_megapixels_stated_as_64_squared=lambda: _restated(
            _fixture("bomb.heic"), (8_192, 8_192), (64, 64)
        ),
    ),
    **_refused(Reason.UNSUPPORTED, heic_hdr=lambda: _fixture("pq.heic")),
    **_converted(
        avif_plain=_avif,
        avif_exif_turned=lambda: _avif(make.stored_turned(6), exif=make.exif(6)),
        avif_display_p3=lambda: _avif(_p3_image(), icc_profile=_p3_profile()),
        avif_display_p3_by_number=_avif_p3,
        heic_plain=lambda: _fixture("plain.heic"),
        heic_turned=lambda: _fixture("turned.heic"),
        heic_display_p3=lambda: _fixture("display-p3.heic"),
    ),
    "avif_transparent": HostilePhoto(
        make=lambda: _avif(_top_left_transparent()), colours=(WHITE, *QUADRANTS[1:])
    ),
    "heic_transparent": HostilePhoto(
        make=lambda: _fixture("transparent.heic"), colours=(WHITE, *QUADRANTS[1:])
    ),
    "avif_40_megapixels_flat": HostilePhoto(
        make=lambda: _fixture("40-megapixels.avif"),
        size=(8_000, 5_000),
        colours=None,
    ),
    "avif_67_megapixels_stated_as_36": HostilePhoto(
        make=lambda: _restated(_fixture("bomb.avif"), (8_192, 8_192), (6_000, 6_000)),
        size=(6_000, 6_000),
        colours=None,
    ),
    "avif_67_megapixels_stated_as_64_squared": HostilePhoto(
        make=lambda: _restated(_fixture("bomb.avif"), (8_192, 8_192), (64, 64)),
        size=(64, 64),
        colours=None,
    ),
    "avif_grid": HostilePhoto(
        make=lambda: _grid(2, 3, _avif()), size=(2 * WIDTH, 3 * HEIGHT), colours=None
    ),
    "heic_grid": HostilePhoto(
        make=lambda: _grid(2, 3, _fixture("plain.heic")),
        size=(2 * WIDTH, 3 * HEIGHT),
        colours=None,
    ),
}


# Not photos --------------------------------------------------------------------------------------

_OTHERS: Final = {
    **_refused(
        Reason.NOT_AN_IMAGE,
        empty=lambda: b"",
        one_zero_byte=lambda: b"\0",
        a_megabyte_of_zeros=lambda: bytes(1 << 20),
        html_with_status_200=lambda: b"<!DOCTYPE html><html><body>Not found</body></html>",
        html_around_a_jpeg=lambda: b"<html>" + make.jpeg() + b"</html>",
        json_error=lambda: b'{"error": "forbidden"}',
        svg_with_script=lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        pdf=lambda: b"%PDF-1.7\n" + SECRET,
        zip_archive=lambda: b"PK\3\4" + SECRET,
        executable=lambda: b"\x7fELF" + SECRET,
        line_break_before_jpeg=lambda: b"\r\n" + make.jpeg(),
        wav=lambda: b"RIFF\x10\0\0\0WAVEfmt " + SECRET,
    ),
    **_refused(
        Reason.UNSUPPORTED,
        bmp=lambda: encoded(quadrants(), "BMP"),
        tiff=lambda: encoded(quadrants(), "TIFF"),
        icon=lambda: encoded(quadrants(), "ICO"),
        jpeg_2000=lambda: encoded(quadrants(), "JPEG2000"),
        jpeg_xl=lambda: b"\xff\x0a" + SECRET,
        photoshop=lambda: b"8BPS\0\1" + SECRET,
        mp4=lambda: make.box(b"ftyp", b"isom", bytes(4), b"mp42") + SECRET,
    ),
    **_refused(
        Reason.TOO_FEW_PIXELS,
        jpeg_1_pixel=lambda: make.jpeg(Image.new("RGB", (1, 1))),
        jpeg_31_high=lambda: make.jpeg(Image.new("RGB", (500, 31))),
    ),
    **_refused(
        Reason.TOO_MANY_BYTES,
        too_many_bytes=lambda: make.jpeg() + bytes(Limits().max_bytes),
    ),
}

HOSTILE_PHOTOS: Final[dict[str, HostilePhoto]] = {
    **_JPEG,
    **_PNG,
    **_GIF_AND_WEBP,
    **_AVIF_AND_HEIC,
    **_OTHERS,
}
