"""Real pages of 2022 and 2024; every value below was read off the raw HTML by hand.

The pages are redacted letter by letter, so that Бийск reads Агевк; what the parser keeps of them
is still what stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from crawlers.pages.pet911 import parse_catalog, parse_listing_with_notes
from petdata.listing import listing_to_json
from petdata.records import Sex, Species, Status

# page -> address it was fetched from, endings of the photos, fields
LISTINGS: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, object]]] = {
    "2022-04/rf492825.html": (
        "https://pet911.ru/Фстагв-Фвтгцбтт/найдена/собака/rf492825",
        ("70237913.59627594.webp", "b74aae92.23740926.webp", "0281fd52.90613683.webp"),
        {
            "source_id": "rf492825",
            "status": Status.FOUND,
            "closed": False,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "breed": None,
            "city": "fstagv-fvtgtsbtt",
            "latitude": 56.2,
            "longitude": 44.3,
            "posted_on": date(2021, 10, 22),
            "event_on": date(2021, 8, 12),
            "title": "Найдена собака, Фстагв Фвтгцбтт",
            "attributes": {},
        },
    ),
    # Its address says /кошка/, its title and og:url say собака: in 2024 it stands under /dog/.
    "2022-04/rl518678_no_photos.html": (
        "https://pet911.ru/Москва/пропала/кошка/rl518678",
        (),
        {
            "source_id": "rl518678",
            "status": Status.LOST,
            "closed": False,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "breed": None,
            "city": "moskva",
            "latitude": 55.7,
            "longitude": 37.6,
            "posted_on": date(2022, 4, 25),
            "event_on": date(2022, 4, 25),
            "title": "Пропала собака, Москва",
            "description": "Тхулужт бму етапян ( мальчик ) окрас схффа зшгд ( шор тдакзпти ) ,"
            " нннпмшожг мдв 8",
        },
    ),
    "2022-07/rl546939.html": (
        "https://pet911.ru/Иеяфифцеок-швглаош/пропала/собака/rl546939",
        ("upload/d2/2022_07/165856388862dbad30ee2e28.24905045_WhatsAppImage20220723at111042.jpeg",),
        {
            "source_id": "rl546939",
            "status": Status.LOST,
            "closed": False,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "city": "iyeyafiftseok-shvglaosh",
            "latitude": 47.2,
            "longitude": 39.7,
            "posted_on": date(2022, 7, 23),
            "event_on": date(2022, 7, 16),
        },
    ),
    "2024-01/rf494610_no_author.html": (
        "https://pet911.ru/bysk/found/dog/rf494610",
        ("e5e77f50.14081119.webp", "e6469471.99580318.webp"),
        {
            "source_id": "rf494610",
            "status": Status.FOUND,
            "closed": True,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "breed": "Рицммбвг зкфгтпц",
            "city": "bysk",
            "latitude": 52.5,
            "longitude": 85.2,
            "posted_on": date(2021, 11, 5),
            "event_on": date(2021, 11, 1),
            "title": "Найдена Рицммбвг зкфгтпц на вр. [address] в Еагцфу",
            "attributes": {"closed_reason": "rehomed", "city_name": "Агевк"},
        },
    ),
    "2024-01/rf518209.html": (
        "https://pet911.ru/obninsk/found/dog/rf518209",
        ("dad7cd5.79400266.webp",),
        {
            "source_id": "rf518209",
            "status": Status.FOUND,
            "closed": False,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "breed": None,
            "city": "obninsk",
            "latitude": 55.1,
            "longitude": 36.5,
            "posted_on": date(2022, 4, 22),
            "event_on": date(2022, 4, 22),
            "title": "Найдена собака на вр. [address] в Жгудлжфм",
            "attributes": {"city_name": "Бглемцз"},
        },
    ),
    "2024-01/rl518678_no_photos.html": (
        "https://pet911.ru/moskva/lost/dog/rl518678",
        (),
        {
            "source_id": "rl518678",
            "status": Status.LOST,
            "closed": False,
            "species": Species.DOG,
            "sex": Sex.MALE,
            "breed": "Бму етапян",
            "city": "moskva",
            "latitude": 55.7,
            "longitude": 37.6,
            "posted_on": date(2022, 4, 25),
            "event_on": date(2022, 4, 25),
            "attributes": {"city_name": "Москва"},
        },
    ),
    "2024-01/rl518787.html": (
        "https://pet911.ru/moskva/lost/cat/rl518787",
        (
            "Pet_165095340062678cb83dea18.58046461.webp",
            "Pet_165095343462678cda7583a1.69548470.webp",
            "Pet_165095351562678d2bb44ab4.37666840.webp",
            "Pet_165095351662678d2c27d440.01200981.webp",
            "Pet_165095355562678d53ce94c6.03768364.webp",
            "Pet_165095355662678d54a27803.69782174.webp",
            "Pet_165095355762678d5570db96.27027701.webp",
        ),
        {
            "source_id": "rl518787",
            "status": Status.LOST,
            "closed": False,
            "species": Species.CAT,
            "sex": Sex.FEMALE,
            "breed": "Британская короткошерстная кошка",
            "city": "moskva",
            "latitude": 55.7,
            "longitude": 37.5,
            "posted_on": date(2022, 4, 26),
            "event_on": date(2022, 4, 24),
            "title": "Пропала кошка Цбиу, мннжц сяшмифмс, вр. [address].",
            "attributes": {"city_name": "Москва"},
        },
    ),
    "2024-01/rl537200_lost_is_found.html": (
        "https://pet911.ru/moskva/lost/cat/rl537200",
        (
            "cdn.pet911.ru/165636223362ba14f9127540.58550452_710EE6EF231D4BC193207E39163F6D00.webp",
            "cdn.pet911.ru/165636271762ba16dd077d02.47764896_F11AB06FD2004A1397FC66DA48A8DB02.webp",
        ),
        {
            "source_id": "rl537200",
            "status": Status.LOST,
            "closed": True,
            "species": Species.CAT,
            "sex": Sex.FEMALE,
            "breed": None,
            "city": "moskva",
            "latitude": 55.7,
            "longitude": 37.6,
            "posted_on": date(2022, 6, 27),
            "event_on": date(2022, 6, 27),
            "attributes": {"closed_reason": "reunited", "city_name": "Москва"},
        },
    ),
}
DISAGREEMENTS = {"2022-04/rl518678_no_photos.html": ("species:meta!=url",)}

# What the pages say under «Имя …» and `.card-map__address`, beyond the city, or as a phone.
PERSONAL = (
    *("Упрацтсги", "Сфжо", "Еинсбтччк", "Цлшучв", "Рцшсшнф"),
    *("Шцкясзту Жхвх", "6 с1А", "Шжуабяо", "152", "Аваалрсш", "Пцжфлчгчн Фзр", "г.11"),
    *("+7 900", "000-00"),
)


@pytest.mark.parametrize("page", LISTINGS)
def test_listing(real_data: Path, page: str) -> None:
    url, photos, fields = LISTINGS[page]
    html = (real_data / "pet911-pages" / page).read_text(encoding="utf-8")
    parsed = parse_listing_with_notes(html, url)
    listing = parsed.listing
    assert {name: getattr(listing, name) for name in fields} == fields
    assert len(listing.photo_urls) == len(photos)
    assert all(map(str.endswith, listing.photo_urls, photos))
    assert all(each.startswith("https://") for each in listing.photo_urls)
    assert parsed.disagreements == DISAGREEMENTS.get(page, ())
    assert not parsed.no_index
    assert not parsed.bare


@pytest.mark.parametrize("page", LISTINGS)
def test_nothing_personal_is_kept(real_data: Path, page: str) -> None:
    html = (real_data / "pet911-pages" / page).read_text(encoding="utf-8")
    stored = listing_to_json(parse_listing_with_notes(html, LISTINGS[page][0]).listing)
    assert any(text in html for text in PERSONAL)
    assert not [text for text in PERSONAL if text in stored]


def test_every_page_is_tested(real_data: Path) -> None:
    pages = (real_data / "pet911-pages").glob("*/r*.html")
    assert {f"{page.parent.name}/{page.name}" for page in pages} == set(LISTINGS)


def test_catalogue_of_2022(real_data: Path) -> None:
    html = (real_data / "pet911-pages/2022-04/catalog.html").read_text(encoding="utf-8")
    catalog = parse_catalog(html, "https://pet911.ru/catalog")
    assert " ".join(link.source_id for link in catalog.listings) == (
        "rf468348 rl537378 rf536794 rf537353 rl537200 rl537040 rf536715 rf536730 rf537159 "
        "rl536945 rf536103 rl536030 rf536008 rf535994 rl535661 rf535552 rf535081 rl534587 "
        "rl534642 rf534529"
    )
    # a rocket stood on three cards, in the order of their dates
    promoted = [link.source_id for link in catalog.listings if link.promoted]
    assert promoted == ["rf536794", "rl537200", "rl536945"]
    assert catalog.next_url == "https://pet911.ru/catalog?page=2"
    assert catalog.total == 11_351
    assert catalog.listings[0].url == (
        "https://pet911.ru/%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0"
        "/%D0%BD%D0%B0%D0%B9%D0%B4%D0%B5%D0%BD%D0%B0"
        "/%D1%81%D0%BE%D0%B1%D0%B0%D0%BA%D0%B0/rf468348"
    )


def test_catalogue_of_2024(real_data: Path) -> None:
    html = (real_data / "pet911-pages/2024-01/catalog.html").read_text(encoding="utf-8")
    catalog = parse_catalog(html, "https://pet911.ru/catalog")
    assert " ".join(link.source_id for link in catalog.listings) == (
        "rl784607 rl783031 rl782097 rl781851 rl784284 rl782843 rl781843 rf781930 rl781513 "
        "rl782355 rl713316 rf784353 rl784657 rl784644 rl784632 rl784628 rl784625 rl784595 "
        "rl784572 rl784568"
    )
    # eleven `is-top`, then one that is found and has the rocket
    assert [link.promoted for link in catalog.listings] == [True] * 12 + [False] * 8
    assert catalog.listings[0].url == "https://pet911.ru/kommunarka/lost/dog/rl784607"
    assert catalog.next_url == "https://pet911.ru/catalog/page-2"
    assert catalog.total == 82_406
