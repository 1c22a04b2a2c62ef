"""What a network is held against: how far one gets without training, or without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from evaluation.opened import Opened
from trainer.encoders import load_vision_encoder
from trainer.model import ModelInput, PetEncoder

RAW: Final = "raw encoder"
RANDOM: Final = "random weights"
COLOURS: Final = "colour histogram"
_SEED_OF_RANDOM_WEIGHTS: Final = 1


def controls_of(opened: Opened) -> Mapping[str, Callable[[], nn.Module]]:
    """Each is made when it is called, which may raise PetdataError.

    The raw encoder is the vision network before training; a network of the table is its own.
    """
    config = opened.config
    name = config.encoder if config is not None else opened.reference
    tiny = config.tiny if config is not None else opened.flags.tiny

    def frozen(weights: str, seed: int) -> nn.Module:
        return PetEncoder(
            load_vision_encoder(name, weights=weights, tiny=tiny, trainable_blocks=0, seed=seed)
        )

    made: dict[str, Callable[[], nn.Module]] = {}
    if config is not None:
        made[RAW] = partial(frozen, config.weights, config.seed)
    made[RANDOM] = partial(frozen, "random", _SEED_OF_RANDOM_WEIGHTS)
    return made | {COLOURS: ColourHistogram}


class HsvHistogram:
    """Picture -> (1, 1, bins): the share of its pixels in each bin of hue, saturation, value."""

    def __init__(self, bins: tuple[int, int, int]) -> None:
        self.bins = bins

    def __call__(self, image: Image.Image) -> Tensor:
        pixels = np.asarray(image.convert("HSV"), np.int64).reshape(-1, 3)
        place = pixels * np.array(self.bins) // 256
        numbers = np.ravel_multi_index((place[:, 0], place[:, 1], place[:, 2]), self.bins)
        counts = np.bincount(numbers, minlength=int(np.prod(self.bins)))
        return torch.from_numpy(counts / len(pixels)).float()[None, None]


class ColourHistogram(nn.Module):
    """Square roots of the shares, so that the cosine of two pictures is their Bhattacharyya
    coefficient: 1 for equal histograms, 0 for those that share no colour.
    """

    def __init__(self, bins: tuple[int, int, int] = (8, 8, 8)) -> None:
        super().__init__()
        self.bins = bins

    def extra_repr(self) -> str:
        return f"bins={self.bins}"

    def transform(self) -> HsvHistogram:
        return HsvHistogram(self.bins)

    def forward(self, batch: ModelInput) -> Tensor:
        return batch.pixel_values.flatten(1).sqrt()
