"""Standard streams that whoever started us closed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def open_closed_streams() -> None:
    """Put /dev/null where a standard stream is closed (`2>&-`).

    Else the next file to be opened gets its number, and what libraries and child processes write
    there; Scrapy's log does not start at all.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # 0, 1, 2
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
