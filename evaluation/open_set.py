"""Searches for animals that may not be in the gallery (terms of ISO/IEC 19795-1:2021), and the
accuracy that a smaller gallery would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from evaluation.metrics import FloatArray
from evaluation.retrieval import Ranking
from evaluation.similarity import TIE
from petdata.errors import PetdataError


@dataclass(frozen=True)
class OpenSetPoint:
    """TPIR at a threshold, and the FPIR that it gives."""

    threshold: float
    false_positive_rate: float
    true_positive_rate: float


def open_set_identification(
    ranking: Ranking, *, false_positive_rate: float = 0.01, weights: FloatArray | None = None
) -> OpenSetPoint:
    """TPIR: share of queries with a match whose first photo is one, at or above the threshold.

    The threshold is the lowest at which no more than `false_positive_rate` of the searches without
    a match find somebody. Every query is such a search too, with its identity taken out of the
    gallery (FPIR is measured on these). `weights`: (Q,), of the queries.
    """
    weight = np.ones(len(ranking.queries)) if weights is None else np.asarray(weights, float)
    matched = ranking.has_match
    if not weight[matched].any():
        raise PetdataError("no query has a match in its gallery")
    order = np.argsort(-ranking.best_other, kind="stable")
    alarms = np.cumsum(weight[order])
    # the first search that would be one alarm too many must stay below the threshold
    too_many = int(np.searchsorted(alarms, false_positive_rate * alarms[-1] * (1 + 1e-12), "right"))
    threshold = -1.0
    if too_many < len(order) and np.isfinite(ranking.best_other[order[too_many]]):
        threshold = float(ranking.best_other[order[too_many]]) + TIE
    found = (ranking.image_rank == 1) & (ranking.best_match >= threshold)
    return OpenSetPoint(
        threshold,
        float(weight[ranking.best_other >= threshold].sum() / alarms[-1]),
        float(weight[found].sum() / weight[matched].sum()),
    )


def accuracy_by_gallery_size(
    ranking: Ranking, sizes: Sequence[int], *, k: int = 1
) -> list[float | None]:
    """Expected identity-level top-k accuracy with so many identities in the gallery.

    The right one and others drawn at random, all with the photos that they have. Worked out, not
    drawn: of n others, b of them better than the right one, a gallery of size s holds s - 1, and
    the chance that fewer than k are better is hypergeometric. None where a query's gallery has
    fewer identities than that.
    """
    matched = ranking.has_match
    others = ranking.gallery_identities[matched] - 1
    better = ranking.identity_rank[matched] - 1
    if not len(others):
        raise PetdataError("no query has a match in its gallery")
    cases, counts = np.unique(np.stack([others, better]), axis=1, return_counts=True)
    accuracies: list[float | None] = []
    for size in sizes:
        if size < 1:
            raise ValueError(f"a gallery of {size} identities")
        if size - 1 > int(others.min()):
            accuracies.append(None)
            continue
        chances = hypergeom.cdf(k - 1, cases[0], cases[1], size - 1)
        accuracies.append(float(np.dot(chances, counts) / counts.sum()))
    return accuracies
