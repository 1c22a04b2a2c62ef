"""Sizes of the full networks, from the table alone, on the meta device: nothing is allocated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.blocks import find_blocks, freeze_all_but, trainable_parameters
from trainer.encoder_table import VISION_ENCODERS
from trainer.text import CLASSES
from trainer.text_encoder_table import TEXT_ENCODERS
from trainer.transformers_loading import build_transformers
from trainer.vision_families import FAMILIES


def full_network(name: str) -> nn.Module:
    with torch.device("meta"):
        if name in VISION_ENCODERS:
            spec = VISION_ENCODERS[name]
            return FAMILIES[spec.family].build(spec.config)
        text = TEXT_ENCODERS[name]
        return build_transformers(*CLASSES[text.family], text.config)


def last_five(width: int, *, mlp: int, layer_scales: int = 0) -> int:
    """By hand: four projections, two layers of an MLP, two norms; with biases."""
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * mlp + mlp + width
    norms = 2 * 2 * width
    return 5 * (attention + feed_forward + norms + layer_scales * width)


@pytest.mark.parametrize(
    ("name", "millions", "by_hand"),
    [
        ("clip-vit-base", 35.44, last_five(768, mlp=3072)),
        ("siglip-base", 35.44, last_five(768, mlp=3072)),
        ("siglip2-base", 35.44, last_five(768, mlp=3072)),
        ("siglip2-giant", 141.66, last_five(1536, mlp=6144)),
        ("dinov2-small", 8.88, last_five(384, mlp=1536, layer_scales=2)),
        ("zer0int-clip-l", 62.98, last_five(1024, mlp=4096)),
        ("e5-base", 35.44, last_five(768, mlp=3072)),
        ("e5-base-v2", 35.44, last_five(768, mlp=3072)),
        ("e5-small", 8.87, last_five(384, mlp=1536)),
        ("e5-small-v2", 8.87, last_five(384, mlp=1536)),
        ("bert", 35.44, last_five(768, mlp=3072)),
        ("minilm", 8.87, last_five(384, mlp=1536)),
    ],
)
def test_the_last_five_blocks_have_the_published_count(
    name: str, millions: float, by_hand: int
) -> None:
    network = full_network(name)
    freeze_all_but(network, find_blocks(network)[-5:])
    assert trainable_parameters(network) == by_hand
    assert round(by_hand / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("name", "millions", "blocks"),
    [
        ("clip-vit-base", 87.85, 12),
        ("siglip-base", 92.88, 12),
        ("siglip2-base", 92.88, 12),
        ("siglip2-giant", 1163.66, 40),
        ("dinov2-small", 22.06, 12),
        ("zer0int-clip-l", 303.97, 24),
        ("e5-small", 33.36, 12),
        ("e5-base", 109.48, 12),
        ("bert", 109.48, 12),
        ("minilm", 22.71, 6),
        ("megadescriptor-clip-336", 303.51, 24),
        ("bioclip", 86.19, 12),
        ("dinov3-small", 21.60, 12),
    ],
)
def test_whole_networks_have_the_known_size(name: str, millions: float, blocks: int) -> None:
    network = full_network(name)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions
    assert len(find_blocks(network)) == blocks


@pytest.mark.parametrize(
    ("name", "millions"),
    [("megadescriptor-t-cnn-288", 10.70), ("megadescriptor-l-384", 195.20), ("miewid-msv3", 51.09)],
)
def test_comparison_networks_have_the_known_size(name: str, millions: float) -> None:
    network = full_network(name)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("name", sorted(VISION_ENCODERS))
def test_widths_in_the_table_are_the_networks_own(name: str) -> None:
    spec = VISION_ENCODERS[name]
    assert FAMILIES[spec.family].widths(full_network(name))[0] == spec.width


def test_two_lists_of_one_length_are_no_answer() -> None:
    two_towers = nn.ModuleDict(
        {side: nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]) for side in ("image", "text")}
    )
    with pytest.raises(ValueError, match="has 2 lists of 3 blocks each"):
        find_blocks(two_towers)
    with pytest.raises(ValueError, match="no list of blocks"):
        find_blocks(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
