"""Transforms against the processors that they are made of, bit for bit."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BitImageProcessor,
    CLIPImageProcessor,
    CLIPImageProcessorPil,
    DINOv3ViTImageProcessor,
    SiglipImageProcessor,
)
from worlds import photo

from trainer.decoding import decode
from trainer.transforms import (
    ProcessorTransform,
    ResizeCropNormalise,
    transform_of,
    with_scaled_decoding,
)

PROCESSORS: dict[str, Any] = {
    "clip": CLIPImageProcessor(),
    "clip 336": CLIPImageProcessor(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    ),
    "siglip": SiglipImageProcessor(),
    "siglip2 384 bilinear": SiglipImageProcessor(size={"height": 384, "width": 384}, resample=2),
    "dinov2": BitImageProcessor(
        size={"shortest_edge": 256},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ),
    "dinov3": DINOv3ViTImageProcessor(),
    "crop wider than the picture": CLIPImageProcessor(
        size={"shortest_edge": 100}, crop_size={"height": 160, "width": 120}
    ),
}
SIZES = [(1, 1), (3, 500), (333, 251), (224, 224), (225, 224), (640, 480), (91, 1200)]


def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    noise = [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8))
        for width, height in SIZES
    ]
    drawn = [Image.open(io.BytesIO(photo(n))) for n in range(3)]
    return [*noise, *drawn, drawn[0].convert("L")]


def expected(processor: Any, picture: Image.Image) -> torch.Tensor:
    found = processor(images=picture.convert("RGB"), return_tensors="pt")["pixel_values"][0]
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_bit_is_the_processors(name: str) -> None:
    transform = transform_of(PROCESSORS[name])
    assert isinstance(transform, ResizeCropNormalise)
    for picture in pictures():
        assert torch.equal(transform(picture), expected(PROCESSORS[name], picture)), picture.size


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_given_tensor_gets_every_bit(name: str) -> None:
    transform = transform_of(PROCESSORS[name])
    assert isinstance(transform, ResizeCropNormalise)
    for picture in pictures():
        pixels = np.array(picture.convert("RGB"))
        wanted = transform.of_array(pixels)
        batch = torch.full((3, *wanted.shape), float("nan"))
        given = batch[1]
        assert transform.of_array(pixels, given) is given
        assert torch.equal(batch[1], wanted)
        assert batch[::2].isnan().all()
        other = torch.full((3, 5, 7), float("nan"))  # the wrong shape is left alone
        assert torch.equal(transform.of_array(pixels, other), wanted)
        assert other.isnan().all()


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "dinov3"])
def test_every_bit_of_real_photos(name: str, real_data: Path) -> None:
    transform = transform_of(PROCESSORS[name])
    assert isinstance(transform, ResizeCropNormalise)
    for path in sorted((real_data / "real-pets").rglob("*.jpg"))[::15]:
        picture = Image.open(path)
        if picture.mode not in ("RGB", "L"):
            continue
        found = transform.of_array(decode(path.read_bytes()))
        assert torch.equal(found, expected(PROCESSORS[name], picture)), path


def test_gray_jpegs_and_cut_arrays() -> None:
    transform = transform_of(PROCESSORS["clip"])
    assert isinstance(transform, ResizeCropNormalise)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(photo(4))).convert("L").save(buffer, "JPEG")
    pixels = decode(buffer.getvalue())
    picture = Image.open(buffer)
    assert picture.mode == "L"
    assert torch.equal(transform.of_array(pixels), expected(PROCESSORS["clip"], picture))
    cut = transform.of_array(pixels[10:200, 31:171])
    whole = expected(PROCESSORS["clip"], picture.crop((31, 10, 171, 200)))
    assert torch.equal(cut, whole)


def test_a_processor_that_works_otherwise_is_called_itself() -> None:
    processor = CLIPImageProcessorPil()
    transform = transform_of(processor)
    assert isinstance(transform, ProcessorTransform)
    picture = pictures()[2]
    assert torch.equal(transform(picture), expected(processor, picture))


class Inverted(CLIPImageProcessor):
    """Says what CLIP's says, and does something else."""

    def rescale_and_normalize(self, images: torch.Tensor, *arguments: Any) -> torch.Tensor:
        return super().rescale_and_normalize(255 - images, *arguments)


def test_a_processor_that_does_not_do_what_it_says_is_called_itself() -> None:
    transform = transform_of(Inverted())
    assert isinstance(transform, ProcessorTransform)
    picture = pictures()[2]
    assert not torch.equal(transform(picture), expected(PROCESSORS["clip"], picture))


@pytest.mark.parametrize("source", ["timm", "open_clip"])
def test_chains_of_steps_stay_what_they_are(source: str) -> None:
    if source == "timm":
        from timm.data import create_transform

        chain = create_transform(224, interpolation="bicubic", crop_pct=0.9)
    else:
        from open_clip.transform import image_transform

        chain = image_transform(224, is_train=False)
    assert transform_of(chain) is chain
    scaled = with_scaled_decoding(transform_of(chain))
    picture = pictures()[2].convert("RGB")
    assert torch.equal(scaled(picture), chain(picture))


def test_a_transform_travels_to_another_process() -> None:
    picture = pictures()[3]
    for processor in PROCESSORS.values():
        transform = transform_of(processor)
        copy = pickle.loads(pickle.dumps(transform))
        assert torch.equal(copy(picture), transform(picture))


def test_scaled_decoding_is_near_and_never_below_the_size() -> None:
    transform = transform_of(CLIPImageProcessor(size={"shortest_edge": 64}, crop_size=64))
    scaled = with_scaled_decoding(transform)
    assert isinstance(scaled, ResizeCropNormalise)
    assert isinstance(transform, ResizeCropNormalise)
    assert (transform.scaled_decoding, scaled.scaled_decoding) == (False, True)
    jpeg = photo(5)
    full, small = decode(jpeg), decode(jpeg, side_needed=scaled.smallest_side)
    height, width = full.shape[:2]
    assert min(height, width) // 4 >= 64 > min(height, width) // 8
    assert small.shape[:2] == (-(-height // 4), -(-width // 4))
    difference = (scaled.of_array(small) - transform.of_array(full)).abs()
    # In units of a standard deviation, some 68 of 255 levels: 0.1 are 7 levels.
    assert 0 < difference.mean() < 0.1
