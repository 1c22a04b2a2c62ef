"""Folders, zip and tar(.gz) files as one thing: members with a path, a size and their bytes.

Nothing is unpacked to disk. An archive is looked through before its first member is used: one with
a path that leads outside, a link, a device, a name twice, encryption, a cut-off end or a size
that its compressed bytes cannot justify is refused as a whole.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np

from petdata.errors import CorruptFile, PetdataError, Reason, RejectedPhoto
from petdata.limits import Limits

MAX_MEMBERS: Final = 5_000_000  # PetFace, the largest of its kind, has a million
MAX_DIRECTORY_BYTES: Final = 2**29  # of a zip's table of contents
MAX_RATIO: Final = 200  # photos don't shrink; tables shrink tenfold
SPARED_BYTES: Final = 64 * 2**20  # before ratios are judged: a small table may be all zeros
MAX_TEXT_BYTES: Final = 512 * 2**20  # of a list or table; PetFace's largest has some 20 MB
_MAX_PATH: Final = 1024
_MAX_DEPTH: Final = 3  # of a folder that is looked for: above the folders of identities
_CHUNK: Final = 2**20
_MAX_TAR_HEADER: Final = 2**16  # long names and pax records

Key = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Member:
    path: str  # "/" between its parts
    size: int
    load: Callable[[], bytes]  # in a tar only before the next member is asked for

    def read_photo(self, limits: Limits) -> bytes:
        """Raises RejectedPhoto, also where the bytes cannot be read."""
        limits.check_bytes(self.size)
        try:
            return self.load()
        except OSError as error:
            raise RejectedPhoto(Reason.UNREACHABLE, f"{self.path}: {error.strerror}") from error
        except CorruptFile as error:
            raise RejectedPhoto(Reason.CORRUPT, str(error)) from error

    def read_text(self) -> str:
        """Of a list or table that the import cannot do without."""
        if self.size > MAX_TEXT_BYTES:
            raise CorruptFile(f"{self.path}: {self.size:,} bytes, at most {MAX_TEXT_BYTES:,}")
        try:
            return self.load().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptFile(f"{self.path} cannot be read: {error}") from error


class Files(Protocol):
    """What a data set lies in."""

    path: Path

    def members(self, folder: str = "") -> Iterator[Member]:
        """All below `folder`, with paths relative to it; sorted but for a tar, which has an order.

        What begins with a dot, and __MACOSX, is left out.
        """

    def find_folder(self, name: str) -> str | None:
        """The path of the least deep folder of this name, the first of several."""


def open_files(path: Path, key: Key = str) -> Files:
    """A folder, or an archive that has passed every check; raises PetdataError.

    `key` gives the name under which a member may stand only once.
    """
    if path.is_dir():
        return Folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise PetdataError(f"cannot read {path}: {error.strerror}") from error
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return Zip(path, key)
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        return Tar(path, key)
    raise PetdataError(f"{path} is neither a folder nor a zip, tar or tar.gz file")


def is_archive(name: str) -> bool:
    return name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.links = 0  # symbolic links and special files met, which are not followed

    def members(self, folder: str = "") -> Iterator[Member]:
        self.links = 0
        yield from self._walk(self.path / folder, "")

    def _walk(self, folder: Path, prefix: str) -> Iterator[Member]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise PetdataError(f"cannot read {folder}: {error.strerror}") from error
        for entry in entries:
            if _is_junk(entry.name):
                continue
            path = prefix + _printable(entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                yield Member(path, size, Path(entry.path).read_bytes)
            else:
                self.links += 1

    def find_folder(self, name: str) -> str | None:
        level = [""]
        for _ in range(_MAX_DEPTH):
            level = [child for folder in level for child in self._folders(folder)]
            for child in level:
                if child.rpartition("/")[2] == name:
                    return child
        return None

    def _folders(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.path / folder) as found:
                names = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise PetdataError(f"cannot read {error.filename}: {error.strerror}") from error
        return [f"{folder}/{name}".lstrip("/") for name in sorted(names) if not _is_junk(name)]


class Zip:
    def __init__(self, path: Path, key: Key = str) -> None:
        self.path = path
        _check_zip_directory(path)
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _broken(path, error) from error
        total = 0
        for info in self._file.infolist():
            _check_path(path, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, info.filename, "is a link or a device")
            if info.flag_bits & 0x1:
                raise _refused(path, info.filename, "is encrypted: unpack it and give the folder")
            if info.file_size > SPARED_BYTES + MAX_RATIO * info.compress_size:
                raise _bomb(path, info.file_size, info.compress_size)
            total += info.file_size
        if total > SPARED_BYTES + MAX_RATIO * path.stat().st_size:
            raise _bomb(path, total, path.stat().st_size)
        self.hashes = _hashes(key(info.filename) for info in self._infos())
        _check_single(self, key)

    def _infos(self) -> Iterator[zipfile.ZipInfo]:
        for info in self._file.infolist():
            if not info.is_dir() and not _is_junk_path(info.filename):
                yield info

    def members(self, folder: str = "") -> Iterator[Member]:
        prefix = f"{folder}/" if folder else ""
        infos = [info for info in self._infos() if info.filename.startswith(prefix)]
        infos.sort(key=lambda info: info.filename.replace("/", "\0"))  # as folders are walked
        for info in infos:
            path = info.filename[len(prefix) :]
            yield Member(path, info.file_size, lambda info=info: self._load(info))  # type: ignore[misc]

    def _load(self, info: zipfile.ZipInfo) -> bytes:
        try:
            return self._file.read(info)
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError),
            *(NotImplementedError, RuntimeError, ValueError),
        ) as error:
            raise CorruptFile(f"{info.filename} in {self.path.name}: {error}") from error

    def find_folder(self, name: str) -> str | None:
        return _find_folder({f for info in self._infos() for f in _folders_of(info.filename)}, name)


def _check_zip_directory(path: Path) -> None:
    """Refuse a table of contents that would not fit into memory, before zipfile holds it there."""
    try:
        with path.open("rb") as file:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    except (OSError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error
    if end is None:
        raise CorruptFile(f"{path} has no table of contents: cut off? Download it again")
    size = end[5]
    if size > MAX_DIRECTORY_BYTES or _count_entries(path, size) > MAX_MEMBERS:
        raise CorruptFile(f"{path} has too many members: at most {MAX_MEMBERS:,} are read")


def _count_entries(path: Path, size: int) -> int:
    """What the table of contents really holds: its own count may be anything."""
    count = 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size - 2**17))  # it stands before the end record
        while part := file.read(_CHUNK):
            count += part.count(b"PK\1\2")
    return count


class Tar:
    """Read from its beginning each time that `members` is called."""

    def __init__(self, path: Path, key: Key = str) -> None:
        self.path = path
        self._folders: set[str] = set()
        self.hashes = _hashes(key(path) for path in self._look_through())
        _check_single(self, key)

    def _look_through(self) -> Iterator[str]:
        for member in self.members():
            self._folders.update(_folders_of(member.path))
            yield member.path

    def members(self, folder: str = "") -> Iterator[Member]:
        prefix = f"{folder}/" if folder else ""
        with self.path.open("rb") as file:
            try:
                for member in self._members(file):
                    if member.path.startswith(prefix) and not _is_junk_path(member.path):
                        yield Member(member.path[len(prefix) :], member.size, member.load)
            except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
                raise _broken(self.path, error) from error

    def _members(self, file: BinaryIO) -> Iterator[Member]:
        plain = _Unzipped(self.path, file)
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_TarInfo) as tar:  # type: ignore[call-overload]
            count = 0
            while (info := tar.next()) is not None:
                tar.members.clear()  # it would remember all
                name = info.name.removeprefix("./")
                if info.isdir():
                    continue
                _check_path(self.path, name)
                if not info.isreg() or info.issparse():
                    raise _refused(self.path, name, "is a link or a device")
                count += 1
                if count > MAX_MEMBERS:
                    raise CorruptFile(f"{self.path} has more than {MAX_MEMBERS:,} members")
                yield Member(name, info.size, lambda info=info: _load(tar, info))  # type: ignore[misc]
            _check_end(plain)

    def find_folder(self, name: str) -> str | None:
        return _find_folder(self._folders, name)


def _check_end(plain: _Unzipped) -> None:
    """Read behind the end mark: gzip's checksum stands there, and nothing else should."""
    while rest := plain.read(_CHUNK):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("there is more behind its end mark: is it several archives?")


