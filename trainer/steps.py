"""One step's gradients: over the whole batch, whatever the number of processes or of parts.

Triplets compare all photos of a batch, so neither a process nor a part may see only its own. Each
process embeds its share, gathers everybody's embeddings and computes the whole loss; gradients flow
into its own share alone and add up to the whole gradient. Where a share does not fit into memory
its embeddings' gradients are cached (Gao et al., GradCache, 2021): parts are embedded without
graphs, the loss gives each embedding its gradient, and parts are embedded again to pass it on.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from trainer.data import Batch

Embed = Callable[["Batch"], Tensor]  # (b, D)


def seed_step(*numbers: int) -> None:
    """Dropout depends on seed, step, rank and part alone: a resumed run needs no other state."""
    text = "/".join(map(str, numbers)).encode()
    torch.manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1)


def moved(batch: Batch, device: torch.device) -> Batch:
    """On the device, pixels without waiting where they are pinned."""
    tensors: dict[str, Any] = {
        name: value.to(device, non_blocking=True)
        for name, value in vars(batch).items()
        if isinstance(value, Tensor)
    }
    return replace(batch, **tensors)


def split(batch: Batch, photos: int) -> list[Batch]:
    """In order, at most so many photos each."""
    return [
        replace(batch, **{name: value[first : first + photos] for name, value in _columns(batch)})
        for first in range(0, len(batch), photos)
    ]


def _columns(batch: Batch) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(batch).items() if value is not None]


class Gatherer:
    """Everybody's embeddings and labels, in the order of ranks; shares may differ in length."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size

    def embeddings(self, own: Tensor) -> Tensor:
        """(share, D) -> (B, D), with a gradient in this rank's rows.

        Processes average their gradients, where the whole gradient is a sum: hence the factor.
        """
        if self.world_size == 1:
            return own
        parts = self._gather(own.detach())
        parts[self.rank] = _ScaledGradient.apply(own, self.world_size)
        return torch.cat(parts)

    def labels(self, own: Tensor) -> Tensor:
        return own if self.world_size == 1 else torch.cat(self._gather(own))

    def _gather(self, own: Tensor) -> list[Tensor]:
        lengths = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in self._ranks]
        dist.all_gather(lengths, torch.tensor([len(own)], device=own.device))
        shares = [int(length) for length in lengths]
        padded = own.new_zeros((max(shares), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in self._ranks]
        dist.all_gather(parts, padded)
        return [part[:share] for part, share in zip(parts, shares, strict=True)]

    @property
    def _ranks(self) -> range:
        return range(self.world_size)


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


def backward_whole(
    embed: Embed, batch: Batch, loss_of: Callable[[Tensor], Tensor], reseed: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """Loss and this rank's embeddings (share, D), after one backward pass."""
    reseed(0)
    embeddings = embed(batch)
    loss = loss_of(embeddings.float())
    loss.backward()
    return loss.detach(), embeddings.detach()


def backward_in_parts(
    model: nn.Module,
    embed: Embed,
    parts: Sequence[Batch],
    loss_of: Callable[[Tensor], Tensor],
    reseed: Callable[[int], None],
) -> tuple[Tensor, Tensor]:
    """The same gradients as `backward_whole`, with one part of the batch in memory at a time."""
    found = []
    with torch.no_grad():
        for number, part in enumerate(parts):
            reseed(number)
            found.append(embed(part).float())
    embeddings = torch.cat(found).requires_grad_()
    loss = loss_of(embeddings)
    loss.backward()
    assert embeddings.grad is not None
    sizes = [len(part) for part in found]
    for number, (part, gradient) in enumerate(
        zip(parts, embeddings.grad.split(sizes), strict=True)
    ):
        reseed(number)
        last = number == len(parts) - 1
        with contextlib.nullcontext() if last else _without_sync(model):
            again = embed(part)
            again.backward(gradient.to(again.dtype))
    return loss.detach(), embeddings.detach()


def _without_sync(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Processes exchange gradients once a step, after its last part."""
    no_sync = getattr(model, "no_sync", contextlib.nullcontext)
    context: contextlib.AbstractContextManager[None] = no_sync()
    return context
