"""Loops that numpy cannot express, compiled by numba when they are first called.

numba (BSD-2-Clause) is a dependency of the `build` extra for these loops alone; what it gains
is in docs/near-duplicates.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba import types
from numba.extending import intrinsic

P = ParamSpec("P")
R = TypeVar("R")


def compiled(loop: Callable[P, R]) -> Callable[P, R]:
    """Machine code that runs without the GIL, kept on disk where a folder can be written."""
    try:
        made = numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # "cannot cache function": no writable folder
        made = numba.njit(nogil=True)(loop)
    return cast(Callable[P, R], made)


def _count_ones(_context: Any, _word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


# Bits set in a uint64, within compiled loops. (numba has no np.bitwise_count that LLVM vectorises.)
count_ones = cast(Callable[[Any], Any], intrinsic(_count_ones))
