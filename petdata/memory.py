"""Keeping the memory of a long process small: C's allocator keeps what large pictures leave.

Both functions speak to glibc; with another C library they do nothing.
"""

from __future__ import annotations

import ctypes
from typing import Final

_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h


def use_one_arena() -> None:
    """Let all threads share one heap, so that what one frees another can use."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_ARENA_MAX, 1)


def release_free_memory() -> None:
    """Give what is free back to the system, also between pieces that are in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
