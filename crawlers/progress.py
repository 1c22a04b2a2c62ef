"""The progress line while a crawl runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self, cast

from scrapy import Spider, signals
from scrapy.crawler import Crawler

from crawlers.report import StderrConsole, commonest_reasons, show_progress
from crawlers.state import CrawlState


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
        await show_progress(self.console, lambda: progress_line(state))


def progress_line(state: CrawlState) -> str:
    counts = state.intake.counts if state.opened_intake is not None else {}
    read = state.counts["listing"]
    seconds = max(time.monotonic() - state.started, 0.001)
    parts = [
        f"{read:,} listings read, {counts.get('listing/kept', 0):,} kept",
        f"{counts.get('photo/stored', 0):,} photos, {counts.get('bytes', 0) / 1e6:,.1f} MB",
    ]
    if dropped := commonest_reasons(counts):
        parts.append("dropped: " + ", ".join(f"{name} {n:,}" for name, n in dropped))
    parts.append(f"{read / seconds:.2f} listings/s")
    if eta := _eta(state, read, seconds):
        parts.append(f"about {eta} left")
    return " | ".join(parts)


def _eta(state: CrawlState, read: int, seconds: float) -> str | None:
    """Known only where a number of listings was asked for."""
    goal = state.options.max_listings
    if goal is None or read == 0 or read >= goal:
        return None
    left = int((goal - read) * seconds / read)
    return f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
