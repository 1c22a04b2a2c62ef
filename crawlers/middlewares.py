"""Which requests may leave at all."""

from __future__ import annotations

from typing import Final, Self
from urllib.parse import unquote, urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest

FORBIDDEN: Final = "show-phone"  # anywhere in a path or query: reveals a person's phone


class RequestNotAllowed(IgnoreRequest):
    """A foreign host, or an address that petdata never requests."""


class AllowedRequestsMiddleware:
    """Refuse requests, redirected ones too, to other hosts than the spider's `allowed_hosts`.

    Scrapy's own offsite middleware drops a redirected request without calling its errback; then
    nobody would record what became of the photo.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https"):
            raise RequestNotAllowed(f"{parts.scheme}: addresses are not fetched")
        allowed: frozenset[str] = getattr(self.crawler.spider, "allowed_hosts", frozenset())
        if allowed and parts.netloc.lower() not in allowed:
            raise RequestNotAllowed(f"{parts.netloc} is a foreign host")
        if FORBIDDEN in _plain(f"{parts.path}?{parts.query}"):
            raise RequestNotAllowed(f"{FORBIDDEN} is never requested")


def _plain(text: str) -> str:
    """Without percent escapes, however often escaped, and without upper case."""
    while (unquoted := unquote(text)) != text:
        text = unquoted
    return text.casefold()
