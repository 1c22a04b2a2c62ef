"""McNemar and Holm against statsmodels, the bootstrap against slow loops and known variances."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from evaluation.metrics import ScoredPairs
from evaluation.significance import (
    Rivals,
    bootstrap,
    bootstrap_means,
    holm,
    identity_weights,
    mcnemar,
)
from petdata.errors import PetdataError


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    first = np.array([True] * b + [False] * c + [True, False])
    second = np.array([False] * b + [True] * c + [True, False])
    found = mcnemar(first, second)
    table = [[1, b], [c, 1]]
    assert found.exact_p == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    if b + c and b != c:  # statsmodels lets (0 - 1)^2 count where the two are equal
        corrected = statsmodels_mcnemar(table, exact=False, correction=True)
        assert found.statistic == pytest.approx(corrected.statistic)
        assert found.corrected_p == pytest.approx(corrected.pvalue)
    if b == c:
        assert found.p == 1
    assert found.p == (found.exact_p if b + c < 25 else found.corrected_p)


def test_outcomes_of_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="the same queries"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    with patch("gc.collect"):  # it collects garbage each time, which took a minute
        expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected)


def test_bootstrapped_means_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 12, 70)
    values = rng.normal(size=(70, 2))
    fast = bootstrap_means(values, identities, resamples=200, seed=7)
    groups = np.unique(identities, return_inverse=True)[1]
    slow = [
        [np.repeat(column, weights[groups]).mean() for column in values.T]
        for weights in identity_weights(12, resamples=200, seed=7)
    ]
    for interval, drawn in zip(fast, np.transpose(slow), strict=True):
        assert interval.low == pytest.approx(np.quantile(drawn, 0.025))
        assert interval.high == pytest.approx(np.quantile(drawn, 0.975))
    assert [i.estimate for i in fast] == pytest.approx(values.mean(axis=0).tolist())


def test_rivals_that_are_not_drawn_are_not_in_the_way() -> None:
    rng = np.random.default_rng(2)
    identities, values = rng.integers(0, 12, 70), rng.random((70, 2))
    in_the_way = rng.integers(6, 15, 20)  # some of them have no query
    gains = rng.random((20, 2))
    fast = bootstrap_means(
        values, identities, rivals=Rivals(in_the_way, gains), resamples=200, seed=7
    )
    names = np.unique([*identities, *in_the_way])
    slow = []
    for weights in identity_weights(len(names), resamples=200, seed=7):
        times = dict(zip(names.tolist(), weights.tolist(), strict=True))
        mean = np.repeat(values, [times[name] for name in identities.tolist()], axis=0).mean(axis=0)
        for name, gain in zip(in_the_way.tolist(), gains, strict=True):
            mean -= (times[name] - 1) * gain / 70
        slow.append(mean)
    for interval, drawn in zip(fast, np.transpose(slow), strict=True):
        assert interval.low == pytest.approx(np.quantile(drawn, 0.025))
        assert interval.high == pytest.approx(np.quantile(drawn, 0.975))
    assert [i.estimate for i in fast] == pytest.approx(values.mean(axis=0).tolist())


def test_a_bootstrap_of_identities_is_as_wide_as_their_number_says() -> None:
    """Ten equal photos of an animal are one observation: queries would give an interval of 1/3."""
    right = np.repeat(np.random.default_rng(1).random(400) < 0.5, 10).astype(float)
    (interval,) = bootstrap_means(right[:, None], np.repeat(np.arange(400), 10))
    half_width = 1.96 * np.sqrt(0.25 / 400)
    assert interval.high - interval.low == pytest.approx(2 * half_width, rel=0.1)


def test_paired_differences_and_seeds() -> None:
    rng = np.random.default_rng(2)
    first = rng.random(300) < 0.6
    second = first.copy()
    second[:30] = True
    columns = np.stack([first, second, second.astype(float) - first], axis=1).astype(float)
    identities = np.arange(300) // 3
    one, two, difference = bootstrap_means(columns, identities, seed=3)
    assert difference.estimate == pytest.approx(two.estimate - one.estimate)
    assert difference.high - difference.low < 0.6 * (two.high - two.low)
    assert bootstrap_means(columns, identities, seed=3)[2] == difference
    assert bootstrap_means(columns, identities, seed=4)[2] != difference


def test_resamples_without_both_kinds_of_pair_are_left_out() -> None:
    """The one pair of two identities is drawn only where both of its identities are."""
    pairs = ScoredPairs([0.9, 0.1], [True, False])

    def figures(weights: np.ndarray) -> list[float]:
        return [pairs.curve(np.array([weights[0], weights[0] * weights[1]])).auc]

    (interval,) = bootstrap(figures, 2, resamples=400)
    assert (interval.estimate, interval.low, interval.high) == (1, 1, 1)
    assert 150 < interval.resamples < 250  # half of the draws of two hold both


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(PetdataError, match="a mean of no queries"):
        bootstrap_means(np.empty((0, 1)), np.empty(0, int))
