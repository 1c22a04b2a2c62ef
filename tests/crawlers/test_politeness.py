"""The time between requests, as the site sees it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from crawling import crawl_well
from petdata.demo.servers.local_server import Request, Response
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import plain_config

DELAY_S = 0.5
EARLY_S = 0.1  # by which a request may seem early because the one before it arrived late
CRAWL_DELAY = Response(
    body=f"User-agent: *\nCrawl-delay: {DELAY_S}\n".encode(), content_type="text/plain"
)


def waits(home: Path, *options: str) -> list[float]:
    """Seconds before each request after robots.txt: to the site's one host, so each counts."""
    arrivals: list[tuple[float, str]] = []

    def arrive(request: Request) -> None:
        arrivals.append((time.monotonic(), request.path))

    with Site(plain_config(30, seed=3, photo_pool=24)) as site:
        site.server.override("/robots.txt", CRAWL_DELAY)
        site.server.before_request = arrive
        crawl_well(home, site.url, "--max-listings", "2", *options)
    assert arrivals[0][1] == "/robots.txt"
    seconds = [after - before for (before, _), (after, _) in pairwise(arrivals)]
    assert len(seconds) >= 7  # the catalogue, two listings, four photos
    return seconds


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("CONCURRENT_REQUESTS_PER_DOMAIN=4",), id="four at a time"),
        pytest.param(
            (
                "CONCURRENT_REQUESTS_PER_DOMAIN=1",
                "AUTOTHROTTLE_ENABLED=1",
                "AUTOTHROTTLE_START_DELAY=0.01",
            ),
            id="autothrottle",
        ),
        # Half of all waits would be near 0.
        pytest.param((f"DOWNLOAD_DELAY={DELAY_S}", "DOWNLOAD_DELAY_JITTER=3"), id="jitter"),
    ],
)
def test_crawl_delay_of_robots_txt_is_kept(tmp_path: Path, settings: tuple[str, ...]) -> None:
    options = [option for setting in settings for option in ("-s", setting)]
    assert min(waits(tmp_path / "home", *options)) >= DELAY_S - EARLY_S
