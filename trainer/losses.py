"""The recipe's loss: triplets plus intra-pair variance, from pytorch-metric-learning; or ArcFace.

Kudryavtsev et al. 2026, section 2.7; the constants that the paper does not print stand in the
authors' model cards and early training script. With s = cosine similarity, mu = batch means:

    triplet   mean over the non-zero of   max(0, s(a, n) - s(a, p) + 0.45)
    variance  mean over positive pairs of max(0, (1 - 0.01) mu_p - s_p)^2
            + mean over negative pairs of max(0, s_n - (1 + 0.01) mu_n)^2
    loss      1.0 * triplet + 0.5 * variance

Every triplet and pair of the batch counts; nothing is mined.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning import distances, losses
from torch import Tensor, nn

from trainer.config import LossConfig


class TripletVarianceLoss(nn.Module):
    """(B, D) embeddings, normalised here, and (B,) labels -> scalar."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        euclidean = config.distance == "euclidean"
        self.config = config
        self.triplet = losses.TripletMarginLoss(
            margin=config.margin,
            distance=distances.LpDistance(p=2) if euclidean else distances.CosineSimilarity(),
        )
        self.variance = losses.IntraPairVarianceLoss(
            pos_eps=config.variance_epsilon, neg_eps=config.variance_epsilon
        )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.config.triplet_weight * self.triplet(embeddings, labels)
        if self.config.variance_weight:
            loss = loss + self.config.variance_weight * self.variance(embeddings, labels)
        return loss


class ArcFaceLoss(nn.Module):
    """(B, D) embeddings and (B,) labels -> scalar. Has a learned centre for each identity."""

    def __init__(self, config: LossConfig, *, identities: int, width: int) -> None:
        super().__init__()
        self.arcface = losses.ArcFaceLoss(
            num_classes=identities,
            embedding_size=width,
            margin=config.arcface_margin,
            scale=config.arcface_scale,
        )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.arcface(embeddings, labels)
        return loss


def build_loss(config: LossConfig, *, identities: int, width: int) -> nn.Module:
    if config.name == "arcface":
        return ArcFaceLoss(config, identities=identities, width=width)
    return TripletVarianceLoss(config)


@torch.no_grad()
def active_triplet_share(embeddings: Tensor, labels: Tensor, config: LossConfig) -> float:
    """Of all triplets of a batch, those that still pull: 0 means that nothing is learned.

    embeddings (B, D), labels (B,). NaN where a batch has no triplet.
    """
    unit = nn.functional.normalize(embeddings.float())
    near = -torch.cdist(unit, unit) if config.distance == "euclidean" else unit @ unit.T
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchor, friend = positive.nonzero(as_tuple=True)
    violated = near[anchor] - near[anchor, friend][:, None] + config.margin > 0
    counted = ~same[anchor]
    return float((violated & counted).sum() / counted.sum())
