from __future__ import annotations

import pytest

from crawlers.options import CrawlOptions, parse_options
from crawlers.spiders.pet911 import previous_page
from petdata.errors import PetdataError
from petdata.records import Species


def test_arguments_become_options() -> None:
    options = parse_options(
        {
            "species": "cat, bird",
            "city": "moskva",
            "min_photos": "1",
            "max_photos": "3",
            "max_listings": "10",
            "known_stop": "0",
            "recheck": "0.5",
            "base_url": "http://127.0.0.1:8000/",
        }
    )
    assert options == CrawlOptions(
        species=frozenset({Species.CAT, Species.BIRD}),
        city="moskva",
        min_photos=1,
        max_photos=3,
        max_listings=10,
        known_stop=0,
        recheck=0.5,
        base_url="http://127.0.0.1:8000",
    )


def test_empty_arguments_mean_the_defaults() -> None:
    assert parse_options({"city": "", "recheck": " "}) == CrawlOptions()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specis", "cat"),
        ("species", "cat,unicorn"),
        ("species", ","),
        ("city", "Москва"),
        ("min_photos", "two"),
        ("min_photos", "9"),
        ("max_photos", "0"),
        ("max_listings", "0"),
        ("known_stop", "-1"),
        ("recheck", "-1"),
        ("recheck", "nan"),
        ("base_url", "ftp://pet911.ru"),
        ("base_url", "pet911.ru"),
        ("base_url", "https://pet911.ru:port"),
        ("base_url", "https://[::1"),
    ],
)
def test_a_wrong_argument_is_named(name: str, value: str) -> None:
    with pytest.raises(PetdataError, match=name):
        parse_options({name: value})


@pytest.mark.parametrize(
    ("base_url", "excess"),
    [
        ("https://pet911.ru/catalog", "path"),
        ("https://pet911.ru//", "path"),
        ("https://pet911.ru?page=2", "query"),
        ("https://pet911.ru?", "query"),
        ("https://pet911.ru#top", "fragment"),
        ("https://me:secret@pet911.ru", "userinfo"),
        ("http://pet911.ru@evil.example", "userinfo"),
    ],
)
def test_a_base_url_is_a_host_alone(base_url: str, excess: str) -> None:
    with pytest.raises(PetdataError, match=f"base_url has a {excess}") as caught:
        CrawlOptions(base_url=base_url)
    assert "secret" not in str(caught.value)


def test_a_slash_at_the_end_of_a_base_url_is_no_path() -> None:
    assert parse_options({"base_url": "https://pet911.ru/"}) == CrawlOptions()


@pytest.mark.parametrize(
    ("base_url", "loopback", "hosts"),
    [
        ("https://pet911.ru", False, {"pet911.ru", "www.pet911.ru", "cdn.pet911.ru"}),
        ("https://www.pet911.ru", False, {"pet911.ru", "www.pet911.ru", "cdn.pet911.ru"}),
        ("https://WWW.Pet911.ru:8", False, {"pet911.ru:8", "www.pet911.ru:8", "cdn.pet911.ru:8"}),
        ("http://127.0.0.1:8000", True, {"127.0.0.1:8000"}),
        ("http://[::1]:8000", True, {"[::1]:8000"}),
        ("http://localhost:1", True, {"localhost:1"}),
        ("http://127.0.0.1.example.org", False, None),
    ],
)
def test_only_loopback_is_impolite_and_hosts_are_few(
    base_url: str, loopback: bool, hosts: set[str] | None
) -> None:
    options = CrawlOptions(base_url=base_url)
    assert options.is_loopback == loopback
    if hosts is not None:
        assert options.allowed_hosts == hosts


def test_walks_of_different_scope_are_different() -> None:
    scopes = {
        CrawlOptions().scope,
        CrawlOptions(species=frozenset({Species.CAT})).scope,
        CrawlOptions(city="moskva").scope,
        CrawlOptions(base_url="http://127.0.0.1:1").scope,
    }
    assert len(scopes) == 4
    assert CrawlOptions(max_listings=3, recheck=1.0).scope == CrawlOptions().scope


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x/catalog", None),
        ("https://x/catalog/page-2", "https://x/catalog"),
        ("https://x/catalog/page-31", "https://x/catalog/page-30"),
        ("https://x/catalog?PetsSearch%5Banimal%5D=2&page=10", "https://x/catalog?PetsSearch%5Banimal%5D=2&page=9"),
        ("https://x/catalog?page=3&x=1", "https://x/catalog?page=2&x=1"),
    ],
)  # fmt: skip
def test_the_page_before(url: str, expected: str | None) -> None:
    assert previous_page(url, "https://x/catalog") == expected
