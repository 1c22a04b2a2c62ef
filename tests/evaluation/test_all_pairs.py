"""All pairs: binned against exact, exact against scikit-learn on a slow list of pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation import all_pairs
from evaluation.all_pairs import list_all_pairs, score_all_pairs
from evaluation.metrics import roc_curve
from petdata.errors import PetdataError


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


@settings(deadline=None, max_examples=60)
@given(photo_sets(), st.sampled_from([16, 256, 1 << 17]), st.integers(1, 3))
def test_figures_are_within_their_bounds_of_the_slow_lists(
    photos: dict[str, np.ndarray], bins: int, threads: int
) -> None:
    scores, is_same = slow_list(photos)
    found = score_all_pairs(**photos, bins=bins, threads=threads)
    assert (found.same, found.other) == (is_same.sum(), (~is_same).sum())
    edges = (scores + 1) * bins / 2
    if np.all(np.abs(edges - np.round(edges)) > bins * 1e-6):  # rounding decides no bin
        exact = roc_curve(scores, is_same)
        assert exact.auc == pytest.approx(roc_auc_score(is_same, scores))
        assert abs(found.curve.auc - exact.auc) <= found.auc_error + 1e-12
        low, high = found.equal_error_rate_range
        assert low - 1e-12 <= exact.equal_error_rate.rate <= high + 1e-12
        assert low - 1e-12 <= found.curve.equal_error_rate.rate <= high + 1e-12


@settings(deadline=None, max_examples=40)
@given(photo_sets())
def test_the_list_is_the_slow_one(photos: dict[str, np.ndarray]) -> None:
    scores, is_same = slow_list(photos)
    found = list_all_pairs(**photos)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert found.is_same.tolist() == is_same.tolist()
    assert (photos["labels"][found.first] == photos["labels"][found.second]).tolist() == (
        is_same.tolist()
    )


def test_too_many_photos_are_not_listed() -> None:
    with pytest.raises(PetdataError, match="count them in bins"):
        list_all_pairs(np.ones((4000, 1)), np.zeros(4000, int))


@settings(deadline=None, max_examples=20)
@given(photo_sets())
def test_a_group_left_out_is_its_identities_left_out(photos: dict[str, np.ndarray]) -> None:
    found = score_all_pairs(**photos)  # ten identities at most: each is a group
    identities = np.unique(photos["labels"])
    assert len(found.touching) == len(identities)
    left = set()
    for identity in identities:
        kept = photos["labels"] != identity
        without = score_all_pairs(**{name: column[kept] for name, column in photos.items()})
        left.add((without.same, without.other))
    everyone = found.coarse.numbers
    pairs = {tuple((everyone - t).sum(axis=1)[::-1].tolist()) for t in found.touching}
    assert pairs == left


def test_the_interval_is_about_as_wide_as_the_spread_over_samples_of_animals() -> None:
    aucs, reaches = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(100), 3)
        vectors = rng.normal(size=(100, 6))[labels] + 1.2 * rng.normal(size=(300, 6))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = score_all_pairs(vectors, labels, bins=4096)
        (interval,) = found.intervals(lambda curve: [curve.auc])
        aucs.append(interval.estimate)
        reaches.append((interval.high - interval.low) / 2)
    assert np.mean(reaches) / 1.96 == pytest.approx(np.std(aucs), rel=0.3)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(200, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, 30, 200)
    whole = score_all_pairs(vectors, labels)
    monkeypatch.setattr(all_pairs, "ROWS_AT_A_TIME", 7)
    monkeypatch.setattr(all_pairs, "COLUMNS_AT_A_TIME", 31)
    parts = score_all_pairs(vectors, labels)
    assert (parts.same, parts.other) == (whole.same, whole.other)
    assert parts.curve.auc == pytest.approx(whole.curve.auc, abs=1e-4)
    assert whole.auc_error < 1e-3


def test_one_identity_has_no_figures() -> None:
    found = score_all_pairs(np.eye(3), np.zeros(3, int))
    assert (found.same, found.other) == (3, 0)
    with pytest.raises(PetdataError, match="pairs of one identity and pairs of two"):
        found.intervals(lambda curve: [curve.auc])
