"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

# Hundreds of processes are started here, and without it each would compile what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tests run beside each other, one a core: threads of numeric libraries would only wait for a core.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

# A shell that starts this in the background has it ignore Ctrl-C, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real pages and photos, which is not part of the repository."""
    folder = os.environ.get("PETDATA_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set PETDATA_REAL_DATA to the folder that holds pet911-pages/ and real-pets/")
    return Path(folder)
