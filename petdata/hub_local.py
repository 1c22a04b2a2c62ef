"""Files as they are here, to be compared with those of the Hub."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import CommitOperationAdd
from huggingface_hub.hf_api import RepoFile

from petdata.errors import CorruptFile


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

    def addition(self, path: str) -> CommitOperationAdd:
        """To a commit, under a path there."""
        addition = CommitOperationAdd(path, str(self.path))
        addition.upload_info.sha256 = bytes.fromhex(self.sha256)  # else it is read once more
        return addition


def hashed(path: Path) -> LocalFile:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return LocalFile(path, sha256, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read ({error.strerror}): make it again") from error


def is_inside(path: str) -> bool:
    """Whether a path that a manifest names stays in its folder, and in sight."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and not any(part.startswith(".") for part in parts)
