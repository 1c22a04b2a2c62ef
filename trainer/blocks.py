"""A network's blocks, found by structure (paths differ between libraries, releases and towers), and
the line between those that stay frozen and the last ones, which train.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from petdata.errors import PetdataError

P = ParamSpec("P")
T = TypeVar("T")

EVERYTHING = -1  # as a number of trainable blocks: embeddings, norms and heads train too


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """The longest ModuleList or Sequential whose items share one class, in order.

    Raises ValueError when there is none or two of one length compete: then nobody knows which
    blocks are the last ones.
    """
    lists = [
        module
        for module in network.modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        and len(module) > 1
        and len({type(item) for item in module}) == 1
    ]
    if not lists:
        raise ValueError(f"{type(network).__name__} has no list of blocks of one class")
    longest = max(len(found) for found in lists)
    candidates = [found for found in lists if len(found) == longest]
    if len(candidates) > 1:
        raise ValueError(
            f"{type(network).__name__} has {len(candidates)} lists of {longest} blocks each"
        )
    return list(candidates[0])


class SplitBlocks:
    """The blocks of a network of which the last `count` train, or with EVERYTHING all and the rest.

    No module of its own: the blocks are not registered, and saved, a second time.
    """

    def __init__(
        self,
        network: nn.Module,
        blocks: Sequence[nn.Module],
        count: int,
        *,
        gradient_checkpointing: bool,
    ) -> None:
        self.everything_trains = count == EVERYTHING
        first = 0 if self.everything_trains else len(blocks) - count
        self.frozen, self.trainable = tuple(blocks[:first]), tuple(blocks[first:])
        self._network = network
        self._gradient_checkpointing = gradient_checkpointing
        self._training = False
        if self.everything_trains:
            network.requires_grad_(True)
        else:
            freeze_all_but(network, self.trainable)

    @property
    def count(self) -> int:
        return EVERYTHING if self.everything_trains else len(self.trainable)

    def train(self, mode: bool) -> None:
        """Training mode, and with it dropout, reaches the trainable blocks only."""
        self._training = mode
        self._network.train(mode and self.everything_trains)
        for block in self.trainable:
            block.train(mode)

    def through(self, blocks: Sequence[nn.Module], hidden: Tensor, **arguments: Any) -> Tensor:
        for block in blocks:
            call = functools.partial(block, **arguments)
            if self._gradient_checkpointing and self._training and torch.is_grad_enabled():
                hidden = checkpoint(call, hidden, use_reentrant=False)
            else:
                hidden = call(hidden)
        return hidden


def freeze_all_but(network: nn.Module, trainable: Sequence[nn.Module]) -> None:
    """Only the parameters of `trainable` take a gradient."""
    network.requires_grad_(False)
    for block in trainable:
        block.requires_grad_(True)


def trainable_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def block_count(network: nn.Module, wanted: int) -> int:
    """`wanted` as it can be had: all blocks where there are fewer (tiny encoders have three)."""
    if wanted < EVERYTHING:
        raise PetdataError(f"trainable_blocks must be 0 or more, or -1 for everything: {wanted}")
    return min(wanted, len(find_blocks(network)))


def drawn_from(seed: int | None, build: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`build(...)` with its random numbers from `seed`, or from the generator as it stands."""
    if seed is None:
        return build(*args, **kwargs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*args, **kwargs)
