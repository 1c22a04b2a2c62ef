"""Curves and distributions with as many points as a drawing shows: small enough to be stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.all_pairs import BinnedPairs
from evaluation.metrics import RocCurve

LOWEST_RATE: Final = 1e-6  # below it a rate is drawn with the logarithmic axis's first point
POINTS: Final = 64  # of a curve, for each of its three scales
BARS: Final = 60


@dataclass(frozen=True, kw_only=True)
class CurvePoints:
    """Operating points of a ROC, from "accept nothing" to "accept everything"."""

    false_accept_rate: tuple[float, ...]
    true_accept_rate: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Similarities:
    """How many pairs are so similar: bars of one width from `lowest` to `highest`."""

    lowest: float
    highest: float
    same: tuple[int, ...]
    other: tuple[int, ...]


def thinned(curve: RocCurve) -> CurvePoints:
    """Points of the curve itself, evenly apart on a linear axis and on logarithmic ones of both
    rates of errors.
    """
    accepted, refused = curve.false_accept_rate, 1 - curve.true_accept_rate
    logarithmic = np.geomspace(LOWEST_RATE, 1, POINTS)
    last = len(accepted) - 1
    chosen = np.unique(
        np.concatenate(
            [
                [0, last],
                np.searchsorted(accepted, np.linspace(0, 1, POINTS), "right") - 1,
                np.searchsorted(accepted, logarithmic, "right") - 1,
                last - np.searchsorted(refused[::-1], logarithmic),
            ]
        ).clip(0, last)
    )
    return CurvePoints(
        false_accept_rate=tuple(accepted[chosen].tolist()),
        true_accept_rate=tuple(curve.true_accept_rate[chosen].tolist()),
    )


def barred(pairs: BinnedPairs) -> Similarities:
    lowest, highest = float(pairs.lower_edges[-1]), float(pairs.lower_edges[0])
    highest = max(highest, lowest + 1e-3)
    places = ((pairs.lower_edges - lowest) / (highest - lowest) * BARS).astype(np.int64)
    other, same = (
        np.bincount(places.clip(0, BARS - 1), kind, BARS).astype(np.int64) for kind in pairs.numbers
    )
    return Similarities(
        lowest=lowest, highest=highest, same=tuple(same.tolist()), other=tuple(other.tolist())
    )
