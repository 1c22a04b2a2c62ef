"""What a run would do, before it does it: `petdata train --dry-run`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import torch
from torch import Tensor

from trainer.config import TrainConfig
from trainer.data import PhotoSet
from trainer.model import PetEncoder, count_parameters
from trainer.sampler import IdentityBatchSampler
from trainer.train import steps_of

_BYTES: Final = 4  # float32: weights, gradients and Adam's two moments stay in it under bf16 too
_TOKENS: Final = 64  # of a text, as the paper's tables count


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    photos: int
    identities: int  # with K photos or more
    left_out_identities: int
    left_out_photos: int
    texts_missing: int
    boxes_missing: int
    batches_per_epoch: int
    steps: int
    parameters: int
    trainable_parameters: int
    weights_bytes: int
    gradients_and_moments_bytes: int
    activations_bytes: int  # what the backward pass keeps of one batch, or part of it

    @property
    def memory_bytes(self) -> int:
        return self.weights_bytes + self.gradients_and_moments_bytes + self.activations_bytes


def plan_training(
    config: TrainConfig, photos: PhotoSet, sampler: IdentityBatchSampler, model: PetEncoder
) -> TrainPlan:
    counted = count_parameters(model)
    at_once = sampler.shares()[sampler.rank]
    at_once = min(at_once, config.micro_batch or at_once)
    return TrainPlan(
        photos=len(photos),
        identities=sampler.identities,
        left_out_identities=sampler.left_out_identities,
        left_out_photos=sampler.left_out_photos,
        texts_missing=photos.texts_missing,
        boxes_missing=photos.boxes_missing,
        batches_per_epoch=sampler.batches_per_epoch,
        steps=steps_of(config, sampler),
        parameters=counted.total,
        trainable_parameters=counted.trainable,
        weights_bytes=_BYTES * counted.total,
        gradients_and_moments_bytes=3 * _BYTES * counted.trainable,
        activations_bytes=at_once * activation_bytes(model, bf16=config.precision == "bf16"),
    )


def activation_bytes(model: PetEncoder, *, bf16: bool) -> int:
    """What autograd keeps of one photo, counted on tensors that have shapes but no memory.

    An estimate: kernels may keep other things on a GPU, and bf16 is taken to halve everything.
    """
    shadow = copy.deepcopy(model).to("meta").train()
    side = model.vision.image_size
    photos = 2  # so that nothing is a view of a batch of one
    batch: Any = SimpleNamespace(
        pixel_values=torch.zeros(photos, 3, side, side, device="meta"),
        input_ids=torch.zeros(photos, _TOKENS, dtype=torch.int64, device="meta"),
        attention_mask=torch.ones(photos, _TOKENS, dtype=torch.int64, device="meta"),
    )
    parameters = {parameter.untyped_storage()._cdata for parameter in shadow.parameters()}
    kept: dict[int, tuple[Tensor, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = (tensor, storage.nbytes())  # kept alive: addresses stay apart
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        shadow(batch)
    total = sum(size for _, size in kept.values()) // photos
    return total // 2 if bf16 else total


def plan_lines(plan: TrainPlan) -> list[str]:
    lines = [
        f"identities   {plan.identities:,} with enough photos; {plan.left_out_identities:,} with "
        f"{plan.left_out_photos:,} photos are left out",
        f"photos       {plan.photos:,}",
        f"batches      {plan.batches_per_epoch:,} an epoch, {plan.steps:,} steps in all",
        f"parameters   {plan.parameters:,}, of which {plan.trainable_parameters:,} train",
        f"memory       about {_gigabytes(plan.memory_bytes)} on each device: weights "
        f"{_gigabytes(plan.weights_bytes)}, gradients and moments "
        f"{_gigabytes(plan.gradients_and_moments_bytes)}, activations "
        f"{_gigabytes(plan.activations_bytes)}",
    ]
    if plan.texts_missing:
        lines.append(f"texts        {plan.texts_missing:,} photos have none")
    if plan.boxes_missing:
        lines.append(f"boxes        {plan.boxes_missing:,} photos have none and stay whole")
    return lines


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
