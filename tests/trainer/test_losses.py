"""The losses against plain loops over all triplets and pairs."""

from __future__ import annotations

import math

import pytest
import torch

from petdata.errors import PetdataError
from trainer.config import LossConfig
from trainer.losses import active_triplet_share, build_loss


def batch(identities: int = 5, photos: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(identities * photos, 6, generator=generator, dtype=torch.float64)
    return embeddings, torch.arange(identities).repeat_interleave(photos)


def looped(embeddings: torch.Tensor, labels: torch.Tensor, config: LossConfig) -> tuple[float, ...]:
    """Loss and share of active triplets, term by term in Python floats."""
    unit = [(row / row.norm()).tolist() for row in embeddings]
    label = labels.tolist()
    count = range(len(label))
    s = [
        [math.fsum(x * y for x, y in zip(unit[i], unit[j], strict=True)) for j in count]
        for i in count
    ]
    triplets = []
    for a in count:
        for p in count:
            for n in count:
                if a == p or label[a] != label[p] or label[a] == label[n]:
                    continue
                if config.distance == "euclidean":
                    gap = math.dist(unit[a], unit[p]) - math.dist(unit[a], unit[n])
                else:
                    gap = s[a][n] - s[a][p]
                triplets.append(max(0.0, gap + config.margin))
    active = [value for value in triplets if value > 0]
    positive = [s[i][j] for i in count for j in count if i != j and label[i] == label[j]]
    negative = [s[i][j] for i in count for j in count if label[i] != label[j]]
    mean_p, mean_n = sum(positive) / len(positive), sum(negative) / len(negative)
    eps = config.variance_epsilon
    variance = sum(max(0, (1 - eps) * mean_p - x) ** 2 for x in positive) / len(positive)
    variance += sum(max(0, x - (1 + eps) * mean_n) ** 2 for x in negative) / len(negative)
    loss = config.triplet_weight * (sum(active) / len(active) if active else 0)
    return loss + config.variance_weight * variance, len(active) / len(triplets)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_equals_a_plain_loop(distance: str, seed: int) -> None:
    config = LossConfig(distance=distance)
    embeddings, labels = batch(seed=seed)
    expected, share = looped(embeddings, labels, config)
    loss = build_loss(config, identities=5, width=6)(embeddings, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert active_triplet_share(embeddings, labels, config) == pytest.approx(share, abs=1e-6)


def test_weights_and_margin_are_used() -> None:
    embeddings, labels = batch()
    config = LossConfig(margin=0.1, triplet_weight=2.0, variance_weight=0.0)
    expected, _ = looped(embeddings, labels, config)
    loss = build_loss(config, identities=5, width=6)(embeddings, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_scale_of_embeddings_does_not_matter() -> None:
    embeddings, labels = batch()
    loss = build_loss(LossConfig(), identities=5, width=6)
    assert loss(embeddings * 7, labels).item() == pytest.approx(loss(embeddings, labels).item())


def test_separated_identities_leave_no_triplet_active() -> None:
    embeddings = torch.eye(3).repeat_interleave(2, dim=0)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert active_triplet_share(embeddings, labels, LossConfig()) == 0
    assert build_loss(LossConfig(), identities=3, width=3)(embeddings, labels).item() == 0


def test_embeddings_that_are_all_equal_cost_the_margin() -> None:
    """s(a, n) = s(a, p) = 1 everywhere: each triplet costs 0.45, pairs vary not at all."""
    embeddings, labels = torch.ones(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    loss = build_loss(LossConfig(), identities=3, width=4)(embeddings, labels)
    assert loss.item() == pytest.approx(0.45)
    assert active_triplet_share(embeddings, labels, LossConfig()) == 1


def test_arcface_equals_its_formula() -> None:
    config = LossConfig(name="arcface", arcface_margin=20.0, arcface_scale=8.0)
    embeddings, labels = batch()
    embeddings = embeddings.float()
    loss = build_loss(config, identities=5, width=6)
    centres = next(loss.parameters()).detach()
    assert centres.shape == (6, 5)
    total = 0.0
    for row, label in zip(embeddings, labels.tolist(), strict=True):
        cosine = [float(row @ centre / (row.norm() * centre.norm())) for centre in centres.T]
        angle = math.acos(cosine[label])
        margin = math.radians(20)
        cosine[label] = (
            math.cos(angle + margin)
            if angle <= math.pi - margin
            else cosine[label] - margin * math.sin(margin)
        )
        total += math.log(sum(math.exp(8 * c) for c in cosine)) - 8 * cosine[label]
    assert loss(embeddings, labels).item() == pytest.approx(total / len(labels), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "contrastive"}, "choose triplet or arcface"),
        ({"distance": "manhattan"}, "choose cosine or euclidean"),
        ({"margin": 0}, "above 0"),
        ({"variance_weight": -1}, "negative"),
    ],
)
def test_what_is_no_loss_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(PetdataError, match=words):
        LossConfig(**options)
