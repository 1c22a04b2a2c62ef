from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_samples import WITH_BLOCKS, WITHOUT_BLOCKS, changed, copied, noise
from safetensors.torch import load_file, save_file
from torch import Tensor

from petdata.errors import PetdataError, UnknownSource
from trainer.encoders import VISION_ENCODERS, VisionEncoder, load_vision_encoder


def tiny(name: str, **choices: Any) -> VisionEncoder:
    return load_vision_encoder(name, tiny=True, **({"seed": 0} | choices))


def library_pooled(name: str, encoder: VisionEncoder, pixels: Tensor) -> Tensor:
    """What the library that a network comes from gives for the same pixels, by its own forward."""
    network: Any = encoder.network
    family = VISION_ENCODERS[name].family
    if family == "clip":
        return network(pixels).image_embeds
    if family in ("siglip", "dinov2", "dinov3"):
        return network(pixels).pooler_output
    if family == "miewid":
        grid = network.backbone.forward_features(pixels)
        rows = [
            [float((channel.clamp(min=1e-6) ** 3).mean() ** (1 / 3)) for channel in photo]
            for photo in grid
        ]
        return torch.tensor(rows) / (1 + network.bn.eps) ** 0.5  # fresh statistics: mean 0, var 1
    return network(pixels)


@pytest.mark.parametrize("name", [*WITH_BLOCKS, *WITHOUT_BLOCKS])
def test_the_pooled_output_is_what_the_library_computes(name: str) -> None:
    encoder = tiny(name)
    pixels = noise(encoder)
    with torch.no_grad():
        features = encoder(pixels)
        expected = library_pooled(name, encoder, pixels)
    assert features.pooled.shape == (2, encoder.width)
    torch.testing.assert_close(features.pooled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["siglip2-base", "dinov2-small", "dinov3-small", "clip-vit-base"])
def test_patches_are_the_tokens_of_the_grid_after_the_last_norm(name: str) -> None:
    encoder = tiny(name)
    pixels = noise(encoder)
    network: Any = encoder.network
    with torch.no_grad():
        patches = encoder(pixels).patches
        if name == "clip-vit-base":  # its last hidden state is given before the norm
            hidden = network.vision_model(pixels).last_hidden_state
            hidden = network.vision_model.post_layernorm(hidden)
        else:
            hidden = network(pixels).last_hidden_state
    grid = 8 * 8  # 64 pixels in patches of 8
    assert patches is not None
    assert patches.shape == (2, grid, encoder.patch_width)
    assert hidden.shape[1] - grid == {"siglip2-base": 0, "dinov3-small": 5}.get(name, 1)
    torch.testing.assert_close(patches, hidden[:, -grid:], rtol=1e-5, atol=1e-6)


def test_clip_gives_what_the_two_tower_model_calls_image_features() -> None:
    from transformers import CLIPModel, CLIPTextConfig, CLIPVisionConfig
    from transformers.models.clip import CLIPConfig

    encoder = tiny("clip-vit-base")
    network: Any = encoder.network
    config = CLIPConfig(
        vision_config=CLIPVisionConfig(**network.config.to_dict()).to_dict(),
        text_config=CLIPTextConfig(hidden_size=32, num_hidden_layers=1, vocab_size=50).to_dict(),
        projection_dim=32,
    )
    both = CLIPModel(config).eval()
    both.load_state_dict(network.state_dict(), strict=False)
    pixels = noise(encoder)
    with torch.no_grad():
        expected = both.get_image_features(pixels).pooler_output
        torch.testing.assert_close(encoder(pixels).pooled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*WITH_BLOCKS, *WITHOUT_BLOCKS])
@pytest.mark.parametrize("training", [False, True])
def test_forward_is_the_rest_of_the_frozen_part_bit_for_bit(name: str, training: bool) -> None:
    encoder = tiny(name, trainable_blocks=2 if name in WITH_BLOCKS else 0).train(training)
    pixels = noise(encoder)
    whole, cut = encoder(pixels), encoder.rest(encoder.frozen(pixels))
    assert torch.equal(whole.pooled, cut.pooled)
    assert torch.equal(whole.patches, cut.patches)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_a_step_moves_the_last_two_blocks_and_nothing_else(name: str) -> None:
    encoder = tiny(name, trainable_blocks=2).train()
    before = copied(encoder.network)
    features = encoder(noise(encoder))
    (features.pooled.square().mean() + features.patches.square().mean()).backward()
    torch.optim.Adam(encoder.parameters(), lr=1e-3).step()

    last_two = {f".{number}." for number in (1, 2)}
    blocks = {n for n in before if any(mark in n for mark in last_two) and "head" not in n}
    assert len(blocks) > 20
    # A key's bias adds the same to all scores of a softmax: its gradient is rounding, which Adam
    # makes a step of, or exactly zero, which it does not.
    keys = {n for n in blocks if n.endswith("k_proj.bias")}
    assert blocks - keys <= changed(before, encoder.network) <= blocks


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_the_frozen_part_takes_no_gradient_and_stays_in_evaluation_mode(name: str) -> None:
    encoder = tiny(name, trainable_blocks=1).train()
    pixels = noise(encoder).requires_grad_()
    assert not encoder.frozen(pixels).requires_grad
    in_training = {n for n, m in encoder.network.named_modules() if m.training}
    assert in_training
    assert all(".2" in n for n in in_training)  # the third of three blocks and what is in it
    assert not any(m.training for m in encoder.eval().modules())


