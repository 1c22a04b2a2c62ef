"""Purge a target, and die at the N-th thing that is done to a file or a ledger.

    python purge_for_kill_tests.py WORKSPACE TARGET N

Prints how many there were where it came to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

from dataset_builder.purge import purge
from petdata.ledger import Ledger
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

DAY = date(2026, 3, 1)


class Countdown:
    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.seen = 0

    def tick(self) -> None:
        self.seen += 1
        if self.seen == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(self, event: str, details: tuple[Any, ...]) -> None:
        """An audit hook: before a file is made, renamed or removed."""
        makes = event == "open" and isinstance(details[1], str) and "w" in details[1]
        if makes or event in ("os.rename", "os.remove", "os.rmdir", "os.truncate"):
            self.tick()


def main() -> None:
    workspace, target, moment = Workspace(root=Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    countdown = Countdown(moment)
    query = Ledger.query

    def counted(ledger: Ledger, sql: str, *values: object) -> Any:
        if not sql.startswith("SELECT"):
            countdown.tick()
        return query(ledger, sql, *values)

    write = Ledger.write

    def counted_write(ledger: Ledger, sql: str, *values: object) -> int:
        countdown.tick()
        done = write(ledger, sql, *values)
        countdown.tick()
        return done

    Ledger.query, Ledger.write = counted, counted_write  # type: ignore[method-assign,assignment]
    sys.addaudithook(countdown.hear)
    entry, _ = add_takedown(workspace.takedowns, target, "asked", DAY)
    purge(workspace, entry)
    sys.stdout.write(f"{countdown.seen}\n")


if __name__ == "__main__":
    main()
