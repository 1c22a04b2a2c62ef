"""Do 95 % intervals cover the truth in 95 % of samples, and does McNemar err in no more than 5 %?

    python benchmarks/interval_coverage.py [--samples 1000] [--identities 100] [--quick]

Each sample draws animals, some harder than others, and photos of them, embeds and evaluates them.
The truth is the mean of each figure over other samples of the same size: what an evaluation of
that many animals gives on average. McNemar compares models that are equally good: on one query an
animal, and on four that succeed or fail together more often than not.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa

from evaluation.embeddings import Embeddings
from evaluation.evaluate import EvaluateOptions, PartFigures, evaluate
from evaluation.significance import bootstrap_means, mcnemar

PHOTOS = 4  # of an animal
WIDTH = 16
FIRST_OTHER_SEED = 1_000_000  # of samples that give the truth
REQUIRED = ("top_1_accuracy", "roc_auc", "equal_error_rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--identities", type=int, default=100)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="20 samples: only that it runs")
    options = parser.parse_args()
    if options.quick:
        options.samples, options.resamples = 20, 100
    sample = partial(evaluated, identities=options.identities, resamples=options.resamples)
    others = partial(evaluated, identities=options.identities, resamples=100)
    with ProcessPoolExecutor(options.workers) as pool:
        seen = list(pool.map(sample, range(options.samples), chunksize=5))
        seeds = range(FIRST_OTHER_SEED, FIRST_OTHER_SEED + 2 * options.samples)
        truths = list(pool.map(others, seeds, chunksize=5))
    covered = {}
    print(f"{options.samples} samples of {options.identities} animals with {PHOTOS} photos")
    for name in seen[0].figures:
        truth = np.mean([part.figures[name].estimate for part in truths])
        intervals = [part.figures[name] for part in seen]
        share = float(np.mean([i.low <= truth <= i.high for i in intervals]))
        covered[name] = share
        spread = np.std([i.estimate for i in intervals])
        print(f"  {name:46} truth {truth:.4f} +- {spread:.4f}  covered {share:.3f}")
    error = 1.96 * math.sqrt(0.95 * 0.05 / options.samples)
    print(f"  Monte Carlo error of a coverage of 0.95: +- {error:.3f}")
    wrong = false_positives(20 * options.samples)
    for name, share in wrong.items():
        print(f"  {name:46} {share:.3f}")
    ratios = {f"coverage of {name}": covered[name] / 0.95 for name in REQUIRED}
    report = {"coverage": covered, "false_positives": wrong, "monte_carlo_error": error}
    print(json.dumps({"benchmark": "interval_coverage", "ratios": ratios, **report}))


def evaluated(seed: int, *, identities: int, resamples: int) -> PartFigures:
    options = EvaluateOptions(resamples=resamples, seed=seed)
    return evaluate(drawn(seed, identities), options).part()


def drawn(seed: int, identities: int) -> Embeddings:
    """Animals differ in how far their photos scatter."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), PHOTOS)
    hard = rng.gamma(4, 0.25, identities)
    vectors = rng.normal(size=(identities, WIDTH))[labels]
    vectors = vectors + hard[labels, None] * rng.normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(
        vectors=vectors.astype(np.float32),
        identity_ids=pa.array([f"{label:06}" for label in labels]),
        photo_ids=pa.array([f"{number:07}" for number in range(len(labels))]),
    )


def false_positives(samples: int) -> dict[str, float]:
    """How often p < 0.05, or an interval without 0, for models that are equally good."""
    rng = np.random.default_rng(0)
    found: dict[str, list[bool]] = {}
    for number in range(samples):
        for kind, queries in (("independent queries", 1), ("four alike queries an animal", 4)):
            animals = 400 // queries
            hits = [alike(rng, animals, queries) for _ in range(2)]
            found.setdefault(f"McNemar, {kind}", []).append(mcnemar(*hits).p < 0.05)
            if number < samples // 20:
                gain = hits[0].astype(float) - hits[1]
                owners = np.repeat(np.arange(animals), queries)
                (interval,) = bootstrap_means(gain[:, None], owners, resamples=500, seed=number)
                missed = interval.low > 0 or interval.high < 0
                found.setdefault(f"bootstrap, {kind}", []).append(missed)
    return {name: float(np.mean(wrong)) for name, wrong in found.items()}


def alike(rng: np.random.Generator, animals: int, queries: int) -> np.ndarray:
    """Right or wrong; in nine animals of ten for all queries alike."""
    one = rng.random(animals)[:, None] < 0.7
    each = rng.random((animals, queries)) < 0.7
    return np.where(rng.random(animals)[:, None] < 0.9, one, each).ravel()


if __name__ == "__main__":
    main()
