"""The pages as the real parser reads them, against the truth."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from crawlers.pages.pet911 import parse_catalog, parse_listing_with_notes
from crawlers.pages.pet911_urls import city_slug
from petdata.demo.servers.advert_texts import CITIES
from petdata.demo.servers.adverts import Advert, draw_advert
from petdata.demo.servers.site_config import SiteConfig
from petdata.demo.servers.site_pages import (
    CatalogView,
    catalog_page,
    listing_page,
    similar_section,
)

BASE = "http://127.0.0.1:8000"
VOID = {"meta", "link", "img", "input", "br"}
ADVERTS = [draw_advert(SiteConfig(seed=21, listings=120), index) for index in range(120)]


class Balance(HTMLParser):
    """Collects tags that are not closed in the order in which they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def render(advert: Advert) -> str:
    return listing_page(advert, BASE, similar_section(ADVERTS[:8], BASE))


def test_every_field_is_read_as_it_is_true() -> None:
    for advert in ADVERTS:
        parsed = parse_listing_with_notes(render(advert), BASE + advert.path)
        listing = parsed.listing
        assert parsed.disagreements == ()
        assert parsed.no_index == advert.noindex
        assert listing.source_id == advert.source_id
        assert listing.species is advert.species
        assert listing.status is advert.status
        assert listing.closed == (advert.closed is not None)
        assert listing.photo_urls == tuple(BASE + photo.path for photo in advert.photos)
        assert listing.sex is advert.sex
        assert listing.breed == advert.breed
        assert listing.city == (advert.city.slug if advert.city else None)
        assert (listing.posted_on, listing.event_on) == (advert.posted_on, advert.event_on)
        assert listing.latitude == pytest.approx(advert.latitude, abs=0.0501)
        assert listing.longitude == pytest.approx(advert.longitude, abs=0.0501)


def test_tags_are_balanced() -> None:
    view = CatalogView("/catalog?a=1&b=2", 2, 7, 140, 20)
    pages = [render(advert) for advert in ADVERTS[:20]]
    pages.append(catalog_page([(advert, False) for advert in ADVERTS[:20]], view, BASE))
    for page in pages:
        balance = Balance()
        balance.feed(page)
        assert (balance.open, balance.wrong) == ([], [])


def test_a_catalogue_page_names_its_listings_and_the_next_page() -> None:
    view = CatalogView("/catalog?PetsSearch%5Banimal%5D=2", 3, 7, 140, 20)
    shown = [(advert, advert.index < 4) for advert in ADVERTS[:20]]
    url = f"{BASE}/catalog?PetsSearch%5Banimal%5D=2&page=3"
    page = parse_catalog(catalog_page(shown, view, BASE), url)
    assert [link.source_id for link in page.listings] == [a.source_id for a, _ in shown]
    assert [link.promoted for link in page.listings] == [promoted for _, promoted in shown]
    assert page.next_url == f"{BASE}/catalog?PetsSearch%5Banimal%5D=2&page=4"
    assert page.total == 140


def test_cities_are_spelt_as_the_site_spells_them() -> None:
    assert [city_slug(city.name) for city in CITIES] == [city.slug for city in CITIES]
