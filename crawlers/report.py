"""What a run of collection shows: a line while it goes on, a table at its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

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


async def show_progress(console: Console, line: Callable[[], str]) -> None:
    """Until cancelled: redraw one line on a terminal, write one now and then elsewhere."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(LOG_INTERVAL_S)
            console.print(line(), soft_wrap=True)
    with console.status(line()) as status:
        while True:
            await asyncio.sleep(TERMINAL_INTERVAL_S)
            status.update(line())


def commonest_reasons(counts: Mapping[str, int], most: int = 3) -> list[tuple[str, int]]:
    """The commonest reasons for which photos were dropped."""
    dropped = {
        name.removeprefix("photo/"): count
        for name, count in counts.items()
        if name.startswith("photo/") and name not in NOT_DROPPED
    }
    return sorted(dropped.items(), key=lambda item: -item[1])[:most]


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """The final table, and what to look at."""
    table = Table(title=f"{report['source']}: {report['outcome']}", title_justify="left")
    table.add_column("")
    table.add_column("count", justify="right")
    for section in ("messages", "listings", "photos"):
        for name, number in report.get(section, {}).items():
            if name not in ("found", "stored"):  # counted again under what became of them
                table.add_row(f"{section}: {name.replace('_', ' ')}", f"{number:,}")
        if section in report:
            table.add_section()
    table.add_row("JPEG fetched and kept", f"{report['bytes'] / 1e6:,.1f} MB")
    table.add_row("shards written", f"{report['shards']:,}")
    table.add_row("requests", f"{report['requests']:,}")
    if report.get("catalogue_total") is not None:
        table.add_row("listings in the catalogue, as it says", f"{report['catalogue_total']:,}")
    if report.get("walked") is not None:
        table.add_row("listings met walking it to its end", f"{report['walked']:,}")
    table.add_row("time", f"{report['seconds']:,.1f} s")
    console.print(table)
    for warning in report["warnings"]:
        console.print(f"look at this: {warning}", style="yellow", markup=False, soft_wrap=True)
