"""Releases in a workspace: releases/<name>/<version>/, found by NAME or NAME@VERSION."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from petdata.errors import PetdataError, StorageFailure
from petdata.manifest import MANIFEST
from petdata.workspace import Workspace

_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def parse_version(text: str) -> tuple[int, int, int]:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise PetdataError(f"version {text!r}: write it as 1.0.0")
    return int(match[1]), int(match[2]), int(match[3])


def versions_in(folder: Path) -> list[Path]:
    """Whole releases of one name, the newest last."""
    found = [path for path in _entries(folder) if _VERSION.fullmatch(path.name)]
    return sorted(
        (path for path in found if (path / MANIFEST).is_file()),
        key=lambda path: parse_version(path.name),
    )


def latest_release(folder: Path) -> Path | None:
    found = versions_in(folder)
    return found[-1] if found else None


def releases_of(workspace: Workspace) -> Iterator[Path]:
    for name in _entries(workspace.root / "releases"):
        yield from versions_in(name)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise StorageFailure(f"cannot read {folder}: {error.strerror}: check the disk") from error


def find_folder(workspace: Workspace, text: str) -> Path | None:
    """The folder that a path, NAME or NAME@VERSION means; None where there is none."""
    folder = Path(text).expanduser()
    if (folder / MANIFEST).is_file():
        return folder
    name, _, version = text.partition("@")
    if not name or Path(name).name != name:
        return None
    named = workspace.root / "releases" / name
    found = named / version.removeprefix("v") if version else latest_release(named)
    return found if found is not None and found != named and (found / MANIFEST).is_file() else None


def known_releases(workspace: Workspace) -> str:
    """For the end of an error's sentence."""
    found = [f"{release.parent.name}@{release.name}" for release in releases_of(workspace)]
    if not found:
        return f"{workspace.root} holds none yet: run petdata build"
    return f"here are {', '.join(found)}"
