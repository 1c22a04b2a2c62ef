"""The marker structure of a JPEG file (ITU-T T.81, annex B), read without decoding its pixels.

`read_jpeg_stream` copies what decoding needs, bit for bit, and leaves the rest behind: all
application segments but the JFIF header and Adobe's colour transform, comments, and whatever
follows the end marker. It also finds what decoders forgive: scans that a progressive file
announces and then lacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from petdata.errors import Reason, RejectedPhoto
from petdata.exif import exif_orientation

# Extended XMP and depth maps come in segments of 64 KiB, so a 32 MiB file has 512 at most.
MAX_SEGMENTS: Final = 2_000
# libjpeg's own script for progressive files has 10 scans; each costs a pass over the picture.
MAX_SCANS: Final = 100

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_DHT, _DQT = 0xC4, 0xDB
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_PROGRESSIVE = 0xC2
_DECODABLE_FRAMES = {0xC0, 0xC1, _PROGRESSIVE}
_NEEDED = {_DHT, _DQT, _DRI}
_DROPPED = {*range(_APP0, 0xF0), 0xFE}  # application segments and comments
_UNSUPPORTED = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE, 0xDE, 0xDF), "hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCC), "arithmetic-coded JPEG"),
    0xDC: "JPEG that states its height after the picture",
}

_MARKER = re.compile(rb"\xff++([^\xff])", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # not stuffing, not RSTn


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegStream:
    """A JPEG file from its start to its end marker, without metadata."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    components: int  # 1 gray, 3 colour, 4 CMYK
    buffered_samples: int  # coefficients that a decoder holds until the last scan; 0 for one scan
    orientation: int  # EXIF: 1 is upright
    icc_profile: bytes | None = field(repr=False)


@dataclass(kw_only=True, slots=True)
class _Frame:
    """What the frame header promises and how much of it the scans have delivered so far."""

    progressive: bool
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]  # component -> horizontal and vertical factor
    # component -> for each of the 64 coefficients the lowest bit that has arrived
    lowest_bit: dict[int, list[int | None]]

    def samples(self) -> int:
        widest = max(h for h, _ in self.sampling.values())
        tallest = max(v for _, v in self.sampling.values())
        shares = (h * v / (widest * tallest) for h, v in self.sampling.values())
        return round(self.width * self.height * sum(shares))

    def take_scan(self, header: bytes) -> None:
        """Note the coefficient bits that a scan delivers; none may come twice or out of order."""
        if not header or len(header) != 4 + 2 * header[0]:
            raise _corrupt(f"scan header of {len(header)} bytes")
        first, last, high, low = header[-3], header[-2], header[-1] >> 4, header[-1] & 15
        if not self.progressive:
            first, last, high, low = 0, 63, 0, 0  # the only values that sequential JPEG allows
        if not first <= last <= 63 or (high and low != high - 1):
            raise _corrupt(f"scan of coefficients {first} to {last}, bits {high} to {low}")
        expected = high if high else None
        for component in header[1:-3:2]:
            bits = self.lowest_bit.get(component)
            if bits is None:
                raise _corrupt(f"scan of component {component}, which the frame header lacks")
            if bits[first : last + 1] != [expected] * (last + 1 - first):
                raise _corrupt("scans that repeat or skip a part of the picture")
            bits[first : last + 1] = [low] * (last + 1 - first)

    def is_complete(self) -> bool:
        return all(bits == [0] * 64 for bits in self.lowest_bit.values())


@dataclass(kw_only=True, slots=True)
class _Metadata:
    """What is read from the segments that are not copied as they are."""

    jfif: bytes = b""
    adobe: bytes = b""
    exif: bytes = b""
    icc_chunks: dict[int, bytes] = field(default_factory=dict)
    icc_count: int = 0

    def read(self, marker: int, body: bytes) -> None:
        if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14 and not self.jfif:
            version = body[5:7] if body[5] == 1 else b"\1\1"  # decoders warn of others
            self.jfif = _segment(_APP0, b"JFIF\0" + version + body[7:12] + b"\0\0")  # no thumbnail
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            self.adobe = _segment(_APP14, body[:12])  # decoders believe the last one
        elif marker == _APP1 and body.startswith(b"Exif\0") and not self.exif:
            self.exif = body[6:]
        elif marker == _APP2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            self.icc_chunks.setdefault(body[12], body[14:])
            self.icc_count = body[13]

    def icc_profile(self) -> bytes | None:
        """The profile, put together; None where it is absent or lacks a chunk."""
        if not self.icc_count or sorted(self.icc_chunks) != [*range(1, self.icc_count + 1)]:
            return None
        return b"".join(self.icc_chunks[n] for n in range(1, self.icc_count + 1))


