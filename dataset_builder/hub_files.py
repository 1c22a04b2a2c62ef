"""The files of a release as they are here, to be compared with those of the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petdata.errors import CorruptFile
from petdata.hub_local import LocalFile, hashed, is_inside
from petdata.manifest import MANIFEST

__all__ = ["LocalFile", "hashed", "is_inside", "local_files"]


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
