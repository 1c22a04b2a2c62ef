"""petdata embed with a tiny network on a small release, as people call it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from training import training_workspace
from typer.testing import CliRunner, Result

from evaluation.embed import embed
from evaluation.embeddings import read_embeddings
from petdata.cli import app
from petdata.errors import PetdataError
from petdata.workspace import Workspace
from trainer.data import open_photos, open_release
from trainer.open_model import open_model

ON_VALIDATION = ("--split", "validation", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("embed") / "home")


@pytest.fixture(autouse=True)
def _here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)


def petdata(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def embedded(*arguments: str) -> Path:
    result = petdata("embed", "dinov2-small", "pets", "--tiny", *ON_VALIDATION, *arguments)
    assert result.exit_code == 0
    return Path(result.stdout.strip())


def test_the_folder_holds_what_the_network_gives(workspace: Workspace) -> None:
    found = read_embeddings(embedded())
    photos = open_photos(open_release("pets", workspace=workspace), "validation")
    model, _ = open_model("dinov2-small", workspace=workspace, tiny=True)
    np.testing.assert_array_equal(found.vectors, embed(model, photos, workers=0).vectors)
    assert found.photo_ids == photos.photo_ids


def test_the_same_command_finds_what_is_there() -> None:
    folder = embedded()
    (part,) = folder.glob("part-*.parquet")
    made = part.stat().st_mtime_ns
    assert embedded() == folder
    assert part.stat().st_mtime_ns == made
    boxes = embedded("--crop", "boxes")
    assert boxes != folder
    assert embedded("--crop", "boxes", "--box-padding", "0.0") == boxes
    assert embedded("--crop", "boxes", "--box-padding", "0.1") not in (boxes, folder)
    assert embedded("--crop", "whole") == folder


def test_a_pickle_for_other_tools(tmp_path: Path) -> None:
    found = read_embeddings(embedded("--pickle", str(tmp_path / "pets.pickle")))
    told = pickle.loads((tmp_path / "pets.pickle").read_bytes())
    np.testing.assert_array_equal(told["vectors"], found.vectors)
    assert told["photo_ids"] == found.photo_ids.to_pylist()
    assert told["identity_ids"] == found.identity_ids.to_pylist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such", "pets", *ON_VALIDATION), "no model 'no-such'"),
        (("dinov2-small", "no-such"), "no release 'no-such'"),
        (("dinov2-small", "pets"), "has no split 'test'; it has"),
        (("dinov2-small", "pets", *ON_VALIDATION, "--tiny", "--text-from", "owner"), "no texts"),
        (("dinov2-small", "pets", *ON_VALIDATION, "--precision", "half"), "choose float32 or"),
        (("dinov2-small", "pets", *ON_VALIDATION, "--tiny", "--box-padding", "1"), "--crop names"),
        (("dinov2-small", "pets", "--crop", "boxes", "--box-padding", "-1"), "0 or more"),
        (("dinov2-small", "pets", "--batch-size", "0"), "batch_size must be at least 1"),
    ],
)
def test_what_cannot_be_embedded_is_said(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(PetdataError, match=said):
        petdata("embed", *arguments)
