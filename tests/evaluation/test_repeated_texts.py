"""Evaluating a model that reads texts says how far these give the animal away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training import tiny, training_workspace
from typer.testing import CliRunner

from petdata.cli import app
from petdata.workspace import Workspace
from trainer.train import train

EVALUATE = (
    *("evaluate", "readers", "pets", "--split", "validation", "--workers", "0"),
    *("--device", "cpu", "--resamples", "100", "--no-controls"),
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = training_workspace(tmp_path_factory.mktemp("texts") / "home")
    reads = {"text_encoder": "bert", "text_from": "owner"}
    train(tiny(name="readers", max_steps=1, validate=False, **reads), workspace)
    return workspace


def test_texts_of_owners_give_their_animals_away(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    told = json.loads(CliRunner().invoke(app, [*EVALUATE, "--json"]).stdout)
    # Each announcement's title is that of its three photos; titles differ in a number.
    found = told["text_repeats"]
    assert found["texts"] == found["with_siblings"] == found["photos"] - told["photos_without_text"]
    assert 0 < found["texts"] == found["identical_within"] == found["near_across"]
    assert found["identical_across"] == 0
    stored = json.loads((Path(told["folder"]) / "about.json").read_text())
    assert stored["text_repeats"] == found
    printed = CliRunner().invoke(app, EVALUATE).stdout
    assert "texts: 100.0% of photos have that of another photo of the same animal" in printed


def test_generated_texts_are_counted_by_themselves(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    command = [*EVALUATE, "--text-from", "descriptions", "--json"]
    found = json.loads(CliRunner().invoke(app, command).stdout)["text_repeats"]
    assert found["texts"] == found["photos"] * 2 // 3  # one photo in three has none
