"""Synthetic pages of every known markup; the real ones are in test_pet911_real.py."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crawlers.pages.pet911 import (
    CatalogPage,
    ListingLink,
    parse_catalog,
    parse_listing,
    parse_listing_with_notes,
)
from petdata.listing import Listing, PhotoRef
from petdata.records import Sex, Species, Status

PAGES = Path(__file__).parent / "pages"
LISTING_2024 = (PAGES / "listing_2024.html").read_text(encoding="utf-8")
URL_2024 = "https://pet911.ru/moskva/lost/cat/rl900024"


def _photos(*urls: str) -> tuple[PhotoRef, ...]:
    return tuple(PhotoRef(position=n, address=url) for n, url in enumerate(urls))


def test_listing_of_2021() -> None:
    url = "https://pet911.ru/Нижний-Новгород/найдена/собака/rf400001"
    parsed = parse_listing_with_notes((PAGES / "listing_2021.html").read_text("utf-8"), url)
    assert parsed.listing == Listing(
        source="pet911",
        source_id="rf400001",
        url=url,
        status=Status.FOUND,
        closed=False,
        species=Species.DOG,
        photos=_photos(
            "https://pet911.ru/upload/Pet_160000000100000000000000.00000001.jpeg",
            "https://pet911.ru/upload/Pet_160000000200000000000000.00000002.jpeg",
        ),
        title="Найдена собака, Нижний Новгород",
        description="Рыжий кобель в ошейнике, ждёт хозяев на [address].\n"
        "Спросить [name]. Тел. [phone]",
        sex=Sex.MALE,
        city="nizhny-novgorod",
        latitude=56.3,
        longitude=44.0,
        posted_on=date(2021, 10, 22),
        event_on=date(2021, 8, 12),
    )
    assert parsed.disagreements == ()


def test_listing_of_2024() -> None:
    parsed = parse_listing_with_notes(LISTING_2024, URL_2024)
    assert parsed.listing == Listing(
        source="pet911",
        source_id="rl900024",
        url=URL_2024,
        status=Status.LOST,
        closed=False,
        species=Species.CAT,
        photos=_photos(
            "https://cdn.pet911.ru/Pet_170000000100000000000000.00000001.webp",
            "https://cdn.pet911.ru/170000000200000000000000.00000002_IMG20240101.webp",
            "https://pet911.ru/upload/d2/2024_01/170000000300000000000000.00000003_WhatsApp.jpeg",
        ),
        title="Пропала кошка Пуговка, [address], тел. [phone]",
        description='Серая кошка "Пуговка", глаза жёлтые.\n'
        "Живём на [address]. Звоните [name]: [phone]",
        breed="Британская короткошерстная кошка",
        sex=Sex.FEMALE,
        city="moskva",
        latitude=55.8,
        longitude=37.6,
        posted_on=date(2024, 1, 13),
        event_on=date(2024, 1, 11),
        attributes={"city_name": "Москва"},
    )
    assert parsed.disagreements == ()
    assert parsed.scrubbed == {"address": 2, "name": 1, "phone": 2}
    assert parsed.strategies["species"] == "json_ld"
    assert parsed.strategies["photo_urls"] == "markup"
    assert parsed.strategies["position"] == "script"


def test_listing_of_late_2025() -> None:
    """`card card-print`, no links around the photos, no JSON-LD, no og: tags, no city, no map."""
    url = "https://pet911.ru/found/bird/rf1099925"
    parsed = parse_listing_with_notes((PAGES / "listing_2025.html").read_text("utf-8"), url)
    assert parsed.listing == Listing(
        source="pet911",
        source_id="rf1099925",
        url=url,
        status=Status.FOUND,
        closed=True,
        species=Species.BIRD,
        photos=_photos(
            "https://cdn.pet911.ru/176000000100000000000000.00000001_a.webp",
            "https://cdn.pet911.ru/176000000200000000000000.00000002_b.webp",
        ),
        title="Найдена птица",
        description="Волнистый попугай, зелёный.\nСидел на балконе.",
        posted_on=date(2025, 10, 23),
        event_on=date(2025, 10, 22),
        attributes={"closed_reason": "reunited"},
    )


@pytest.mark.parametrize(
    ("notice", "reason"),
    [
        ("Питомец нашелся.", "reunited"),
        ("питомец нашёлся.", "reunited"),
        ("Питомец найден", "reunited"),
        ("Животное найдено", "reunited"),
        ("Хозяин нашелся.", "reunited"),
        ("Хозяин найден", "reunited"),
        ("Питомцу найден новый дом.", "rehomed"),
        ("Объявление на проверке", None),
        ("Питомец ждёт хозяина", None),
    ],
)
def test_the_notice_closes_the_search_and_leaves_the_status(
    notice: str, reason: str | None
) -> None:
    html = LISTING_2024.replace(
        '<div class="card">',
        f'<div class="card-notice__title">\n{notice}\n</div><div class="card">',
    )
    listing = parse_listing(html, URL_2024)
    assert listing.status is Status.LOST
    assert listing.closed is (reason is not None)
    assert listing.attributes.get("closed_reason") == reason


def test_an_address_gone_stale_is_outvoted_and_noted() -> None:
    parsed = parse_listing_with_notes(LISTING_2024, "https://pet911.ru/tver/lost/dog/rl900024")
    assert parsed.listing.species is Species.CAT
    assert parsed.listing.city == "moskva"
    assert parsed.disagreements == ("species:json_ld!=url", "city:meta!=url")


def test_the_number_on_the_page_is_enough() -> None:
    listing = parse_listing(LISTING_2024, "https://pet911.ru/redirected")
    assert listing.source_id == "rl900024"


def test_the_fragment_of_an_address_is_dropped() -> None:
    assert parse_listing(LISTING_2024, URL_2024 + "#photo-2").url == URL_2024


@pytest.mark.parametrize(
    ("crumbs", "species", "city", "city_name"),
    [
        ("Тверь|/catalog/naydennye-sobaki-tver Собаки|/found-dogs Кошка|", "dog", "tver", "Тверь"),
        (
            "Тверь|https://xhttps://x/catalog/propavshie-koshki-tver Кошка|",
            "unknown",
            "tver",
            "Тверь",
        ),
        ("Сиамская|/catalog/propavshie-koshki-porodi-siamskaya Кошка|", "unknown", None, None),
        ("Пропавшие|/lost-pets Птицы|/lost-birds Кошка|", "bird", None, None),
        ("Кошка|", "unknown", None, None),
        ("", "unknown", None, None),
    ],
)
def test_breadcrumbs_alone(
    crumbs: str, species: str, city: str | None, city_name: str | None
) -> None:
    """The last one is the author's title, whatever it says."""
    links = (crumb.partition("|") for crumb in crumbs.split())
    html = "".join(
        f'<a class="breadcrumbs__item" href="{href}">{name}</a>' for name, _, href in links
    )
    listing = parse_listing(html, "https://pet911.ru/rl900001")
    assert (listing.species, listing.city) == (species, city)
    assert listing.attributes.get("city_name") == city_name


