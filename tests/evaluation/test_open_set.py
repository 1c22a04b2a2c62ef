"""Open-set search and gallery sizes, by hand and by drawing."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.open_set import accuracy_by_gallery_size, open_set_identification
from evaluation.retrieval import Ranking, rank_gallery


def ranking(image_rank: list[int], best_match: list[float], best_other: list[float]) -> Ranking:
    count = len(image_rank)
    return Ranking(
        queries=np.arange(count),
        labels=np.arange(count),
        image_rank=np.array(image_rank),
        identity_rank=np.array(image_rank),
        average_precision=np.zeros(count),
        best_match=np.array(best_match, np.float32),
        best_other=np.array(best_other, np.float32),
        gallery_photos=np.full(count, 10),
        gallery_identities=np.full(count, 10),
        only_rival=np.full(count, -1),
    )


def test_open_set_worked_by_hand() -> None:
    # four searches without a match score 0.9, 0.6, 0.5 and 0.4; three queries have a match
    found = ranking([1, 2, 1, 0], [0.95, 0.5, 0.55, -np.inf], [0.9, 0.6, 0.5, 0.4])
    none = open_set_identification(found, false_positive_rate=0.01)
    assert none.threshold == pytest.approx(0.9, abs=1e-5)
    assert (none.false_positive_rate, none.true_positive_rate) == (0, pytest.approx(1 / 3))
    quarter = open_set_identification(found, false_positive_rate=0.25)
    assert quarter.threshold == pytest.approx(0.6, abs=1e-5)
    assert (quarter.false_positive_rate, quarter.true_positive_rate) == (0.25, pytest.approx(1 / 3))
    half = open_set_identification(found, false_positive_rate=0.5)
    assert (half.false_positive_rate, half.true_positive_rate) == (0.5, pytest.approx(2 / 3))
    everyone = open_set_identification(found, false_positive_rate=1)
    assert (everyone.false_positive_rate, everyone.true_positive_rate) == (1, pytest.approx(2 / 3))


def test_weights_count_queries_so_often() -> None:
    rng = np.random.default_rng(0)
    ranks = rng.integers(0, 3, 50)
    match = np.where(ranks > 0, rng.random(50), -np.inf)
    other = rng.random(50)
    weights = rng.integers(0, 4, 50)
    once = ranking(ranks.tolist(), match.tolist(), other.tolist())
    repeated = ranking(*(np.repeat(c, weights).tolist() for c in (ranks, match, other)))
    for limit in (0.01, 0.1, 0.4):
        weighted = open_set_identification(once, false_positive_rate=limit, weights=weights)
        plain = open_set_identification(repeated, false_positive_rate=limit)
        assert weighted.threshold == plain.threshold
        assert weighted.true_positive_rate == pytest.approx(plain.true_positive_rate)
        assert weighted.false_positive_rate == pytest.approx(plain.false_positive_rate)


def test_the_curve_over_gallery_sizes_is_what_drawn_galleries_give() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(12), 3)
    vectors = rng.normal(size=(12, 6))[labels] + 1.5 * rng.normal(size=(36, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    worked_out = accuracy_by_gallery_size(rank_gallery(vectors, labels), [1, 4, 12, 13])
    assert worked_out[0] == 1
    assert worked_out[2] == rank_gallery(vectors, labels).top_k_accuracy(1, "identity")
    assert worked_out[3] is None
    drawn = []
    for _ in range(1500):
        right = rng.integers(12)
        others = rng.choice(np.delete(np.arange(12), right), 3, replace=False)
        gallery = np.flatnonzero(np.isin(labels, [right, *others]))
        query = rng.choice(np.flatnonzero(labels == right))
        found = rank_gallery(vectors, labels, queries=np.array([query]), gallery=gallery)
        drawn.append(found.hits(1, "identity")[0])
    assert worked_out[1] == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(1500))
