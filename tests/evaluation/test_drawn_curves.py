"""Points and bars that a drawing shows, against the curve and the scores themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scattered import scattered

from evaluation.all_pairs import list_all_pairs, score_all_pairs
from evaluation.drawn_curves import BARS, POINTS, barred, thinned
from evaluation.metrics import roc_curve


@pytest.mark.parametrize("noise", [0.02, 0.8, 50.0])
def test_a_thinned_curve_is_the_curve(noise: float) -> None:
    photos = scattered(noise, identities=150)
    curve = score_all_pairs(photos.vectors, photos.labels).curve
    found = thinned(curve)
    accepted, right = np.array(found.false_accept_rate), np.array(found.true_accept_rate)
    assert 2 < len(accepted) < min(3 * POINTS + 3, len(curve.thresholds))
    assert (accepted[0], right[0], accepted[-1], right[-1]) == (0, 0, 1, 1)
    points = set(zip(curve.false_accept_rate, curve.true_accept_rate, strict=True))
    assert set(zip(accepted, right, strict=True)) <= points
    area = float(np.trapezoid(right, accepted))
    assert area == pytest.approx(curve.auc, abs=2e-3)
    for rate in (1e-3, 1e-2):  # rare errors have points of their own
        drawn = right[np.searchsorted(accepted, rate, "right") - 1]
        assert drawn == pytest.approx(curve.at_false_accept_rate(rate).true_accept_rate, abs=0.03)


def test_bars_count_every_pair() -> None:
    photos = scattered(0.8, identities=40)
    every, listed = (
        call(photos.vectors, photos.labels) for call in (score_all_pairs, list_all_pairs)
    )
    found = barred(every.counts)
    assert sum(found.same) == listed.is_same.sum()
    assert sum(found.other) == (~listed.is_same).sum()
    edges = np.linspace(found.lowest, found.highest, BARS + 1)
    for bars, kind in ((found.same, True), (found.other, False)):
        exact, _ = np.histogram(listed.scores[listed.is_same == kind], edges)
        moved = np.abs(np.cumsum(exact) - np.cumsum(bars))  # by the width of a bin at an edge
        assert moved.max() <= 0.001 * len(listed.scores)


def test_pairs_of_one_similarity_have_a_bar() -> None:
    same = np.tile([1.0, 0.0], (6, 1))
    found = barred(score_all_pairs(same, np.array([0, 0, 0, 1, 1, 1])).counts)
    assert (sum(found.same), sum(found.other)) == (6, 9)
    assert found.lowest < found.highest
    assert thinned(roc_curve([1.0, 1.0], [True, False])).true_accept_rate == (0.0, 1.0)
