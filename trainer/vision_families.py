"""How each family of vision networks is built, read, and cut into stem, blocks and tail.

stem(pixels) -> tokens (B, T, C); each block: tokens -> tokens; tail(tokens) -> ImageFeatures.
Networks that are only compared with (CNNs, Swin) are all stem: their grid of features is tokens.
Every cut is checked in the tests against the library's own forward pass.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from petdata.errors import CorruptFile
from trainer.features import ImageFeatures
from trainer.strict_loading import Misfit, load_strictly
from trainer.transformers_loading import build_transformers, load_transformers, read_config

Config = Mapping[str, Any]
GEM_EPSILON: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class VisionFamily:
    build: Callable[[Config], nn.Module]
    load: Callable[[Config, Mapping[str, Tensor]], tuple[nn.Module, Misfit]]
    read_config: Callable[[Path, Config], dict[str, Any]]  # the checkpoint's, else the table's
    stem: Callable[[Any, Tensor], Tensor]
    tail: Callable[[Any, Tensor], ImageFeatures]
    widths: Callable[[Any], tuple[int, int]]  # of the pooled output and of the patches
    tiny: Config  # laid over the table's sizes
    has_blocks: bool = True
    block_arguments: Callable[[Any, int], dict[str, Any]] = lambda network, side: {}
    wrappers: tuple[str, ...] = ("clip.", "backbone.")
    may_be_left: tuple[str, ...] = ()
    anchor: str = ""


TEXT_SIDE = (r"^text_model\.", r"^text_projection\.", r"^logit_(scale|bias)$", r"position_ids$")
TINY_SIDE: Final = 64  # pixels
_TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": TINY_SIDE,
    "patch_size": 8,
}


def _transformers(model: str, config: str, **more: Any) -> VisionFamily:
    """A family whose classes come from transformers, named so that nothing is imported yet."""
    return VisionFamily(
        build=lambda sizes: build_transformers(model, config, sizes),
        load=lambda sizes, state: load_transformers(model, config, sizes, state),
        read_config=lambda folder, sizes: read_config(config, folder, sizes),
        **more,
    )


def _hidden_widths(network: Any) -> tuple[int, int]:
    return network.config.hidden_size, network.config.hidden_size


def _no_mask(network: Any, side: int) -> dict[str, Any]:
    return {"attention_mask": None}  # these blocks insist on one; a picture has no padding


def _clip_stem(network: Any, pixels: Tensor) -> Tensor:
    tower = network.vision_model
    hidden: Tensor = tower.pre_layrnorm(tower.embeddings(pixels))
    return hidden


def _clip_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    hidden = network.vision_model.post_layernorm(hidden)
    return ImageFeatures(network.visual_projection(hidden[:, 0]), hidden[:, 1:])


def _siglip_stem(network: Any, pixels: Tensor) -> Tensor:
    hidden: Tensor = network.embeddings(pixels)
    return hidden


def _siglip_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    hidden = network.post_layernorm(hidden)
    return ImageFeatures(network.head(hidden), hidden)


def _dinov2_stem(network: Any, pixels: Tensor) -> Tensor:
    hidden: Tensor = network.embeddings(pixels)
    return hidden


def _dinov2_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    hidden = network.layernorm(hidden)
    return ImageFeatures(hidden[:, 0], hidden[:, 1:])


def _dinov3_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    hidden = network.norm(hidden)
    return ImageFeatures(hidden[:, 0], hidden[:, 1 + network.config.num_register_tokens :])


def _dinov3_rotation(network: Any, side: int) -> dict[str, Any]:
    """Rotary positions depend on the picture's size alone."""
    weight = network.embeddings.patch_embeddings.weight
    pixels = torch.empty(1, 3, side, side, device=weight.device, dtype=weight.dtype)
    return {"position_embeddings": network.rope_embeddings(pixels)}


def _timm_network(config: Config) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(pretrained=False, num_classes=0, **_timm_names(config))
    return network


def _timm_names(config: Config) -> dict[str, Any]:
    return {("model_name" if key == "architecture" else key): v for key, v in config.items()}


