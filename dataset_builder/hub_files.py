"""The files of a release as they are here, to be compared with those of the Hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub.hf_api import RepoFile

from petdata.errors import CorruptFile
from petdata.manifest import MANIFEST


@dataclass(frozen=True, slots=True)
class LocalFile:
    path: Path
    sha256: str
    bytes: int

    def is_at(self, entry: RepoFile | None) -> bool:
        """Whether the Hub has this very file: by SHA-256, or by git's id of a small one."""
        if entry is None or entry.size != self.bytes:
            return False
        if entry.lfs is not None:
            return entry.lfs.sha256 == self.sha256
        content = self.path.read_bytes()
        return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def local_files(folder: Path, manifest: Mapping[str, Any]) -> dict[str, LocalFile]:
    """All files of a release, each found to be what the manifest says. Raises CorruptFile."""
    found = {}
    for path, entry in manifest["files"].items():
        if not is_inside(path):
            raise CorruptFile(f"{folder / MANIFEST}: {path!r} is no path inside a release")
        file = hashed(folder / path)
        if (file.sha256, file.bytes) != (entry["sha256"], entry["bytes"]):
            raise CorruptFile(
                f"{folder / path} is not the file that {MANIFEST} names: pull or build it again"
            )
        found[path] = file
    found[MANIFEST] = hashed(folder / MANIFEST)
    return found


def is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and not any(part.startswith(".") for part in parts)


def hashed(path: Path) -> LocalFile:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return LocalFile(path, sha256, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read ({error.strerror}): build it again") from error
