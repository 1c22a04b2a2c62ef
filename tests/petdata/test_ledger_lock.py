from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from petdata.errors import LedgerBusy
from petdata.ledger_lock import LedgerLock, read_holder


def test_a_glance_at_the_holder_does_not_stop_who_wants_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "pet911.lock"
    path.touch()
    with path.open() as glance:
        fcntl.flock(glance, fcntl.LOCK_SH)  # as read_holder does, only for longer
        timer = threading.Timer(0.1, fcntl.flock, (glance, fcntl.LOCK_UN))
        timer.start()
        lock = LedgerLock(path, source="pet911")
        timer.join()
    assert read_holder(path) is not None
    lock.release()
    assert read_holder(path) is None


def test_a_lock_that_stays_taken_is_busy_soon_and_says_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "pet911.lock"
    lock = LedgerLock(path, source="pet911")
    started = time.monotonic()
    with pytest.raises(LedgerBusy, match="pet911 is being collected by process"):
        LedgerLock(path, source="pet911")
    assert time.monotonic() - started < 5
    lock.release()
