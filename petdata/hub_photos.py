"""Photos of a release on the Hub, by ranges, and the copy of them that grows here.

The copy of a data file is a sparse file of its size, which has a photo's bytes where the release
has them. Whether they are there is told by the photo's SHA-256 alone: a hole, and what a crash or a
broken disk left, is fetched again. So it needs no list of what it has, several processes may fill
it at once, and it never takes more room than the release. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from petdata.byte_index import MAX_OPEN_FILES, ByteIndex
from petdata.errors import CorruptFile
from petdata.hub_ranges import HubFile, HubRanges
from petdata.hub_session import GarbledAnswer
from petdata.shards import storing
from petdata.workspace import make_folder

Int64Array = NDArray[np.int64]

_JPEG_START: Final = b"\xff\xd8"
# What lies between two photos is fetched along with them where it takes less time than a request.
GAP_BYTES: Final = 96 * 2**10
RANGE_BYTES: Final = 4 * 2**20  # at most, unless one photo is larger


@dataclass(frozen=True, slots=True)
class _Range:
    file: int
    start: int
    end: int
    rows: tuple[int, ...]  # photos in it that were asked for


class HubPhotos:
    """Reads by row of a split; see petdata.releases.Photos."""

    are_remote = True

    def __init__(
        self,
        ranges: HubRanges,
        files: Sequence[HubFile],
        indexes: Sequence[ByteIndex],
        names: tuple[pa.StringArray, pa.StringArray],  # photo_id and sha256 of each row
        folder: Path,
    ) -> None:
        self._ranges = ranges
        self._files = tuple(files)
        counts = [index.rows for index in indexes]
        self._file = np.repeat(np.arange(len(files), dtype=np.int32), counts)
        empty = np.empty(0, np.int64)
        self._offset = np.concatenate([empty, *(index.offsets for index in indexes)])
        self._length = np.concatenate([empty, *(index.lengths for index in indexes)])
        self._photo_ids, self._sha256 = names
        self._folder = folder
        self._open: dict[int, _OpenFile] = {}
        self._is_here = np.zeros(len(self._file), np.bool_)  # as this process has seen

    def read(self, row: int) -> bytes | None:
        """The photo, from here or from the Hub. Raises CorruptFile, TryLater, StorageFailure."""
        if self._length[row] < 0:
            return None
        found = self._read_here(row)
        if found is None:
            self._is_here[row] = False
            self.fetch(np.array([row]))
            found = self._read_here(row)
        if found is None:
            raise CorruptFile(f"{self._folder} does not keep what is written to it: delete it")
        return found

    def fetch(self, rows: Int64Array) -> None:
        wanted = [row for row in np.unique(rows).tolist() if self._length[row] >= 0]
        missing = [row for row in wanted if not self._is_here[row] and self._read_here(row) is None]
        if missing:
            self._ranges.each(self._fetch_range, self._in_ranges(missing))

    def _in_ranges(self, rows: Sequence[int]) -> list[_Range]:
        order = sorted(rows, key=lambda row: (self._file[row], self._offset[row]))
        found: list[_Range] = []
        for row in order:
            file, start = int(self._file[row]), int(self._offset[row])
            end = start + int(self._length[row])
            last = found[-1] if found else None
            if (
                last is not None
                and last.file == file
                and start - last.end <= GAP_BYTES
                and end - last.start <= RANGE_BYTES
            ):
                found[-1] = _Range(file, last.start, max(end, last.end), (*last.rows, row))
            else:
                found.append(_Range(file, start, end, (row,)))
        return found

    def _fetch_range(self, wanted: _Range) -> None:
        file = self._files[wanted.file]

        def check(content: bytes) -> bytes:
            for row in wanted.rows:
                start = int(self._offset[row]) - wanted.start
                jpeg = memoryview(content)[start : start + int(self._length[row])]
                if hashlib.sha256(jpeg).hexdigest() != self._sha256[row].as_py():
                    raise GarbledAnswer(f"photo {self._photo_ids[row]} came with another SHA-256")
            return content

        first = self._photo_ids[wanted.rows[0]]
        doing = f"reading {file.path}, photo {first}"
        size = wanted.end - wanted.start
        content = self._ranges.read(file, wanted.start, size, check, doing)
        with storing(self._path(wanted.file)):
            descriptor = self._opened(wanted.file).descriptor
            at = wanted.start
            while content:
                written = os.pwrite(descriptor, content, at)
                content, at = content[written:], at + written
        self._is_here[list(wanted.rows)] = True

    def _read_here(self, row: int) -> bytes | None:
        """None where it is not here, or not as it should be."""
        opened = self._opened(int(self._file[row]))
        photo = os.pread(opened.descriptor, int(self._length[row]), int(self._offset[row]))
        if not photo.startswith(_JPEG_START):
            return None
        if hashlib.sha256(photo).hexdigest() != self._sha256[row].as_py():
            return None
        self._is_here[row] = True
        return photo

    def _path(self, file: int) -> Path:
        return self._folder / f"{self._files[file].sha256}.photos"

    def _opened(self, file: int) -> _OpenFile:
        found = self._open.get(file)
        if found is None:
            with storing(self._path(file)):
                make_folder(self._folder)
                found = _OpenFile(self._path(file), self._files[file].bytes)
            while len(self._open) >= MAX_OPEN_FILES:
                oldest = next(iter(tuple(self._open)))  # a copy: other threads change it meanwhile
                self._open.pop(oldest, None)
            self._open[file] = found
        return found


class _OpenFile:
    """Closed with its last reference, so never under a reader."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path, size: int) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.truncate(self.descriptor, size)  # what it has stays

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
