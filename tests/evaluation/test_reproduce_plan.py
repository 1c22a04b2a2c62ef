"""Which cells can be run on a small release, which cannot, and how long they may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reproducing import inputs_of, matrix, reproduce_workspace
from worlds import Animal, add, build_release, photo

from dataset_builder.build import build
from dataset_builder.options import BuildOptions
from evaluation.reproduce_estimate import hours_of
from evaluation.reproduce_inputs import InputMissing, build_command, require_weights
from evaluation.reproduce_matrix import EvaluateChoice
from evaluation.reproduce_plan import Job, Planned, Work, jobs_of, make_plan
from petdata.errors import PetdataError
from petdata.workspace import Workspace
from trainer.config import TrainConfig


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return reproduce_workspace(tmp_path_factory.mktemp("plan") / "home")


def planned(workspace: Workspace, **cells: str) -> dict[str, Planned]:
    plan = make_plan(matrix(**cells), inputs_of(workspace))
    return {each.cell.name: each for each in plan}


def job(workspace: Workspace, inside: str = "") -> Job:
    found = planned(workspace, cell=inside)["cell"]
    assert found.job is not None, found.missing
    return found.job


def test_equal_configurations_are_one_job(workspace: Workspace) -> None:
    plan = make_plan(
        matrix(one="", two="train = { loss = 'triplet' }", three="train = { loss = 'arcface' }"),
        inputs_of(workspace),
    )
    assert [each.cell.name for each, _ in jobs_of(plan)] == ["one", "three"]


def test_the_key_is_of_all_that_decides_the_result(workspace: Workspace) -> None:
    keys = {
        job(workspace, inside).key
        for inside in (
            "",
            "train = { max_steps = 5 }",
            "train = { margin = 0.3 }",
            "train = { dataset_config = 'pet911' }",
            "train = { encoder = 'dinov2-small' }",
        )
    }
    assert len(keys) == 5
    assert job(workspace, "train = { micro_batch = 2, log_every = 1 }").key in keys
    again = make_plan(matrix(cell=""), inputs_of(workspace), seeds=2)
    assert again[0].job is not None
    assert again[1].job is not None
    assert again[0].job.key in keys
    assert again[1].job.key not in keys


def test_nothing_of_a_frozen_network_depends_on_the_seed(workspace: Workspace) -> None:
    frozen = "frozen = true\ntrain = { encoder = 'bioclip' }"
    plan = make_plan(matrix(trained="", frozen=frozen), inputs_of(workspace), seeds=3)
    assert [(each.cell.name, each.seed) for each in plan] == [
        ("trained", 0),
        ("frozen", 0),
        ("trained", 1),
        ("trained", 2),
    ]


def test_a_frozen_network_is_known_by_what_it_sees(workspace: Workspace) -> None:
    keys = {
        job(workspace, f"frozen = true\ntrain = {{ {flags} }}").key
        for flags in ("", "encoder = 'bioclip'", "encoder = 'bioclip', device = 'auto'")
    }
    assert len(keys | {job(workspace).key}) == 3


def test_what_is_missing_is_named(workspace: Workspace) -> None:
    texts = "train = { text_encoder = 'bert', text_from = 'descriptions' }"
    found = planned(
        workspace,
        boxes="train = { crop = 'boxes' }",
        no_table="train = { crop = 'drawn' }",
        texts=texts,
        config="train = { dataset_config = 'lcw' }",
        telegram="requires = ['pet911', 'telegram']",
        batch="train = { identities = 58 }",
        fine="",
    )
    test_split = "no photo in test of pets@1.1.0 has a"
    for name, said in {
        "boxes": f"{test_split} box in boxes",
        "no-table": "no side table 'drawn' in",
        "texts": f"{test_split} text in descriptions",
        "config": "has no configuration 'lcw'",
        "telegram": "pets@1.1.0 has no photos of telegram",
        "batch": "a batch takes 58",
        "fine": "",
    }.items():
        assert said in found[name].missing
        assert (found[name].job is None) == bool(said)


def test_a_build_without_a_source_is_asked_for_and_found(tmp_path: Path) -> None:
    workspace = reproduce_workspace(tmp_path / "home")
    excluding = {"whole": "", "established": "exclude = ['pet911', 'telegram']"}
    assert planned(workspace, **excluding)["established"].missing == (
        "there is no build without pet911: petdata build --name pets-without-pet911 "
        "--exclude pet911 --keep-source-ids --keep-text --val-fraction 0.3"
    )
    options: dict[str, Any] = {
        "keep_source_ids": True,
        "exclude": frozenset({"pet911"}),
        "keep_text": True,
    }
    build(workspace, BuildOptions(**options, val_fraction=0.2), name="other")
    assert "there is no build" in planned(workspace, **excluding)["established"].missing
    build(workspace, BuildOptions(**options, val_fraction=0.3), name="mine")
    found = planned(workspace, **excluding)
    assert found["established"].job is not None
    assert found["whole"].job is not None
    assert found["established"].job.config.dataset == "mine@1.0.0"
    assert found["established"].job.release == found["whole"].job.release == "pets@1.1.0"
    assert found["established"].job.trained_on.keys() == {"dogs_world"}
    assert found["whole"].job.trained_on.keys() == {"dogs_world", "pet911"}
    add(workspace, [Animal("dogs_world/900", [photo(900), photo(900, 1)])])
    build_release(workspace, val_fraction=0.3, keep_text=True)
    assert planned(workspace, **excluding)["established"].missing.startswith(
        "mine@1.0.0 was built of other photos than pets@1.2.0: petdata build"
    )


def test_species_of_the_training_photos_are_counted(workspace: Workspace) -> None:
    trained_on = job(workspace).trained_on
    assert trained_on.keys() == {"dogs_world", "pet911"}
    inputs = inputs_of(workspace)
    table, _ = inputs.release.columns("train", ["source", "species"])
    counts = {
        (each["source"], each["species"]): each["source_count"]
        for each in table.group_by(["source", "species"])
        .aggregate([("source", "count")])
        .to_pylist()
    }
    assert {(s, k): n for s, kinds in trained_on.items() for k, n in kinds.items()} == counts


def test_a_release_without_the_tested_split_is_an_error(workspace: Workspace) -> None:
    wrong = matrix(cell="")
    wrong = replace(wrong, evaluate=EvaluateChoice(split="exam"))
    with pytest.raises(PetdataError, match="no split 'exam'"):
        make_plan(wrong, inputs_of(workspace))


def test_weights_that_cannot_be_fetched_are_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    require_weights(TrainConfig(encoder="siglip-base", tiny=True))
    require_weights(TrainConfig(encoder="siglip-base", weights="random"))
    with pytest.raises(InputMissing, match="weights of siglip-base: google/siglip-base"):
        require_weights(TrainConfig(encoder="siglip-base"))
    with pytest.raises(InputMissing, match="no vision encoder 'siglip3'"):
        require_weights(TrainConfig(encoder="siglip3"))


def test_a_command_to_build_says_what_is_not_the_default() -> None:
    options = {"exclude": ["lcw", "petface"], "petface": "none", "keep_text": True, "seed": 4}
    assert build_command("x", options) == (
        "petdata build --name x --exclude lcw --exclude petface --keep-text --seed 4"
    )


# Hours


def with_work(config: Mapping[str, object], *, trained: int, embedded: int = 0) -> Job:
    values: dict[str, object] = {"encoder": "siglip2-giant", **config}
    return Job(
        key="k",
        config=TrainConfig(**values),  # type: ignore[arg-type]
        frozen=False,
        release="pets",
        evaluate=EvaluateChoice(),
        trained_on={},
        identities=1,
        work=Work(trained=trained, embedded=embedded),
    )


def operations(job: Job) -> float:
    return hours_of(job, teraflops=1.0) * 3600 * 1e12


def test_a_step_of_the_giant_takes_some_190_tera_operations() -> None:
    """2 x 655.7 G multiply-adds x 116 photos x (1 + 2 x 5 / 40), attention's products aside."""
    attention = 40 * 2 * 576 * 576 * 1536
    by_hand = 2 * (655.7e9 + attention) * 116 * 1.25
    assert operations(with_work({}, trained=116)) == pytest.approx(by_hand, rel=0.005)
    assert by_hand == pytest.approx(190e12, rel=0.08)


def test_what_else_costs_operations() -> None:
    forward = operations(with_work({}, trained=0, embedded=116))
    assert operations(with_work({"trainable_blocks": -1}, trained=116)) == pytest.approx(
        3 * forward
    )
    assert operations(with_work({"micro_batch": 16}, trained=116)) == pytest.approx(2.25 * forward)
    frozen = replace(with_work({}, trained=0, embedded=116), frozen=True)
    assert operations(frozen) == pytest.approx(forward)
    texts = with_work({"text_encoder": "e5-base", "text_from": "x"}, trained=0, embedded=1000)
    alone = with_work({}, trained=0, embedded=1000)
    tokens = 2 * 5.44e9 * 1000  # 64 tokens; its attention's products are few
    assert operations(texts) - operations(alone) == pytest.approx(tokens, rel=0.02)
