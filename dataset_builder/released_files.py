"""Data files of earlier releases, which a build links instead of writing them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder.metadata import BYTE_INDEX
from dataset_builder.writing import WrittenFile
from petdata.byte_index import ByteIndex
from petdata.errors import CorruptFile
from petdata.manifest import read_manifest
from petdata.release_folders import releases_of
from petdata.releases import file_indexes
from petdata.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ReleasedFile:
    release: Path
    path: str  # in the release
    entry: WrittenFile
    index_sha256: str | None  # of the release's byte index

    @property
    def place(self) -> Path:
        return self.release / self.path


def released_files(workspace: Workspace, say: Callable[[str], None]) -> dict[str, ReleasedFile]:
    """Of every release here, by what they say; none that has not the size that it was given."""
    found: dict[str, ReleasedFile] = {}
    for release in releases_of(workspace):
        try:
            files = _files_of(release)
        except (CorruptFile, TypeError, AttributeError) as error:
            say(f"{release} is broken, so no file of it is shared: {error}")
            continue
        found |= {file.entry.fingerprint: file for file in files if _has_its_size(file)}
    return found


def _files_of(release: Path) -> list[ReleasedFile]:
    entries: Mapping[str, Mapping[str, Any]] = read_manifest(release)["files"]
    index_sha256 = entries.get(BYTE_INDEX, {}).get("sha256")
    return [
        ReleasedFile(
            release=release, path=path, entry=WrittenFile(**entry), index_sha256=index_sha256
        )
        for path, entry in entries.items()
        if "fingerprint" in entry
    ]


def _has_its_size(file: ReleasedFile) -> bool:
    try:
        return file.place.stat().st_size == file.entry.bytes
    except OSError:
        return False


def released_indexes(linked: Mapping[str, ReleasedFile]) -> dict[str, ByteIndex]:
    """Where the photos of linked files lie, as their releases have it.

    Files whose release has no such table, or not the one that its manifest names, are left out.
    """
    found = {}
    for release in {file.release for file in linked.values()}:
        here = {path: file for path, file in linked.items() if file.release == release}
        for path, index in zip(here, _indexes_of(release, list(here.values())), strict=True):
            entry = here[path].entry
            if index and (index.rows, index.file_bytes) == (entry.rows, entry.bytes):
                found[path] = index
    return found


def _indexes_of(release: Path, files: list[ReleasedFile]) -> list[ByteIndex | None]:
    table = release / BYTE_INDEX
    try:
        with table.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 == files[0].index_sha256:
            return file_indexes(table, [file.path for file in files])
    except (OSError, CorruptFile):
        pass
    return [None] * len(files)
