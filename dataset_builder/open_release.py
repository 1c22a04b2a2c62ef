"""Which folder a user means by a release: a path, NAME or NAME@VERSION of the workspace, or
user/name@v1.0.0 of the Hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import typer

from petdata.errors import PetdataError
from petdata.release_folders import find_folder, known_releases, latest_release, releases_of
from petdata.workspace import Workspace

_ON_THE_HUB: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@.+)?")


def find_release(workspace: Workspace, text: str | None = None) -> Path:
    """The folder of a release. Without a text the newest of the only name that there is.

    Raises PetdataError, naming what there is.
    """
    if text is None:
        return _only_one(workspace)
    if (found := find_folder(workspace, text)) is not None:
        return found
    if _ON_THE_HUB.fullmatch(text) and not Path(text).expanduser().exists():
        from dataset_builder.hub_cache import cached_release

        return cached_release(workspace, text, _say)
    raise PetdataError(
        f"no release {text!r}, neither a folder nor a name; {known_releases(workspace)}"
    )


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _only_one(workspace: Workspace) -> Path:
    names = {release.parent for release in releases_of(workspace)}
    if len(names) != 1:
        raise PetdataError(f"which release? {known_releases(workspace)}")
    found = latest_release(names.pop())
    assert found is not None
    return found