@dataclass(kw_only=True, slots=True)
class _Reader:
    """What has been read of a file so far."""

    raw: bytes
    metadata: _Metadata = field(default_factory=_Metadata)
    copied: list[bytes | memoryview] = field(default_factory=list)
    frame: _Frame | None = None
    scans: int = 0
    has_huffman_table: bool = False

    def take(self, marker: int, start: int, end: int) -> int:
        """Digest one segment; returns where the next one begins."""
        body = self.raw[start + 4 : end]
        if marker == _SOS:
            return self._take_scan(start, end, body)
        if marker in _DROPPED:
            self.metadata.read(marker, body)
        elif marker in _NEEDED:
            self.has_huffman_table |= marker == _DHT
            self.copied.append(self.raw[start:end])
        elif marker in _DECODABLE_FRAMES:
            if self.frame is not None:
                raise _corrupt("two frame headers")
            self.frame = _read_frame(marker, body)
            self.copied.append(self.raw[start:end])
        else:
            raise _unsupported(
                _UNSUPPORTED.get(marker, f"JPEG marker {marker:02x} at byte {start:,}")
            )
        return end

    def _take_scan(self, start: int, end: int, body: bytes) -> int:
        if self.frame is None:
            raise _corrupt("a scan before the frame header")
        self.scans += 1
        if self.scans > MAX_SCANS:
            raise _unsupported(f"more than {MAX_SCANS} scans")
        self.frame.take_scan(body)
        marker = _MARKER_IN_SCAN.search(self.raw, end)
        if marker is None:
            raise _truncated(self.raw)
        stop = marker.start()
        if self.raw[stop - 1] == 0xFF:  # fill: in a scan itself ff is followed by 00 or RSTn
            stop = start + len(self.raw[start:stop].rstrip(b"\xff"))
        self.copied.append(memoryview(self.raw)[start:stop])
        return marker.start()


def read_jpeg_stream(raw: bytes) -> JpegStream:
    """Walk the markers of a file that begins with one; raises RejectedPhoto."""
    reader = _Reader(raw=raw)
    position = 2  # behind SOI
    for _ in range(MAX_SEGMENTS):
        marker, start, end = _next_segment(raw, position)
        if marker == _EOI:
            return _finished(reader)
        position = reader.take(marker, start, end)
    raise _unsupported(f"JPEG of more than {MAX_SEGMENTS:,} segments")


def _finished(reader: _Reader) -> JpegStream:
    frame, metadata = reader.frame, reader.metadata
    if frame is None or not reader.scans:
        raise _corrupt("no picture between the start and the end marker")
    if not reader.has_huffman_table:  # decoders would have to guess
        raise _corrupt("no Huffman table")
    if not frame.is_complete():
        raise RejectedPhoto(
            Reason.TRUNCATED, f"JPEG whose last scans are missing, {reader.scans} are present"
        )
    buffers = frame.progressive or reader.scans > 1
    return JpegStream(
        jpeg=b"".join((b"\xff\xd8", metadata.jfif, metadata.adobe, *reader.copied, b"\xff\xd9")),
        width=frame.width,
        height=frame.height,
        components=len(frame.sampling),
        buffered_samples=frame.samples() if buffers else 0,
        orientation=exif_orientation(metadata.exif),
        icc_profile=metadata.icc_profile(),
    )


def _next_segment(raw: bytes, position: int) -> tuple[int, int, int]:
    """Marker, where it starts, and where its segment ends."""
    match = _MARKER.match(raw, position)
    if match is None:
        if position >= len(raw) or raw[position:].count(b"\xff") == len(raw) - position:
            raise _truncated(raw)
        raise _corrupt(f"no marker at byte {position:,}")
    start, marker = match.end() - 2, match[1][0]
    if marker == _EOI:
        return marker, start, match.end()
    if marker in (0x00, 0x01, _SOI, *range(0xD0, 0xD8)):
        raise _corrupt(f"marker {marker:02x} at byte {start:,}, where a segment should begin")
    length = int.from_bytes(raw[start + 2 : start + 4])
    if start + 4 > len(raw) or start + 2 + length > len(raw):
        raise _truncated(raw)
    if length < 2:
        raise _corrupt(f"segment {marker:02x} at byte {start:,} has length {length}")
    return marker, start, start + 2 + length


def _read_frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _corrupt(f"frame header of {len(body)} bytes")
    if body[0] != 8:
        raise _unsupported(f"JPEG of {body[0]} bits a sample")
    height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    if not height:
        raise _unsupported(_UNSUPPORTED[0xDC])
    if not width:
        raise _corrupt("a frame 0 pixels wide")
    sampling = {body[i]: (body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body), 3)}
    if len(sampling) != body[5] or not all(1 <= f <= 4 for hv in sampling.values() for f in hv):
        raise _corrupt("component table of the frame header")
    if len(sampling) not in (1, 3, 4):
        raise _unsupported(f"JPEG of {len(sampling)} components")
    return _Frame(
        progressive=marker == _PROGRESSIVE,
        width=width,
        height=height,
        sampling=sampling,
        lowest_bit={component: [None] * 64 for component in sampling},
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body


def _truncated(raw: bytes) -> RejectedPhoto:
    return RejectedPhoto(Reason.TRUNCATED, f"JPEG without an end marker in its {len(raw):,} bytes")


def _corrupt(what: str) -> RejectedPhoto:
    return RejectedPhoto(Reason.CORRUPT, f"JPEG structure: {what}")


def _unsupported(what: str) -> RejectedPhoto:
    return RejectedPhoto(Reason.UNSUPPORTED, f"{what}; save it as an ordinary 8-bit JPEG")
