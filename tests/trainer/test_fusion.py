from __future__ import annotations

from pathlib import Path

import pytest
import torch
from encoder_samples import changed, copied, noise
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from petdata.errors import UnknownSource
from trainer.encoders import load_text_encoder, load_vision_encoder
from trainer.features import ImageFeatures, TextFeatures
from trainer.fusion import FUSIONS, Concat, CrossAttention, Gating, Weighted, build_fusion

IMAGE, PATCH, TEXT, WIDTH = 6, 5, 4, 16


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_fusion(name, image_width=IMAGE, patch_width=PATCH, text_width=TEXT, width=WIDTH)


def features(batch: int = 3) -> tuple[ImageFeatures, TextFeatures]:
    g = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, 7, dtype=torch.int64)
    mask[0, 4:] = 0
    image = ImageFeatures(
        torch.randn(batch, IMAGE, generator=g), torch.randn(batch, 9, PATCH, generator=g)
    )
    text = torch.randn(batch, TEXT, generator=g)
    return image, TextFeatures(text, torch.randn(batch, 7, TEXT, generator=g), mask)


@pytest.mark.parametrize(
    ("name", "width"),
    [("concat", 1024), ("weighted", 1024), ("cross-attention", 512), ("gating", 512)],
)
def test_widths(name: str, width: int) -> None:
    fusion = build_fusion(name, image_width=IMAGE, patch_width=PATCH, text_width=TEXT)
    assert fusion.width == width
    assert fusion(*features()).shape == (3, width)


def test_concat_has_the_text_first() -> None:
    fusion = made("concat")
    assert isinstance(fusion, Concat)
    image, text = features()
    out = fusion(image, text)
    torch.testing.assert_close(
        out[:, :WIDTH], text.pooled @ fusion.text.weight.T + fusion.text.bias
    )
    torch.testing.assert_close(
        out[:, WIDTH:], image.pooled @ fusion.image.weight.T + fusion.image.bias
    )


def test_the_texts_weight_is_one_at_first_and_learnt() -> None:
    plain, fusion = made("concat"), made("weighted")
    assert isinstance(fusion, Weighted)
    assert torch.equal(plain(*features()), fusion(*features()))
    fusion(*features()).square().sum().backward()
    assert fusion.text_weight.grad is not None
    with torch.no_grad():
        fusion.text_weight.fill_(-3)
    expected = plain(*features())
    expected[:, :WIDTH] *= -3
    torch.testing.assert_close(fusion(*features()), expected)


def loop_attention(fusion: CrossAttention, image: ImageFeatures, text: TextFeatures) -> Tensor:
    """One photo, one head, one token after another."""
    to_q, to_k, to_v = fusion.attention.in_proj_weight.chunk(3)
    q_bias, k_bias, v_bias = fusion.attention.in_proj_bias.chunk(3)
    width = WIDTH // 8
    rows = []
    for tokens, patches, mask in zip(text.tokens, image.patches, text.mask, strict=True):
        patches = fusion.image(patches)
        keys, values = patches @ to_k.T + k_bias, patches @ to_v.T + v_bias
        attended = []
        for token in tokens[mask.bool()]:
            query = to_q @ fusion.text(token) + q_bias
            heads = []
            for h in range(8):
                part = slice(h * width, (h + 1) * width)
                scores = (keys[:, part] @ query[part]) / width**0.5
                heads.append(scores.softmax(dim=0) @ values[:, part])
            attended.append(fusion.attention.out_proj(torch.cat(heads)))
        rows.append(torch.stack(attended).mean(dim=0))
    return torch.stack(rows)


def test_cross_attention_is_a_loop_over_tokens_that_ask_patches() -> None:
    fusion = made("cross-attention")
    assert isinstance(fusion, CrossAttention)
    image, text = features()
    torch.testing.assert_close(fusion(image, text), loop_attention(fusion, image, text))
    padding = text.tokens.clone()
    padding[0, 4:] = 1e3  # what stands in the padding is not read
    assert torch.equal(fusion(image, text), fusion(image, text._replace(tokens=padding)))
    with pytest.raises(ValueError, match="needs patches"):
        fusion(image._replace(patches=None), text)


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)


def test_the_gate_has_the_text_at_0_and_the_image_at_1() -> None:
    fusion = made("gating")
    assert isinstance(fusion, Gating)
    image, text = features()
    last = fusion.gate[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        for kept, side in enumerate(
            [unit(fusion.text(text.pooled)), unit(fusion.image(image.pooled))]
        ):
            last.weight.zero_()
            last.bias.copy_(torch.tensor([100.0, 0.0] if kept == 0 else [0.0, 100.0]))
            torch.testing.assert_close(fusion(image, text), side)
        last.bias.copy_(torch.tensor([2.0, 0.5]))
        share = 1 / (1 + torch.tensor(-1.5).exp())
        torch.testing.assert_close(fusion.weights(image, text)[:, 0], share.expand(3))
        mixed = share * unit(fusion.text(text.pooled)) + (1 - share) * unit(
            fusion.image(image.pooled)
        )
        torch.testing.assert_close(fusion(image, text), unit(mixed))


def test_the_gate_sees_text_then_image() -> None:
    fusion = made("gating")
    assert isinstance(fusion, Gating)
    image, text = features()
    first, last = fusion.gate[0], fusion.gate[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    both = torch.cat([unit(fusion.text(text.pooled)), unit(fusion.image(image.pooled))], dim=1)
    assert first.weight.shape == (WIDTH // 2, 2 * WIDTH)
    expected = last(nn.functional.gelu(first(both))).softmax(dim=1)
    torch.testing.assert_close(fusion.weights(image, text), expected)


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_a_step_moves_the_fusion_and_the_trainable_blocks_and_nothing_else(name: str) -> None:
    vision = load_vision_encoder("siglip2-base", tiny=True, trainable_blocks=1, seed=0).train()
    text = load_text_encoder("e5-small-v2", tiny=True, trainable_blocks=1, seed=0).train()
    fusion = build_fusion(
        name, image_width=vision.width, patch_width=vision.patch_width, text_width=text.width
    )
    whole = nn.ModuleDict({"vision": vision, "text": text, "fusion": fusion})
    before = copied(whole)
    out = fusion(vision(noise(vision)), text(**text.tokenize(["рыжий кот", "dog"])))
    aim = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (out - aim).square().sum().backward()
    torch.optim.Adam(whole.parameters(), lr=1e-3).step()
    moves = {n for n in before if n.startswith("fusion.") or ".layers.2." in n or ".layer.2." in n}
    no_effect = {n for n in moves if n.endswith(("k_proj.bias", "key.bias"))}
    assert moves - no_effect <= changed(before, whole) <= moves


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_the_state_goes_through_a_file(name: str, tmp_path: Path) -> None:
    fusion = made(name)
    other = build_fusion(name, image_width=IMAGE, patch_width=PATCH, text_width=TEXT, width=WIDTH)
    assert not torch.equal(fusion(*features()), other(*features()))
    save_file(fusion.state_dict(), tmp_path / "fusion.safetensors")
    other.load_state_dict(load_file(tmp_path / "fusion.safetensors"))
    assert torch.equal(fusion(*features()), other(*features()))


def test_an_unknown_fusion_names_the_known() -> None:
    with pytest.raises(
        UnknownSource, match="choose from concat, cross-attention, gating, weighted"
    ):
        build_fusion("sum", image_width=1, patch_width=1, text_width=1)
