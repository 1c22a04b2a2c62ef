"""Retrieval and all-pairs verification over many embeddings, in blocks, beside other libraries.

    python benchmarks/evaluate.py [--photos 100000] [--width 512] [--quick]

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
from typing import NamedTuple, TypeVar

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
    product = bare_product(vectors, options.sampled_product)
    ranking, ranked = timed(lambda: rank_gallery(vectors, labels))
    pairs, counted = timed(lambda: score_all_pairs(vectors, labels))
    peak = peak_mb()
    low, high = pairs.equal_error_rate_range
    print(f"{options.photos:,} embeddings of width {options.width}")
    print(f"bare product {product} ({options.sampled_product:.0%} of it measured)")
    print(
        f"retrieval {ranked}: Top-1 {ranking.top_k_accuracy(1):.4f}, "
        f"mAP {ranking.mean_average_precision():.4f}"
    )
    print(
        f"all {pairs.same + pairs.other:,} pairs {counted}: AUC {pairs.curve.auc:.6f} "
        f"+- {pairs.auc_error:.1e}, EER {pairs.curve.equal_error_rate.rate:.6f} in "
        f"[{low:.6f}, {high:.6f}]"
    )
    print(f"peak {peak:,.0f} MB, {before:,.0f} MB before the first product")
    wall, cpu = ranked.wall + counted.wall, ranked.cpu + counted.cpu
    print(
        f"together {wall / product.wall:.2f} times the bare product, "
        f"{cpu / product.cpu:.2f} times its CPU time"
    )
    ratios = {"product / petdata": product.wall / wall}
    ratios["product / petdata, CPU time"] = product.cpu / cpu
    ratios |= beside_others(*drawn_embeddings(options.peer_photos, options.width))
    print(json.dumps({"benchmark": "evaluate", "ratios": ratios, "peak_mb": round(peak)}))


def drawn_embeddings(photos: int, width: int) -> tuple[Floats, Labels]:
    """Animals of five photos each, hard enough that ranks vary."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(-(-photos // PHOTOS_PER_IDENTITY)), PHOTOS_PER_IDENTITY)[:photos]
    vectors = rng.standard_normal((labels[-1] + 1, width), np.float32)[labels]
    vectors += 2.5 * rng.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, labels


def bare_product(vectors: Floats, share: float) -> Seconds:
    rows = min(max(ROWS_AT_A_TIME, int(len(vectors) * share)), len(vectors))

    def product() -> None:
        for above in parts(rows, ROWS_AT_A_TIME):
            block = vectors[above]
            for beside in parts(len(vectors), COLUMNS_AT_A_TIME):
                block @ vectors[beside].T

    _, took = timed(product)
    return Seconds(took.wall * len(vectors) / rows, took.cpu * len(vectors) / rows)


def beside_others(vectors: Floats, labels: Labels) -> dict[str, float]:
    print(f"beside others, {len(vectors):,} embeddings")
    ranking, ranked = timed(lambda: rank_gallery(vectors, labels))
    pairs, counted = timed(lambda: score_all_pairs(vectors, labels))
    figures = (ranking.top_k_accuracy(1), ranking.mean_average_precision(), pairs.curve.auc)
    show("petdata, retrieval", figures[:2], ranked)
    show("petdata, all pairs", figures, counted)
    found, sklearn = timed(lambda: scikit_learn(vectors, labels))
    show("scikit-learn", found, sklearn)
    found, learning = timed(lambda: metric_learning(vectors, labels))
    show("pytorch-metric-learning", found, learning)
    return {
        "scikit-learn, CPU time": sklearn.cpu / (ranked.cpu + counted.cpu),
        "pytorch-metric-learning, retrieval alone, CPU time": learning.cpu / ranked.cpu,
    }


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


def show(name: str, figures: tuple[float, ...], took: Seconds) -> None:
    shown = ", ".join(
        f"{what} {value:.4f}" for what, value in zip(("Top-1", "mAP", "AUC"), figures, strict=False)
    )
    print(f"  {name:24} {took}: {shown}")


class Seconds(NamedTuple):
    wall: float
    cpu: float  # of all threads: what counts where the machine has other work

    def __str__(self) -> str:
        return f"{self.wall:.1f} s, CPU {self.cpu:.1f} s"


def timed(work: Callable[[], T]) -> tuple[T, Seconds]:
    began = time.perf_counter(), time.process_time()
    result = work()
    return result, Seconds(time.perf_counter() - began[0], time.process_time() - began[1])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
