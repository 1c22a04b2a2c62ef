"""Which requests leave: on hand-written addresses, and in a crawl that is redirected to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from scrapy import Request, Spider
from scrapy.crawler import Crawler

from crawlers.middlewares import AllowedRequestsMiddleware, RequestNotAllowed
from crawling import collected, crawl_well
from petdata.demo.servers.local_server import redirect_to
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import plain_config

PHONE_PATHS = (
    "/pet/show-phone/1",
    "/pet/show-phone",
    "/pet/%73how-phone/1",
    "/pet/show%2Dphone/1",
    "/pet/%2573how-phone/1",  # encoded twice
    "/pet/%252573how-phone/1",  # three times
    "//pet/show-phone/1",
    "/a/../pet/show-phone/1",
    "/a/%2e%2e/pet/show-phone/1",
    "/Pet/Show-Phone/1",
    "/pet/%53HOW-PHONE/1",
    "/index.php/pet/show-phone/1",
    "/index.php?r=pet/show-phone&id=1",  # how Yii spells it without pretty addresses
    "/?r=pet%2F%73how-phone",
)


def middleware() -> AllowedRequestsMiddleware:
    crawler = Crawler(Spider)
    crawler.spider = Spider("hosts", allowed_hosts=frozenset({"pet911.ru", "cdn.pet911.ru"}))
    return AllowedRequestsMiddleware(crawler)


@pytest.mark.parametrize("path", PHONE_PATHS)
def test_a_phone_is_never_asked_for_however_it_is_spelled(path: str) -> None:
    with pytest.raises(RequestNotAllowed, match="never requested"):
        middleware().process_request(Request(f"https://pet911.ru{path}"))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/rl1234567",
        "https://pet911.ru.evil.example/",
        "https://evilpet911.ru/",
        "https://sub.pet911.ru/",
        "https://pet911.ru:8443/",
        "http://pet911.ru:22/",
        "http://127.0.0.1/",
        "http://pet911.ru@evil/",
        "http://pet911.ru:80@evil/",
        "http://evil@pet911.ru/",
        "http://pet911.ru%2f@evil/",
        "http://evil\\@pet911.ru/",
        "ftp://pet911.ru/",
        "file:///etc/passwd",
        "data:text/html,pet911.ru",
        "s3://pet911.ru/",
    ],
)
def test_a_foreign_address_is_refused(url: str) -> None:
    with pytest.raises(RequestNotAllowed):
        middleware().process_request(Request(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://pet911.ru/catalog/page-2?PetsSearch%5Banimal%5D=2",
        "http://PET911.ru/moskva/lost/cat/rl1234567",
        "https://cdn.pet911.ru/Pet_1234567890abcdef_a%20b.webp",
        "https://pet911.ru/robots.txt",
    ],
)
def test_what_a_crawl_needs_may_leave(url: str) -> None:
    middleware().process_request(Request(url))


def test_a_redirect_opens_no_door(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        Site(plain_config(40, seed=3, photo_pool=24)) as site,
        Site(plain_config(10, photo_pool=24)) as foreign,
    ):
        targets = [f"{site.url}{path}" for path in PHONE_PATHS]
        targets += [f"{foreign.url}/catalog", "http://127.0.0.1@localhost/", "file:///etc/passwd"]
        adverts = [advert for advert in site.truths() if len(advert.photos) >= 2]
        redirected = adverts[: len(targets)]
        for advert, target in zip(redirected, targets, strict=True):
            site.server.override(advert.path, redirect_to(target))
            site.server.override(advert.photos[0].path, redirect_to(target))
        crawl_well(home, site.url)
        asked = [request.target for request in site.server.requests]
        assert any(advert.path in asked for advert in redirected)
        assert {request.kind for request in site.server.requests} == {
            "robots", "catalogue", "listing", "photo", "other"
        }  # fmt: skip
        assert [target for target in asked if "phone" in target.casefold()] == []
        assert foreign.server.requests == ()
    assert collected(home).keys().isdisjoint(advert.source_id for advert in redirected)