@pytest.mark.parametrize(
    ("directives", "refused"),
    [("noai", True), ("NOIMAGEAI, follow", True), ("index, follow", False), ("none", True)],
)
def test_robots_meta(directives: str, refused: bool) -> None:
    html = LISTING_2024.replace("<head>", f'<head><meta name="Robots" content="{directives}">')
    assert parse_listing_with_notes(html, URL_2024).no_index is refused


def test_bare_tells_an_unknown_page_from_a_listing_without_photos() -> None:
    without_photos = LISTING_2024.replace("swiper-slide", "").replace("js-card-slide", "")
    assert not parse_listing_with_notes(without_photos, URL_2024).bare
    assert parse_listing_with_notes("<h1>Ведутся работы</h1>", URL_2024).bare


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("Найдены 2 собаки", True),
        ("Пропали две чёрные кошки, Москва", True),
        ("Трое щенят у дороги", True),
        ("Найдено 3 домашних кота", True),
        ("Пропала собака 2 года", None),
        ("Пропал кот, 3 года, кастрирован", None),
        ("Найдена собака в 2 км от города", None),
        ("Дома ждут ещё 2 кошки", None),
        ("Нашли 2 которых искали", None),
    ],
)
def test_several_animals(text: str, several: bool | None) -> None:
    start = LISTING_2024.index("<h1>") + 4
    html = LISTING_2024[:start] + text + LISTING_2024[LISTING_2024.index("</h1>") :]
    assert parse_listing(html, URL_2024).multi_animal is several


def test_catalogue_of_2021() -> None:
    """Premium cards, links of Cyrillic letters, Yii's own pagination with « and »."""
    catalog = parse_catalog(
        (PAGES / "catalog_2021.html").read_text("utf-8"),
        "https://pet911.ru/catalog?PetsSearch%5Banimal%5D=2&page=3",
    )
    assert [(link.source_id, link.promoted) for link in catalog.listings] == [
        ("rl400011", True),
        ("rf400012", False),
    ]
    assert catalog.next_url == "https://pet911.ru/catalog?PetsSearch%5Banimal%5D=2&page=4"
    assert catalog.total is None


