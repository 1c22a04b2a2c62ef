"""Keeping the memory of a long process small: C's allocator keeps what large pictures leave.

They speak to glibc and Linux; elsewhere they do nothing.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h
_PAGE: Final = mmap.PAGESIZE


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


def give_back(used: NDArray[np.void]) -> None:
    """Return the whole pages inside a contiguous array to the system; its values are lost."""
    if sys.platform != "linux" or not used.flags.c_contiguous:
        return
    start = -(-used.ctypes.data // _PAGE) * _PAGE
    end = (used.ctypes.data + used.nbytes) // _PAGE * _PAGE
    if start < end:
        address, length = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
        ctypes.CDLL(None).madvise(address, length, mmap.MADV_DONTNEED)
