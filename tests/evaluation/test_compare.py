"""Comparisons whose outcome is known."""

from __future__ import annotations

import numpy as np
import pytest
from scattered import scattered
from statsmodels.stats.multitest import multipletests

from evaluation.compare import compare
from evaluation.metrics import roc_auc
from evaluation.pairs import make_pairs
from evaluation.validation import pair_scores, top_1_difference
from petdata.errors import PetdataError


def test_a_better_model_is_found_to_be_better() -> None:
    worse, better = scattered(1.6, identities=60), scattered(0.6, identities=60)
    (found,) = compare([("old", worse), ("new", better)], resamples=200)
    assert found.top_1 == top_1_difference(better, worse, resamples=200)
    assert found.top_1.low > 0.1
    assert found.equal_error_rate.high < 0 < found.auc.low
    assert found.adjusted_query_p < 1e-6
    assert found.queries.only_second > found.queries.only_first
    top_1, equal, auc = found.in_words()
    assert top_1.startswith("new finds the right animal first more often than old: +")
    assert equal.startswith("new has the lower EER than old: +")
    assert auc.startswith("new has the higher AUC than old: +")
    (turned,) = compare([("new", better), ("old", worse)], resamples=200)
    assert turned.in_words()[0].startswith("new finds the right animal first more often than old: ")
    assert turned.queries.only_first == found.queries.only_second


def test_equal_models_are_not_told_apart() -> None:
    one, two = scattered(1.0, scatter=1), scattered(1.0, scatter=2)
    (found,) = compare([("one", one), ("two", two)], resamples=200)
    for sentence in found.in_words():
        assert sentence.startswith("It cannot be concluded which of one and two ")
    (same,) = compare([("one", one), ("again", one)], resamples=100)
    assert (same.top_1.low, same.top_1.high, same.queries.p, same.pairs.p) == (0, 0, 1, 1)


def test_differences_are_those_of_the_figures() -> None:
    one, two = scattered(1.5), scattered(0.7)
    (found,) = compare([("one", one), ("two", two)], resamples=100)
    pairs = make_pairs(one.photo_ids, one.labels, species=one.species_numbers)
    aucs = [roc_auc(pair_scores(photos, pairs), pairs.is_same) for photos in (one, two)]
    assert found.auc.estimate == pytest.approx(aucs[1] - aucs[0])


def test_many_are_corrected_together() -> None:
    models = [(f"model {n}", scattered(noise)) for n, noise in enumerate((1.2, 1.1, 0.9, 0.6))]
    found = compare(models, resamples=100)
    assert [(c.first, c.second) for c in found] == [("model 0", f"model {n}") for n in (1, 2, 3)]
    raw = [comparison.queries.p for comparison in found]
    expected = multipletests(raw, method="holm")[1]
    np.testing.assert_allclose([c.adjusted_query_p for c in found], expected)


def test_other_photos_cannot_be_compared() -> None:
    photos = scattered(0.5)
    fewer = photos.take(np.arange(90))
    with pytest.raises(PetdataError, match="old and new embed different photos"):
        compare([("old", photos), ("new", fewer)])
    with pytest.raises(PetdataError, match="two models or more"):
        compare([("old", photos)])
