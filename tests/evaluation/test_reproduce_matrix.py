"""The shipped matrices against what the paper has, and what a file may say wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evaluation.reproduce_matrix import Matrix, matrix_of, read_matrix
from petdata.errors import PetdataError

SMALL = """
title = "T"
[train]
encoder = "clip-vit-base"
tiny = true
[[experiment]]
name = "loss"
title = "Losses"
baseline = "cosine"
train = { text_encoder = "bert", text_from = "owner" }
[[experiment.cell]]
name = "cosine"
label = "by the cosine"
[[experiment.cell]]
name = "arcface"
label = "ArcFace"
train = { loss = "arcface", text_encoder = "", text_from = "" }
"""


def cells(matrix: Matrix, experiment: str) -> list[tuple[str, str | None, str | None]]:
    return [
        (cell.config.encoder, cell.config.text_encoder, cell.config.fusion_name)
        for cell in matrix.only([experiment]).experiments[0].cells
    ]


def test_the_paper_has_six_vision_encoders() -> None:
    found = [encoder for encoder, _, _ in cells(read_matrix("paper"), "vision")]
    assert sorted(found) == [
        *("clip-vit-base", "dinov2-small", "siglip-base"),
        *("siglip2-base", "siglip2-giant", "zer0int-clip-l"),
    ]


def test_the_paper_has_five_text_encoders() -> None:
    found = [text for _, text, _ in cells(read_matrix("paper"), "text") if text]
    assert sorted(found) == ["bert", "e5-base", "e5-base-v2", "e5-small", "e5-small-v2"]


def test_the_paper_has_eight_multimodal_models() -> None:
    found = [cell for cell in cells(read_matrix("paper"), "fusion") if cell[1]]
    small = [("clip-vit-base", "e5-small-v2"), ("siglip2-giant", "e5-small-v2")]
    assert sorted(found) == sorted(
        [
            ("clip-vit-base", "e5-base-v2", "concat"),
            *((*pair, fusion) for pair in small for fusion in ("concat", "cross-attention")),
            *((*pair, "weighted") for pair in small),
            ("siglip2-giant", "e5-small-v2", "gating"),
        ]
    )


def test_the_paper_has_seven_sets_of_training_data() -> None:
    (data,) = read_matrix("paper").only(["data"]).experiments
    assert [(cell.exclude, cell.config.dataset_config) for cell in data.cells] == [
        (("pet911", "telegram"), "all"),
        (("telegram",), "all"),
        (("pet911",), "all"),
        ((), "all"),
        ((), "all"),
        ((), "petface_train"),
        ((), "no_petface"),
    ]


def test_the_paper_has_five_comparison_models_that_stay_frozen() -> None:
    (comparison,) = read_matrix("paper").only(["comparison"]).experiments
    assert sorted(cell.config.encoder for cell in comparison.cells if cell.frozen) == [
        *("bioclip", "megadescriptor-clip-336", "megadescriptor-l-384"),
        *("megadescriptor-t-cnn-288", "miewid-msv3"),
    ]


def test_the_rest_of_the_paper_is_there() -> None:
    paper = read_matrix("paper")
    names = ["vision", "text", "fusion", "data", "crop", "comparison", "loss"]
    assert [each.name for each in paper.experiments] == names
    (crop,) = paper.only(["crop"]).experiments
    assert [cell.config.crop for cell in crop.cells] == [None, "boxes"]
    (loss,) = paper.only(["loss"]).experiments
    assert [(c.config.loss, c.config.distance, c.config.variance_weight) for c in loss.cells] == [
        ("triplet", "cosine", 0.5),
        ("triplet", "euclidean", 0.5),
        ("triplet", "cosine", 0.0),
        ("arcface", "cosine", 0.5),
    ]


def test_the_recipe_is_the_papers_for_every_cell_that_trains() -> None:
    for experiment in read_matrix("paper").experiments:
        for cell in (cell for cell in experiment.cells if not cell.frozen):
            config = cell.config
            assert (config.identities, config.photos, config.epochs) == (58, 2, 10)
            assert (config.learning_rate, config.trainable_blocks) == (1e-4, 5)
            assert not config.tiny


def test_published_figures_are_those_of_the_abstract() -> None:
    (fusion,) = read_matrix("paper").only(["fusion"]).experiments
    best = fusion.cell("giant-e5-small-gating")
    assert {each.figure: each.value for each in best.published} == {
        "top_1_accuracy": 0.8428,
        "equal_error_rate": 0.0422,
    }


def test_tiny_has_every_experiment_of_the_paper_in_small() -> None:
    tiny, paper = read_matrix("tiny"), read_matrix("paper")
    assert [e.name for e in tiny.experiments] == [e.name for e in paper.experiments]
    for experiment in tiny.experiments:
        assert all(cell.config.tiny for cell in experiment.cells)


def test_a_cell_stands_over_its_experiment_and_an_empty_text_takes_a_flag_back() -> None:
    (loss,) = matrix_of(SMALL, name="small", where="small.toml").experiments
    assert loss.cell("cosine").config.text_encoder == "bert"
    assert loss.cell("arcface").config.text_encoder is None
    assert loss.cell("arcface").config.loss == "arcface"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "T"', 'title = "T"\ncolour = 1', "small.toml: unknown key colour; known are"),
        ('title = "Losses"', 'titel = "L"', r"experiment 1: unknown key titel"),
        ('title = "Losses"', "title = 3", "title takes str, not 3"),
        ('title = "T"', "", "title must be given"),
        ('baseline = "cosine"', 'baseline = "x"', r"experiment 1 \(loss\): the baseline 'x' is"),
        ('name = "arcface"', 'name = "cosine"', "cells: 'cosine' stands there twice"),
        ('name = "arcface"', 'name = "../x"', "a name has small letters"),
        ('loss = "arcface"', 'los = "x"', r"cell 2 \(arcface\), train: unknown key los; known"),
        ('loss = "arcface"', 'loss = "x"', "no loss 'x'"),
        ('loss = "arcface"', "seed = 3", "seed cannot stand in a matrix"),
        ('label = "ArcFace"', 'label = "A"\nfrozen = true', "loss, text_encoder, text_from of a f"),
        ('label = "ArcFace"', 'label = "A"\nexclude = [1]', "exclude takes names of sources"),
        ("[train]", "[evaluate]\nresamples = 5\n[train]", "5 resamples"),
        ("[train]", "[evaluate]\nresample = 5\n[train]", "evaluate: unknown key resample;"),
        ("[train]", "[train", "small.toml is no TOML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert old in SMALL
    with pytest.raises(PetdataError, match=said):
        matrix_of(SMALL.replace(old, new), name="small", where="small.toml")


def test_another_matrix_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SMALL)
    assert read_matrix(str(tmp_path / "mine.toml")).name == "mine"
    with pytest.raises(PetdataError, match=r"no matrix 'papre': give tiny, paper or a TOML file"):
        read_matrix("papre")
    with pytest.raises(PetdataError, match="has no experiment speed; choose from loss"):
        read_matrix(str(tmp_path / "mine.toml")).only(["speed"])


def test_the_example_of_the_page_is_a_matrix() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (margin,) = matrix_of(example, name="margins", where="docs").experiments
    assert [cell.config.margin for cell in margin.cells] == [0.45, 0.2]
    names = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert names == [each.name for each in read_matrix("paper").experiments]
