from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.pages.pet911_urls import (
    absolute_url,
    city_of,
    city_slug,
    page_number,
    photo_url,
    source_id_of,
    species_of,
)
from petdata.records import Species

BASE = "https://pet911.ru/moskva/lost/cat/rl900001"


@pytest.mark.parametrize(
    ("url", "source_id"),
    [
        ("https://pet911.ru/moskva/lost/cat/rl518787", "rl518787"),
        ("https://pet911.ru/lost/dog/rl1077341?utm=1#photo", "rl1077341"),
        ("http://127.0.0.1:8000/Чебоксары/найдена/собака/rf434545/", "rf434545"),
        ("/%D0%9C/lost/cat/RF12345", "rf12345"),
        (" rl518787 ", "rl518787"),
        ("https://pet911.ru/catalog/page-2", None),
        ("https://pet911.ru/catalog?id=rl518787", None),
        ("https://pet911.ru/rl518787/edit", None),
        ("https://pet911.ru/rl1234", None),
        ("https://pet911.ru/rl1234567890", None),
        ("https://pet911.ru/xrl518787", None),
        ("https://pet911.ru/rl٥١٨٧٨٧", None),
        ("https://[::1/rl518787", None),
        ("", None),
    ],
)
def test_source_id(url: str, source_id: str | None) -> None:
    assert source_id_of(url) == source_id


@pytest.mark.parametrize(
    ("path", "species", "city"),
    [
        ("/moskva/lost/cat/rl518787", Species.CAT, "moskva"),
        ("/lost/dog/rl1077341", Species.DOG, None),
        ("/khimki/found/bird/rf1090149", Species.BIRD, "khimki"),
        ("/khimki/found/ferret/rf1090149", Species.FERRET, "khimki"),
        ("/khimki/found/other/rf1090149", Species.OTHER, "khimki"),
        ("/khimki/found/dragon/rf1090149", None, "khimki"),
        ("/Чебоксары/найдена/собака/rf434545", Species.DOG, "cheboksary"),
        ("/%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0/пропала/кошка/rl476712", Species.CAT, "moskva"),
        ("/a/b/moskva/lost/cat/rl518787", Species.CAT, "moskva"),
        ("/89000000000/lost/cat/rl518787", Species.CAT, None),
        ("/rl518787", None, None),
        ("/moskva/lost/cat", None, None),
    ],
)
def test_what_the_path_says(path: str, species: Species | None, city: str | None) -> None:
    url = "https://pet911.ru" + path
    assert (species_of(url), city_of(url)) == (species, city)


# Names and the site's own spelling, from addresses and links of 2021 to 2025.
@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Москва", "moskva"),
        ("Московская область", "moskovskaya-oblast"),
        ("Нижний Новгород", "nizhny-novgorod"),
        ("Бийск", "bysk"),
        ("Хабаровск", "khabarovsk"),
        ("Щёлково", "shchelkovo"),
        ("Раменское", "ramenskoye"),
        ("Долгопрудный", "dolgoprudny"),
        ("Загорянский", "zagoryansky"),
        ("Мытищи", "mytishchi"),
        ("Электросталь", "elektrostal"),
        ("Удельная", "udelnaya"),
        ("Белоозёрский", "beloozersky"),
        ("Колонтаево", "kolontayevo"),
        ("Знамя Октября", "znamya-oktyabrya"),
        ("Дубовая Роща", "dubovaya-roshcha"),
        ("Журавлиха", "zhuravlikha"),
        ("nizhny-novgorod", "nizhny-novgorod"),
        ("Нижний-Новгород", "nizhny-novgorod"),
        ("ул. 8 900 000 00 00", "ul-8-900-000-00-00"),
        ("89000000000", None),
        ("", None),
        ("東京", None),
    ],
)
def test_city_slug(name: str, slug: str | None) -> None:
    assert city_slug(name) == slug


@given(st.text(max_size=80))
def test_a_slug_is_its_own_slug(name: str) -> None:
    slug = city_slug(name)
    assert slug is None or city_slug(slug) == slug


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://cdn.pet911.ru/thumb_Pet_1.webp", "https://cdn.pet911.ru/Pet_1.webp"),
        ("https://cdn.pet911.ru/thumb_1_thumb_2.webp", "https://cdn.pet911.ru/1_thumb_2.webp"),
        ("/upload/Pet_thumb_1.jpeg", "https://pet911.ru/upload/Pet_1.jpeg"),
        (
            "/upload/d2/2023_10/1_WhatsAppat17.23",
            "https://pet911.ru/upload/d2/2023_10/1_WhatsAppat17.23",
        ),
        ("//cdn.pet911.ru/1.webp#x", "https://cdn.pet911.ru/1.webp"),
        ("http://127.0.0.1:8000/1.webp", "http://127.0.0.1:8000/1.webp"),
        ("https://pet911.ru/img/no-photo/no-photo-1.svg", None),
        ("https://pet911.ru/img/logo.png", None),
        ("https://cdn.pet911.ru/", None),
        ("/moskva/lost/cat/rl900777", None),
        ("javascript:alert(1)", None),
        ("data:image/png;base64,AAAA", None),
        ("https://me:secret@cdn.pet911.ru/1.webp", None),
        ("https://кошки.рф/1.webp", None),
        ("/\ud800.webp", "https://pet911.ru/%3F.webp"),
    ],
)
def test_photo_url(href: str, expected: str | None) -> None:
    assert photo_url(href, BASE) == expected


@given(
    st.text(max_size=60), st.sampled_from(["", "https://cdn.pet911.ru/", "//", "/upload/", "data:"])
)
def test_a_photo_url_is_plain_and_stable(text: str, prefix: str) -> None:
    url = photo_url(prefix + text, BASE)
    if url is not None:
        assert url.isascii()
        assert urlsplit(url).scheme in {"http", "https"}
        assert not urlsplit(url).fragment
        assert absolute_url(url, "https://elsewhere.example/") == url


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("https://pet911.ru/catalog", 1),
        ("https://pet911.ru/catalog/page-2", 2),
        ("https://pet911.ru/catalog/page-4121/", 4121),
        ("https://pet911.ru/catalog?page=3", 3),
        ("https://pet911.ru/catalog?PetsSearch%5Btype%5D=1&page=12", 12),
        ("https://pet911.ru/catalog?mypage=3", 1),
        ("https://pet911.ru/catalog?page=x", 1),
        ("https://pet911.ru/catalog?page=99999999999999999999", 1),
    ],
)
def test_page_number(url: str, number: int) -> None:
    assert page_number(url) == number
