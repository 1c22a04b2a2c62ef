"""Verification figures: scores of photo pairs in, rates out.

A pair is accepted where its score is at least the threshold. Pairs of one score are accepted
together, so no figure depends on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from petdata.errors import PetdataError

FloatArray: TypeAlias = npt.NDArray[np.floating]
IntArray: TypeAlias = npt.NDArray[np.integer]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = FloatArray | Sequence[float]
Flags: TypeAlias = BoolArray | Sequence[bool]


@dataclass(frozen=True)
class OperatingPoint:
    """Rates at one threshold."""

    threshold: float
    false_accept_rate: float
    true_accept_rate: float


@dataclass(frozen=True)
class EqualErrorRate:
    """The rate at which as many strangers are accepted as pairs of one animal are refused.

    `rate` lies on the ROC with straight lines between its points (the root of 1 - x - TAR(x));
    `nearest` is the mean of the two rates at the point where they differ least, the one with the
    highest threshold if there are several. The two part by up to 1 / (2 n) of the smaller kind.
    """

    rate: float
    threshold: float
    nearest: float
    nearest_threshold: float


@dataclass(frozen=True, eq=False)
class RocCurve:
    """All operating points, none dropped, from "accept nothing" to "accept everything"."""

    thresholds: FloatArray  # (K,) falling, the first infinite
    false_accept_rate: FloatArray  # (K,) rising from 0 to 1
    true_accept_rate: FloatArray  # (K,) rising from 0 to 1

    @classmethod
    def from_accepted(cls, thresholds: FloatArray, same: FloatArray, other: FloatArray) -> RocCurve:
        """From how many pairs (or their weight) score at least each threshold."""
        if not (len(same) and same[-1] > 0 and other[-1] > 0):
            raise PetdataError(
                "verification needs pairs of one identity and pairs of two; there are "
                + (f"{same[-1]:g} and {other[-1]:g}" if len(same) else "none")
            )
        return cls(
            np.concatenate([[np.inf], thresholds]),
            np.concatenate([[0.0], other / other[-1]]),
            np.concatenate([[0.0], same / same[-1]]),
        )

    @cached_property
    def auc(self) -> float:
        """Chance that a pair of one identity scores above a pair of two, ties counted as half."""
        heights = self.true_accept_rate[1:] + self.true_accept_rate[:-1]
        return float(np.dot(np.diff(self.false_accept_rate), heights) / 2)

    @cached_property
    def equal_error_rate(self) -> EqualErrorRate:
        refused = 1 - self.true_accept_rate
        gap = refused - self.false_accept_rate  # falls strictly, from 1 to -1
        after = int(np.argmax(gap <= 0))
        share = gap[after - 1] / (gap[after - 1] - gap[after])  # of the way to the point after
        nearest = int(np.argmin(np.abs(gap)))
        return EqualErrorRate(
            _between(self.false_accept_rate, after, share),
            _between(self.thresholds, after, share),
            float(refused[nearest] + self.false_accept_rate[nearest]) / 2,
            float(self.thresholds[nearest]),
        )

    def at_false_accept_rate(self, limit: float) -> OperatingPoint:
        """The point that accepts most without accepting more than `limit` of the strangers.

        Never between points: what it promises was seen. 0 is accepted where even the highest score
        lets too many strangers in.
        """
        point = int(np.searchsorted(self.false_accept_rate, limit, side="right")) - 1
        return OperatingPoint(
            float(self.thresholds[point]),
            float(self.false_accept_rate[point]),
            float(self.true_accept_rate[point]),
        )


class ScoredPairs:
    """Pairs sorted by their score once, for many curves under different weights."""

    def __init__(self, scores: Scores, is_same: Flags) -> None:
        values, same = np.asarray(scores, float), np.asarray(is_same, bool)
        if values.ndim != 1 or values.shape != same.shape:
            raise ValueError(f"scores {values.shape} and is_same {same.shape}: one row each a pair")
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise PetdataError(f"pair {row} has score {values[row]}; scores must be finite")
        self.order: IntArray = np.argsort(-values, kind="stable")
        self._same = same[self.order]
        ordered = values[self.order]
        last_of_its_score = np.append(ordered[1:] != ordered[:-1], np.ones(len(ordered[:1]), bool))
        self._ends = np.flatnonzero(last_of_its_score)
        self._thresholds = ordered[self._ends]

    def curve(self, weights: FloatArray | None = None) -> RocCurve:
        """`weights`: (pairs,), at least 0, in the order in which the scores came."""
        weight = np.ones(len(self.order)) if weights is None else np.asarray(weights)[self.order]
        same = np.cumsum(np.where(self._same, weight, 0.0))[self._ends]
        other = np.cumsum(np.where(self._same, 0.0, weight))[self._ends]
        return RocCurve.from_accepted(self._thresholds, same, other)


def roc_curve(scores: Scores, is_same: Flags) -> RocCurve:
    return ScoredPairs(scores, is_same).curve()


def roc_auc(scores: Scores, is_same: Flags) -> float:
    """Area under the ROC, which is the Mann-Whitney statistic with ties counted as half."""
    return roc_curve(scores, is_same).auc


def equal_error_rate(scores: Scores, is_same: Flags) -> float:
    """Interpolated; `roc_curve(...).equal_error_rate` has the nearest point and thresholds too."""
    return roc_curve(scores, is_same).equal_error_rate.rate


def true_accept_rate(scores: Scores, is_same: Flags, *, false_accept_rate: float) -> float:
    return roc_curve(scores, is_same).at_false_accept_rate(false_accept_rate).true_accept_rate


def _between(values: FloatArray, after: int, share: float) -> float:
    before = values[after - 1]
    if np.isinf(before):  # the threshold that accepts nothing
        return float(values[after])
    return float(before + share * (values[after] - before))
