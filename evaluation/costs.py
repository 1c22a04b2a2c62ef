"""What a network costs: parameters, multiply-adds counted in two ways, memory, photos a second."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evaluation.embed_flags import Precision
from evaluation.text_alone import TextAlone, drawn_tokens
from trainer.data import Batch
from trainer.model import PetEncoder, count_parameters

WARM_UP: Final = 3  # batches, not timed
TIMED: Final = 10
_TEXT: Final = "a tabby cat with white paws"
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, kw_only=True)
class Costs:
    parameters: int
    trainable: int
    multiply_adds: int  # of one photo, with every product: half of torch's FLOPs
    torchinfo_multiply_adds: int  # of one photo, as torchinfo counts
    peak_bytes: int  # forward pass at batch 1, weights included
    peak_of: str  # what was measured
    photos_per_second: float  # forward passes alone; decoding is not part of it
    batch_size: int
    precision: str
    device: str
    warm_up_batches: int
    timed_batches: int
    epoch_photos: int | None = None
    seconds_per_epoch: float | None = None
    epoch_of: str = ""  # where the two come from


def costs_of(
    model: PetEncoder | TextAlone,
    *,
    device: torch.device,
    batch_size: int = 128,
    precision: Precision = "float32",
    timed_batches: int = TIMED,
) -> Costs:
    """Of forward passes on drawn noise; the network is moved to the device.

    Of a text encoder alone "photos" are texts of text_alone.TOKENS tokens.
    """
    model.to(device).eval()
    counted = count_parameters(model)
    one, many = (drawn_batch(model, count, device) for count in (1, batch_size))
    with torch.inference_mode():
        products = multiply_adds(model, one)
        as_torchinfo = torchinfo_multiply_adds(model, one)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        peak, peak_of = _peak(model, one, device)
        speed = _photos_per_second(model, many, device, timed_batches)
    return Costs(
        parameters=counted.total,
        trainable=counted.trainable,
        multiply_adds=products,
        torchinfo_multiply_adds=as_torchinfo,
        peak_bytes=peak,
        peak_of=peak_of,
        photos_per_second=speed,
        batch_size=batch_size,
        precision=precision,
        device=_name_of(device),
        warm_up_batches=WARM_UP,
        timed_batches=timed_batches,
    )


def counted_costs(model: PetEncoder) -> dict[str, int]:
    """What needs no clock: the same on every machine."""
    counted = count_parameters(model)
    one = drawn_batch(model, 1, next(model.parameters()).device)
    with torch.inference_mode():
        return {
            "parameters": counted.total,
            "trainable": counted.trainable,
            "multiply_adds": multiply_adds(model, one),
            "torchinfo_multiply_adds": torchinfo_multiply_adds(model, one),
        }


def drawn_batch(model: PetEncoder | TextAlone, count: int, device: torch.device) -> Batch:
    if isinstance(model, TextAlone):
        pixels, tokens = torch.empty(count, 0), drawn_tokens(count, device)
    else:
        side = model.vision.image_size
        pixels = torch.randn(count, 3, side, side)
        tokens = {} if model.text is None else model.text.tokenize([_TEXT] * count)
    return Batch(
        pixel_values=pixels.to(device),
        labels=torch.zeros(count, dtype=torch.int64),
        photo_ids=[""] * count,
        rows=torch.arange(count),
        **{name: tensor.to(device) for name, tensor in tokens.items()},
    )


def multiply_adds(model: nn.Module, batch: Batch) -> int:
    """Every matrix product and convolution, those of attention too."""
    # Of the kernels for attention not all are counted; plain products are.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(batch)
    return int(counter.get_total_flops()) // 2


def torchinfo_multiply_adds(model: nn.Module, batch: Batch) -> int:
    """Of torchinfo's column "Mult-Adds", which papers print.

    Weights and biases of a layer count once a photo, whatever the number of tokens; of a
    convolution once for each place of its output. Products without weights, as those of attention,
    and parameters of no layer are not counted.
    """
    found = 0

    def count(layer: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal found
        own = sum(
            each.numel()
            for name, each in layer.named_parameters(recurse=False)
            if name in ("weight", "bias")
        )
        places = output.shape[2:].numel() if isinstance(layer, _CONVOLUTIONS) else 1
        found += own * places * len(batch)

    with _hooks(model, count):
        model(batch)
    return found


@contextmanager
def _hooks(model: nn.Module, hook: Any) -> Iterator[None]:
    """On the layers without layers of their own."""
    layers = [each for each in model.modules() if not any(each.children())]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _peak(model: nn.Module, batch: Batch, device: torch.device) -> tuple[int, str]:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        model(batch)
        return torch.cuda.max_memory_allocated(device), "max_memory_allocated"
    what = "the process, resident, libraries included"
    if sys.platform != "linux":
        model(batch)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, what
    process = Path("/proc/self")
    process.joinpath("clear_refs").write_text("5")  # a new peak, not that of a network before
    model(batch)
    peak = process.joinpath("status").read_text().partition("VmHWM:")[2].split()[0]
    return int(peak) * 1024, what


def _photos_per_second(
    model: nn.Module, batch: Batch, device: torch.device, timed_batches: int
) -> float:
    for _ in range(WARM_UP):
        _finished(model(batch), device)
    began = time.perf_counter()
    for _ in range(timed_batches):
        made = model(batch)
    _finished(made, device)
    return timed_batches * len(batch) / (time.perf_counter() - began)


def _finished(made: Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
