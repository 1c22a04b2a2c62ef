"""The one thing that petdata reads from EXIF: how to turn the picture upright."""

from __future__ import annotations

import struct

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def exif_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, in a TIFF header with its first directory; 1 where none is stated.

    Like browsers, it reads the first directory alone and takes nonsense for "upright".
    """
    byte_order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if byte_order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{byte_order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{byte_order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _count, value = struct.unpack_from(f"{byte_order}HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:  # the directory lies outside the bytes
        pass
    return 1
