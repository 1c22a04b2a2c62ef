from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scrapy.exceptions import CloseSpider

from crawlers.options import CrawlOptions
from crawlers.pages.pet911 import ParsedListing
from crawlers.pages.pet911_readings import Strategy
from crawlers.state import CrawlState, MarkupWatch, warnings
from petdata.errors import MarkupChanged, TryLater
from petdata.listing import Listing
from petdata.records import Species
from petdata.workspace import Workspace
from test_intake import make_listing

GOOD = make_listing()
URL = GOOD.url


def page(listing: Listing = GOOD, photos_from: Strategy | None = Strategy.MARKUP) -> ParsedListing:
    return ParsedListing(
        listing=listing,
        no_index=False,
        strategies={"photo_urls": photos_from} if photos_from is not None else {},
        disagreements=(),
        scrubbed={},
    )


@pytest.mark.parametrize(
    ("parsed", "name"),
    [
        (page(replace(GOOD, photos=()), None), "photos"),
        (page(photos_from=Strategy.META), "photos"),  # one picture for social networks, no gallery
        (page(replace(GOOD, species=Species.UNKNOWN)), "species"),
        (page(replace(GOOD, posted_on=None, event_on=None)), "date"),
        (None, "photos"),  # nothing understood at all
    ],
)
def test_pages_that_all_lack_the_same_are_noticed(parsed: ParsedListing | None, name: str) -> None:
    watch = MarkupWatch()
    for _ in range(39):
        watch.saw(parsed, URL)
    with pytest.raises(MarkupChanged, match=f"have no {name}"):
        watch.saw(parsed, URL)


def test_markup_that_changes_after_many_good_pages_is_noticed_soon() -> None:
    watch = MarkupWatch()
    for _ in range(5_000):
        watch.saw(page(), URL)
    for _ in range(30):
        watch.saw(page(photos_from=None), URL)
    with pytest.raises(MarkupChanged):  # 31: the first count above 30 % of the last 100
        watch.saw(page(photos_from=None), URL)


def test_the_usual_share_without_photos_is_no_alarm() -> None:
    watch = MarkupWatch()
    for number in range(2_000):
        watch.saw(page(photos_from=None) if number % 10 == 0 else page(), URL)


def test_a_site_that_refuses_everything_is_left_alone(tmp_path: Path) -> None:
    crawl = state(tmp_path)
    for _ in range(3):
        for _ in range(19):
            crawl.answered(403)
        crawl.answered(200)
    for _ in range(19):
        crawl.answered(429)
    with pytest.raises(CloseSpider):
        crawl.answered(429)
    assert isinstance(crawl.failure, TryLater)
    assert crawl.failure.exit_code == 75


def state(tmp_path: Path, **values: object) -> CrawlState:
    return CrawlState(
        options=CrawlOptions(), workspace=Workspace(root=tmp_path), command="", **values  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_catalogue_that_shows_less_than_it_says_is_worth_a_warning(tmp_path: Path) -> None:
    assert warnings(state(tmp_path, catalogue_total=1_000, walked=985)) == []
    [warning] = warnings(state(tmp_path, catalogue_total=1_000, walked=400))
    assert "400" in warning
    assert "1,000" in warning
    assert warnings(state(tmp_path, catalogue_total=1_000)) == []  # an incremental walk


def test_one_city_only_is_worth_a_warning(tmp_path: Path) -> None:
    crawl = state(tmp_path)
    crawl.cities.update({"moskva": 95, "omsk": 4})
    assert warnings(crawl) == []  # too few to say
    crawl.cities.update({"moskva": 95})
    [warning] = warnings(crawl)
    assert "190 of 194 listings are from moskva" in warning
