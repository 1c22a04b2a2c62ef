"""A cursor over JSON too large to hold: objects and arrays are walked, values taken or passed over.

Only brackets and strings are understood here. So a value that is no good JSON can be passed over
by itself, however deep or long, and what follows it is still found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from petdata.errors import CorruptFile, StorageFailure

MAX_VALUE_BYTES: Final = 2**20  # a message has 4,096 characters of text, and its entities
_CHUNK_BYTES: Final = 2**16

_BLANK = re.compile(rb"[ \t\n\r]*+")
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BETWEEN_BRACKETS = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_IN_SCALAR = re.compile(rb'[^ \t\n\r,:"\[\]{}]*+')
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)


class JsonCursor:
    """Stands before a value, or behind it. Raises CorruptFile where the structure is broken."""

    def __init__(self, file: BinaryIO, path: Path, offset: int = 0) -> None:
        self._file = file
        self._path = path
        self._file.seek(offset)
        self._buffer = b""
        self._base = offset  # of the buffer in the file
        self._at = 0  # in the buffer

    @property
    def offset(self) -> int:
        """Where in the file the cursor stands."""
        return self._base + self._at

    def members(self) -> Iterator[str]:
        """Keys of the object that begins here; take or skip each value before the next key."""
        for _ in self._parts(b"{", b"}"):
            if self.upcoming() != b'"':
                raise self._broken("a name in quotes is missing")
            key = self.take()
            self._expect(b":")
            yield key if isinstance(key, str) else ""

    def elements(self) -> Iterator[int]:
        """Offsets of the elements of the array that begins here; take or skip each."""
        return self._parts(b"[", b"]")

    def upcoming(self) -> bytes:
        """The next byte that is not blank; the cursor stands before it."""
        self._run(_BLANK)
        return self._buffer[self._at : self._at + 1]

    def take(self) -> object:
        """The value that begins here; None if it is too large, too deep or no good JSON."""
        value = self._pass(keep=True)
        if b"\\x" in value:
            value = _ESCAPE.sub(_mended, value)
        try:
            return json.loads(value.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None

    def skip(self) -> None:
        self._pass(keep=False)

    def expect_end(self) -> None:
        try:
            self.upcoming()
        except CorruptFile:
            return
        raise self._broken("something follows its end")

    def _parts(self, opening: bytes, closing: bytes) -> Iterator[int]:
        self._expect(opening)
        if self.upcoming() == closing:
            self._at += 1
            return
        while True:
            self.upcoming()
            yield self.offset
            if self.upcoming() == closing:
                self._at += 1
                return
            self._expect(b",")

    def _expect(self, byte: bytes) -> None:
        if self.upcoming() != byte:
            raise self._broken(f"{byte.decode()} is missing")
        self._at += 1

    def _pass(self, *, keep: bool) -> bytes:
        """Move behind the value; its bytes, if they are to be kept and not too many."""
        first = self.upcoming()
        start = self.offset
        kept = start if keep else None
        if first in b'"[{':
            self._at += 1
            in_string, depth = first == b'"', int(first != b'"')
            while in_string or depth:
                self._run(_IN_STRING if in_string else _BETWEEN_BRACKETS, kept)
                byte = self._buffer[self._at : self._at + 1]
                self._at += 1
                if byte == b'"':
                    in_string = not in_string
                else:
                    depth += 1 if byte in b"[{" else -1
        else:
            self._run(_IN_SCALAR, kept)
            if self.offset == start:
                raise self._broken("a value is missing")
        if not keep or self.offset - start > MAX_VALUE_BYTES:
            return b""
        return self._buffer[start - self._base : self._at]

    def _run(self, pattern: re.Pattern[bytes], kept: int | None = None) -> None:
        """Move on to the first byte that `pattern` does not match.

        From offset `kept` on bytes stay in the buffer, while they are not too many.
        """
        while True:
            found = pattern.match(self._buffer, self._at)
            assert found is not None  # all of them match nothing as well
            self._at = found.end()
            # a string stops before a backslash where the chunk ends before what it escapes
            escapes = pattern is _IN_STRING and self._buffer[self._at :] == b"\\"
            if self._at < len(self._buffer) and not escapes:
                return
            is_small = kept is not None and self.offset - kept <= MAX_VALUE_BYTES
            self._read_on(keep=kept - self._base if kept is not None and is_small else self._at)

    def _read_on(self, keep: int) -> None:
        try:
            chunk = self._file.read(_CHUNK_BYTES)
        except OSError as error:
            raise StorageFailure(f"cannot read {self._path}: {error.strerror}") from error
        if not chunk:
            raise self._broken("it ends too early")
        self._buffer = self._buffer[keep:] + chunk
        self._base += keep
        self._at -= keep

    def _broken(self, problem: str) -> CorruptFile:
        return CorruptFile(
            f"{self._path}: broken JSON at byte {self.offset:,}: {problem}; "
            "export once more from Telegram Desktop and let it finish"
        )


def _mended(escape: re.Match[bytes]) -> bytes:
    r"""JSON knows no \x1F, which Telegram Desktop writes for control characters."""
    return b"\\u00" + escape[1] if escape[1] else escape[0]
