"""What several tests of encoders need: one entry of each family, and whole checkpoints of them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from trainer.encoders import VisionEncoder

# One entry a family whose blocks can be trained, with a frozen one among its three.
WITH_BLOCKS: Final = (
    "clip-vit-base",
    "siglip2-base",
    "dinov2-small",
    "dinov3-small",
    "bioclip",
    "megadescriptor-clip-336",
)
WITHOUT_BLOCKS: Final = (
    "miewid-msv3",
    "megadescriptor-t-cnn-288",
    "megadescriptor-l-384",
    "efficientnet-lite0",
)


def noise(encoder: VisionEncoder, photos: int = 2, seed: int = 0) -> Tensor:
    side = encoder.image_size
    return torch.randn(photos, 3, side, side, generator=torch.Generator().manual_seed(seed))


def changed(before: dict[str, Tensor], network: nn.Module) -> set[str]:
    """Names of the tensors that are no longer what they were."""
    return {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