def test_a_comparison_model_is_frozen_whole() -> None:
    encoder = tiny("miewid-msv3").train()
    before = copied(encoder.network)
    with torch.no_grad():
        encoder(noise(encoder))
    assert not changed(before, encoder.network)  # batch normalisation kept its statistics
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("name", ["siglip2-base", "miewid-msv3"])
def test_everything_trains_on_request(name: str) -> None:
    encoder = tiny(name, trainable_blocks=-1).train()
    pixels = noise(encoder, photos=4)
    assert torch.equal(encoder.frozen(pixels), pixels)
    encoder(pixels).pooled.square().mean().backward()
    without = {n for n, p in encoder.named_parameters() if p.grad is None}
    assert not without
    assert all(m.training for m in encoder.modules())


@pytest.mark.parametrize("name", ["clip-vit-base", "dinov3-small"])
def test_checkpointing_recomputes_the_same_gradients(name: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        encoder = tiny(name, trainable_blocks=2, gradient_checkpointing=checkpointing).train()
        encoder(noise(encoder)).pooled.square().mean().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", [*WITH_BLOCKS, *WITHOUT_BLOCKS])
def test_the_state_goes_through_a_file(name: str, tmp_path: Path) -> None:
    encoder, other = tiny(name), tiny(name, seed=1)
    pixels = noise(encoder)
    assert not torch.equal(encoder(pixels).pooled, other(pixels).pooled)
    save_file(encoder.state_dict(), tmp_path / "state.safetensors")
    other.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert torch.equal(encoder(pixels).pooled, other(pixels).pooled)


@pytest.mark.parametrize("name", sorted(VISION_ENCODERS))
def test_every_entry_can_be_built_tiny(name: str) -> None:
    encoder = tiny(name)
    assert encoder(noise(encoder, photos=1)).pooled.shape == (1, encoder.width)
    assert sum(p.numel() for p in encoder.parameters()) < 300_000


def test_random_weights_come_from_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = tiny("dinov2-small", seed=3), tiny("dinov2-small", seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert not changed(copied(first.network), second.network)
    drawn = tiny("dinov2-small", seed=None)  # from the generator as it stands
    torch.manual_seed(5)
    assert not changed(copied(drawn.network), tiny("dinov2-small", seed=None).network)


def test_kept_features_in_bfloat16_are_taken() -> None:
    encoder = tiny("siglip2-base", trainable_blocks=2)
    pixels = noise(encoder)
    kept = encoder.frozen(pixels).to(torch.bfloat16)
    features = encoder.rest(kept)
    assert features.pooled.dtype == torch.float32
    torch.testing.assert_close(features.pooled, encoder(pixels).pooled, rtol=0.1, atol=0.02)


def test_pixels_of_another_size_are_refused() -> None:
    encoder = tiny("dinov2-small")
    with pytest.raises(ValueError, match=r"\(B, 3, 64, 64\), not \(1, 3, 32, 32\)"):
        encoder(torch.zeros(1, 3, 32, 32))


def test_choices_that_cannot_be_had_name_what_can() -> None:
    with pytest.raises(UnknownSource, match="no vision encoder 'resnet'; choose from avito-clip"):
        load_vision_encoder("resnet")
    with pytest.raises(PetdataError, match=r"miewid-msv3 is a comparison model .* 0"):
        tiny("miewid-msv3", trainable_blocks=5)
    with pytest.raises(PetdataError, match="or -1 for everything: -2"):
        tiny("clip-vit-base", trainable_blocks=-2)
    with pytest.raises(PetdataError, match="tiny encoders have random weights"):
        tiny("clip-vit-base", weights="somewhere")
    assert tiny("clip-vit-base", trainable_blocks=5).trainable_blocks == 3  # all there are


def test_processors_follow_the_table() -> None:
    from PIL import Image

    stripes = Image.new("RGB", (300, 100), "white")
    clip, siglip = tiny("clip-vit-base"), tiny("siglip2-base")
    assert (clip.image_size, siglip.image_size) == (64, 64)
    white = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    seen = clip.processor(stripes, return_tensors="pt")["pixel_values"]
    assert seen.shape == (1, 3, 64, 64)
    torch.testing.assert_close(seen[0, :, 0, 0], white, rtol=1e-5, atol=1e-5)
    seen = siglip.processor(stripes, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(seen[0, :, 0, 0], torch.ones(3), rtol=1e-5, atol=1e-5)
