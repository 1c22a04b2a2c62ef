"""Which folder a user means by a release: a path, NAME, or NAME@VERSION of the workspace."""

from __future__ import annotations

from pathlib import Path

from dataset_builder.manifest import MANIFEST
from dataset_builder.versions import latest_release, releases_of
from petdata.errors import PetdataError
from petdata.workspace import Workspace


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
    raise PetdataError(f"no release {text!r}, neither a folder nor a name; {_known(workspace)}")


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
