"""Multiply-adds by hand, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from evaluation.costs import costs_of, drawn_batch, multiply_adds, torchinfo_multiply_adds
from evaluation.epoch_costs import logged_epoch
from evaluation.text_alone import TextAlone
from peak_memory import peak_mebibytes
from petdata.cli import app
from petdata.errors import PetdataError
from trainer.encoders import load_vision_encoder
from trainer.model import PetEncoder, count_parameters

CPU = torch.device("cpu")
WIDTH, MLP, BLOCKS, PATCHES = 32, 128, 3, 64  # tiny: pictures of 64 pixels, patches of 8


def tiny_dinov2() -> PetEncoder:
    return PetEncoder(load_vision_encoder("dinov2-small", tiny=True, trainable_blocks=1, seed=0))


def test_every_product_is_counted() -> None:
    tokens = PATCHES + 1
    projections = tokens * (4 * WIDTH * WIDTH + 2 * WIDTH * MLP)
    attention = 2 * tokens * tokens * WIDTH
    patches = PATCHES * WIDTH * 3 * 8 * 8
    model = tiny_dinov2()
    found = multiply_adds(model, drawn_batch(model, 1, CPU))
    assert found == patches + BLOCKS * (projections + attention)
    assert multiply_adds(model, drawn_batch(model, 3, CPU)) == 3 * found


def test_torchinfo_counts_a_layer_once_a_photo() -> None:
    linear = 4 * (WIDTH * WIDTH + WIDTH) + 2 * WIDTH * MLP + MLP + WIDTH
    norms = 2 * WIDTH
    patches = PATCHES * (WIDTH * 3 * 8 * 8 + WIDTH)
    model = tiny_dinov2()
    found = torchinfo_multiply_adds(model, drawn_batch(model, 1, CPU))
    assert found == patches + BLOCKS * (linear + 2 * norms) + norms
    assert torchinfo_multiply_adds(model, drawn_batch(model, 3, CPU)) == 3 * found


def test_a_published_encoder_has_its_figures() -> None:
    """5.52 G is without attention's products, by torch; 0.079 G is torchinfo 1.8.0's."""
    model = PetEncoder(load_vision_encoder("dinov2-small", weights="random"))
    attention = 12 * 2 * 257 * 257 * 384
    with torch.inference_mode():
        batch = drawn_batch(model, 1, CPU)
        assert (multiply_adds(model, batch) - attention) / 1e9 == pytest.approx(5.52, abs=0.01)
        found = torchinfo_multiply_adds(model, batch) / 1e9
    assert found == pytest.approx(0.079, abs=0.0005)


def test_a_text_encoder_has_its_figures() -> None:
    """E5-Small: 1.36 G at 64 tokens without attention's products, 33.36 M, of which 8.87 M train.

    torchinfo's 0.033 G has the pooler, 0.15 M, which petdata does not run.
    """
    model = TextAlone("e5-small")
    attention = 12 * 2 * 64 * 64 * 384
    counted = count_parameters(model)
    assert (counted.total / 1e6, counted.trainable / 1e6) == (
        pytest.approx(33.36, abs=0.005),
        pytest.approx(8.87, abs=0.005),
    )
    with torch.inference_mode():
        batch = drawn_batch(model, 1, CPU)
        assert (multiply_adds(model, batch) - attention) / 1e9 == pytest.approx(1.36, abs=0.005)
        found = torchinfo_multiply_adds(model, batch) / 1e9
    assert found == pytest.approx(0.033, abs=0.0005)


def test_parameters_and_conditions() -> None:
    model = tiny_dinov2()
    found = costs_of(model, device=CPU, batch_size=4, timed_batches=2)
    assert found.parameters == sum(each.numel() for each in model.parameters())
    assert 0 < found.trainable < found.parameters / 2
    assert found.photos_per_second > 0
    assert found.peak_bytes > 4 * found.parameters
    assert (found.batch_size, found.precision) == (4, "float32")


def test_the_peak_is_not_that_of_what_came_before() -> None:
    before = torch.ones(100 * 2**20)  # 400 MiB
    highest = peak_mebibytes()
    del before
    found = costs_of(tiny_dinov2(), device=CPU, batch_size=1, timed_batches=1)
    assert found.peak_bytes / 2**20 < highest - 200


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    names = ["clip-vit-base", "dinov2-small", "--tiny", "--batch-size", "2", "--device", "cpu"]
    shown = CliRunner().invoke(app, ["costs", *names], catch_exceptions=False).stdout
    assert "clip-vit-base" in shown
    assert "batch 2, float32, CPU" in shown
    said = CliRunner().invoke(app, ["costs", *names, "--json"], catch_exceptions=False).stdout
    told = json.loads(said)
    assert list(told) == ["clip-vit-base", "dinov2-small"]
    assert told["dinov2-small"]["trainable"] > 0


def test_an_epoch_is_estimated_from_the_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    names = ["dinov2-small", "--tiny", "--batch-size", "2", "--device", "cpu"]
    said = CliRunner().invoke(
        app, ["costs", *names, "--epoch-photos", "500", "--json"], catch_exceptions=False
    )
    told = json.loads(said.stdout)["dinov2-small"]
    assert told["seconds_per_epoch"] == pytest.approx(500 / told["photos_per_second"])
    assert told["epoch_of"].startswith("estimate")


def test_an_epoch_of_a_run_is_what_it_logged(tmp_path: Path) -> None:
    """Two logged steps of 6 photos, at 3 and 6 photos a second; 5 batches an epoch."""
    (tmp_path / "config.toml").write_text("identities = 3\nphotos = 2\n")
    lines = [
        {"step": 0, "epoch": 0.0, "top_1_accuracy": 0.5},
        {"step": 4, "epoch": 0.8, "loss": 1.0, "photos_per_second": 3.0},
        {"step": 8, "epoch": 1.6, "loss": 1.0, "photos_per_second": 6.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    found = logged_epoch(tmp_path)
    assert found is not None
    assert found.photos == 30
    assert found.seconds == pytest.approx(5 * (2.0 + 1.0) / 2)


def test_costs_for_a_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    names = ["dinov2-small", "--tiny", "--batch-size", "2", "--device", "cpu"]
    for kind, row in (("markdown", "| dinov2-small | "), ("latex", "dinov2-small & ")):
        said = CliRunner().invoke(app, ["costs", *names, "--format", kind], catch_exceptions=False)
        (line,) = (line for line in said.stdout.splitlines() if line.startswith(row))
        assert len(line.removesuffix(" |").split(row[-2])) == 8 + (kind == "markdown")
    with pytest.raises(PetdataError, match="choose table or markdown or latex or json"):
        CliRunner().invoke(app, ["costs", *names, "--format", "odt"], catch_exceptions=False)
