from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crawlers.options import CrawlOptions
from crawlers.state import CrawlState, MarkupWatch, warnings
from petdata.errors import MarkupChanged
from petdata.listing import Listing
from petdata.records import Species
from petdata.workspace import Workspace
from test_intake import make_listing

GOOD = make_listing()


@pytest.mark.parametrize(
    ("lacking", "name"),
    [
        (replace(GOOD, photos=()), "photos"),
        (replace(GOOD, species=Species.UNKNOWN), "species"),
        (replace(GOOD, posted_on=None, event_on=None), "date"),
    ],
)
def test_a_page_that_always_lacks_the_same_is_noticed(lacking: Listing, name: str) -> None:
    watch = MarkupWatch()
    for _ in range(39):
        watch.saw(lacking)
    with pytest.raises(MarkupChanged, match=f"have no {name}"):
        watch.saw(lacking)


def test_markup_that_changes_after_many_good_pages_is_noticed_soon() -> None:
    watch = MarkupWatch()
    for _ in range(5_000):
        watch.saw(GOOD)
    bare = replace(GOOD, photos=())
    for _ in range(30):
        watch.saw(bare)
    with pytest.raises(MarkupChanged):  # 31: the first count above 30 % of the last 100
        watch.saw(bare)


def test_the_usual_share_without_photos_is_no_alarm() -> None:
    watch = MarkupWatch()
    for page in range(2_000):
        watch.saw(replace(GOOD, photos=()) if page % 10 == 0 else GOOD)


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