def _load(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    raw = file.read() if file is not None else b""
    if len(raw) != info.size:
        raise tarfile.ReadError(f"{info.name}: {len(raw):,} of {info.size:,} bytes")
    return raw


class _TarInfo(tarfile.TarInfo):
    """tarfile takes a header that it does not understand for the end, and any length of name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise EOFError(f"no header where the next should stand ({error})") from error
        named = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE)
        if info.type in (*named, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            if info.size > _MAX_TAR_HEADER:
                raise ValueError(f"a name or header of {info.size:,} bytes")
        elif info.size < 0:
            raise ValueError(f"a member of {info.size:,} bytes")
        return info


class _Unzipped:
    """The bytes behind gzip, or those of the file itself, never many more than it can justify."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._read = self._written = 0
        self._rest = file.read(_CHUNK)
        self._is_zipped = self._rest.startswith(b"\x1f\x8b")
        self._inflater = zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0 and (part := self._some(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        """At most `size` bytes, none only at the end."""
        if not self._is_zipped:
            part = self._rest or self._file.read(min(size, _CHUNK))
            self._rest = part[size:]
            return part[:size]
        while True:
            if self._inflater.eof:  # perhaps another stream follows, as pigz writes them
                self._rest = self._inflater.unused_data.lstrip(b"\0") or self._file.read(_CHUNK)
                if not self._rest.strip(b"\0"):
                    return b""
                self._inflater = zlib.decompressobj(wbits=31)
            if not self._rest:
                self._rest = self._file.read(_CHUNK)
                if not self._rest:
                    raise EOFError("the compressed data end in the middle")
            before = len(self._rest)
            part = self._inflater.decompress(self._rest, size)
            self._rest = self._inflater.unconsumed_tail
            self._read += before - len(self._rest)
            self._written += len(part)
            if self._written > SPARED_BYTES + MAX_RATIO * self._read:
                raise _bomb(self._path, self._written, self._read)
            if part:
                return part


# Paths


def _check_path(archive: Path, path: str) -> None:
    parts = path.rstrip("/").split("/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise _refused(archive, path, "is an absolute path")
    if ".." in parts or "\\" in path:
        raise _refused(archive, path, "may lead outside of its folder")
    if "" in parts or "." in parts or len(path) > _MAX_PATH or not _is_printable(path):
        raise _refused(archive, path, "is no name that a data set would have")


def _is_printable(path: str) -> bool:
    return not any(ord(c) < 0x20 or 0xD800 <= ord(c) < 0xE000 for c in path)


def _printable(name: str) -> str:
    """A file name of any bytes as text that a database takes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_junk_path(path: str) -> bool:
    return any(_is_junk(part) for part in path.split("/"))


def _folders_of(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for depth in range(1, min(len(parts), _MAX_DEPTH) + 1):
        yield "/".join(parts[:depth])


def _find_folder(folders: set[str], name: str) -> str | None:
    found = [folder for folder in folders if folder.rpartition("/")[2] == name]
    return min(found, key=lambda folder: (folder.count("/"), folder), default=None)


# Names that stand twice, in flat memory


def _hashes(names: Iterator[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """64 bits of each name, sorted."""
    found = array("Q")
    for name in names:
        found.append(int.from_bytes(blake2b(name.encode(), digest_size=8).digest()))
    return np.sort(np.frombuffer(found, np.uint64))


def _check_single(files: Zip | Tar, key: Key) -> None:
    if name := name_in_both(files, files, key):
        raise _refused(files.path, name, "stands in it twice")


def name_in_both(first: Zip | Tar, second: Zip | Tar, key: Key) -> str | None:
    """Where a name stands in the first that the second has too, or that one archive has twice."""
    if first is second:
        twice = first.hashes[1:][first.hashes[1:] == first.hashes[:-1]]
    else:
        twice = np.intersect1d(first.hashes, second.hashes, assume_unique=True)
    if not twice.size:
        return None
    wanted = set(twice.tolist())
    for member in first.members():
        name = key(member.path)
        if int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) in wanted:
            return member.path
    return None


# Errors


def _refused(archive: Path, member: str, why: str) -> CorruptFile:
    return CorruptFile(f"{archive}: member {member!r} {why}; nothing of the archive is used")


def _bomb(archive: Path, size: int, compressed: int) -> CorruptFile:
    return CorruptFile(
        f"{archive}: {compressed:,} bytes become {size:,} or more; photos don't shrink like that"
    )


def _broken(archive: Path, error: Exception) -> CorruptFile:
    return CorruptFile(f"{archive} is damaged or cut off ({error}): download it again")
