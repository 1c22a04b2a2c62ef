"""A dataset ID at a tag trains as its folder does: the same batches, photos and losses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_hub_photos import point_client_at
from training import tiny, training_workspace

from dataset_builder.hub import PushOptions, push
from petdata.demo.servers.hub import HubServer
from petdata.workspace import Workspace
from trainer.metrics_log import read_metrics
from trainer.train import train


def test_the_same_losses_as_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = training_workspace(tmp_path / "here")
    folder = next(here.root.glob("releases/pets/*"))
    config = tiny(epochs=2, workers=2, text_encoder="e5-small", text_from="owner")
    of_folder = train(config, here)
    with HubServer() as hub:
        point_client_at(hub, monkeypatch)
        push(folder, "user/pets", PushOptions(private=True, include_restricted=True))
        elsewhere = Workspace(root=tmp_path / "elsewhere")
        of_hub = train(replace(config, dataset="user/pets", revision="v1.0.0"), elsewhere)
    losses = [[line["loss"] for line in read_metrics(run)] for run in (of_folder, of_hub)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6
    told = json.loads((of_hub / "run.json").read_text())["dataset"]
    assert told["revision"]
    assert told["build_hash"] == json.loads((folder / "manifest.json").read_text())["build_hash"]
