from __future__ import annotations

from pathlib import Path

import pytest

from dataset_builder.open_release import find_release
from petdata.errors import PetdataError
from petdata.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for release in ("pets/1.0.0", "pets/1.2.0", "pets/1.10.0"):
        folder = tmp_path / "releases" / release
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    (tmp_path / "releases" / "pets" / "2.0.0").mkdir()  # without its manifest: not whole
    return Workspace(root=tmp_path)


def test_a_release_by_name_version_or_folder(workspace: Workspace, tmp_path: Path) -> None:
    releases = tmp_path / "releases" / "pets"
    assert find_release(workspace, "pets") == releases / "1.10.0"
    assert find_release(workspace) == releases / "1.10.0"
    assert find_release(workspace, "pets@1.2.0") == releases / "1.2.0"
    assert find_release(workspace, "pets@v1.2.0") == releases / "1.2.0"
    assert find_release(workspace, str(releases / "1.0.0")) == releases / "1.0.0"


@pytest.mark.parametrize("text", ["cats", "pets@2.0.0", "pets@1.0", "..", "@1.0.0", "a/b/c"])
def test_another_text_is_answered_with_what_there_is(workspace: Workspace, text: str) -> None:
    with pytest.raises(PetdataError, match=r"here are pets@1\.0\.0, pets@1\.2\.0, pets@1\.10\.0"):
        find_release(workspace, text)


def test_several_names_need_a_choice_and_none_a_build(workspace: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "releases" / "small" / "1.0.0"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text("{}")
    with pytest.raises(PetdataError, match=r"which release\? here are .*small@1\.0\.0"):
        find_release(workspace)
    with pytest.raises(PetdataError, match="run petdata build"):
        find_release(Workspace(root=tmp_path / "empty"))
