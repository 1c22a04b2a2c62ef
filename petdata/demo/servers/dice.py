"""Chance that depends on (seed, salt, index) alone: any listing can be drawn without the others.

SplitMix64 (Steele et al. 2014): one listing costs microseconds, and numpy draws all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

MASK: Final = 2**64 - 1
GOLDEN: Final = 0x9E3779B97F4A7C15
FIRST: Final = 0xBF58476D1CE4E5B9
SECOND: Final = 0x94D049BB133111EB


def mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * FIRST) & MASK
    x = ((x ^ (x >> 27)) * SECOND) & MASK
    return x ^ (x >> 31)


def unit(seed: int, salt: int, index: int) -> float:
    """0 <= . < 1."""
    key = mix((seed * GOLDEN + salt) & MASK)
    return (mix((key + (index + 1) * GOLDEN) & MASK) >> 11) * 2.0**-53


def units(seed: int, salt: int, indices: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """`unit` of many indices."""
    key = np.uint64(mix((seed * GOLDEN + salt) & MASK))
    x = key + (indices + np.uint64(1)) * np.uint64(GOLDEN)  # modulo 2**64
    x = (x ^ (x >> np.uint64(30))) * np.uint64(FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(SECOND)
    mixed: npt.NDArray[Any] = (x ^ (x >> np.uint64(31))) >> np.uint64(11)
    return mixed * 2.0**-53


class Dice:
    """A stream of chances for one listing."""

    def __init__(self, seed: int, salt: int, index: int) -> None:
        self._state = mix((mix((seed * GOLDEN + salt) & MASK) + (index + 1) * GOLDEN) & MASK)

    def unit(self) -> float:
        self._state = (self._state + GOLDEN) & MASK
        return (mix(self._state) >> 11) * 2.0**-53

    def happens(self, share: float) -> bool:
        return self.unit() < share

    def below(self, stop: int) -> int:
        return int(self.unit() * stop)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def weighted(self, weights: Sequence[float]) -> int:
        """An index, with chances in proportion to `weights`."""
        left = self.unit() * sum(weights)
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return index
        return len(weights) - 1
