"""Retrieval and all-pairs verification over many embeddings, in blocks, beside other libraries.

    python benchmarks/metrics.py [--photos 100000] [--width 512] [--quick]

Three things of one size: the bare matrix product of all embeddings with all, in the same blocks
(`--sampled-product` of its rows, scaled up); `rank_gallery` (Top-k and mAP, leave-one-out);
`score_all_pairs` (AUC, EER, TAR from bins, half of the product). Then, at a size that they finish:
scikit-learn (cosine matrix, average precision query by query, AUC over the list of pairs) and
pytorch-metric-learning's AccuracyCalculator. Ratios above 1 mean that petdata is faster;
`product / petdata` is the share of the time that the product alone would take. Peak memory is that
of the whole process before the others are imported.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from evaluation.all_pairs import score_all_pairs
from evaluation.retrieval import rank_gallery
from evaluation.similarity import COLUMNS_AT_A_TIME, ROWS_AT_A_TIME, parts

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
T = TypeVar("T")
PHOTOS_PER_IDENTITY = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--sampled-product", type=float, default=0.1, help="share of its rows")
    parser.add_argument("--peer-photos", type=int, default=8_000)
    parser.add_argument("--quick", action="store_true", help="8,000 photos, peers at 2,000")
    options = parser.parse_args()
    if options.quick:
        options.photos, options.peer_photos, options.sampled_product = 8_000, 2_000, 1.0
    vectors, labels = drawn_embeddings(options.photos, options.width)
    rank_gallery(vectors[:500], labels[:500])  # compiles
    score_all_pairs(vectors[:500], labels[:500])

    before = peak_mb()
    product_s = bare_product(vectors, options.sampled_product)
    ranking, ranking_s = timed(lambda: rank_gallery(vectors, labels))
    pairs, pairs_s = timed(lambda: score_all_pairs(vectors, labels))
    peak = peak_mb()
    low, high = pairs.equal_error_rate_range
    print(f"{options.photos:,} embeddings of width {options.width}")
    print(f"bare product {product_s:.1f} s ({options.sampled_product:.0%} of it measured)")
    print(
        f"retrieval {ranking_s:.1f} s: Top-1 {ranking.top_k_accuracy(1):.4f}, "
        f"mAP {ranking.mean_average_precision():.4f}"
    )
    print(
        f"all {pairs.same + pairs.other:,} pairs {pairs_s:.1f} s: AUC {pairs.curve.auc:.6f} "
        f"+- {pairs.auc_error:.1e}, EER {pairs.curve.equal_error_rate.rate:.6f} in "
        f"[{low:.6f}, {high:.6f}]"
    )
    print(f"peak {peak:,.0f} MB, {before:,.0f} MB before the first product")
    total = ranking_s + pairs_s
    print(f"together {total / product_s:.2f} times the bare product")
    ratios = {"product / petdata": product_s / total}
    ratios |= beside_others(*drawn_embeddings(options.peer_photos, options.width))
    print(json.dumps({"benchmark": "metrics", "ratios": ratios, "peak_mb": round(peak)}))


def drawn_embeddings(photos: int, width: int) -> tuple[Floats, Labels]:
    """Animals of five photos each, hard enough that ranks vary."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(-(-photos // PHOTOS_PER_IDENTITY)), PHOTOS_PER_IDENTITY)[:photos]
    vectors = rng.standard_normal((labels[-1] + 1, width), np.float32)[labels]
    vectors += 2.5 * rng.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, labels


def bare_product(vectors: Floats, share: float) -> float:
    rows = max(ROWS_AT_A_TIME, int(len(vectors) * share))
    rows = min(rows, len(vectors))
    began = time.perf_counter()
    for above in parts(rows, ROWS_AT_A_TIME):
        block = vectors[above]
        for beside in parts(len(vectors), COLUMNS_AT_A_TIME):
            block @ vectors[beside].T
    return (time.perf_counter() - began) * len(vectors) / rows


def beside_others(vectors: Floats, labels: Labels) -> dict[str, float]:
    print(f"beside others, {len(vectors):,} embeddings")
    ranking, ranking_s = timed(lambda: rank_gallery(vectors, labels))
    pairs, pairs_s = timed(lambda: score_all_pairs(vectors, labels))
    figures = (ranking.top_k_accuracy(1), ranking.mean_average_precision(), pairs.curve.auc)
    show("petdata", figures, ranking_s + pairs_s)
    ratios = {}
    found, seconds = timed(lambda: scikit_learn(vectors, labels))
    show("scikit-learn", found, seconds)
    ratios["scikit-learn"] = seconds / (ranking_s + pairs_s)
    found, seconds = timed(lambda: metric_learning(vectors, labels))
    show("pytorch-metric-learning", found, seconds)
    ratios["pytorch-metric-learning, retrieval alone"] = seconds / ranking_s
    return ratios


def scikit_learn(vectors: Floats, labels: Labels) -> tuple[float, ...]:
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.metrics.pairwise import cosine_similarity

    similarities = cosine_similarity(vectors)
    same = labels[:, None] == labels
    others = ~np.eye(len(labels), dtype=bool)
    precisions, hits = [], []
    for row in range(len(labels)):
        scores, right = similarities[row][others[row]], same[row][others[row]]
        precisions.append(average_precision_score(right, scores))
        hits.append(right[np.argmax(scores)])
    above = np.triu_indices(len(labels), k=1)
    auc = roc_auc_score(same[above], similarities[above])
    return float(np.mean(hits)), float(np.mean(precisions)), float(auc)


def metric_learning(vectors: Floats, labels: Labels) -> tuple[float, ...]:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision"),
        k=len(labels) - 1,
        device=torch.device("cpu"),
    )
    found = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    return found["precision_at_1"], found["mean_average_precision"]


def show(name: str, figures: tuple[float, ...], seconds: float) -> None:
    shown = ", ".join(
        f"{what} {value:.4f}" for what, value in zip(("Top-1", "mAP", "AUC"), figures, strict=False)
    )
    print(f"  {name:24} {seconds:8.2f} s  {shown}")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
