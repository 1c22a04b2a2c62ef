"""The progress line while a crawl runs, and the table at its end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

from rich.console import Console
from rich.table import Table
from scrapy import Spider, signals
from scrapy.crawler import Crawler

from crawlers.state import CrawlState

TERMINAL_INTERVAL_S: Final = 0.5
LOG_INTERVAL_S: Final = 30.0  # where stderr is no terminal


class StderrConsole(Console):
    """Goes quiet when nobody reads stderr any more, where rich would exit in the middle of work."""

    def __init__(self, *, soft_wrap: bool = False) -> None:
        super().__init__(stderr=True, highlight=False, soft_wrap=soft_wrap)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with Path(os.devnull).open("w") as nothing:  # for what is still buffered
            os.dup2(nothing.fileno(), self.file.fileno())


class Progress:
    """Redraws one line on a terminal; writes one now and then elsewhere."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.console = StderrConsole()
        crawler.signals.connect(self.spider_opened, signals.spider_opened)
        crawler.signals.connect(self.spider_closed, signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def spider_opened(self, spider: Spider) -> None:
        state = cast(CrawlState, cast(Any, spider).crawl_state)
        self.task = asyncio.ensure_future(self.draw(state))

    async def spider_closed(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def draw(self, state: CrawlState) -> None:
        if not self.console.is_terminal:
            while True:
                await asyncio.sleep(LOG_INTERVAL_S)
                self.console.print(progress_line(state), soft_wrap=True)
        with self.console.status(progress_line(state)) as status:
            while True:
                await asyncio.sleep(TERMINAL_INTERVAL_S)
                status.update(progress_line(state))


def progress_line(state: CrawlState) -> str:
    counts = state.intake.counts if state.opened_intake is not None else {}
    read = state.counts["listing"]
    seconds = max(time.monotonic() - state.started, 0.001)
    parts = [
        f"{read:,} listings read, {counts.get('listing/kept', 0):,} kept",
        f"{counts.get('photo/stored', 0):,} photos, {counts.get('bytes', 0) / 1e6:,.1f} MB",
    ]
    if dropped := _dropped(counts):
        parts.append("dropped: " + ", ".join(f"{name} {n:,}" for name, n in dropped))
    parts.append(f"{read / seconds:.2f} listings/s")
    if eta := _eta(state, read, seconds):
        parts.append(f"about {eta} left")
    return " | ".join(parts)


def _dropped(counts: Mapping[str, int], most: int = 3) -> list[tuple[str, int]]:
    """The commonest reasons for which photos were dropped."""
    dropped = {
        name.removeprefix("photo/"): count
        for name, count in counts.items()
        if name.startswith("photo/") and name not in NOT_DROPPED
    }
    return sorted(dropped.items(), key=lambda item: -item[1])[:most]


NOT_DROPPED: Final = frozenset({"photo/stored", "photo/kept", "photo/postponed"})


def _eta(state: CrawlState, read: int, seconds: float) -> str | None:
    """Known only where a number of listings was asked for."""
    goal = state.options.max_listings
    if goal is None or read == 0 or read >= goal:
        return None
    left = int((goal - read) * seconds / read)
    return f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """The final table, and what to look at."""
    table = Table(title=f"{report['source']}: {report['outcome']}", title_justify="left")
    table.add_column("")
    table.add_column("count", justify="right")
    for section in ("listings", "photos"):
        for name, number in report[section].items():
            if name not in ("found", "stored"):  # counted again under what became of them
                table.add_row(f"{section}: {name.replace('_', ' ')}", f"{number:,}")
        table.add_section()
    table.add_row("JPEG fetched and kept", f"{report['bytes'] / 1e6:,.1f} MB")
    table.add_row("shards written", f"{report['shards']:,}")
    table.add_row("requests", f"{report['requests']:,}")
    if report["catalogue_total"] is not None:
        table.add_row("listings in the catalogue, as it says", f"{report['catalogue_total']:,}")
    if report["walked"] is not None:
        table.add_row("listings met walking it to its end", f"{report['walked']:,}")
    table.add_row("time", f"{report['seconds']:,.1f} s")
    console.print(table)
    for warning in report["warnings"]:
        console.print(f"look at this: {warning}", style="yellow", markup=False, soft_wrap=True)
