"""The marker walk and EXIF, on bytes written by hand."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import photo_makers as make
from petdata.errors import Reason, RejectedPhoto
from petdata.exif import exif_orientation
from petdata.jpeg_stream import MAX_SCANS, MAX_SEGMENTS, read_jpeg_stream


def directory(order: str, tag: int, kind: int, value: int) -> bytes:
    """A TIFF header and one directory entry."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IHHHIHH", 8, 1, tag, kind, 1, value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_in_both_byte_orders(order: str, value: int) -> None:
    assert exif_orientation(directory(order, 0x0112, 3, value)) == value


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        directory("<", 0x0112, 3, 0),
        directory("<", 0x0112, 3, 9),
        directory("<", 0x0112, 7, 6),  # of type "undefined"
        directory("<", 0x0113, 3, 6),  # another tag
        directory("<", 0x0112, 3, 6)[:-6],
    ],
)
def test_nonsense_means_upright(tiff: bytes) -> None:
    assert exif_orientation(tiff) == 1


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b""]))
def test_orientation_of_any_bytes(noise: bytes, magic: bytes) -> None:
    assert 1 <= exif_orientation(magic + noise) <= 8


def test_size_and_components() -> None:
    stream = read_jpeg_stream(make.flat_jpeg(123, 45, sampling=((2, 1), (1, 1), (1, 1))))
    assert (stream.width, stream.height, stream.components) == (123, 45, 3)
    assert stream.buffered_samples == 0


def test_samples_that_a_progressive_picture_holds() -> None:
    stream = read_jpeg_stream(make.jpeg(progressive=True, subsampling="4:2:0"))
    assert stream.buffered_samples == make.WIDTH * make.HEIGHT * 3 // 2


def test_icc_chunks_in_any_order() -> None:
    profile = bytes(range(256)) * 1_000
    raw = make.with_segments(make.jpeg(), *reversed(make.icc_segments(profile)))
    assert read_jpeg_stream(raw).icc_profile == profile


def test_first_exif_counts() -> None:
    segments = [make.segment(0xE1, make.exif(n)) for n in (6, 3)]
    assert read_jpeg_stream(make.with_segments(make.jpeg(), *segments)).orientation == 6


def test_segments_between_scans_are_dropped_too() -> None:
    raw = make.jpeg(progressive=True)
    second_scan = raw.index(b"\xff\xda", raw.index(b"\xff\xda") + 2)
    comment = make.segment(0xFE, make.SECRET)
    assert read_jpeg_stream(raw[:second_scan] + comment + raw[second_scan:]).jpeg == raw


def test_end_marker_inside_a_segment_is_not_the_end() -> None:
    raw = make.with_segments(make.jpeg(), make.segment(0xE9, b"\xff\xd9" * 20))
    assert read_jpeg_stream(raw).jpeg == make.jpeg()


def scan_script(count: int) -> list[tuple[int, int, int, int]]:
    """A legal script of that many scans: each coefficient alone, then a bit more of each."""
    scans = [(0, 0, 0, 0)] + [(k, k, 0, 1) for k in range(1, 64)]
    refinements = [(k, k, 1, 0) for k in range(1, 64)]
    return (scans + refinements)[:count]


def test_number_of_scans_is_limited() -> None:
    with pytest.raises(RejectedPhoto, match=f"more than {MAX_SCANS} scans") as refusal:
        read_jpeg_stream(make.progressive_jpeg(1_032, 1_024, scan_script(127)))
    assert refusal.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("scans", "reason"),
    [
        ([(0, 0, 0, 0)], Reason.TRUNCATED),  # no detail at all
        ([(0, 0, 0, 0), (1, 62, 0, 0)], Reason.TRUNCATED),
        ([(0, 0, 0, 1), (1, 63, 0, 0)], Reason.TRUNCATED),
        ([(0, 0, 0, 0), (1, 63, 0, 2), (1, 63, 2, 1)], Reason.TRUNCATED),
        ([(0, 0, 0, 0), (1, 63, 0, 0), (5, 5, 0, 0)], Reason.CORRUPT),
        ([(0, 0, 0, 2), (0, 0, 2, 0)], Reason.CORRUPT),  # skips a bit
        ([(0, 0, 1, 0)], Reason.CORRUPT),  # refines what is not there
    ],
)
def test_scans_must_add_up(scans: list[tuple[int, int, int, int]], reason: Reason) -> None:
    with pytest.raises(RejectedPhoto) as refusal:
        read_jpeg_stream(make.progressive_jpeg(1_032, 1_024, scans))
    assert refusal.value.reason is reason


def test_number_of_segments_is_limited() -> None:
    comments = [make.segment(0xFE, b"")] * MAX_SEGMENTS
    with pytest.raises(RejectedPhoto, match="segments"):
        read_jpeg_stream(make.with_segments(make.jpeg(), *comments))
    read_jpeg_stream(make.with_segments(make.jpeg(), *comments[:-50]))
