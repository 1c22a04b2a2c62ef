"""Finished runs as folders that others load: the gate, the card, the Hub, and back again."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file, save_file
from training import tiny, training_workspace
from typer.testing import CliRunner

from petdata.cli import app
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.hub_faults import Fault
from petdata.errors import CorruptFile, PetdataError
from petdata.hub_session import Patience
from petdata.sources import SOURCES
from petdata.workspace import Workspace
from trainer import export as exporting
from trainer.checkpoint import checkpoints_of
from trainer.config import TrainConfig
from trainer.export import export, open_model
from trainer.model import build_model
from trainer.model_card import CardFacts, model_card
from trainer.model_folder import read_model
from trainer.model_licence import model_licence
from trainer.model_push import PushedModel, PushOptions, push_model
from trainer.release_gate import (
    GateRefusal,
    drawn_probe,
    largest_difference,
    own_embeddings,
)
from trainer.train import train

WEIGHTS = "model.safetensors"
REPO = "user/cats"


def figures(model: torch.nn.Module) -> dict[str, float]:
    return {"top_1_accuracy": 0.5, "top_1_accuracy_low": 0.25, "top_1_accuracy_high": 0.625}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("export") / "home")


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> Path:
    """Of photos alone."""
    return train(tiny(name="cats", max_steps=3), workspace, on_epoch_end=figures)


@pytest.fixture(scope="module")
def exported(run: Path, workspace: Workspace) -> Path:
    """The tests that change it take a copy."""
    return export(run, workspace).folder


@pytest.fixture(scope="module")
def fused(workspace: Workspace) -> Path:
    config = tiny(name="cats-with-texts", max_steps=3)
    return train(replace(config, text_encoder="e5-small", text_from="owner"), workspace)


def front_matter(folder: Path) -> dict[str, Any]:
    return dict(ModelCard.load(folder / "README.md").data.to_dict())


def test_an_export_has_what_its_readers_look_for(exported: Path, run: Path) -> None:
    names = {str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file()}
    assert names == {
        *("README.md", "petdata.json", "config.json", WEIGHTS, "preprocessor_config.json"),
    }
    trained = (run / "model" / "vision" / WEIGHTS).read_bytes()
    assert (exported / WEIGHTS).read_bytes() == trained
    said = json.loads((exported / "petdata.json").read_text())
    assert said["files"].keys() == names - {"petdata.json"}
    assert said["gate"]["largest_difference"] <= said["gate"]["tolerance"] == 1e-5
    assert said["gate"]["compared"] == 9
    assert said["steps"] == 3
    manifest = json.loads((next(run.parents[1].glob("releases/pets/*/manifest.json"))).read_text())
    assert said["dataset"]["build_hash"] == manifest["build_hash"]
    assert said["environment"]["packages"]["torch"] in torch.__version__
    for path in exported.rglob("*"):  # nothing leads to the machine where it was trained
        assert path.is_dir() or str(run.parents[1]).encode() not in path.read_bytes()


def test_the_code_of_the_card_runs_where_petdata_is_not(exported: Path, run: Path) -> None:
    """As a reader would: copied out of README.md into a script of his own."""
    (code,) = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL)
    probe = drawn_probe(with_texts=False)
    show = "\nimport sys\nphotos = [Image.open(name) for name in sys.argv[1:]]\n"
    show += "print(embed(photos).tolist())\nassert 'petdata' not in sys.modules\n"
    photos = [exported.parent / f"photo-{number}.png" for number in range(len(probe))]
    for photo, content in zip(photos, probe.pictures, strict=True):
        photo.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"from PIL import Image\n{code}{show}", *map(str, photos)],
        cwd=exported,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    model, _ = read_model(run / "model")
    np.testing.assert_allclose(
        json.loads(done.stdout.splitlines()[-1]), own_embeddings(model, probe).numpy(), atol=1e-6
    )


def test_the_card_says_what_it_was_trained_on_and_what_came_of_it(exported: Path) -> None:
    data = front_matter(exported)
    assert data["pipeline_tag"] == "image-feature-extraction"
    assert data["library_name"] == "transformers"
    assert data["license"] == "unknown"  # pet911 grants none
    assert "base_model" not in data  # a tiny network has none
    assert "datasets" not in data  # the release is on no Hub
    text = (exported / "README.md").read_text()
    assert "`pet911` | Lost and found pets on pet911.ru | **none granted** |" in text
    assert "| Top-1 | 0.5000 | 0.5000 | 0.2500 to 0.6250 |" in text
    assert "3 steps of 3 identities x 2 photos" in text
    assert "5 photos and 4 drawn pictures" in text
    assert not re.search(r"\$[a-z{]", text)


def card_of(config: TrainConfig, *, sources: list[str], reference: str, revision: str) -> ModelCard:
    dataset = {"reference": reference, "revision": revision, "name": "pets", "version": "1.0.0"}
    dataset |= {"config": "all", "build_hash": "b" * 64, "sources": sources}
    facts = CardFacts(
        run="cats",
        model=build_model(replace(config, tiny=True)),
        config=config,
        provenance={"dataset": dataset | {"photos": 12_000, "identity_groups": 3_000}},
        sources=SOURCES,
        metrics=[],
        steps=12,
        code="",
        onnx_code=None,
        photos_compared="4 drawn pictures",
        difference=0.0,
        onnx_difference=None,
    )
    return ModelCard(model_card(facts))


def test_a_card_names_base_models_and_the_data_set_of_the_hub() -> None:
    config = tiny(encoder="siglip2-base", text_encoder="e5-small", text_from="owner", tiny=False)
    card = card_of(config, sources=["lcw", "petface"], reference="user/pets", revision="c" * 40)
    assert card.data.license == "other"
    assert card.data.license_name == "non-commercial-research"
    assert card.data.base_model == ["google/siglip2-base-patch16-224", "intfloat/e5-small"]
    assert card.data.datasets == ["user/pets"]
    assert "**Not for commercial use**: that is the licence of PetFace" in card.text
    assert "`user/pets` at cccccccccccc" in card.text
    assert "12,000 photos of 3,000 identity groups" in card.text
    assert "Not measured." in card.text


def test_a_card_names_the_library_of_its_network() -> None:
    config = tiny(encoder="megadescriptor-l-384", trainable_blocks=0, tiny=False)
    card = card_of(config, sources=["dogs_world"], reference="user/pets", revision="c" * 40)
    assert card.data.library_name == "timm"
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.base_model == ["BVRA/MegaDescriptor-L-384"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensors: tensors["visual_projection.weight"][0].zero_(),
        lambda tensors: tensors.pop("visual_projection.weight"),  # then transformers draws one
    ],
    ids=["another weight", "no weight"],
)
def test_a_damaged_weight_is_refused_and_leaves_nothing(
    run: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any
) -> None:
    copy = exporting.copy_networks

    def copy_badly(source: Path, partial: Path, *rest: Any) -> None:
        copy(source, partial, *rest)
        tensors = load_file(partial / WEIGHTS)
        spoil(tensors)
        save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})

    monkeypatch.setattr(exporting, "copy_networks", copy_badly)
    with pytest.raises(GateRefusal, match=r"\d of 9 differ by more than 1e-05, most that of"):
        export(run, workspace, into=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_gate_measures_the_worst_number_of_all() -> None:
    ours = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    near = ours + torch.tensor([[0.0, 4e-6], [-8e-6, 0.0]])
    assert largest_difference(near, ours, ["a", "b"]) == pytest.approx(8e-6)
    far = ours + torch.tensor([[2e-5, 0.0], [0.0, 3e-2]])
    with pytest.raises(GateRefusal, match=r"2 of 2 .* most that of b, by 0\.03"):
        largest_difference(far, ours, ["a", "b"])
    lost = ours * torch.tensor([[torch.nan, 1.0], [1.0, 1.0]])
    with pytest.raises(GateRefusal, match=r"1 of 2 .* most that of a, by inf"):
        largest_difference(lost, ours, ["a", "b"])
    with pytest.raises(GateRefusal, match=r"shape \(2, 1\)"):
        largest_difference(ours[:, :1], ours, ["a", "b"])


def test_what_cannot_be_loaded_is_refused_with_the_reason(
    run: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "loading_code", lambda *given: "import petdata\nembed = list\n")
    with pytest.raises(GateRefusal, match=r"cannot be loaded as its card says: .*petdata"):
        export(run, workspace, into=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_fused_network_with_its_onnx_file(
    fused: Path, workspace: Workspace, tmp_path: Path
) -> None:
    made = export(fused, workspace, into=tmp_path / "out", onnx=True)
    assert made.difference < 1e-6
    assert made.onnx_difference is not None
    assert made.onnx_difference < 1e-6
    names = {str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()}
    assert {"vision/config.json", f"text/{WEIGHTS}", "text/tokenizer.json"} <= names
    assert {"fusion.safetensors", "onnx/model.onnx", "README.md"} <= names
    assert not any(name.endswith(".py") for name in names)
    assert_any_number_at_a_time(made.folder / "onnx" / "model.onnx", fused)
    model, config = open_model(made.folder)
    assert config is not None
    assert config.fusion_name == "gating"
    trained, _ = read_model(fused / "model")
    probe = drawn_probe(with_texts=True)
    assert torch.equal(own_embeddings(model, probe), own_embeddings(trained, probe))


def assert_any_number_at_a_time(file: Path, run: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    model, _ = read_model(run / "model")
    assert model.text is not None
    probe = drawn_probe(with_texts=True)
    assert probe.texts is not None
    for count in (1, 3):
        some = replace(
            probe,
            names=probe.names[:count],
            pictures=probe.pictures[:count],
            texts=probe.texts[:count],
        )
        pixels = torch.stack([model.vision.transform()(picture) for picture in some.open()])
        tokens = model.text.tokenize(list(probe.texts[:count]))
        inputs = {"pixel_values": pixels.numpy()} | {k: v.numpy() for k, v in tokens.items()}
        (found,) = session.run(["embeddings"], inputs)
        np.testing.assert_allclose(found, own_embeddings(model, some).numpy(), atol=1e-6)


def test_an_earlier_export_is_replaced_and_nothing_else_is(
    run: Path, exported: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "check_release", lambda *given: 0.0)
    target = tmp_path / "out"
    shutil.copytree(exported, target)
    (target / "README.md").write_text("old")
    assert export(run, workspace, into=target).folder == target
    assert (target / "README.md").read_text() != "old"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    (target / "notes.txt").write_text("mine")
    with pytest.raises(PetdataError, match=r"notes\.txt, which no export wrote"):
        export(run, workspace, into=target)
    with pytest.raises(PetdataError, match="no earlier export"):
        export(run, workspace, into=run)
    assert (target / "notes.txt").read_text() == "mine"


def test_without_the_data_set_drawn_pictures_are_compared(
    run: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "check_release", lambda *given: 0.0)
    elsewhere = Workspace(root=tmp_path / "elsewhere")
    said: list[str] = []
    made = export(run, elsewhere, into=tmp_path / "out", say=said.append)
    assert made.compared == 4
    assert any("drawn pictures alone" in line and "no release 'pets'" in line for line in said)
    assert "on 4 drawn pictures, before" in (made.folder / "README.md").read_text()


def test_a_run_that_is_not_finished_is_refused(
    run: Path, workspace: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "model")
    with pytest.raises(PetdataError, match="is not finished"):
        export(tmp_path / "half", workspace)
    with pytest.raises(PetdataError, match="is not finished"):
        open_model(tmp_path / "half", workspace=workspace)
    model, _ = open_model(checkpoints_of(tmp_path / "half")[-1] / "model")
    assert model.width == 32


def test_models_open_by_whatever_they_are_called(
    run: Path, exported: Path, workspace: Workspace
) -> None:
    probe = drawn_probe(with_texts=False)
    by_name, config = open_model("cats", workspace=workspace)
    assert config is not None
    assert config.max_steps == 3
    ours = own_embeddings(by_name, probe)
    for reference in (run, run / "model", exported, str(exported)):
        model, config = open_model(reference, workspace=workspace)
        assert config is not None
        assert torch.equal(own_embeddings(model, probe), ours)
    frozen, nothing = open_model("dinov2-small", workspace=workspace, tiny=True)
    assert nothing is None
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    with pytest.raises(PetdataError, match="no model 'dogs': give a run's name"):
        open_model("dogs", workspace=workspace)


def test_a_name_of_two_things_is_not_guessed(
    run: Path, workspace: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "runs" / "dinov2-small")
    with pytest.raises(PetdataError, match="an encoder and a run"):
        open_model("dinov2-small", workspace=Workspace(root=tmp_path), tiny=True)


APACHE, OPEN = {"google/siglip2": "Apache-2.0"}, {"Dogs of the World": "CC0-1.0"}


@pytest.mark.parametrize(
    ("data", "bases", "hub", "name"),
    [
        (OPEN, APACHE, "apache-2.0", None),
        (OPEN, {"openai/clip": "MIT (of the original repository)"}, "mit", None),
        (OPEN, {"a": "MIT", "b": "Apache-2.0"}, "apache-2.0", None),
        (OPEN, {"BVRA/MegaDescriptor": "CC-BY-NC-4.0"}, "cc-by-nc-4.0", None),
        ({"PetFace": "non-commercial research only"}, APACHE, "other", "non-commercial-research"),
        (
            OPEN | {"PetFace": "non-commercial research only", "pet911": None},
            APACHE,
            "other",
            "non-commercial-research",
        ),
        (
            OPEN,
            {"avito": "Apache-2.0, trained on PetFace (non-commercial research)"},
            "other",
            "non-commercial-research",
        ),
        ({"pet911": None}, APACHE, "unknown", None),
        (OPEN, {"conservationxlabs/miewid": "none declared"}, "unknown", None),
        (OPEN, {"facebook/dinov3": "DINOv3 licence (gated)"}, "other", "dinov3-license"),
        ({"Mine": "CC BY-SA 4.0"}, APACHE, "other", "per-source"),
        ({"Mine": "CC BY-NC-SA 4.0"}, APACHE, "other", "non-commercial-research"),
        (OPEN, {}, "unknown", None),
    ],
)
def test_the_strictest_licence_decides(
    data: dict[str, str | None], bases: dict[str, str | None], hub: str, name: str | None
) -> None:
    found = model_licence(data, bases)
    assert (found.hub, found.name) == (hub, name)
    if name == "non-commercial-research":
        assert "Not for commercial use" in found.meaning[0]


# The Hub


@pytest.fixture(autouse=True)
def _client_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def send(hub: HubServer, folder: Path, **options: Any) -> PushedModel:
    patience = Patience(first_wait_s=0.0)
    settings = {"token": TOKEN, "endpoint": hub.url, "patience": patience, **options}
    return push_model(folder, REPO, PushOptions(**settings))


def on_the_hub(hub: HubServer) -> dict[str, bytes]:
    store = hub.state.store
    files = hub.repository(REPO, "models").find_commit("main").files
    return {path: store.read(file) for path, file in files.items() if path != ".gitattributes"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def commits(hub: HubServer) -> int:
    return len(list(hub.repository(REPO, "models").history("main"))) - 1  # the Hub's own first


def test_a_model_goes_to_the_hub_in_one_commit(
    hub: HubServer, exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pushed = send(hub, exported)
    assert pushed.is_new
    assert pushed.sent == 5
    assert on_the_hub(hub) == files_of(exported)
    assert commits(hub) == 1
    again = send(hub, exported)
    assert (again.commit, again.sent, again.is_new) == (pushed.commit, 0, False)
    assert commits(hub) == 1
    assert TOKEN not in caplog.text


def test_the_next_export_takes_the_place_of_the_former(
    hub: HubServer, exported: Path, tmp_path: Path
) -> None:
    send(hub, exported)
    store, repository = hub.state.store, hub.repository(REPO, "models")
    files = dict(repository.find_commit("main").files)
    files["onnx/model.onnx"] = store.add_content(b"of the former", is_lfs=False)
    files["picture.jpg"] = store.add_content(b"somebody's own", is_lfs=False)
    repository.add_commit("main", files, title="by another", author="another")
    send(hub, exported)
    assert on_the_hub(hub) == files_of(exported) | {"picture.jpg": b"somebody's own"}


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("commit", Fault(status=503)),
        ("commit", Fault(drop_answer_at=0)),
        ("lfs_upload", Fault(status=500)),
        ("tree", Fault(status=502)),
    ],
)
def test_a_hub_that_stumbles_gets_one_commit(
    hub: HubServer, exported: Path, kind: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.fail(kind, fault, times=7)
    send(hub, exported, patience=Patience(first_wait_s=0.0, attempts=9))
    assert on_the_hub(hub) == files_of(exported)
    assert commits(hub) == 1


def test_what_is_not_as_it_was_exported_is_not_sent(
    hub: HubServer, exported: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "out")
    with (tmp_path / "out" / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(CorruptFile, match="not what was exported"):
        send(hub, tmp_path / "out")
    assert not hub.state.store.repositories


def test_other_models_and_public_repositories_are_left_alone(
    hub: HubServer, exported: Path
) -> None:
    send(hub, exported)
    with pytest.raises(PetdataError, match="is there already and public"):
        send(hub, exported, private=True)
    store = hub.state.store
    other = store.create("models", "user/other", is_private=False, author="user")
    other.add_commit(
        "main", {"config.json": store.add_content(b"{}", is_lfs=False)}, title="t", author="user"
    )
    with pytest.raises(PetdataError, match="petdata did not export"):
        push_model(exported, "user/other", PushOptions(token=TOKEN, endpoint=hub.url))
    assert len(list(other.history("main"))) == 2


def test_a_pushed_model_opens_again(
    hub: HubServer,
    fused: Path,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "check_release", lambda *given: 0.0)
    out = export(fused, workspace, into=tmp_path / "out").folder
    send(hub, out, private=True)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    address = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    model, config = open_model(REPO, workspace=Workspace(root=tmp_path))
    assert config is not None
    assert config.text_encoder == "e5-small"
    probe = drawn_probe(with_texts=True)
    assert torch.equal(own_embeddings(model, probe), own_embeddings(open_model(out)[0], probe))


def test_the_command_exports_sends_and_prints_no_token(
    run: Path, workspace: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "check_release", lambda *given: 3e-7)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)
    out = workspace.root / "for-the-hub"
    given = ["export", "cats", "--into", str(out), "--push", REPO, "--private"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert f"{out}: 9 embeddings as the run's, within 3e-07" in done.output
    assert f"{REPO} is there, commit" in done.output
    assert TOKEN not in done.output
    assert on_the_hub(hub) == files_of(out)
    assert hub.repository(REPO, "models").is_private
    refused = CliRunner().invoke(app, ["export", "cats", "--push", "cats"])
    assert isinstance(refused.exception, PetdataError)
    assert "write it as user/name" in str(refused.exception)
