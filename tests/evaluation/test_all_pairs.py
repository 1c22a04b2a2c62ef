"""All pairs: binned against exact, exact against scikit-learn on a slow list of pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation import all_pairs
from evaluation.all_pairs import score_all_pairs
from evaluation.metrics import roc_curve


@st.composite
def photo_sets(draw: st.DrawFn) -> dict[str, np.ndarray]:
    count = draw(st.integers(6, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    noise = draw(st.sampled_from([0.0, 0.001, 0.5, 3.0]))
    labels = np.concatenate([[0, 0, 1, 1, 2], rng.integers(0, 10, count - 5)])
    vectors = rng.normal(size=(10, 5))[labels] + noise * rng.normal(size=(count, 5))
    duplicates = np.arange(count)
    duplicates[5:] = rng.integers(2, count * draw(st.sampled_from([1, 50])), count - 5)
    return {
        "vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        "labels": labels,
        "duplicates": duplicates,
        "galleries": np.concatenate([np.zeros(5, int), rng.integers(0, 2, count - 5)]),
    }


def slow_list(photos: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    vectors = photos["vectors"].astype(np.float32)
    pairs = [
        (vectors[i] @ vectors[j], photos["labels"][i] == photos["labels"][j])
        for i, j in combinations(range(len(vectors)), 2)
        if photos["duplicates"][i] != photos["duplicates"][j]
        and photos["galleries"][i] == photos["galleries"][j]
    ]
    scores, is_same = zip(*pairs, strict=True)
    return np.array(scores), np.array(is_same)


@settings(deadline=None, max_examples=80)
@given(photo_sets())
def test_exact_is_the_slow_list(photos: dict[str, np.ndarray]) -> None:
    scores, is_same = slow_list(photos)
    found = score_all_pairs(**photos)
    assert (found.same, found.other) == (is_same.sum(), (~is_same).sum())
    if len(np.unique(np.round(scores, 5))) == len(scores):  # rounding decides no tie
        assert found.curve.auc == pytest.approx(roc_auc_score(is_same, scores))
    assert (found.auc_error, found.binned) == (0, False)


@settings(deadline=None, max_examples=80)
@given(photo_sets(), st.sampled_from([16, 256, 1 << 17]), st.integers(1, 3))
def test_binned_is_within_its_bounds(
    photos: dict[str, np.ndarray], bins: int, threads: int
) -> None:
    scores, is_same = slow_list(photos)
    # not at the edges of bins, where the rounding of a product decides
    inside = np.abs((scores + 1) * bins / 2 - np.round((scores + 1) * bins / 2)) > bins * 1e-6
    exact = roc_curve(scores, is_same)
    found = score_all_pairs(**photos, exact_up_to=0, bins=bins, threads=threads)
    assert (found.same, found.other) == (is_same.sum(), (~is_same).sum())
    if inside.all():
        assert abs(found.curve.auc - exact.auc) <= found.auc_error + 1e-12
        low, high = found.equal_error_rate_range
        assert low - 1e-12 <= exact.equal_error_rate.rate <= high + 1e-12
        assert low - 1e-12 <= found.curve.equal_error_rate.rate <= high + 1e-12


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(200, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, 30, 200)
    whole = score_all_pairs(vectors, labels, exact_up_to=0)
    monkeypatch.setattr(all_pairs, "ROWS_AT_A_TIME", 7)
    monkeypatch.setattr(all_pairs, "COLUMNS_AT_A_TIME", 31)
    parts = score_all_pairs(vectors, labels, exact_up_to=0)
    assert (parts.same, parts.other) == (whole.same, whole.other)
    assert parts.curve.auc == pytest.approx(whole.curve.auc, abs=1e-4)
    assert whole.auc_error < 1e-3
