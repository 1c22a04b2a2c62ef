"""The loop on a small release: what it writes, that it learns, that it goes on where it stopped."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import tiny, training_workspace

from petdata.errors import PetdataError
from petdata.workspace import Workspace
from trainer.checkpoint import checkpoints_of, read_progress
from trainer.config import TrainConfig, config_of, read_config, to_toml
from trainer.metrics_log import read_metrics
from trainer.model import build_model
from trainer.model_folder import read_model
from trainer.train import TrainingDiverged, train


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("training") / "home")


@pytest.fixture
def runs(workspace: Workspace) -> Workspace:
    """The same release, no runs yet."""
    shutil.rmtree(workspace.root / "runs", ignore_errors=True)
    return workspace


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run) if "loss" in line]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "vision" / "model.safetensors")


def test_a_run_learns_and_leaves_everything_behind(runs: Workspace) -> None:
    said: list[str] = []
    config = tiny(epochs=60, learning_rate=3e-3)
    run = train(config, runs, say=said.append)
    # The mean is over triplets that still pull, so fewer of them is what shows progress.
    pulling = [line["active_triplet_share"] for line in read_metrics(run)]
    assert sum(pulling[-30:]) < 0.7 * sum(pulling[:30])
    assert {path.name for path in run.iterdir()} == {
        *("config.toml", "run.json", "metrics.jsonl", "tensorboard", "checkpoints"),
        *("curves.png", "model"),
    }
    assert read_config(run / "config.toml", {}) == config
    provenance = json.loads((run / "run.json").read_text())
    manifest = json.loads((next(runs.root.glob("releases/pets/*")) / "manifest.json").read_text())
    assert provenance["dataset"]["build_hash"] == manifest["build_hash"]
    assert provenance["environment"]["packages"]["torch"] in torch.__version__
    assert any("identities" in line and "parameters train" in line for line in said)
    assert list((run / "tensorboard").glob("events*"))


def test_only_the_last_blocks_move(runs: Workspace) -> None:
    run = train(tiny(epochs=1), runs)
    before = build_model(tiny()).vision.network.state_dict()
    after = weights(run)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved
    assert all(".layers.1." in name or ".layers.2." in name for name in moved)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_stopped_and_started_again_is_bit_for_bit_the_same(
    runs: Workspace, stop_after: int
) -> None:
    config = tiny(save_every=1, text_encoder="e5-small", text_from="owner")
    whole = train(replace(config, name="whole"), runs)
    stopped = replace(config, name="stopped")
    train(replace(stopped, max_steps=stop_after), runs)
    shutil.rmtree(runs.root / "runs" / "stopped" / "model")  # as if it had been killed there
    resumed = train(stopped, runs)
    assert losses(resumed) == losses(whole)
    for file in ("vision/model.safetensors", "text/model.safetensors", "fusion.safetensors"):
        ours, theirs = (load_file(run / "model" / file) for run in (resumed, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_parts_of_a_batch_give_the_same_losses(runs: Workspace) -> None:
    config = tiny(text_encoder="e5-small", text_from="owner")
    whole = losses(train(replace(config, name="whole"), runs))
    parts = losses(train(replace(config, name="parts", micro_batch=4), runs))
    # The text encoder's dropout differs: parts have seeds of their own.
    assert parts[0] == pytest.approx(whole[0], rel=0.2)
    config = tiny()
    whole = losses(train(replace(config, name="whole-2"), runs))
    parts = losses(train(replace(config, name="parts-2", micro_batch=4), runs))
    assert parts == pytest.approx(whole, rel=1e-4)


def test_gradient_checkpointing_changes_nothing(runs: Workspace) -> None:
    whole = losses(train(tiny(name="whole"), runs))
    again = losses(train(tiny(name="again", gradient_checkpointing=True), runs))
    assert again == pytest.approx(whole, rel=1e-5)


def test_kept_features_give_the_same_losses(runs: Workspace) -> None:
    said: list[str] = []
    whole = losses(train(tiny(name="whole"), runs))
    config = tiny(name="kept", cache_features=True)
    kept = losses(train(config, runs, say=said.append))
    assert kept == pytest.approx(whole, rel=0.02)  # bf16 has 8 bits
    files = list((runs.root / "cache" / "features").glob("*/features.bin"))
    assert len(files) == 1
    written = files[0].stat().st_mtime_ns
    # A cache that a kill left half filled goes on where its state says.
    state = files[0].with_name("state.json")
    filled = json.loads(state.read_text())["filled"]
    content = files[0].read_bytes()
    state.write_text(json.dumps({"filled": filled // 2}))
    again = losses(train(replace(config, name="again"), runs, say=said.append))
    assert again == kept
    # So does one whose file was cut off behind its state's back.
    files[0].write_bytes(content[: len(content) // 3])
    assert losses(train(replace(config, name="cut"), runs)) == kept
    assert files[0].read_bytes() == content
    assert files[0].stat().st_mtime_ns != written
    assert any("features of the frozen blocks: 0.00 GB" in line for line in said)


def test_features_that_do_not_fit_the_disk_are_refused(
    runs: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(runs.root / "cache" / "features", ignore_errors=True)
    monkeypatch.setattr("trainer.feature_cache._SPARE", 2**60)
    with pytest.raises(PetdataError, match="GB free: train without --cache-features"):
        train(tiny(cache_features=True), runs)


@pytest.mark.parametrize("fusion", ["concat", "weighted", "cross-attention", "gating"])
def test_every_fusion_trains(runs: Workspace, fusion: str) -> None:
    config = tiny(text_encoder="e5-small", text_from="owner", fusion=fusion, epochs=2)
    run = train(config, runs)
    model, _ = read_model(run / "model")
    before = build_model(config).state_dict()
    after = model.state_dict()
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"vision", "text", "fusion"}


def test_boxes_and_texts_of_side_tables_reach_the_network(runs: Workspace) -> None:
    plain = losses(train(tiny(epochs=1), runs))
    said: list[str] = []
    cropped = losses(train(tiny(epochs=1, crop="boxes"), runs, say=said.append))
    assert cropped != plain
    assert any("boxes: 11 photos have none" in line for line in said), said
    wider = train(tiny(epochs=1, crop="boxes", box_padding=0.1), runs)
    assert losses(wider) not in (cropped, plain)
    assert read_model(wider / "model")[1].box_padding == 0.1
    fused = {"text_encoder": "e5-small", "epochs": 1}
    owner = losses(train(tiny(text_from="owner", **fused), runs))
    described = losses(train(tiny(text_from="descriptions", **fused), runs, say=said.append))
    assert described != owner
    assert any("texts: 11 photos have none" in line for line in said), said


def test_scaled_decoding_is_nearly_the_same(runs: Workspace) -> None:
    """Drawn photos of 420 pixels for an encoder of 64: they are decoded at a quarter."""
    plain = losses(train(tiny(epochs=1, encoder="siglip2-base"), runs))
    scaled = losses(train(tiny(epochs=1, encoder="siglip2-base", scaled_decoding=True), runs))
    assert scaled != plain
    assert scaled == pytest.approx(plain, rel=0.1)


def test_arcface_trains_its_centres(runs: Workspace) -> None:
    run = train(tiny(loss="arcface", epochs=3), runs)
    centres = load_file(checkpoints_of(run)[-1] / "loss.safetensors")
    assert [tensor.shape[1] for tensor in centres.values()] == [
        json.loads((run / "run.json").read_text())["dataset"]["identity_groups"]
    ]
    told = losses(run)
    assert told[-1] < told[0]


def test_the_same_command_finds_its_run_again(runs: Workspace) -> None:
    said: list[str] = []
    first = train(tiny(epochs=1), runs)
    before = (first / "model" / "vision" / "model.safetensors").stat().st_mtime_ns
    again = train(tiny(epochs=1), runs, say=said.append)
    assert again == first
    assert "finished" in said[-1]
    assert (again / "model" / "vision" / "model.safetensors").stat().st_mtime_ns == before


def test_a_finished_run_goes_on_when_it_is_given_more_epochs(runs: Workspace) -> None:
    config = tiny(name="short", epochs=1)
    train(config, runs)
    longer = train(replace(config, epochs=3), runs)
    whole = train(replace(config, name="whole", epochs=3), runs)
    assert losses(longer) == losses(whole)
    ours, theirs = weights(longer), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    said: list[str] = []
    train(replace(config, epochs=2), runs, say=said.append)
    assert said == [
        f"{longer} is finished: give it more --epochs, another configuration, or a --name"
    ]


def test_a_name_that_another_run_has_is_refused(runs: Workspace) -> None:
    train(tiny(epochs=1, name="mine"), runs)
    with pytest.raises(PetdataError, match=r"margin was 0\.45"):
        train(tiny(epochs=1, name="mine", margin=0.3), runs)


def test_a_loss_that_is_not_finite_ends_the_run(runs: Workspace) -> None:
    with pytest.raises(TrainingDiverged, match=r"at step .* lower --learning-rate"):
        train(tiny(learning_rate=1e30, epochs=40, weights="random"), runs)


def test_triplets_that_are_all_idle_are_warned_of_once(
    runs: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.train.active_triplet_share", lambda *arguments: 0.0)
    said: list[str] = []
    train(tiny(epochs=2), runs, say=said.append)
    assert sum("nothing is learned" in line for line in said) == 1


def test_figures_before_and_after_each_epoch_are_logged(runs: Workspace) -> None:
    seen: list[bool] = []

    def figures(model: torch.nn.Module) -> dict[str, float]:
        seen.append(model.training)
        return {"top_1_accuracy": 0.5, "top_1_accuracy_low": 0.4, "top_1_accuracy_high": 0.6}

    run = train(tiny(epochs=3), runs, on_epoch_end=figures)
    assert seen == [False] * 4
    lines = [line for line in read_metrics(run) if "top_1_accuracy" in line]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]


def test_checkpoints_say_where_they_are(runs: Workspace) -> None:
    run = train(tiny(epochs=2, save_every=2), runs)
    progress = read_progress(checkpoints_of(run)[-1])
    per_epoch = progress.step // 2
    assert (progress.epoch, progress.batch) == (2, 0)
    assert len(checkpoints_of(run)) == 2
    assert len(losses(run)) == progress.step == 2 * per_epoch


def test_a_damaged_checkpoint_is_named(runs: Workspace) -> None:
    run = train(tiny(epochs=1), runs)
    shutil.rmtree(run / "model")
    newest = checkpoints_of(run)[-1]
    (newest / "optimizer.safetensors").write_bytes(b"torn")
    with pytest.raises(PetdataError, match=rf"{newest.name} is damaged"):
        train(tiny(epochs=2), runs)


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = tiny(
        micro_batch=5,
        fusion="concat",
        text_encoder="bert",
        text_from="owner",
        name='Мурка "1" \\😺',
    )
    (tmp_path / "c.toml").write_text(to_toml(config))
    assert read_config(tmp_path / "c.toml", {}) == config
    assert read_config(tmp_path / "c.toml", {"margin": 0.3}) == replace(config, margin=0.3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": "3"}, "epochs takes int"),
        ({"epochs": True}, "epochs takes int"),
        ({"lerning_rate": 1.0}, "unknown key lerning_rate"),
        ({"gradient_accumulation": 4}, "another loss: use micro_batch"),
        ({"fusion": "gating"}, "needs a text_encoder"),
        ({"text_encoder": "bert"}, "needs text_from"),
        ({"photos": 1}, "photos of each"),
        ({"learning_rate": math.inf}, "above 0"),
        ({"precision": "fp8"}, "choose no or bf16"),
        ({"name": "../elsewhere"}, "that of a folder in runs/"),
        ({"name": ".."}, "that of a folder in runs/"),
    ],
)
def test_what_makes_no_sense_is_said(values: dict[str, object], words: str) -> None:
    with pytest.raises(PetdataError, match=words):
        config_of(values, where="c.toml")


def test_defaults_are_the_paper() -> None:
    config = TrainConfig()
    assert (config.identities, config.photos, config.epochs) == (58, 2, 10)
    assert (config.learning_rate, config.margin, config.variance_weight) == (1e-4, 0.45, 0.5)
    assert config.trainable_blocks == 5
