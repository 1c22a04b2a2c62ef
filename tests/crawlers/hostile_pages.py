"""Bad listing pages and what must come of each; also served by the end-to-end crawl test.

Every page stands at its own address, and every outcome is documented here: either the page is
refused (`PageNotUnderstood` whose message has `refused`), or the listing has exactly the values in
`fields`, its photos have the file names in `photos`, and `absent` occurs nowhere in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from petdata.records import Sex, Species

PAGES = Path(__file__).parent / "pages"
GOOD = (PAGES / "listing_2024.html").read_text(encoding="utf-8")
GOOD_ID = "rl900024"
GOOD_PHOTOS = (
    "Pet_170000000100000000000000.00000001.webp",
    "170000000200000000000000.00000002_IMG20240101.webp",
    "170000000300000000000000.00000003_WhatsApp.jpeg",
)
FIRST_PHOTO = GOOD_PHOTOS[:1]


@dataclass(frozen=True, kw_only=True)
class HostilePage:
    html: str
    url: str
    refused: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)  # of Listing
    photos: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()


def _replaced(old: str, new: str, html: str = GOOD) -> str:
    assert old in html, f"the good page has no {old!r}"
    return html.replace(old, new)


def _with_slides(*hrefs: str) -> str:
    """The good page with other photos."""
    start = GOOD.index('<div class="swiper-slide">')
    end = GOOD.index("</div>\n</div>\n</div>\n</div>\n", start)
    slides = "".join(f'<a class="js-card-slide" href="{href}"></a>\n' for href in hrefs)
    return GOOD[:start] + slides + GOOD[end:]


def _with_json_ld(script: str) -> str:
    """The good page with other JSON-LD instead of the Animal."""
    start = GOOD.index("{", GOOD.index("ld+json"))
    return GOOD[:start] + script + GOOD[GOOD.index("</script>", start) :]


def _with_description(text: str) -> str:
    start = GOOD.index("<p>") + 3
    return GOOD[:start] + text + GOOD[GOOD.index("</p>", start) :]


# What the address alone tells, where the page tells nothing.
BARE: Mapping[str, object] = {
    "species": Species.CAT,
    "city": "moskva",
    "title": None,
    "description": None,
    "posted_on": None,
    "latitude": None,
    "closed": False,
}
FROM_JSON = {"species": Species.CAT, "breed": "Британская короткошерстная кошка"}
DATES = {"posted_on": date(2024, 1, 13), "event_on": date(2024, 1, 11)}


def _pages() -> dict[str, dict[str, object]]:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    unclosed = GOOD.replace("</div>", "")
    return {
        # ---- no listing at all
        "empty": {"html": "", "fields": BARE},
        "blank": {"html": " \n\t ", "fields": BARE},
        "everything_missing": {"html": "<html><body></body></html>", "fields": BARE},
        "plain_text": {"html": "502 Bad Gateway", "fields": BARE},
        "json_instead_of_html": {"html": '{"error": "rate limited"}', "fields": BARE},
        "binary_as_text": {
            "html": bytes(range(256)).decode("latin-1") * 200,
            "fields": BARE,
            "disagreements": ("texts:wrong_encoding",),
        },
        "no_number_anywhere": {
            "html": "<h1>Каталог</h1>",
            "url": "https://pet911.ru/catalog",
            "refused": "neither address nor page has a number",
        },
        "another_listing": {
            "html": GOOD,
            "url": "https://pet911.ru/moskva/lost/cat/rl911111",
            "refused": f"shows another listing, {GOOD_ID}",
        },
        "catalogue_instead_of_listing": {
            "html": '<meta property="og:url" content="https://pet911.ru/tver/lost/dog/rl900555">'
            '<meta property="og:image" content="https://cdn.pet911.ru/foreign.webp">'
            '<div class="catalog-item"><a href="/tver/lost/dog/rl900555">'
            '<img class="img-crop" src="https://cdn.pet911.ru/foreign.webp"></a></div>',
            "fields": BARE,
            "disagreements": ("source_id:url!=meta",),
        },
        # ---- size and shape
        "twenty_megabytes": {
            "html": GOOD + "<p>" + "x" * 20_000_000,
            "refused": "at most 1,000,000 are read",
        },
        "deeply_nested": {
            "html": GOOD.replace("<body", "<body>" + "<div>" * 100_000 + "<body"),
            "fields": {"species": Species.CAT, "city": "moskva", "latitude": 55.8},
            "photos": FIRST_PHOTO,  # og:image, which stands before the nesting
        },
        "many_attributes": {
            "html": _replaced(
                "<body", "<i " + " ".join(f"a{n}" for n in range(20_000)) + "></i><body"
            ),
            "fields": {**FROM_JSON, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "cut_off_in_the_photos": {
            "html": GOOD[: GOOD.index("170000000300000000000000")],
            "fields": {**FROM_JSON, "posted_on": None},
            "photos": GOOD_PHOTOS[:2],
        },
        # every similar pet ends up inside the listing's own carousel
        "no_closing_tags": {
            "html": unclosed,
            "fields": {**FROM_JSON, **DATES, "description": None, "latitude": 55.8},
            "photos": GOOD_PHOTOS,
            "absent": ("Аделаид", "Пантелеймон", "12 к3", "000-00"),
        },
        "entity_bomb": {
            "html": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "x">{entities}]>'
            + _with_description("&l9;"),
            "fields": {**FROM_JSON, **DATES, "description": "&l9;"},
            "photos": GOOD_PHOTOS,
        },
        "ten_thousand_fields": {
            "html": _replaced(
                '<div class="card-information">',
                '<div class="card-information">'
                + '<div class="card-info"><div class="card-info__title">Масть</div></div>' * 10_000,
            ),
            "fields": {**FROM_JSON, "posted_on": None, "sex": None},
            "photos": GOOD_PHOTOS,
        },
        "nested_and_endless_fields": {
            "html": GOOD.replace(
                "<body",
                '<body><b class="breadcrumbs__item"><b class="card-info__title">' * 500
                + "<i></i>" * 100_000
                + "<body",
            ),
            "fields": {**FROM_JSON, "posted_on": None},
            "photos": GOOD_PHOTOS,
        },
        "endless_elements_in_the_description": {
            "html": _with_description("Кошка<br>" * 2_000),
            "fields": {**FROM_JSON, **DATES, "description": None},
            "photos": GOOD_PHOTOS,
        },
        # ---- encodings and characters
        "utf8_read_as_latin1": {
            "html": GOOD.encode().decode("latin-1"),
            # the JSON-LD is ASCII; of the rest only what has no Russian letters counts
            "fields": {**FROM_JSON, "description": None, "posted_on": None, "latitude": 55.8},
            "photos": GOOD_PHOTOS,
            "disagreements": ("texts:wrong_encoding",),
        },
        "utf8_read_as_cp1251": {
            "html": GOOD.encode().decode("cp1251", "replace"),
            "fields": {**FROM_JSON, "description": None, "posted_on": None, "latitude": 55.8},
            "photos": GOOD_PHOTOS,
            "disagreements": ("texts:wrong_encoding",),
        },
        "cp1251_read_as_utf8": {
            "html": GOOD.encode("cp1251").decode("utf-8", "replace"),
            "fields": {**FROM_JSON, "description": None, "posted_on": None, "latitude": 55.8},
            "photos": GOOD_PHOTOS,
            "disagreements": ("texts:wrong_encoding",),
        },
        "null_bytes": {
            "html": "\0" + GOOD.replace("card-info", "card\0-info").replace("<p>", "<p>\0"),
            "fields": {**FROM_JSON, **DATES},
            "photos": GOOD_PHOTOS,
            "absent": ("\0",),
        },
        "lone_surrogates": {
            "html": _replaced(
                "Серая кошка",
                "Серая \ud83d кошка",
                _with_json_ld(
                    '{"@type": "Animal", "properties": [{"term": {"name": "\\ud83d", '
                    '"image": "https://cdn.pet911.ru/\\ud83d.webp", "breed": "Сиам\\ud800ская"}}]}'
                ),
            ),
            "fields": {"breed": "Сиамская"},
            "photos": GOOD_PHOTOS,
            "absent": ("\ud83d", "\ud800"),
            "disagreements": ("breed:json_ld!=markup", "photo_urls:markup!=json_ld"),
        },
        "hidden_characters": {
            "html": _with_description(
                "Кошка \u202eаксук\u202c, окрас\ufeff серый, "
                "тел. 8\u200b900\u200c000\u200d00\u206001"
            )
            .replace("Женский", "Жен\u00adский")
            .replace("Добавлено", "Доба\u200bвлено"),
            "fields": {**FROM_JSON, **DATES},
            "photos": GOOD_PHOTOS,
            "absent": ("\u202e", "\u200b", "\ufeff", "9000000001", "900000"),
        },
        "decomposed_letters": {
            "html": GOOD.replace("Женский", "Женскии\u0306").replace("Имя", "Имя\u00a0"),
            "fields": {**FROM_JSON, **DATES, "sex": Sex.FEMALE},
            "photos": GOOD_PHOTOS,
            "absent": ("Аделаид",),
        },
        # ---- text
        "script_in_text": {
            "html": _with_description(
                "Серая<script>alert('8 900 000-00-09')</script><style>p{color:red}</style>"
                "<!-- 8 900 000-00-09 --> кошка<img src=x onerror=alert(1)><br>Ждём"
            ),
            "fields": {"description": "Серая кошка\nЖдём"},
            "photos": GOOD_PHOTOS,
        },
        "escaped_script_in_text": {
            "html": _with_description("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "fields": {"description": "<script>alert(1)</script>"},  # text, and stays text
            "photos": GOOD_PHOTOS,
        },
        "personal_data_everywhere": {
            "html": GOOD.replace("</h1>", ", хозяйка Аделаида, vk.com/id1, a@example.com</h1>"),
            "fields": {**FROM_JSON, **DATES, "city": "moskva"},
            "photos": GOOD_PHOTOS,
            "absent": (
                "Аделаид",
                "Вымышленн",
                "12 к3",
                "000-00",
                "900",
                "vk.com",
                "example",
                "Пантелей",
            ),
            "disagreements": ("title:markup!=json_ld", "title:markup!=meta"),
        },
        "endless_description": {
            "html": _with_description("серая кошка " * 50_000),
            "fields": {**FROM_JSON, **DATES, "description": None},
            "photos": GOOD_PHOTOS,
            "disagreements": ("description:too_long",),
        },
        "patterns_that_backtrack": {
            "html": _with_description("+7 " * 3_000 + "(" * 3_000 + "8-" * 3_000).replace(
                "<script>jQuery", "<script>" + "initMap(" * 20_000 + " " * 200_000 + "jQuery"
            ),
            "fields": {**FROM_JSON, **DATES, "latitude": 55.8},
            "photos": GOOD_PHOTOS,
        },
        # ---- photos
        "photos_of_other_schemes": {
            "html": _with_slides(
                "javascript:alert(1)",
                "data:image/webp;base64,UklGRg==",
                "file:///etc/passwd",
                "ftp://cdn.pet911.ru/a.webp",
                "https://user:secret@cdn.pet911.ru/b.webp",
                "https://[::1/c.webp",
                "http:///e.webp",
                "https://cdn.pet911.ru:99999999/d.webp",
                "#",
                "",
                "https://cdn.pet911.ru/kept.webp",
            ),
            "photos": ("kept.webp",),
            "disagreements": ("photo_urls:markup!=json_ld", "photo_urls:markup!=meta"),
        },
        "photos_with_odd_addresses": {
            "html": _with_slides(
                "//cdn.pet911.ru/a.webp",
                "/upload/b.webp",
                "../../upload/./c.webp",
                " https://cdn.pet911.ru/d\n.webp#top ",
                "https://cdn.pet911.ru/Фото кошки.webp",
                "https://cdn.pet911.ru/e.webp?v=1",
                "https://cdn.pet911.ru/" + "f" * 3_000 + ".webp",
            ),
            "photos": (
                "a.webp",
                "b.webp",
                "c.webp",
                "d.webp",
                "%D0%A4%D0%BE%D1%82%D0%BE%20%D0%BA%D0%BE%D1%88%D0%BA%D0%B8.webp",
                "e.webp?v=1",
            ),
            "disagreements": ("photo_urls:markup!=json_ld", "photo_urls:markup!=meta"),
        },
        "stubs_and_icons_as_photos": {
            "html": _with_slides(
                "https://pet911.ru/img/no-photo/no-photo-1.svg",
                "https://cdn.pet911.ru/LOGO.SVG",
                "/img/no_photo_1.png",
                "/moskva/lost/cat/rl900777",
            ),
            "photos": FIRST_PHOTO,  # the JSON-LD still names it
        },
        "ten_thousand_photos": {
            "html": _with_slides(*(f"https://cdn.pet911.ru/{n}.webp" for n in range(10_000))),
            "photos": tuple(f"{n}.webp" for n in range(100)),
            "disagreements": (
                "photo_urls:markup!=json_ld",
                "photo_urls:markup!=meta",
                "photo_urls:too_many",
            ),
        },
        "the_same_photo_again": {
            "html": _with_slides(
                *(
                    f"https://cdn.pet911.ru/{prefix}{FIRST_PHOTO[0]}"
                    for prefix in ("", "thumb_", "") * 20
                )
            ),
            "photos": FIRST_PHOTO,
        },
        "foreign_base_address": {
            "html": _with_slides("/upload/a.webp").replace(
                "<head>", '<head><base href="https://evil.example/">'
            ),
            "photos": ("a.webp",),
            "absent": ("evil.example",),
            "disagreements": ("photo_urls:markup!=json_ld", "photo_urls:markup!=meta"),
        },
        # ---- JSON-LD
        "json_ld_of_wrong_types": {
            "html": _with_json_ld(
                '{"@type": "Animal", "term": [1], "properties": [7, null, {"term": "x"}, '
                '{"term": {"name": 5, "animalType": ["Собака"], "image": {"url": 1}, "breed": 1}}]}'
            ),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_not_an_object": {
            "html": _with_json_ld('["Animal", {"@type": "Animal"}]'),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_deeply_nested": {
            "html": _with_json_ld('{"@type": "Animal", "term":' + "[" * 90_000),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_with_odd_numbers": {
            "html": _with_json_ld(
                '{"@type": "Animal", "x": NaN, "y": -Infinity, "z": 1e999999, "term": {"@id": 5}, '
                '"properties": [{"term": {"animalType": NaN}}], "w": ' + "9" * 5_000 + "}"
            ),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_cut_off": {
            "html": _with_json_ld('{"@type": "Animal", "term": {"@id": "rl9000'),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_huge": {
            "html": _with_json_ld(
                '{"@type": "Animal", "properties": [{"term": {"animalType": "Собака"}}], "x": "'
                + "x" * 500_000
                + '"}'
            ),
            "fields": {"species": Species.CAT, **DATES},
            "photos": GOOD_PHOTOS,
        },
        "json_ld_with_raw_line_breaks": {
            "html": _with_json_ld(
                '{"@type": "Animal", "properties": [{"term": {"breed": "Сиамская\n\tкошка"}}]}'
            ),
            "fields": {"species": Species.CAT, "breed": "Сиамская кошка", **DATES},
            "photos": GOOD_PHOTOS,
            "disagreements": ("breed:json_ld!=markup",),
        },
        "json_ld_contradicts_the_page": {
            "html": _replaced(
                r"\u041a\u043e\u0448\u043a\u0430", r"\u0421\u043e\u0431\u0430\u043a\u0430"
            ),
            "fields": {"species": Species.DOG, **DATES},
            "photos": GOOD_PHOTOS,
            "disagreements": (
                "species:json_ld!=breadcrumbs",
                "species:json_ld!=meta",
                "species:json_ld!=url",
            ),
        },
        # ---- values
        "impossible_dates": {
            "html": GOOD.replace("13.01.2024", "31.02.2024").replace("11.01.2024", "01.01.0007"),
            "fields": {"posted_on": None, "event_on": None},
            "photos": GOOD_PHOTOS,
        },
        "dates_in_other_digits": {
            "html": GOOD.replace("13.01.2024", "١٣.٠١.٢٠٢٤").replace("11.01.2024", "111.01.20240"),
            "fields": {"posted_on": None, "event_on": None},
            "photos": GOOD_PHOTOS,
        },
        "impossible_coordinates": {
            "html": GOOD.replace("55.76543", "955.7"),
            "fields": {**DATES, "latitude": None, "longitude": None},
            "photos": GOOD_PHOTOS,
        },
        "coordinates_of_nowhere": {
            "html": GOOD.replace("55.76543", "0").replace("37.64999", "0.000"),
            "fields": {**DATES, "latitude": None, "longitude": None},
            "photos": GOOD_PHOTOS,
        },
        "unknown_notice": {
            "html": GOOD.replace(
                '<div class="card">',
                '<div class="card-notice__title">Объявление на проверке.</div><div class="card">',
            ),
            "fields": {**DATES, "closed": False},
            "photos": GOOD_PHOTOS,
            "disagreements": ("closed:unknown_notice",),
        },
        "value_without_title": {
            "html": GOOD.replace(
                '<div class="card-info__value">Аделаида</div>',
                '<div class="card-info__value"></div><div class="card-info__value">Серая</div>',
            ).replace("Звоните Аделаиде: 8 (900) 000-00-01", "Ждём"),
            "fields": {
                **DATES,
                "description": 'Серая кошка "Пуговка", глаза жёлтые.\nЖивём на [address]. Ждём',
            },
            "photos": GOOD_PHOTOS,
        },
        "two_numbers": {
            "html": _replaced(
                '<section class="section comments">',
                '<div class="card-info"><div class="card-info__title">Номер объявления</div>'
                '<div class="card-info__value">rl911111</div></div><section class="comments">',
            ),
            "fields": {**FROM_JSON, **DATES},  # the first counts
            "photos": GOOD_PHOTOS,
        },
    }


def hostile_pages() -> dict[str, HostilePage]:
    """Each at an address of its own, /moskva/lost/cat/rl9100NN, unless the row says otherwise."""
    pages = {}
    for number, (name, row) in enumerate(_pages().items()):
        source_id = f"rl91{number:04}"
        html = row.pop("html")
        assert isinstance(html, str)
        if "url" not in row:
            row["url"] = f"https://pet911.ru/moskva/lost/cat/{source_id}"
            html = html.replace(GOOD_ID, source_id)
        pages[name] = HostilePage(html=html, **row)  # type: ignore[arg-type]
    return pages
