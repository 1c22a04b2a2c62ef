"""One writer per source: a lock that dies with its process and says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from petdata.errors import LedgerBusy, StorageFailure

PATIENCE_S: Final = 0.3  # `read_holder` of another process holds the lock for microseconds
RETRY_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Holder:
    pid: int
    host: str
    command: str
    since: str  # ISO 8601, UTC

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command}) since {self.since}"


class LedgerLock:
    def __init__(self, path: Path, *, source: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageFailure(f"cannot open {path}: {error.strerror}") from error
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            _lock_patiently(self._descriptor)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LedgerBusy(
                f"{source} is being collected by {read_holder(path) or 'another process'}: "
                "wait for it, or stop it"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StorageFailure(f"cannot lock {path}: {error.strerror}") from error

    def release(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):  # what stands in it only counts while it is locked
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def _lock_patiently(descriptor: int) -> None:
    """Raises BlockingIOError where the lock stays taken."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock right now; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return Holder(**json.loads(os.read(descriptor, 4096)))
        except (ValueError, TypeError):
            return Holder(0, "?", "starting", "?")
    finally:
        os.close(descriptor)
    return None
