"""Vision encoders: frozen but for their last blocks, and cut where the frozen part ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from petdata.errors import PetdataError, TryLater, UnknownSource
from trainer.blocks import EVERYTHING, SplitBlocks, block_count, drawn_from, find_blocks
from trainer.checkpoint_files import hub_folder, weights_path
from trainer.encoder_table import PAPER_BLOCKS, VISION_ENCODERS, VisionEncoderSpec
from trainer.features import ImageFeatures
from trainer.pixel_processors import image_side, processor_at, processor_in, processor_of
from trainer.strict_loading import below, read_state, refuse_misfit, without_wrapper
from trainer.text import TextEncoder, load_text_encoder
from trainer.text_encoder_table import TEXT_ENCODERS
from trainer.vision_families import FAMILIES, TINY_SIDE, VisionFamily

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "TEXT_ENCODERS",
    "VISION_ENCODERS",
    "TextEncoder",
    "VisionEncoder",
    "load_text_encoder",
    "load_vision_encoder",
]


class VisionEncoder(nn.Module):
    """One network, its processor, and the line between what is frozen and what trains.

    `forward(x)` equals `rest(frozen(x))` bit for bit. The frozen part runs without gradient and in
    evaluation mode whatever `train()` says; so does what comes after the blocks (norm, pooling,
    projection), through which gradients flow but which does not change.
    """

    def __init__(
        self,
        network: nn.Module,
        family: VisionFamily,
        processor: Any,
        *,
        trainable_blocks: int,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.processor = processor
        self.image_size = image_side(processor)
        self._family = family
        self._blocks = SplitBlocks(
            network,
            find_blocks(network) if family.has_blocks else [],
            trainable_blocks,
            gradient_checkpointing=gradient_checkpointing,
        )
        self.width, self.patch_width = family.widths(network)
        self.train(False)

    def forward(self, pixel_values: Tensor) -> ImageFeatures:
        """(B, 3, S, S) float32 -> features; S is `image_size`."""
        return self.rest(self.frozen(pixel_values))

    def frozen(self, pixel_values: Tensor) -> Tensor:
        """What never changes for a photo: (B, T, C). The pixels themselves if everything trains."""
        side = self.image_size
        if pixel_values.shape[1:] != (3, side, side):
            raise ValueError(
                f"this encoder takes pixels of shape (B, 3, {side}, {side}),"
                f" not {tuple(pixel_values.shape)}: use its own transform()"
            )
        if self._blocks.everything_trains:
            return pixel_values
        with torch.no_grad():
            hidden = self._family.stem(self.network, pixel_values)
            return self._through(self._blocks.frozen, hidden)

    def rest(self, frozen: Tensor) -> ImageFeatures:
        """From the frozen part's output, fresh or kept (in any float type), to the features."""
        if self._blocks.everything_trains:
            frozen = self._family.stem(self.network, frozen)
        hidden = self._through(self._blocks.trainable, frozen.to(self._dtype))
        return self._family.tail(self.network, hidden)

    def transform(self) -> Callable[[Image], Tensor]:
        """Picture -> (3, S, S) float32, pixel-exact with the checkpoint's processor; picklable."""
        from trainer.transforms import transform_of

        made: Callable[[Image], Tensor] = transform_of(self.processor)
        return made

    def train(self, mode: bool = True) -> VisionEncoder:
        """Training mode reaches the trainable blocks only."""
        self.training = mode
        self._blocks.train(mode)
        return self

    @property
    def trainable_blocks(self) -> int:
        return self._blocks.count

    @property
    def _dtype(self) -> torch.dtype:
        return next(p.dtype for p in self.network.parameters())

    def _through(self, blocks: tuple[nn.Module, ...], hidden: Tensor) -> Tensor:
        arguments = self._family.block_arguments(self.network, self.image_size) if blocks else {}
        return self._blocks.through(blocks, hidden, **arguments)


def load_vision_encoder(  # noqa: PLR0913 - one parameter a choice
    name: str,
    *,
    weights: str | Path = "pretrained",
    revision: str | None = None,
    tiny: bool = False,
    trainable_blocks: int | None = None,
    gradient_checkpointing: bool = False,
    seed: int | None = None,
) -> VisionEncoder:
    """An encoder of VISION_ENCODERS.

    `weights`: "pretrained", "random", a folder or file, or a Hub id. `tiny` builds the same classes
    with three narrow blocks and random weights. `trainable_blocks`: the paper's five unless said
    otherwise, none for comparison models; -1 trains everything. Random weights come from `seed`, or
    from torch's generator as it stands.
    """
    if name not in VISION_ENCODERS:
        raise UnknownSource(
            f"no vision encoder {name!r}; choose from {', '.join(sorted(VISION_ENCODERS))}"
        )
    spec = VISION_ENCODERS[name]
    family = FAMILIES[spec.family]
    if tiny:
        if weights not in ("pretrained", "random"):
            raise PetdataError(
                f"tiny encoders have random weights: leave out the weights {weights}"
            )
        network = drawn_from(seed, family.build, {**spec.config, **family.tiny, **spec.tiny})
        processor = processor_at(spec.processor, TINY_SIDE)
    elif weights == "random":
        network = drawn_from(seed, family.build, spec.config)
        processor = processor_of(spec.processor)
    else:
        path = weights_path(spec.weights, weights, revision=revision)
        network = _loaded(spec, family, path)
        processor = processor_in(path) or _base_processor(spec)
    return VisionEncoder(
        network,
        family,
        processor,
        trainable_blocks=_block_count(name, network, spec, trainable_blocks),
        gradient_checkpointing=gradient_checkpointing,
    )


def _loaded(spec: VisionEncoderSpec, family: VisionFamily, path: Path) -> nn.Module:
    state = read_state(path, pickle_file=spec.weights.pickle_file)
    if spec.weights.inside_larger_model:
        config, state = dict(spec.config), below(state, family.anchor, origin=str(path))
    else:
        config, state = (
            family.read_config(path, spec.config),
            without_wrapper(state, family.wrappers),
        )
    network, misfit = family.load(config, state)
    refuse_misfit(misfit, origin=str(path), may_be_left=family.may_be_left)
    return network


def _base_processor(spec: VisionEncoderSpec) -> Any:
    """For a checkpoint without a processor: the base model's, else what the table says."""
    if spec.processor_hub_id is None:
        return processor_of(spec.processor)
    try:
        found = processor_in(hub_folder(spec.processor_hub_id, None))
    except TryLater:
        found = None
    return found or processor_of(spec.processor)


def _block_count(name: str, network: nn.Module, spec: VisionEncoderSpec, wanted: int | None) -> int:
    if not FAMILIES[spec.family].has_blocks:
        if wanted in (None, 0, EVERYTHING):
            return wanted or 0
        raise PetdataError(
            f"{name} is a comparison model without a list of blocks: trainable_blocks can be 0"
            " (frozen) or -1 (everything)"
        )
    default = 0 if spec.role == "comparison" else PAPER_BLOCKS
    return block_count(network, default if wanted is None else wanted)
