"""Verification figures against hand-worked cases, slow loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from evaluation.metrics import (
    ScoredPairs,
    equal_error_rate,
    roc_auc,
    roc_curve,
    true_accept_rate,
)
from petdata.errors import PetdataError


@st.composite
def scored_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties or none, both kinds present."""
    size = draw(st.integers(2, 60))
    score = draw(
        st.sampled_from([st.integers(0, 3).map(float), st.floats(-1, 1, width=32), st.just(0.25)])
    )
    scores = np.array(draw(st.lists(score, min_size=size, max_size=size)))
    same = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    same[:2] = [True, False]
    return scores, same


def auc_by_loop(scores: np.ndarray, same: np.ndarray) -> float:
    wins = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive in scores[same]
        for negative in scores[~same]
    ]
    return sum(wins) / len(wins)


def test_equal_error_rate_worked_by_hand() -> None:
    # accepted from 0.7 up: half of the strangers in, half of the animals refused
    assert equal_error_rate([0.9, 0.6, 0.7, 0.1], [True, True, False, False]) == 0.5


def test_equal_error_rate_between_points_worked_by_hand() -> None:
    # (FAR, TAR) goes from (0, 2/3) at 0.8 to (1/2, 2/3) at 0.5, so both errors meet at 1/3
    found = roc_curve([0.9, 0.8, 0.3, 0.5, 0.1], [True, True, True, False, False]).equal_error_rate
    assert found.rate == pytest.approx(1 / 3)
    assert found.threshold == pytest.approx(0.8 - 2 / 3 * 0.3)
    assert found.nearest == pytest.approx((1 / 3 + 1 / 2) / 2)  # at 0.5 they differ by 1/6
    assert found.nearest_threshold == 0.5


def test_perfect_and_constant_scores() -> None:
    same = np.array([True, True, False, False, False])
    perfect = roc_curve([0.9, 0.8, 0.3, 0.2, 0.1], same)
    assert (perfect.auc, perfect.equal_error_rate.rate) == (1, 0)
    assert perfect.equal_error_rate.threshold == 0.8
    assert perfect.at_false_accept_rate(0.001).true_accept_rate == 1
    constant = roc_curve([0.4] * 5, same)
    assert (constant.auc, constant.equal_error_rate.rate) == (0.5, 0.5)
    assert constant.equal_error_rate.nearest == 0.5
    assert constant.at_false_accept_rate(0.01).true_accept_rate == 0
    reversed_ = roc_curve([0.1, 0.2, 0.7, 0.8, 0.9], same)
    assert (reversed_.auc, reversed_.equal_error_rate.rate) == (0, 1)


@settings(deadline=None, max_examples=80)
@given(scored_pairs())
def test_auc_is_the_mann_whitney_statistic(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    assert roc_auc(*pairs) == pytest.approx(auc_by_loop(*pairs))
    assert roc_auc(*pairs) == pytest.approx(roc_auc_score(pairs[1], pairs[0]))


@settings(deadline=None, max_examples=80)
@given(scored_pairs())
def test_equal_error_rate_is_the_root_on_scikit_learns_curve(
    pairs: tuple[np.ndarray, np.ndarray],
) -> None:
    far, tar, _ = sklearn_roc_curve(pairs[1], pairs[0], drop_intermediate=False)
    # interp1d needs rising x; a vertical step keeps its upper end and gains its lower one beside it
    far = far + np.arange(len(far)) * 1e-12
    root = brentq(
        lambda x: 1 - x - interp1d(far, tar, fill_value=(0, 1), bounds_error=False)(x), 0, 1.1
    )
    assert equal_error_rate(*pairs) == pytest.approx(root, abs=1e-9)


@settings(deadline=None, max_examples=80)
@given(scored_pairs())
def test_rates_are_those_counted_at_their_thresholds(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    scores, same = pairs
    curve = roc_curve(scores, same)
    for limit in (0.0, 0.01, 0.3, 1.0):
        point = curve.at_false_accept_rate(limit)
        assert point.false_accept_rate == np.mean(scores[~same] >= point.threshold) <= limit
        best = max(
            np.mean(scores[same] >= threshold)
            for threshold in [np.inf, *scores]
            if np.mean(scores[~same] >= threshold) <= limit
        )
        assert true_accept_rate(scores, same, false_accept_rate=limit) == best
    nearest = min(
        abs(np.mean(scores[same] < t) - np.mean(scores[~same] >= t)) for t in [np.inf, *scores]
    )
    found = curve.equal_error_rate
    refused = np.mean(scores[same] < found.nearest_threshold)
    accepted = np.mean(scores[~same] >= found.nearest_threshold)
    assert abs(refused - accepted) == pytest.approx(nearest)
    assert found.nearest == pytest.approx((refused + accepted) / 2)


@settings(deadline=None, max_examples=80)
@given(scored_pairs())
def test_neither_row_order_nor_scale_matters(
    pairs: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, same = pairs
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    for other in ((scores[order], same[order]), (np.arctan(3 * scores) + 5, same)):
        if len(np.unique(other[0])) < len(np.unique(scores)):
            continue  # two scores so close that arctan made them one
        assert roc_auc(*other) == pytest.approx(roc_auc(scores, same))
        assert equal_error_rate(*other) == pytest.approx(equal_error_rate(scores, same))


@settings(deadline=None, max_examples=80)
@given(scored_pairs())
def test_weights_count_pairs_so_often(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    scores, same = pairs
    weights = np.random.default_rng(len(scores)).integers(0, 4, len(scores))
    weights[:2] = 1
    weighted = ScoredPairs(scores, same).curve(weights)
    repeated = roc_curve(np.repeat(scores, weights), np.repeat(same, weights))
    assert weighted.auc == pytest.approx(repeated.auc)
    assert weighted.equal_error_rate.rate == pytest.approx(repeated.equal_error_rate.rate)


@pytest.mark.parametrize("same", [[], [True, True], [False]])
def test_one_kind_of_pair_is_not_enough(same: list[bool]) -> None:
    with pytest.raises(PetdataError, match="pairs of one identity and pairs of two"):
        roc_auc([0.5] * len(same), same)


def test_a_score_that_is_no_number_is_named() -> None:
    with pytest.raises(PetdataError, match="pair 1 has score nan"):
        roc_auc([0.5, float("nan")], [True, False])
