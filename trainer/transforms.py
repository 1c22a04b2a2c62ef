"""The pixels that a checkpoint was trained with, out of its own processor, and quickly.

What a transformers processor does is written out once more here, without its checking and
grouping of arguments; that both give the same pixels, bit for bit, is tried when a transform is
made, and where they do not the processor itself is called.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from petdata.errors import PetdataError
from trainer.decoding import ArrayTransform, Pixels, Transform

# Width, height of pictures that both ways are tried on: odd, small, wide, tall, already right.
_PROBES: Final = ((301, 200), (37, 61), (640, 97), (97, 640), (224, 224))


class ResizeCropNormalise:
    """Shorter side, or both, to a size; the middle cut out; (x - mean) / std, in float32."""

    def __init__(
        self,
        *,
        size: int | tuple[int, int] | None,  # of the shorter side, or height and width
        interpolation: str,
        crop: tuple[int, int] | None,  # height, width
        mean: torch.Tensor,  # (3,), of pixels from 0 to 255
        std: torch.Tensor,
        scale_first: float | None = None,  # resizing is done on scaled floats, as DINOv3 has it
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.crop = crop
        self.mean = mean.view(3, 1, 1)
        self.std = std.view(3, 1, 1)
        self.scale_first = scale_first
        self.scaled_decoding = False
        self.smallest_side = max(size) if isinstance(size, tuple) else size

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return self.of_array(np.array(image.convert("RGB")))

    def of_array(self, pixels: Pixels, out: torch.Tensor | None = None) -> torch.Tensor:
        found = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (1, 3, H, W)
        if self.scale_first is not None:
            found = found * self.scale_first
        size = self._size_of(*found.shape[2:])
        if size != tuple(found.shape[2:]):
            found = functional.interpolate(
                found, size, mode=self.interpolation, align_corners=False, antialias=True
            )
        if self.crop is not None:
            found = _middle(found, self.crop)
        # A copy where it was uint8; where it was not it is this function's own already.
        centred = found[0].to(torch.float32).sub_(self.mean)
        if out is None or out.shape != centred.shape:
            return centred.div_(self.std)
        return torch.div(centred, self.std, out=out)

    def _size_of(self, height: int, width: int) -> tuple[int, int]:
        if self.size is None:
            return height, width
        if isinstance(self.size, tuple):
            return self.size
        if height <= width:
            return self.size, int(self.size * width / height)
        return int(self.size * height / width), self.size


def _middle(pictures: torch.Tensor, crop: tuple[int, int]) -> torch.Tensor:
    """The middle, black around it where a picture is smaller."""
    high, wide = (max(0, crop[n] - pictures.shape[2 + n]) for n in (0, 1))
    if high or wide:
        around = (wide // 2, (wide + 1) // 2, high // 2, (high + 1) // 2)
        pictures = functional.pad(pictures, around)
    top, left = (int((pictures.shape[2 + n] - crop[n]) / 2) for n in (0, 1))
    return pictures[..., top : top + crop[0], left : left + crop[1]]


class ProcessorTransform:
    """A transformers image processor, called for one picture."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Image.Image) -> torch.Tensor:
        found = self.processor(images=image.convert("RGB"), return_tensors="pt")
        pixels: torch.Tensor = found["pixel_values"][0]
        return pixels


class _Scaled:
    """A transform of pictures whose JPEG may have been decoded at a smaller scale."""

    scaled_decoding = True

    def __init__(self, transform: Transform, smallest_side: int) -> None:
        self.transform = transform
        self.smallest_side = smallest_side

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return self.transform(image)

    def of_array(self, pixels: Pixels, out: torch.Tensor | None = None) -> torch.Tensor:
        return self.transform(Image.fromarray(pixels))


def transform_of(processor: Any) -> Transform:
    """Of a transformers image processor, or of one that has it; other callables on pictures, as
    timm's and open_clip's, stay what they are.
    """
    processor = getattr(processor, "image_processor", processor)
    if not hasattr(processor, "image_mean"):
        if callable(processor):
            found: Transform = processor
            return found
        raise PetdataError(f"{type(processor).__name__} is no image processor")
    slow = ProcessorTransform(processor)
    quick = _written_out(processor)
    return quick if quick is not None and _are_equal(quick, slow) else slow


def with_scaled_decoding(transform: Transform) -> Transform:
    """The same on JPEGs decoded at a half, a quarter or an eighth, where that is still at least as
    large as the transform's picture. Quicker, and no longer exact.
    """
    if isinstance(transform, ResizeCropNormalise):
        found = copy.copy(transform)
        found.scaled_decoding = True
        return found
    size = _size_of_steps(transform)
    if size is None:
        raise PetdataError("this transform does not say which size it needs: decode in full")
    return _Scaled(transform, size)


def _written_out(processor: Any) -> ResizeCropNormalise | None:
    """None for what this module does not know to do."""
    said: Mapping[str, Any] = processor.to_dict()
    if said.get("do_pad") or not said.get("do_rescale") or not said.get("do_normalize"):
        return None
    size, interpolation = None, "bilinear"
    if said.get("do_resize"):
        size = _size(dict(said["size"]))
        interpolation = Image.Resampling(int(said["resample"])).name.lower()
        if size is None or interpolation not in ("bilinear", "bicubic", "lanczos"):
            return None
    crop = said["crop_size"] if said.get("do_center_crop") else None
    factor = float(said["rescale_factor"])
    mean, std = (torch.tensor(said[name]) for name in ("image_mean", "image_std"))
    scale_first = factor if type(processor).__name__.startswith("DINOv3") else None
    if scale_first is None:  # in the processors' own order, for the same last bit
        mean, std = mean * (1.0 / factor), std * (1.0 / factor)
    return ResizeCropNormalise(
        size=size,
        interpolation=interpolation,
        crop=None if crop is None else (int(crop["height"]), int(crop["width"])),
        mean=mean,
        std=std,
        scale_first=scale_first,
    )


def _size(said: Mapping[str, Any]) -> int | tuple[int, int] | None:
    given = {name: value for name, value in said.items() if value}
    if given.keys() == {"shortest_edge"}:
        return int(given["shortest_edge"])
    if given.keys() == {"height", "width"}:
        return int(given["height"]), int(given["width"])
    return None


def _are_equal(quick: Transform, slow: Transform) -> bool:
    for number, (width, height) in enumerate(_PROBES):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        picture = Image.fromarray(noise)
        if not torch.equal(quick(picture), slow(picture)):
            return False
    return True


def _size_of_steps(transform: object) -> int | None:
    """Of the shorter side that a chain of torchvision's steps resizes to."""
    if isinstance(transform, ArrayTransform):
        return transform.smallest_side
    if isinstance(transform, ProcessorTransform):
        size = _size(dict(transform.processor.to_dict().get("size") or {}))
        return max(size) if isinstance(size, tuple) else size
    for step in getattr(transform, "transforms", ()):
        size = getattr(step, "size", None)
        if size is not None:
            return int(max(size)) if isinstance(size, list | tuple) else int(size)
    return None
