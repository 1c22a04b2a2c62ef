"""Crawl-delay of robots.txt, which Scrapy reads but does not apply."""

from __future__ import annotations

from typing import Any, Final, Self
from urllib.parse import urlsplit

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.robotstxt import RobotParser

MAX_CRAWL_DELAY_S: Final = 120.0  # a longer one is taken as this


class CrawlDelay:
    """Holds the delay of a host's download slot at or above what its robots.txt asks for."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.agent = crawler.settings["ROBOTSTXT_USER_AGENT"] or crawler.settings["USER_AGENT"]
        self.asked: dict[str, float] = {}  # slot -> seconds
        crawler.signals.connect(self.robots_parsed, signals.robots_parsed)
        # After every response, because autothrottle lowers delays then and unused slots are
        # forgotten.
        crawler.signals.connect(self.response_downloaded, signals.response_downloaded)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def robots_parsed(self, robotparser: RobotParser, request: Request, **_: Any) -> None:
        asked = robotparser.crawl_delay(self.agent)
        if asked:
            self.asked[urlsplit(request.url).hostname or ""] = min(asked, MAX_CRAWL_DELAY_S)
            self._apply()

    def response_downloaded(self, **_: Any) -> None:
        self._apply()

    def _apply(self) -> None:
        for name, seconds in self.asked.items():
            slot = self.crawler.engine.downloader.slots.get(name)
            if slot is not None:
                slot.delay = max(slot.delay, seconds)
                slot.jitter = 0.0
