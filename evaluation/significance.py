"""What differences mean: McNemar, Holm, and the bootstrap over identities.

Photos and pairs of one animal depend on each other, so the bootstrap draws identities. One that is
drawn twice counts twice; its photos are not copied, else the copies would match each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, chi2
from scipy.stats import t as student

from evaluation.metrics import BoolArray, FloatArray, IntArray
from petdata.errors import PetdataError

RESAMPLES: Final = 1000
EXACT_BELOW: Final = 25  # discordant outcomes


@dataclass(frozen=True)
class Interval:
    """Of a figure: percentiles of a bootstrap, unless said otherwise."""

    estimate: float
    low: float
    high: float
    resamples: int  # that could be computed (groups, of a jackknife)
    confidence: float = 0.95


@dataclass(frozen=True)
class McNemar:
    """Do two models fail equally often on the same queries or pairs?

    The queries of one animal depend on each other, which makes p too small: give the bootstrap
    beside it.
    """

    only_first: int  # right in the first model alone
    only_second: int
    exact_p: float  # two-sided binomial
    statistic: float  # (|b - c| - 1)^2 / (b + c), Edwards' correction
    corrected_p: float  # of the statistic, chi-squared with one degree of freedom

    @property
    def is_exact(self) -> bool:
        return self.only_first + self.only_second < EXACT_BELOW

    @property
    def p(self) -> float:
        """Exact below 25 discordant outcomes, else corrected."""
        return self.exact_p if self.is_exact else self.corrected_p


def mcnemar(first_right: BoolArray, second_right: BoolArray) -> McNemar:
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} outcomes: the same queries are needed")
    b, c = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if b + c == 0:
        return McNemar(0, 0, exact_p=1.0, statistic=0.0, corrected_p=1.0)
    statistic = max(abs(b - c) - 1, 0) ** 2 / (b + c)
    exact = min(1.0, 2 * float(binom.cdf(min(b, c), b + c, 0.5)))
    return McNemar(b, c, exact, statistic, float(chi2.sf(statistic, 1)))


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusted p values, in the order given: those below alpha hold together at level alpha."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


# Bootstrap


def identity_weights(
    identities: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[npt.NDArray[np.int64]]:
    """(identities,) how often each was drawn, for each of the resamples."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(0, identities, identities)
        yield np.bincount(drawn, minlength=identities)


def bootstrap(
    figures: Callable[[npt.NDArray[np.float64]], FloatArray | Sequence[float]],
    identities: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Interval]:
    """An interval for each of the figures that `figures` makes of the identities' weights.

    It is called once with ones, for the estimates. Give two models' figures and their difference
    in one call to have the difference paired. A resample may leave a figure undefined (NaN, or a
    PetdataError for all): it is left out, and `resamples` says how many counted.
    """
    if identities < 1:
        raise PetdataError("a bootstrap over identities needs identities")
    estimates = np.asarray(figures(np.ones(identities)), float)
    drawn = np.full((resamples, len(estimates)), np.nan)
    weights = identity_weights(identities, resamples=resamples, seed=seed)
    for row, weight in zip(drawn, weights, strict=True):
        try:
            row[:] = figures(weight.astype(float))
        except PetdataError:
            continue
    return [
        _interval(float(estimate), values, confidence)
        for estimate, values in zip(estimates, drawn.T, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Rivals:
    """Identities of the gallery that were mistaken for the right one."""

    identities: IntArray  # (R,)
    gains: FloatArray  # (R, F) how much higher the sum of each figure would be without it

    @classmethod
    def none(cls, figures: int) -> Self:
        return cls(np.empty(0, np.int64), np.empty((0, figures)))


def bootstrap_means(
    values: FloatArray,
    identities: IntArray,
    *,
    rivals: Rivals | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Interval]:
    """Of each column of `values` (Q, F), whose rows belong to `identities` (Q,).

    For a paired difference give the differences. Resampling costs one product per identity, not
    per query.

    Who else is in the gallery is chance too: with `rivals` an identity that is not drawn is in
    nobody's way, and one that is drawn twice is twice as much in it (to first order).
    """
    table = np.asarray(values, float)
    if not len(table):
        raise PetdataError("a mean of no queries")
    rivals = rivals or Rivals.none(table.shape[1])
    names, groups = np.unique(np.append(identities, rivals.identities), return_inverse=True)
    owners, in_the_way = np.split(groups.reshape(-1), [len(table)])
    sums = np.stack([np.bincount(owners, column, len(names)) for column in table.T])
    gains = np.stack([np.bincount(in_the_way, column, len(names)) for column in rivals.gains.T])
    sizes = np.bincount(owners, minlength=len(names))

    def means(weights: npt.NDArray[np.float64]) -> FloatArray:
        found: FloatArray = (sums @ weights) / (sizes @ weights)
        return found - gains @ (weights - 1) / len(table)

    return bootstrap(means, len(names), resamples=resamples, seed=seed, confidence=confidence)


def jackknife(estimate: float, without: Sequence[float], confidence: float = 0.95) -> Interval:
    """From the figure without each of G equal groups of identities; Student's t with G - 1.

    A cheaper stand-in for the bootstrap where resamples would cost too much.
    """
    left = np.asarray(without, float)
    if len(left) < 2:
        return Interval(estimate, np.nan, np.nan, len(left), confidence)
    error = np.sqrt((len(left) - 1) * np.mean((left - left.mean()) ** 2))
    reach = float(student.ppf((1 + confidence) / 2, len(left) - 1) * error)
    return Interval(estimate, estimate - reach, estimate + reach, len(left), confidence)


def _interval(estimate: float, values: FloatArray, confidence: float) -> Interval:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Interval(estimate, np.nan, np.nan, 0, confidence)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high), len(defined), confidence)
