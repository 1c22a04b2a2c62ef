"""How long a plan may take: operations counted on networks without memory, at an assumed rate."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import torch

from evaluation.costs import multiply_adds
from evaluation.reproduce_plan import Job
from evaluation.text_alone import TextAlone, drawn_tokens
from petdata.errors import UnknownSource
from trainer.blocks import EVERYTHING, find_blocks
from trainer.config import TrainConfig
from trainer.model import build_model
from trainer.text_encoder_table import TEXT_ENCODERS

TERAFLOPS: Final = 100.0  # a second, sustained: a third of an A100's peak in bf16
_FLOPS: Final = 2  # a multiply-add is two operations


def hours_of(job: Job, *, teraflops: float = TERAFLOPS) -> float:
    """On one GPU. Decoding, evaluation's arithmetic and start-up are not in it.

    Back through a trained block costs twice the way forward; frozen blocks before it cost nothing
    then. With micro_batch each part goes forward twice.
    """
    forward = _FLOPS * _multiply_adds(*_towers(job.config))
    share = 0.0 if job.frozen else _trained_share(job.config.encoder, job.config)
    passes = 1 + 2 * share + (job.config.micro_batch is not None)
    return forward * (job.work.trained * passes + job.work.embedded) / (teraflops * 1e12) / 3600


def _towers(config: TrainConfig) -> tuple[str, str | None, bool]:
    return config.encoder, config.text_encoder, config.tiny


@cache
def _multiply_adds(encoder: str, text_encoder: str | None, tiny: bool) -> int:
    """Of one photo and its text; the fusion's are few."""
    model = _vision(encoder, tiny)
    device = "cpu" if tiny else "meta"
    side = model.vision.image_size
    batch: Any = SimpleNamespace(pixel_values=torch.zeros(1, 3, side, side, device=device))
    found = multiply_adds(model, batch)
    if text_encoder is None or tiny:
        return found
    if text_encoder not in TEXT_ENCODERS:
        raise UnknownSource(f"no text encoder {text_encoder!r}: petdata train --list-encoders")
    tokens: Any = SimpleNamespace(**drawn_tokens(1, "meta"))
    with torch.device("meta"):
        return found + multiply_adds(TextAlone(text_encoder), tokens)


@cache
def _trained_share(encoder: str, config: TrainConfig) -> float:
    if config.trainable_blocks == EVERYTHING:
        return 1.0
    try:
        blocks = len(find_blocks(_vision(encoder, config.tiny)))
    except ValueError:  # a network without blocks trains whole
        return 1.0
    return min(1.0, config.trainable_blocks / blocks)


@cache
def _vision(encoder: str, tiny: bool) -> Any:
    alone = TrainConfig(encoder=encoder, tiny=tiny, weights="random", trainable_blocks=0)
    with torch.device("cpu" if tiny else "meta"):
        return build_model(alone).eval()
