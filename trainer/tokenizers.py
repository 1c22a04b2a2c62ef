"""Tokenizers: a checkpoint's own, or a tiny one that knows single letters."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from petdata.errors import CorruptFile

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARIES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "tokenizer.model")
LETTERS = string.ascii_lowercase + string.digits + "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in VOCABULARIES)


def tokenizer_in(folder: Path) -> Any:
    """The tokenizer beside the weights; transformers would make up one without its vocabulary."""
    from transformers import AutoTokenizer

    if not has_tokenizer(folder):
        raise CorruptFile(
            f"{folder} has no tokenizer ({', '.join(VOCABULARIES)}): give the folder with weights"
            " and tokenizer"
        )
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise CorruptFile(f"{folder} has no tokenizer that can be read: {e}") from e


def tiny_tokenizer() -> Any:
    """WordPiece over Latin and Russian letters, digits and punctuation: no word is unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [*SPECIAL, *string.punctuation, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    # Accents stay: taking them off would make е of ё and и of й.
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
