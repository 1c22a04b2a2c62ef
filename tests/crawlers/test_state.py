from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crawlers.options import CrawlOptions
from crawlers.pages.pet911_readings import Strategy
from crawlers.state import CrawlState, MarkupWatch, warnings
from petdata.errors import MarkupChanged
from petdata.listing import Listing
from petdata.records import Species
from petdata.workspace import Workspace
from test_intake import make_listing

GOOD = make_listing()


@pytest.mark.parametrize(
    ("listing", "photos_from", "name"),
    [
        (replace(GOOD, photos=()), None, "photos"),
        (GOOD, Strategy.META, "photos"),  # one picture for social networks, no gallery
        (replace(GOOD, species=Species.UNKNOWN), Strategy.MARKUP, "species"),
        (replace(GOOD, posted_on=None, event_on=None), Strategy.MARKUP, "date"),
    ],
)
def test_pages_that_all_lack_the_same_are_noticed(
    listing: Listing, photos_from: Strategy | None, name: str
) -> None:
    watch = MarkupWatch()
    for _ in range(39):
        watch.saw(listing, photos_from)
    with pytest.raises(MarkupChanged, match=f"have no {name}"):
        watch.saw(listing, photos_from)


def test_markup_that_changes_after_many_good_pages_is_noticed_soon() -> None:
    watch = MarkupWatch()
    for _ in range(5_000):
        watch.saw(GOOD, Strategy.MARKUP)
    for _ in range(30):
        watch.saw(GOOD, None)
    with pytest.raises(MarkupChanged):  # 31: the first count above 30 % of the last 100
        watch.saw(GOOD, None)


def test_the_usual_share_without_photos_is_no_alarm() -> None:
    watch = MarkupWatch()
    for page in range(2_000):
        watch.saw(GOOD, None if page % 10 == 0 else Strategy.MARKUP)


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