def _load_timm(config: Config, state: Mapping[str, Tensor]) -> tuple[nn.Module, Misfit]:
    network = _timm_network(config)
    return network, load_strictly(network, renamed_efficientnet_lite(network, state))


def _timm_vit_stem(network: Any, pixels: Tensor) -> Tensor:
    hidden: Tensor = network.norm_pre(
        network.patch_drop(network._pos_embed(network.patch_embed(pixels)))
    )
    return hidden


def _timm_vit_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    hidden = network.norm(hidden)
    patches = hidden[:, network.num_prefix_tokens :]
    return ImageFeatures(network.forward_head(hidden, pre_logits=True), patches)


def _grid_tokens(network: Any, pixels: Tensor) -> Tensor:
    """A feature map as tokens, row by row: (B, H * W, C)."""
    grid: Tensor = network.forward_features(pixels)
    if getattr(network, "output_fmt", "NCHW") != "NHWC":
        grid = grid.permute(0, 2, 3, 1)
    return grid.flatten(1, 2)


def _mean_tail(network: Any, tokens: Tensor) -> ImageFeatures:
    return ImageFeatures(tokens.mean(dim=1), tokens)


class MiewId(nn.Module):
    """MiewID: EfficientNetV2, generalised mean pooling, batch normalisation (arXiv 2412.05602)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.backbone = _timm_network(config)
        self.pooling = GeneralisedMean()
        self.bn = nn.BatchNorm1d(self.backbone.num_features)  # type: ignore[arg-type]


class GeneralisedMean(nn.Module):
    """(B, N, C) -> (B, C): p-th root of the mean of p-th powers; p is learnt, 1 is the mean."""

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.clamp(min=GEM_EPSILON).pow(self.p).mean(dim=1).pow(1 / self.p)


def _load_miewid(config: Config, state: Mapping[str, Tensor]) -> tuple[nn.Module, Misfit]:
    network = MiewId(config)
    return network, load_strictly(network, state)


def _miewid_tail(network: Any, tokens: Tensor) -> ImageFeatures:
    return ImageFeatures(network.bn(network.pooling(tokens)), tokens)


def _open_clip_tower(config: Config) -> nn.Module:
    open_clip: Any = importlib.import_module("open_clip")
    tower: nn.Module = open_clip.CLIP(**config).visual
    return tower


def _load_open_clip(config: Config, state: Mapping[str, Tensor]) -> tuple[nn.Module, Misfit]:
    tower = _open_clip_tower(config)
    return tower, load_strictly(tower, state)


def _read_open_clip_config(folder: Path, table: Config) -> dict[str, Any]:
    file = folder / "open_clip_config.json"
    if not file.is_file():
        return dict(table)
    config = _json_object(file).get("model_cfg")
    if not isinstance(config, dict):
        raise CorruptFile(f"{file} has no model_cfg, where open_clip keeps a network's sizes")
    return config


def _open_clip_tail(network: Any, hidden: Tensor) -> ImageFeatures:
    pooled, patches = network._pool(hidden)
    return ImageFeatures(pooled if network.proj is None else pooled @ network.proj, patches)


def renamed_efficientnet_lite(network: Any, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The names of the EfficientNet-Lite package as timm's; other states unchanged.

    The package numbers blocks through, timm numbers them within stages, and both name the parts of
    a block in the order of computation; the first block of all has no expansion.
    """
    if "_conv_stem.weight" not in state:
        return state
    stages = [len(stage) for stage in network.blocks]
    places = [(s, i) for s, length in enumerate(stages) for i in range(length)]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    later |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    names = {}
    for name in state:
        part, _, rest = name.partition(".")
        if part == "_blocks":
            number, part, leaf = rest.split(".")
            stage, place = places[int(number)]
            inner = (later if f"_blocks.{number}._expand_conv.weight" in state else first)[part]
            names[name] = f"blocks.{stage}.{place}.{inner}.{leaf}"
        else:
            names[name] = f"{outer[part]}.{rest}" if part in outer else name
    return {names[name]: value for name, value in state.items()}


