"""A line on stderr while a run goes on: redrawn on a terminal, written now and then elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.status import Status

TERMINAL_INTERVAL_S: Final = 0.5
LOG_INTERVAL_S: Final = 30.0  # where stderr is no terminal
NOT_DROPPED: Final = frozenset({"photo/stored", "photo/kept", "photo/postponed", "photo/reposted"})


class StderrConsole(Console):
    """Goes quiet when nobody reads stderr any more, where rich would exit in the middle of work."""

    def __init__(self, *, soft_wrap: bool = False) -> None:
        super().__init__(stderr=True, highlight=False, soft_wrap=soft_wrap)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with Path(os.devnull).open("w") as nothing:  # for what is still buffered
            os.dup2(nothing.fileno(), self.file.fileno())


class ProgressLine:
    """For work without an event loop, which calls `tick` as often as it likes."""

    def __init__(self, console: Console, line: Callable[[], str]) -> None:
        self._console, self._line = console, line
        self._interval = TERMINAL_INTERVAL_S if console.is_terminal else LOG_INTERVAL_S
        self._drawn = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            self._status = self._console.status(self._line())
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._drawn < self._interval:
            return
        self._drawn = now
        if self._status is not None:
            self._status.update(self._line())
        else:
            self._console.print(self._line(), soft_wrap=True)


def commonest_reasons(counts: Mapping[str, int], most: int = 3) -> list[tuple[str, int]]:
    """The commonest reasons for which photos were dropped."""
    dropped = {
        name.removeprefix("photo/"): count
        for name, count in counts.items()
        if name.startswith("photo/") and name not in NOT_DROPPED
    }
    return sorted(dropped.items(), key=lambda item: -item[1])[:most]
