"""Time until the first batch of P x K photos, and the cost of each further one.

    python benchmarks/sampler.py [--identities 695091] [--quick]

Beside pytorch-metric-learning's MPerClassSampler (random photos of every identity, with
replacement, no record of what was shown) and, where it is installed (pip install --no-deps
open-metric-learning), OML's BalanceSampler (each identity once an epoch, random photos).
Identities have the paper's mean of 2.7 photos; labels come in no order.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from trainer.sampler import IdentityBatchSampler

IDENTITIES = 695_091  # of the paper's training sources
P, K = 58, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--identities", type=int, default=IDENTITIES)
    parser.add_argument("--quick", action="store_true", help="a tenth of the identities")
    options = parser.parse_args()
    identities = options.identities // 10 if options.quick else options.identities
    labels = drawn_labels(identities)
    print(f"{len(labels):,} photos of {identities:,} identities, batches of {P} x {K}")
    # What cannot give P x K distinct photos of an identity has only those with K of them.
    enough = labels[np.bincount(labels)[labels] >= K]

    ours = statistics.median(first_batch(petdata_batches, labels)[0] for _ in range(5))
    _, batches = first_batch(petdata_batches, labels)
    further = seconds_each(batches, 500)
    print(f"petdata            first batch {ours:8.3f} s, each further {1e6 * further:6.0f} us")
    ratios = {}
    for name, way in (("MPerClassSampler", per_class_batches), ("BalanceSampler", oml_batches)):
        try:
            taken, batches = first_batch(way, enough)
        except ImportError as error:
            print(f"{name:18} not here: {error}")
            continue
        each = seconds_each(batches, 500)
        print(f"{name:18} first batch {taken:8.3f} s, each further {1e6 * each:6.0f} us")
        ratios[f"{name}, first batch"] = taken / ours
        ratios[f"{name}, each further"] = each / further
    report = {"ratios": ratios, "first_batch_s": ours, "further_batch_s": further}
    print(json.dumps({"benchmark": "sampler", "identities": identities, **report}))


def drawn_labels(identities: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    photos = np.minimum(generator.geometric(1 / 2.7, identities), 30)
    labels = np.repeat(np.arange(identities), photos)
    generator.shuffle(labels)
    return labels


Batches = Iterator[object]


def first_batch(way: Callable[[np.ndarray], Batches], labels: np.ndarray) -> tuple[float, Batches]:
    began = time.perf_counter()
    batches = way(labels)
    next(batches)
    return time.perf_counter() - began, batches


def seconds_each(batches: Batches, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - began) / count


def petdata_batches(labels: np.ndarray) -> Batches:
    return iter(IdentityBatchSampler(labels, identities_per_batch=P, photos_per_identity=K))


def per_class_batches(labels: np.ndarray) -> Batches:
    """It draws 100,000 rows, its default, before it gives the first; each batch shuffles all
    identities, so an epoch drawn at once would take it hours.
    """
    from pytorch_metric_learning.samplers import MPerClassSampler

    rows = iter(MPerClassSampler(labels, K, batch_size=P * K))
    while True:
        yield [next(rows) for _ in range(P * K)]


def oml_batches(labels: np.ndarray) -> Batches:
    from oml.samplers.balance import BalanceSampler

    return iter(BalanceSampler(labels.tolist(), n_labels=P, n_instances=K))


if __name__ == "__main__":
    main()
