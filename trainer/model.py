"""The network that a run trains: a vision encoder, or one fused with a text encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from petdata.errors import PetdataError
from trainer.config import FusionName, TrainConfig
from trainer.encoders import TextEncoder, VisionEncoder, load_text_encoder, load_vision_encoder
from trainer.features import ImageFeatures
from trainer.fusion import Fusion, build_fusion


class ModelInput(Protocol):
    """A Batch of trainer.data, or anything that has what a forward pass needs."""

    pixel_values: Tensor  # (B, 3, H, W) float32
    input_ids: Tensor | None  # (B, L) int64
    attention_mask: Tensor | None  # (B, L) int64


class PetEncoder(nn.Module):
    """A batch -> (B, D) embeddings, not normalised: losses and evaluation do that."""

    def __init__(
        self,
        vision: VisionEncoder,
        text: TextEncoder | None = None,
        fusion: Fusion | None = None,
    ) -> None:
        super().__init__()
        self.vision, self.text, self.fusion = vision, text, fusion

    @property
    def width(self) -> int:
        return self.vision.width if self.fusion is None else self.fusion.width

    def forward(self, batch: ModelInput) -> Tensor:
        """Of a batch whose frozen part was kept (trainer.feature_cache) only the rest is run."""
        kept: Tensor | None = getattr(batch, "frozen", None)
        image = self.vision(batch.pixel_values) if kept is None else self.vision.rest(kept)
        return self._fused(image, batch)

    def _fused(self, image: ImageFeatures, batch: ModelInput) -> Tensor:
        if self.text is None or self.fusion is None:
            return image.pooled
        if batch.input_ids is None or batch.attention_mask is None:
            raise PetdataError(
                "this encoder reads texts too, and the photos came without: see --text-from"
            )
        fused: Tensor = self.fusion(image, self.text(batch.input_ids, batch.attention_mask))
        return fused


@dataclass(frozen=True, kw_only=True)
class ParameterCount:
    total: int
    trainable: int


def build_model(config: TrainConfig) -> PetEncoder:
    """Weights that are not loaded are drawn from the config's seed, whatever was drawn before."""
    chosen: dict[str, Any] = {
        "tiny": config.tiny,
        "trainable_blocks": config.trainable_blocks,
        "gradient_checkpointing": config.gradient_checkpointing,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        vision = load_vision_encoder(config.encoder, weights=config.weights, **chosen)
        if config.text_encoder is None or config.fusion_name is None:
            return PetEncoder(vision)
        text = load_text_encoder(config.text_encoder, weights=config.text_weights, **chosen)
        return fused(vision, text, config.fusion_name)


def fused(vision: VisionEncoder, text: TextEncoder, fusion: FusionName) -> PetEncoder:
    """Joined by a fusion with random weights."""
    made = build_fusion(
        fusion, image_width=vision.width, patch_width=vision.patch_width, text_width=text.width
    )
    return PetEncoder(vision, text, made)


def count_parameters(model: nn.Module) -> ParameterCount:
    parameters = list(model.parameters())
    return ParameterCount(
        total=sum(each.numel() for each in parameters),
        trainable=sum(each.numel() for each in parameters if each.requires_grad),
    )
