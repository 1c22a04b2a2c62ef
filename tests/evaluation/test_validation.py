"""Validation figures against the parts they are made of, and a paired difference by a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from scattered import scattered

from evaluation.embeddings import Embeddings, numbered
from evaluation.metrics import equal_error_rate, roc_auc
from evaluation.pairs import make_pairs
from evaluation.retrieval import rank_gallery
from evaluation.significance import identity_weights
from evaluation.validation import top_1_difference, validation_figures
from petdata.errors import PetdataError


def test_figures_are_those_of_the_parts() -> None:
    photos = scattered(0.8)
    figures = validation_figures(photos, resamples=50)
    cats = numbered(photos.species) == 0
    hits, queries = 0, 0
    for chosen in (cats, ~cats):
        ranking = rank_gallery(photos.vectors[chosen], photos.labels[chosen])
        hits += ranking.hits(1).sum()
        queries += len(ranking.queries)
    assert figures["top_1_accuracy"] == hits / queries
    assert 0 < figures["top_1_accuracy"] < 1
    pairs = make_pairs(photos.photo_ids, photos.labels, species=numbered(photos.species))
    scores = np.sum(photos.vectors[pairs.first] * photos.vectors[pairs.second], axis=1)
    assert figures["roc_auc"] == pytest.approx(roc_auc(scores, pairs.is_same), abs=1e-6)
    assert figures["equal_error_rate"] == pytest.approx(
        equal_error_rate(scores, pairs.is_same), abs=1e-6
    )
    assert (figures["queries"], figures["skipped_queries"]) == (100, 0)
    assert figures["gallery_photos"] == pytest.approx((48 * 47 + 52 * 51) / 100)


def test_intervals_hold_the_estimates_and_shrink_with_identities() -> None:
    few, many = (validation_figures(scattered(0.8, identities=n)) for n in (20, 180))
    for name in ("top_1_accuracy", "top_5_accuracy", "mean_average_precision", "roc_auc"):
        for figures in (few, many):
            assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]
    width = [f["roc_auc_high"] - f["roc_auc_low"] for f in (few, many)]
    assert width[1] < width[0] / 2


def test_a_perfect_and_a_collapsed_encoder() -> None:
    perfect = validation_figures(scattered(0.0), resamples=20)
    assert [perfect[n] for n in ("top_1_accuracy", "roc_auc", "equal_error_rate")] == [1, 1, 0]
    labels = scattered(0.0)
    collapsed = Embeddings(
        vectors=np.tile(labels.vectors[:1], (100, 1)),
        identity_ids=labels.identity_ids,
        photo_ids=labels.photo_ids,
    )
    found = validation_figures(collapsed, resamples=20)
    assert [found[n] for n in ("top_1_accuracy", "roc_auc", "equal_error_rate")] == [0, 0.5, 0.5]


def test_the_paired_difference_is_that_of_a_slow_loop() -> None:
    before, after = scattered(1.2), scattered(0.6)
    found = top_1_difference(after, before, resamples=100, seed=5)
    one, two = (
        rank_gallery(photos.vectors, photos.labels, galleries=numbered(photos.species))
        for photos in (before, after)
    )
    gain = two.hits(1).astype(float) - one.hits(1)
    drawn = []
    for weights in identity_weights(25, resamples=100, seed=5):
        value = np.repeat(gain, weights[before.labels]).mean()
        for identity, times in enumerate(weights):  # who is drawn is in the way of others
            value -= (times - 1) * np.sum(two.only_rival == identity) / len(gain)
            value += (times - 1) * np.sum(one.only_rival == identity) / len(gain)
        drawn.append(value)
    assert found.estimate == pytest.approx(gain.mean())
    assert found.low == pytest.approx(np.quantile(drawn, 0.025))
    assert found.high == pytest.approx(np.quantile(drawn, 0.975))
    assert 0 < found.low < found.estimate < found.high


def test_other_photos_are_not_compared() -> None:
    with pytest.raises(PetdataError, match="the same photos"):
        top_1_difference(scattered(0.5), scattered(0.5).take(np.arange(99, -1, -1)))


def test_what_a_split_cannot_show_is_left_out() -> None:
    singles = validation_figures(scattered(0.5, photos=1))
    assert singles.keys() == {
        "queries",
        "skipped_queries",
        "gallery_photos",
        "gallery_identities",
        "verification_pairs",
    }
    assert (singles["queries"], singles["skipped_queries"]) == (0, 25)
    one_animal = validation_figures(scattered(0.5, identities=1))
    assert one_animal["top_1_accuracy"] == 1
    assert "roc_auc" not in one_animal