def _read_timm_config(folder: Path, table: Config) -> dict[str, Any]:
    """timm's own config.json names the architecture; other files of that name say nothing to us."""
    file = folder / "config.json"
    found = _json_object(file) if file.is_file() else {}
    architecture = found.get("architecture")
    if architecture is None:
        return dict(table)
    if not isinstance(architecture, str) or ":" in architecture:  # "hf-hub:..." would download
        raise CorruptFile(f"{file}: {architecture!r} is no architecture of timm")
    return {"architecture": architecture, **(found.get("model_args") or {})}


def _json_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CorruptFile(f"{file} cannot be read: {e}") from e
    if not isinstance(content, dict):
        raise CorruptFile(f"{file} holds no JSON object")
    return content


FAMILIES: Final[Mapping[str, VisionFamily]] = {
    "clip": _transformers(
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        stem=_clip_stem,
        tail=_clip_tail,
        widths=lambda network: (network.config.projection_dim, network.config.hidden_size),
        block_arguments=_no_mask,
        tiny=_TINY | {"projection_dim": 32},
        may_be_left=TEXT_SIDE,
    ),
    "siglip": _transformers(
        "SiglipVisionModel",
        "SiglipVisionConfig",
        stem=_siglip_stem,
        tail=_siglip_tail,
        widths=_hidden_widths,
        block_arguments=_no_mask,
        tiny=_TINY,
        may_be_left=TEXT_SIDE,
        anchor="embeddings.patch_embedding.weight",
    ),
    "dinov2": _transformers(
        "Dinov2Model",
        "Dinov2Config",
        stem=_dinov2_stem,
        tail=_dinov2_tail,
        widths=_hidden_widths,
        tiny={key: value for key, value in _TINY.items() if key != "intermediate_size"},
    ),
    "dinov3": _transformers(
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        stem=_dinov2_stem,
        tail=_dinov3_tail,
        widths=_hidden_widths,
        tiny=_TINY,
        block_arguments=_dinov3_rotation,
    ),
    "open_clip": VisionFamily(
        build=_open_clip_tower,
        load=_load_open_clip,
        read_config=_read_open_clip_config,
        stem=lambda network, pixels: network._embeds(pixels),
        tail=_open_clip_tail,
        widths=lambda network: (network.output_dim, network.conv1.out_channels),
        tiny={
            "embed_dim": 32,
            "vision_cfg": {"image_size": TINY_SIDE, "layers": 3, "width": 64, "patch_size": 8},
            "text_cfg": {"width": 32, "heads": 2, "layers": 1, "vocab_size": 50},
        },
        wrappers=("visual.",),
        may_be_left=(
            r"^(transformer|ln_final)\.",
            r"^token_embedding\.",
            r"^(text_projection|logit_scale|logit_bias|attn_mask)$",
        ),
    ),
    "timm_vit": VisionFamily(
        build=_timm_network,
        load=_load_timm,
        read_config=_read_timm_config,
        stem=_timm_vit_stem,
        tail=_timm_vit_tail,
        widths=lambda network: (network.num_features, network.num_features),
        tiny={"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": TINY_SIDE, "patch_size": 8},
        may_be_left=(r"^head\.",),
    ),
    "timm_features": VisionFamily(
        build=_timm_network,
        load=_load_timm,
        read_config=_read_timm_config,
        stem=_grid_tokens,
        tail=_mean_tail,
        widths=lambda network: (network.num_features, network.num_features),
        tiny={"architecture": "test_efficientnet"},
        has_blocks=False,
        may_be_left=(
            r"^(classifier|_fc)\.",
            r"^head\.",
            r"attn_mask$",
            r"relative_position_index$",
        ),
    ),
    "miewid": VisionFamily(
        build=MiewId,
        load=_load_miewid,
        read_config=_read_timm_config,
        stem=lambda network, pixels: _grid_tokens(network.backbone, pixels),
        tail=_miewid_tail,
        widths=lambda network: (network.bn.num_features, network.bn.num_features),
        tiny={"architecture": "test_efficientnet"},
        has_blocks=False,
        wrappers=(),
        may_be_left=(r"^final\.", r"^backbone\.classifier\."),
    ),
}
