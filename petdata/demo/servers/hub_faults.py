"""What goes wrong on a local Hub, and what it remembers of its requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens to one request; what is left out goes as usual."""

    before: Callable[[], None] | None = None  # the request has arrived, its body has not
    after: Callable[[], None] | None = None  # it is carried out, nothing is answered
    delay_s: float = 0.0
    status: int | None = None  # refused with this, nothing is carried out
    retry_after_s: int | None = None  # said with the refusal
    message: str = "Out of order"
    # Connection reset after so many bytes of the request's body (nothing is carried out), or of
    # the answer's body (everything is).
    drop_request_at: int | None = None
    drop_answer_at: int | None = None
    # A byte of the file's content changes on its way: of uploads, of parts, of the first regular
    # file in a commit, of downloads.
    corrupt: bool = False
    alter: Callable[[Any], Any] | None = None  # of an answer in JSON


USUAL = Fault()


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRequest:
    """Neither headers nor upload addresses: both let whoever has them in."""

    kind: str  # "commit", "lfs_upload", ...: the names in hub_routes
    method: str
    target: str  # path and query, tickets left out
    user: str | None  # whose token it was
    status: int | None  # None: the connection was dropped
    received_bytes: int
    range: str | None
    oid: str | None  # of an uploaded file


@dataclass(slots=True)
class _Planned:
    fault: Fault
    first: int
    last: int


@dataclass(slots=True)
class FaultPlan:
    """Faults by kind of request and by its number; numbers begin at 1."""

    planned: dict[str, list[_Planned]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, fault: Fault, at: int, times: int) -> None:
        """From the `at`-th request of the kind from now on; "any" is every kind's."""
        with self.lock:
            first = self.counts[kind] + at
            self.planned.setdefault(kind, []).append(_Planned(fault, first, first + times - 1))

    def clear(self) -> None:
        with self.lock:
            self.planned.clear()

    def next(self, kind: str) -> Fault:
        found = USUAL
        with self.lock:
            for name in (kind, "any"):
                self.counts[name] += 1
                for planned in self.planned.get(name, ()):
                    if planned.first <= self.counts[name] <= planned.last:
                        found = planned.fault
        return found
