"""Text encoders: prefix, tokens, the frozen part, the trained part, pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from petdata.errors import PetdataError, UnknownSource
from trainer.blocks import SplitBlocks, block_count, drawn_from, find_blocks
from trainer.checkpoint_files import hub_folder, weights_path
from trainer.encoder_table import PAPER_BLOCKS
from trainer.features import TextFeatures
from trainer.strict_loading import below, read_state, refuse_misfit, without_wrapper
from trainer.text_encoder_table import TEXT_ENCODERS, Pooling, TextEncoderSpec
from trainer.tokenizers import has_tokenizer, tiny_tokenizer, tokenizer_in
from trainer.transformers_loading import build_transformers, load_transformers, read_config

CLASSES = {
    "bert": ("BertModel", "BertConfig"),
    "xlm-roberta": ("XLMRobertaModel", "XLMRobertaConfig"),
}
WRAPPERS = ("backbone.", "bert.", "roberta.")
MAY_BE_LEFT = (r"^cls\.", r"^lm_head\.", r"position_ids$")
# Some E5 exports have no pooler. It is not used here, so it may stay as it was made.
MAY_BE_MISSING = (r"^pooler\.",)
ANCHOR = "embeddings.word_embeddings.weight"
TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 130,
}


@dataclass(frozen=True)
class Tokenize:
    """Texts -> ids and mask, both (B, L) int64. Holds no weights: it is sent to loading workers."""

    tokenizer: Any
    prefix: str
    max_tokens: int

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        encoded = self.tokenizer(
            [self.prefix + text for text in texts],
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}


class TextEncoder(nn.Module):
    """As VisionEncoder: `forward(i, m)` equals `rest(frozen(i, m), m)` bit for bit."""

    def __init__(
        self,
        network: nn.Module,
        tokenize: Tokenize,
        *,
        pooling: Pooling,
        trainable_blocks: int,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.tokenize = tokenize
        self.pooling = pooling
        self.width = int(_config(network).hidden_size)
        self._blocks = SplitBlocks(
            network,
            find_blocks(network),
            trainable_blocks,
            gradient_checkpointing=gradient_checkpointing,
        )
        self.train(False)

    @property
    def tokenizer(self) -> Any:
        return self.tokenize.tokenizer

    @property
    def trainable_blocks(self) -> int:
        return self._blocks.count

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        return self.rest(self.frozen(input_ids, attention_mask), attention_mask)

    def frozen(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What never changes for a text: (B, L, C). The ids themselves if everything trains."""
        if self._blocks.everything_trains:
            return input_ids
        with torch.no_grad():
            hidden = self._embedded(input_ids)
            return self._through(self._blocks.frozen, hidden, attention_mask)

    def rest(self, frozen: Tensor, attention_mask: Tensor) -> TextFeatures:
        if self._blocks.everything_trains:
            frozen = self._embedded(frozen)
        dtype = next(p.dtype for p in self.network.parameters())
        tokens = self._through(self._blocks.trainable, frozen.to(dtype), attention_mask)
        pooled = tokens[:, 0] if self.pooling == "cls" else masked_mean(tokens, attention_mask)
        return TextFeatures(pooled, tokens, attention_mask)

    def train(self, mode: bool = True) -> TextEncoder:
        """Training mode reaches the trainable blocks only."""
        self.training = mode
        self._blocks.train(mode)
        return self

    def _embedded(self, input_ids: Tensor) -> Tensor:
        network: Any = self.network
        embedded: Tensor = network.embeddings(input_ids=input_ids)
        return embedded

    def _through(self, blocks: tuple[nn.Module, ...], hidden: Tensor, mask: Tensor) -> Tensor:
        # (B, 1, 1, L): every token sees all that is not padding
        seen = mask.bool()[:, None, None, :]
        return self._blocks.through(blocks, hidden, attention_mask=seen)


def _config(network: Any) -> Any:
    return network.config


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, L, C), (B, L) -> (B, C): the mean over tokens that are not padding; zero if all are."""
    weights = mask.to(tokens.dtype)[..., None]
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def load_text_encoder(  # noqa: PLR0913 - one parameter a choice
    name: str,
    *,
    weights: str | Path = "pretrained",
    revision: str | None = None,
    tiny: bool = False,
    trainable_blocks: int | None = None,
    gradient_checkpointing: bool = False,
    seed: int | None = None,
    prefix: str | None = None,
    pooling: Pooling | None = None,
) -> TextEncoder:
    """An encoder of TEXT_ENCODERS; arguments as load_vision_encoder.

    `prefix` stands before every text (E5: "query: "), `pooling` makes one vector out of its tokens;
    both are the table's unless given. Random weights at full size need the checkpoint's tokenizer.
    """
    if name not in TEXT_ENCODERS:
        raise UnknownSource(
            f"no text encoder {name!r}; choose from {', '.join(sorted(TEXT_ENCODERS))}"
        )
    spec = TEXT_ENCODERS[name]
    if tiny and weights not in ("pretrained", "random"):
        raise PetdataError(f"tiny encoders have random weights: leave out the weights {weights}")
    if tiny:
        tokenizer = tiny_tokenizer()
        network = drawn_from(seed, _built, spec, _tiny_sizes(spec, tokenizer))
    else:
        path = weights_path(
            spec.weights, "pretrained" if weights == "random" else weights, revision=revision
        )
        tokenizer = _tokenizer(spec, path)
        network = (
            drawn_from(seed, _built, spec, spec.config)
            if weights == "random"
            else _loaded(spec, path)
        )
    wanted = PAPER_BLOCKS if trainable_blocks is None else trainable_blocks
    return TextEncoder(
        network,
        Tokenize(
            tokenizer,
            spec.prefix if prefix is None else prefix,
            min(spec.max_tokens, _longest_text(network)),
        ),
        pooling=pooling or spec.pooling,
        trainable_blocks=block_count(network, wanted),
        gradient_checkpointing=gradient_checkpointing,
    )


def _longest_text(network: Any) -> int:
    """Tokens that it has positions for; XLM-RoBERTa's begin behind its padding id."""
    config = _config(network)
    skipped = config.pad_token_id + 1 if config.model_type == "xlm-roberta" else 0
    return int(config.max_position_embeddings - skipped)


def _built(spec: TextEncoderSpec, sizes: Mapping[str, Any]) -> nn.Module:
    return build_transformers(*CLASSES[spec.family], sizes)


def _tiny_sizes(spec: TextEncoderSpec, tokenizer: Any) -> dict[str, Any]:
    own = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return {**spec.config, **TINY, **own}


def _tokenizer(spec: TextEncoderSpec, path: Path) -> Any:
    if spec.tokenizer_hub_id is None or has_tokenizer(path):
        return tokenizer_in(path)
    return tokenizer_in(hub_folder(spec.tokenizer_hub_id, None))


def _loaded(spec: TextEncoderSpec, path: Path) -> nn.Module:
    state = read_state(path)
    model, config = CLASSES[spec.family]
    if spec.weights.inside_larger_model:
        sizes, state = dict(spec.config), below(state, ANCHOR, origin=str(path))
    else:
        sizes, state = read_config(config, path, spec.config), without_wrapper(state, WRAPPERS)
    network, misfit = load_transformers(model, config, sizes, state)
    refuse_misfit(misfit, origin=str(path), may_be_left=MAY_BE_LEFT, may_be_missing=MAY_BE_MISSING)
    return network
