"""What a run of collection shows: a line while it goes on, a table at its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from petdata.progress_line import (
    LOG_INTERVAL_S,
    TERMINAL_INTERVAL_S,
    StderrConsole,
    commonest_reasons,
)

__all__ = [
    "StderrConsole",
    "commonest_reasons",
    "counts_under",
    "print_report",
    "report_json",
    "show_progress",
]


def counts_under(counts: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Of "photo/kept", "photo/truncated", ... what stands behind the prefix."""
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(counts.items())
        if name.startswith(prefix)
    }


def report_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False)


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
