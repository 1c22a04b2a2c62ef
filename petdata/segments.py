"""Append-only files for photos that are kept but not in a shard yet.

A record is the payload's length (4 bytes, little-endian), its SHA-256 (32 bytes), the payload.
Only the ledger knows where records start: what it does not refer to does not exist.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from petdata.errors import CorruptFile, StorageFailure
from petdata.workspace import sync_folder

_LENGTH_BYTES: Final = 4
_HEADER_BYTES: Final = _LENGTH_BYTES + 32


class SegmentWriter:
    """One segment, open for appending; `path` must not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = 0
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            sync_folder(path.parent)
        except OSError as error:
            raise StorageFailure(f"cannot make {path}: {error.strerror}") from error

    def append(self, payload: bytes) -> int:
        """Make the payload durable and return where its record starts."""
        header = len(payload).to_bytes(_LENGTH_BYTES, "little") + hashlib.sha256(payload).digest()
        start, record = self._end, memoryview(header + payload)
        try:
            while record:
                written = os.pwrite(self._descriptor, record, self._end)
                self._end += written
                record = record[written:]
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._end = start  # the next record overwrites what came of this one
            raise StorageFailure(
                f"cannot write {self.path}: {error.strerror}. What is committed is safe: "
                "free the disk and start again"
            ) from error
        return start

    def close(self) -> None:
        os.close(self._descriptor)


def read_segment(path: Path, offset: int) -> bytes:
    """The payload of the record that starts at `offset`. Raises CorruptFile."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            header = file.read(_HEADER_BYTES)
            length = int.from_bytes(header[:_LENGTH_BYTES], "little")
            payload = file.read(length)
    except OSError as error:
        raise CorruptFile(f"cannot read {path}: {error.strerror}") from error
    if hashlib.sha256(payload).digest() != header[_LENGTH_BYTES:]:
        raise CorruptFile(
            f"{path}: the record at byte {offset} is damaged; delete the file and its photos "
            "are fetched again"
        )
    return payload
