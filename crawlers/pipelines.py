"""Scrapy's end of petdata.intake: fetched photos go in, what came of them comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, cast

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DropItem

from crawlers.report import report_json
from crawlers.state import CrawlState, crawl_report
from petdata.errors import PetdataError, RejectedPhoto
from petdata.intake import Intake, IntakeConfig
from petdata.ledger_tables import PhotoKey


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedPhoto:
    """The item that a spider yields for a photo: which one it is, and what the site answered."""

    key: PhotoKey
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptPhoto:
    """The item that leaves the pipeline: the bytes are in the intake."""

    source_id: str
    position: int
    sha256: str
    width: int
    height: int


class IntakePipeline:
    """Opens the intake for the run and closes it, whatever happened, when the spider closes."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.threads = ThreadPoolExecutor(1, thread_name_prefix="examine")
        self.unexpected = 0  # exceptions that nobody expected: Scrapy only logs them
        crawler.signals.connect(self.spider_closed, signals.spider_closed)
        crawler.signals.connect(self.count_unexpected, signals.spider_error)
        crawler.signals.connect(self.count_unexpected, signals.item_error)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    @property
    def state(self) -> CrawlState:
        return cast(CrawlState, cast(Any, self.crawler.spider).crawl_state)

    def open_spider(self) -> None:
        spider = cast(Spider, self.crawler.spider)
        options = self.state.options
        config = IntakeConfig(
            min_photos=options.min_photos,
            max_photos=options.max_photos,
            shard_bytes=self.crawler.settings.getint("PETDATA_SHARD_BYTES"),
        )
        try:
            self.state.opened_intake = Intake(
                self.state.workspace, spider.name, config, command=self.state.command
            )
        except PetdataError as error:
            raise self.state.fail(error) from error

    async def process_item(self, item: Any) -> Any:
        if not isinstance(item, FetchedPhoto):
            return item
        intake, key = self.state.intake, item.key
        loop = asyncio.get_running_loop()
        try:
            canonical = await loop.run_in_executor(self.threads, intake.examine, item.body)
        except RejectedPhoto as rejected:
            with self._storage():
                intake.drop_photo(key, rejected.reason, rejected.detail)
            raise DropItem(f"{key.source_id}: {rejected}", log_level="DEBUG") from rejected
        with self._storage():
            intake.keep_photo(key, canonical)
        return KeptPhoto(
            source_id=key.source_id,
            position=key.position,
            sha256=canonical.sha256,
            width=canonical.width,
            height=canonical.height,
        )

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """As `CrawlState.storage`; a pipeline cannot raise CloseSpider, so it asks the engine."""
        try:
            with self.state.storage():
                yield
        except CloseSpider as stop:
            closing = self.crawler.engine.close_spider_async(reason=stop.reason)
            self.closing = asyncio.ensure_future(closing)
            raise DropItem(stop.reason, log_level="DEBUG") from stop

    def count_unexpected(self) -> None:
        self.unexpected += 1

    def spider_closed(self, spider: Spider, reason: str) -> None:
        self.threads.shutdown()
        state = self.state
        if self.unexpected:
            log = self.crawler.settings["LOG_FILE"] or "the log"
            state.fail(PetdataError(f"{self.unexpected} unexpected errors, see {log}"))
        outcome = type(state.failure).__name__ if state.failure is not None else reason
        stats = self.crawler.stats.get_stats()
        if state.opened_intake is not None:
            report = crawl_report(state, outcome, stats)
            try:
                state.intake.close(outcome, report_json(report))
            except PetdataError as error:
                state.fail(error)
                outcome = type(error).__name__
        state.report = crawl_report(state, outcome, stats)
