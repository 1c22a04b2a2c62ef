"""What encoders hand to fusions and to the model."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    pooled: Tensor  # (B, width), not normalised
    patches: (
        Tensor | None
    )  # (B, N, patch_width), after the last norm; None where a network has no grid


class TextFeatures(NamedTuple):
    pooled: Tensor  # (B, width), not normalised
    tokens: Tensor  # (B, L, width)
    mask: Tensor  # (B, L) int64: 1 where a token stands, 0 where the text was padded
