"""Cached gradients and gathered shares give the gradients of the whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.config import LossConfig
from trainer.losses import build_loss
from trainer.steps import Gatherer, backward_in_parts, backward_whole, seed_step


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(7, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 5)
    ).double()


def inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.randn(12, 7, dtype=torch.float64), torch.arange(6).repeat_interleave(2)


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def loss_of(labels: Tensor) -> Any:
    loss = build_loss(LossConfig(), identities=6, width=5)
    return lambda embeddings: loss(embeddings, labels)


def whole() -> tuple[float, list[Tensor]]:
    """The gradients by autograd alone."""
    model, (x, labels) = network(), inputs()
    loss = loss_of(labels)(model(x).float())
    loss.backward()
    return loss.item(), gradients(model)


@pytest.mark.parametrize("part", [1, 5, 12])
def test_parts_give_the_whole_gradient(part: int) -> None:
    expected_loss, expected = whole()
    model, (x, labels) = network(), inputs()
    loss, embeddings = backward_in_parts(
        model, model, x.split(part), loss_of(labels), lambda number: None
    )
    assert loss.item() == pytest.approx(expected_loss, rel=1e-6)
    torch.testing.assert_close(gradients(model), expected, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(embeddings.double(), model(x).detach(), rtol=1e-5, atol=1e-6)


def test_plain_accumulation_would_give_others() -> None:
    """Why it is refused: parts that know only their own negatives pull elsewhere."""
    _, expected = whole()
    model, (x, labels) = network(), inputs()
    for part, own in zip(x.split(4), labels.split(4), strict=True):
        (loss_of(own)(model(part).float()) / 3).backward()
    assert not torch.allclose(gradients(model)[0], expected[0], rtol=0.05)


def test_dropout_is_the_same_both_times_a_part_is_embedded() -> None:
    """With dropout, each part's second pass must repeat its first: checked against one pass."""
    model, (x, labels) = network(dropout=0.5), inputs()
    model.train()
    backward_in_parts(model, model, x.split(5), loss_of(labels), lambda n: seed_step(0, 9, n))
    found = gradients(model)

    model = network(dropout=0.5).train()
    parts = []
    for number, part in enumerate(x.split(5)):
        seed_step(0, 9, number)
        parts.append(model(part))
    loss_of(labels)(torch.cat(parts).float()).backward()
    torch.testing.assert_close(found, gradients(model), rtol=1e-5, atol=1e-8)


def test_backward_whole_is_autograd() -> None:
    expected_loss, expected = whole()
    model, (x, labels) = network(), inputs()
    loss, _ = backward_whole(model, x, loss_of(labels), lambda number: None)
    assert loss.item() == expected_loss
    torch.testing.assert_close(gradients(model), expected, rtol=0, atol=0)


def test_processes_with_uneven_shares_give_the_whole_gradient(tmp_path: Path) -> None:
    mp.spawn(_process, args=(2, str(tmp_path)), nprocs=2)
    expected_loss, expected = whole()
    for rank in range(2):
        for loss, found in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert loss == pytest.approx(expected_loss, rel=1e-6)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def _process(rank: int, world_size: int, folder: str) -> None:
    """Both ways, one after the other: starting a process takes longer than what it does."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    model = DistributedDataParallel(network())
    x, labels = inputs()
    share = [slice(0, 8), slice(8, 12)][rank]
    gather = Gatherer(rank, world_size)
    everybody = loss_of(gather.labels(labels[share]))
    assert gather.labels(labels[share]).tolist() == labels.tolist()

    def whole_loss(embeddings: Tensor) -> Tensor:
        return everybody(gather.embeddings(embeddings))

    found = []
    loss, _ = backward_whole(model, x[share], whole_loss, lambda number: None)
    found.append((loss.item(), gradients(model)))
    model.zero_grad()
    loss, _ = backward_in_parts(model, model, x[share].split(3), whole_loss, lambda number: None)
    found.append((loss.item(), gradients(model)))
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
