"""Four ways to make one vector out of a photo and its text (Kudryavtsev et al. 2026, section 2.5).

Index 0 is text and 1 is image wherever the two stand in an order. The paper gives the forms and,
for gating, the width; everything else here is our reading (docs/encoders.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from petdata.errors import UnknownSource
from trainer.features import ImageFeatures, TextFeatures
from trainer.text import masked_mean

HEADS: Final = 8


class Concat(nn.Module):
    """Both projected to `width`, side by side: (B, 2 * width), text first."""

    def __init__(self, *, image_width: int, patch_width: int, text_width: int, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_width, width)
        self.image = nn.Linear(image_width, width)
        self.width = 2 * width

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        return torch.cat([self.text(text.pooled), self.image(image.pooled)], dim=-1)


class Weighted(Concat):
    """As Concat, the text's half times one learnt number, 1 at first."""

    def __init__(self, *, image_width: int, patch_width: int, text_width: int, width: int) -> None:
        super().__init__(
            image_width=image_width, patch_width=patch_width, text_width=text_width, width=width
        )
        self.text_weight = nn.Parameter(torch.ones(()))

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        halves = [self.text_weight * self.text(text.pooled), self.image(image.pooled)]
        return torch.cat(halves, dim=-1)


class CrossAttention(nn.Module):
    """Text tokens query image patches; the mean over tokens that are not padding: (B, width)."""

    def __init__(self, *, image_width: int, patch_width: int, text_width: int, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_width, width)
        self.image = nn.Linear(patch_width, width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.width = width

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        if image.patches is None:
            raise ValueError("cross-attention needs patches, and this vision encoder gives none")
        patches = self.image(image.patches)
        attended, _ = self.attention(self.text(text.tokens), patches, patches, need_weights=False)
        return masked_mean(attended, text.mask)


class Gating(nn.Module):
    """Two unit vectors, weighed by a softmax gate that sees both: (B, width), unit length."""

    def __init__(self, *, image_width: int, patch_width: int, text_width: int, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_width, width)
        self.image = nn.Linear(image_width, width)
        self.gate = nn.Sequential(
            nn.Linear(2 * width, width // 2), nn.GELU(), nn.Linear(width // 2, 2)
        )
        self.width = width

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        both = self._both(image, text)
        mixed = (self._weights(both)[..., None] * both).sum(dim=1)
        return functional.normalize(mixed, dim=-1)

    def weights(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        """(B, 2): what the text and the image count, summing to 1."""
        return self._weights(self._both(image, text))

    def _both(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        projected = [self.text(text.pooled), self.image(image.pooled)]
        return functional.normalize(torch.stack(projected, dim=1), dim=-1)  # (B, 2, width)

    def _weights(self, both: Tensor) -> Tensor:
        scores: Tensor = self.gate(both.flatten(1))
        return scores.softmax(dim=-1)


Fusion = Concat | CrossAttention | Gating
FUSIONS: Final[Mapping[str, type[Fusion]]] = {
    "concat": Concat,
    "weighted": Weighted,
    "cross-attention": CrossAttention,
    "gating": Gating,
}


def build_fusion(
    name: str, *, image_width: int, patch_width: int, text_width: int, width: int = 512
) -> Fusion:
    """`fusion.width` is the width of what it gives: `width`, or twice that for the two concats."""
    if name not in FUSIONS:
        raise UnknownSource(f"no fusion {name!r}; choose from {', '.join(sorted(FUSIONS))}")
    return FUSIONS[name](
        image_width=image_width, patch_width=patch_width, text_width=text_width, width=width
    )
