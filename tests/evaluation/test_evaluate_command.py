"""petdata evaluate with tiny networks on a small release, as people call it."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from training import tiny, training_workspace
from typer.testing import CliRunner, Result

from evaluation.controls import ColourHistogram
from evaluation.embeddings import read_embeddings
from evaluation.evaluate import EvaluateOptions, evaluate
from evaluation.hidden import HALVES
from evaluation.pair_kinds import announced
from evaluation.stored import find_stored, read_stored
from petdata.cli import app
from petdata.errors import CorruptFile, PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.train import train

QUICK = ("--split", "validation", "--workers", "0", "--device", "cpu", "--resamples", "100")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = training_workspace(tmp_path_factory.mktemp("evaluate") / "home")
    train(tiny(name="cats", max_steps=3), workspace)
    return workspace


@pytest.fixture(autouse=True)
def _here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)


def petdata(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def evaluated(*arguments: str) -> dict[str, Any]:
    result = petdata("evaluate", "cats", "pets", *QUICK, *arguments, "--json")
    assert result.exit_code == 0
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_a_run_is_evaluated_beside_its_controls(workspace: Workspace) -> None:
    told = evaluated()
    stored = read_stored(Path(told["folder"]))
    assert stored.folder.parent == workspace.root / "evaluations"
    networks = ["raw encoder", "random weights", "colour histogram"]
    assert list(stored.controls) == [*networks, *HALVES]
    assert told["controls_not_had"] == {}
    embeddings = read_embeddings(workspace.root / "cache" / "embeddings" / told["embeddings"])
    said = announced(open_release("pets"), "validation", embeddings.photo_ids)
    assert stored.model == evaluate(embeddings, EvaluateOptions(resamples=100), said)
    hashes = {each.model_hash for each in (stored.model, *stored.controls.values())}
    assert len(hashes) == 4  # halves of photos are embedded by the model itself
    assert told["release"] == "pets@1.0.0"
    assert find_stored(workspace, stored.folder.name) == stored.folder


def test_the_list_of_pairs_is_kept() -> None:
    told = evaluated("--no-controls")
    folder = Path(told["folder"])
    metadata = pq.read_schema(folder / "pairs" / "all.parquet").metadata[b"petdata.pairs"]
    assert json.loads(metadata)["hash"] == told["model_figures"]["parts"][0]["pairs_hash"]


def test_the_same_command_has_the_same_folder() -> None:
    first, again = evaluated("--no-controls"), evaluated("--no-controls")
    assert first == again
    assert evaluated("--no-controls", "--seed", "1")["folder"] != first["folder"]
    assert Path(evaluated("--no-controls", "--name", "mine")["folder"]).name == "mine"


def test_people_see_a_table() -> None:
    shown = petdata("evaluate", "cats", "pets", *QUICK).stdout
    part = evaluated()["model_figures"]["parts"][0]
    top_1 = part["figures"]["top_1_accuracy"]
    (line,) = (line for line in shown.splitlines() if line.split()[:2] == ["Top-1", "%"])
    assert f" {100 * top_1['estimate']:.1f} " in line
    assert f" {100 * top_1['low']:.1f} to {100 * top_1['high']:.1f} " in line
    assert part["pairs_hash"][:16] in shown
    assert "queries, 0 skipped" in shown


def test_another_folder_is_not_replaced(workspace: Workspace) -> None:
    (workspace.root / "evaluations" / "notes").mkdir(parents=True)
    with pytest.raises(PetdataError, match="no evaluation: give another --name"):
        evaluated("--no-controls", "--name", "notes")
    with pytest.raises(CorruptFile, match="holds no evaluation"):
        read_stored(workspace.root / "evaluations" / "notes")


def test_colours_are_counted() -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (9, 7, 3), np.uint8)
    found = ColourHistogram((2, 2, 2)).transform()(Image.fromarray(pixels)).flatten()
    counts = torch.zeros(8)
    for pixel in pixels.reshape(-1, 3) / 255:
        hue, saturation, value = (each >= 128 / 255 for each in colorsys.rgb_to_hsv(*pixel))
        counts[4 * hue + 2 * saturation + value] += 1
    assert found.sum() == pytest.approx(1)
    # Pillow rounds hue and saturation to a byte: a pixel on the edge may fall on its other side
    assert (found - counts / 63).abs().max() <= 2 / 63