def test_catalogue_of_late_2025() -> None:
    catalog = parse_catalog(
        (PAGES / "catalog_2025.html").read_text("utf-8"),
        "https://pet911.ru/catalog?PetsSearch[animal]=2&page=2",
    )
    site = "https://pet911.ru"
    assert catalog == CatalogPage(
        listings=(
            ListingLink(
                source_id="rl1099901", url=f"{site}/moskva/lost/cat/rl1099901", promoted=True
            ),
            ListingLink(source_id="rf1099902", url=f"{site}/found/dog/rf1099902", promoted=True),
            ListingLink(
                source_id="rf1099903", url=f"{site}/khimki/found/cat/rf1099903", promoted=False
            ),
        ),
        next_url=f"{site}/catalog?PetsSearch%5Banimal%5D=2&page=3",
        total=41,
    )


def _pagination(*links: str, active: int | None = None) -> str:
    marked = f'<span class="pagination__item pagination__active">{active}</span>' if active else ""
    hrefs = "".join(f'<a class="pagination__item" href="{link}">x</a>' for link in links)
    return f'<div class="pagination">{marked}{hrefs}</div>'


@pytest.mark.parametrize(
    ("url", "html", "next_url"),
    [
        (
            "/catalog",
            _pagination("/catalog/page-2", "/catalog/page-9", active=1),
            "/catalog/page-2",
        ),
        ("/catalog/page-2", _pagination("/catalog", "/catalog/page-3"), "/catalog/page-3"),
        ("/catalog/page-9", _pagination("/catalog", "/catalog/page-8", active=9), None),
        ("/catalog?page=2", _pagination("/catalog?page=3"), "/catalog?page=3"),
        ("/catalog?a=1&page=2", _pagination("/catalog?a=1&amp;page=3"), "/catalog?a=1&page=3"),
        # no page but itself, pages before, the last page of all
        ("/catalog/page-2", _pagination("/catalog/page-2", active=2), None),
        ("/catalog", _pagination("/catalog", "/catalog/page-1", active=1), None),
        ("/catalog", _pagination("/catalog/page-9", active=1), None),
        # beyond the end the site shows the first page: no step back
        ("/catalog/page-50", _pagination("/catalog/page-2", active=1), None),
        # the address without a number shows the third page
        (
            "/catalog",
            _pagination("/catalog/page-2", "/catalog/page-4", active=3),
            "/catalog/page-4",
        ),
        ("/catalog", _pagination("https://evil.example/catalog/page-2"), None),
        ("/catalog", _pagination("javascript:go(2)", "mailto:page-2", "//[::1/page-2"), None),
        ("/catalog", '<a href="/catalog/page-2">not pagination</a>', None),
        (
            "/catalog",
            '<li class="active">7</li>' + _pagination("/catalog/page-2"),
            "/catalog/page-2",
        ),
        ("/catalog", "", None),
    ],
)
def test_next_page(url: str, html: str, next_url: str | None) -> None:
    site = "http://127.0.0.1:8000"
    expected = site + next_url if next_url else None
    assert parse_catalog(html, site + url).next_url == expected


def test_a_walk_over_any_links_ends() -> None:
    """Every page links to every page; each step goes forward, so the walk visits each once."""
    html = _pagination(*(f"/catalog/page-{number}" for number in range(1, 30)))
    url: str | None = "https://pet911.ru/catalog"
    visited = []
    while url:
        visited.append(url)
        url = parse_catalog(html, url).next_url
    assert len(visited) == 29
    assert len(set(visited)) == 29


def test_cards_of_an_unknown_markup_are_still_links() -> None:
    html = (
        '<div class="tile"><a href="/tver/lost/cat/rl900001">Кошка</a></div>'
        '<a href="https://www.pet911.ru/found/dog/rf900002/">Собака</a>'
        '<a href="https://vk.com/rl900003">чужое</a> <a href="/catalog">Каталог</a>'
        '<a href="/tver/lost/cat/rl12">короткое</a> <a href="#rl900004">якорь</a>'
        '<a href="https://vk.com/share.php?url=https://pet911.ru/tver/lost/cat/rl900005">вк</a>'
    )
    catalog = parse_catalog(html, "https://pet911.ru/catalog")
    assert [link.source_id for link in catalog.listings] == ["rl900001", "rf900002"]


def test_links_beyond_a_thousand_are_left_out() -> None:
    html = "".join(f'<a href="/rl{n}">x</a>' for n in range(100_000, 102_000))
    assert len(parse_catalog(html, "https://pet911.ru/catalog").listings) == 1_000


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("Найдено 82\N{NO-BREAK SPACE}406 объявлений", 82_406),
        ("Найдено 1 объявление", 1),
        ("Найдено 1 234 567 объявлений", 1_234_567),
        ("Найдено 1234567 объявлений", 1_234_567),
        ("Ничего не найдено", None),
    ],
)
def test_total(text: str, total: int | None) -> None:
    html = f'<div class="total_find_ads">{text}</div>'
    assert parse_catalog(html, "https://pet911.ru/catalog").total == total
