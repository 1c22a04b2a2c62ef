"""A text encoder by itself, for what it costs: petdata trains none alone."""

from __future__ import annotations

from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from trainer.encoder_table import PAPER_BLOCKS
from trainer.text import CLASSES, TextEncoder, Tokenize
from trainer.text_encoder_table import TEXT_ENCODERS
from trainer.transformers_loading import build_transformers

TOKENS: Final = 64  # of a text, as the multiply-adds of docs/encoders.md are counted


class _Texts(Protocol):
    input_ids: Tensor | None
    attention_mask: Tensor | None


class TextAlone(nn.Module):
    """An entry of the table with random weights and no tokenizer, which costs what it does trained.

    (B, L) ids and mask of a batch -> (B, C).
    """

    def __init__(self, name: str, *, trainable_blocks: int = PAPER_BLOCKS) -> None:
        super().__init__()
        spec = TEXT_ENCODERS[name]
        self.text = TextEncoder(
            build_transformers(*CLASSES[spec.family], spec.config),
            Tokenize(None, spec.prefix, spec.max_tokens),
            pooling=spec.pooling,
            trainable_blocks=trainable_blocks,
        )

    def forward(self, batch: _Texts) -> Tensor:
        assert batch.input_ids is not None
        assert batch.attention_mask is not None
        pooled: Tensor = self.text(batch.input_ids, batch.attention_mask).pooled
        return pooled


def drawn_tokens(count: int, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Ids that every vocabulary has, none of them padding: (count, TOKENS)."""
    drawn = torch.randint(1_000, 30_000, (count, TOKENS), dtype=torch.int64)
    return {"input_ids": drawn.to(device), "attention_mask": torch.ones_like(drawn).to(device)}
