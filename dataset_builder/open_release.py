"""Which folder a user means by a release: a path, NAME or NAME@VERSION of the workspace, or
user/name@v1.0.0 of the Hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import typer

from dataset_builder.manifest import MANIFEST
from dataset_builder.versions import latest_release, releases_of
from petdata.errors import PetdataError
from petdata.workspace import Workspace

_ON_THE_HUB: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@.+)?")


def find_release(workspace: Workspace, text: str | None = None) -> Path:
    """The folder of a release. Without a text the newest of the only name that there is.

    Raises PetdataError, naming what there is.
    """
    if text is None:
        return _only_one(workspace)
    folder = Path(text).expanduser()
    if (folder / MANIFEST).is_file():
        return folder
    name, _, version = text.partition("@")
    if name and Path(name).name == name:
        named = workspace.root / "releases" / name
        found = named / version.removeprefix("v") if version else latest_release(named)
        if found is not None and found != named and (found / MANIFEST).is_file():
            return found
    if _ON_THE_HUB.fullmatch(text) and not folder.exists():
        from dataset_builder.hub_cache import cached_release

        return cached_release(workspace, text, _say)
    raise PetdataError(f"no release {text!r}, neither a folder nor a name; {_known(workspace)}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _only_one(workspace: Workspace) -> Path:
    names = {release.parent for release in releases_of(workspace)}
    if len(names) != 1:
        raise PetdataError(f"which release? {_known(workspace)}")
    found = latest_release(names.pop())
    assert found is not None
    return found


def _known(workspace: Workspace) -> str:
    found = [f"{release.parent.name}@{release.name}" for release in releases_of(workspace)]
    if not found:
        return f"{workspace.root} holds none yet: run petdata build"
    return f"here are {', '.join(found)}"
