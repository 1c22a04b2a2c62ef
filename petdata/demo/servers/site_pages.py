"""Pages with the markup of pet911.ru as of January 2024; words, names and numbers are invented."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from petdata.demo.servers.advert_texts import ANIMAL_TYPES, PLURALS, WEEKDAYS
from petdata.demo.servers.adverts import Advert, AdvertPhoto
from petdata.demo.servers.site_frame import FOOTER, HEAD_LINKS, HEADER, SCRIPTS
from petdata.records import Sex, Status

NO_PHOTO = "/img/no-photo/no-photo-1.svg"
SLOGAN = (
    "размещайте объявления на Pet911 – объявления о пропаже собак и кошек рядом с вами, "
    "найдём потеряшек вместе."
)


@dataclass(frozen=True, slots=True)
class CatalogView:
    """One page of a catalogue, its cards aside."""

    path: str  # of page 1, with its filters: "/catalog", "/catalog?PetsSearch%5Banimal%5D=2"
    page: int
    pages: int
    total: int
    shown: int

    def address(self, page: int) -> str:
        if page == 1:
            return self.path
        if "?" in self.path:
            return f"{self.path}&page={page}"
        return f"{self.path}/page-{page}"


def listing_page(advert: Advert, base: str, similar: str) -> str:
    """`similar` is the block that `similar_section` makes."""
    title = escape(advert.title)
    place = escape(advert.address)
    verb = "Пропала" if advert.status is Status.LOST else "Найдена"
    about = f"{verb} {ANIMAL_TYPES[advert.species].lower()} в {place} – {SLOGAN}"
    url = base + advert.path
    photos = [base + photo.path for photo in advert.photos] or [base + NO_PHOTO]
    robots = '<meta name="robots" content="noindex, nofollow">\n' if advert.noindex else ""
    return f"""<!DOCTYPE html>
<html lang="ru">
<head>
<meta charset="UTF-8">
<meta id="vp" name="viewport" content="width=device-width, initial-scale=1, user-scalable=no">
<meta name="csrf-param" content="_csrf-newfront">
<title>{title} | Pet911.ru</title>
<meta name="description" content="{about}">
{robots}<meta property="og:url" content="{url}">
<meta property="og:type" content="website">
<meta property="og:title" content="{title} | Pet911.ru">
<meta property="og:description" content="{about}">
<meta property="og:image" content="{photos[0]}">
<meta name="twitter:card" content="summary_large_image">
<meta name="twitter:title" content="{title} | Pet911.ru">
<meta name="twitter:image" content="{photos[0]}">
<link href="{url}" rel="canonical">
{HEAD_LINKS}</head>
<body class=" pet_view">
{_animal_json(advert, about, photos[0])}{_notice(advert)}<div class="card">
{_card_top(advert)}{_slider(advert, base)}<div class="container">
<div class="card__inner">
<div class="card__content">
{_breadcrumbs(advert, base)}<div class="card__title">
<h1>{title}</h1>
</div>
<div class="d-md-none card-address">
<div class="card-address__info">{place}</div>
<button class="link link-accent card-address__link js-popup-btn" data-popup=".js-address">\
Показать на карте</button>
</div>
<div class="text text-lt card__descr content">
<p>{escape(advert.description)}</p>
</div>
</div>
{_share(url)}<div class="d-none d-md-block card-map">
<div class="card-map__inner img-crop" id="map-single-pc"></div>
<div class="card-map__info">
<div class="md-font card-map__address">{place}</div>
</div>
</div>
<div class="card-information">
{_rows(advert, base)}</div>
</div>
</div>
</div>
{_comments(advert)}{similar}{_popups(advert)}{HEADER}{FOOTER}{_map_script(advert, base)}</body>
</html>
"""


def _animal_json(advert: Advert, about: str, image: str) -> str:
    term = {
        "name": advert.title,
        "description": about,
        "image": image,
        "animalType": ANIMAL_TYPES[advert.species],
    }
    if advert.breed:
        term["breed"] = advert.breed
    return f"""<script type="application/ld+json">
    {{
        "@type": "Animal",
        "term": {{
            "@id": "{advert.source_id}",
            "@type": "Pet"
        }},
        "properties": [
            {{
                "@type": "Property",
                "term": {_json(term)}            }}
        ]
    }}
</script>
"""


def _json(value: object) -> str:
    return json.dumps(value).replace("/", r"\/")  # as PHP's json_encode writes it


def _notice(advert: Advert) -> str:
    if advert.closed is None:
        return ""
    return f"""<div class="card-notice">
<div class="container">
<div class="card-notice__inner">
<div class="card-notice__title">
{advert.closed}
</div>
<div class="card-notice__descr">
<button class="link-accent-line-dk js-close-card-notice">Всё равно посмотреть</button>
</div>
</div>
</div>
</div>
"""


def _card_top(advert: Advert) -> str:
    return f"""<div class="page-header card-top d-flex align-items-center d-md-none">
<div class="page-header__inner card-top__nav d-flex align-items-center justify-content-between">
<a href="javascript:history.back();" class="link link-icon card-top__back">
<img src="/img/icons/icon-arrow-left-accent.svg" alt="Назад" class="link__icon">
<div class="link__title">Назад</div>
</a>
<div class="card-top__controls d-flex align-items-center">
<button type="button" class="card-top__wishlist addFav" data-pid="{advert.number}">
<img src="/img/icons/icon-wishlist-accent.svg" alt="В избранное" class="card-top__wishlist-icon">
</button>
<button type="button" class="card-top__share js-popup-btn" data-popup=".js-share{advert.number}">
<img src="/img/icons/icon-share-accent.svg" alt="Поделиться" class="card-top__share-icon">
</button>
</div>
</div>
</div>
"""


def _slider(advert: Advert, base: str) -> str:
    title = escape(advert.title)
    first = advert.photos[0].path if advert.photos else NO_PHOTO
    if advert.photos:
        slides = "".join(
            _slide(photo, base, title, number) for number, photo in enumerate(advert.photos, 1)
        )
        carousel = f"""<div class="card-slider__carousel swiper-container js-card-slider">
<div class="swiper-wrapper">
{slides}</div>
<div class="card-slider__pagination js-card-slider-pagination"></div>
</div>
"""
    else:
        carousel = f"""<div class="card-slider__carousel swiper-container">
<div class="card-slider__slide js-card-slide">
<img src="{base}{NO_PHOTO}" alt="{title} - photo" class="img-crop">
</div>
</div>
"""
    return f"""<div class="card-slider">
<div class="card-slider__bg d-none d-md-block">
<img src="{base}{first}" alt="{title} - photo" class="img-crop" title="Потерялась: {title} - image">
</div>
<div class="card-slider__container">
<div class="card-slider__inner">
{carousel}</div>
<button class="d-none d-md-block slider-btn slider__prev js-card-slider-prev">
<img src="/img/icons/icon-arrow-left-round-dark.svg" alt="Назад" class="slider-btn__icon">
</button>
<button class="d-none d-md-block slider-btn slider__next js-card-slider-next">
<img src="/img/icons/icon-arrow-right-round-dark.svg" alt="Вперед" class="slider-btn__icon">
</button>
</div>
</div>
"""


def _slide(photo: AdvertPhoto, base: str, title: str, number: int) -> str:
    nth = f" {number}" if number > 1 else ""
    return f"""<div class="swiper-slide">
<a href="{base}{photo.path}" class="card-slider__slide js-card-slide">
<img class="img-crop" src="{base}{photo.path}" alt="{title} - photo{nth}" \
title="{title} - image{nth}">
</a>
</div>
"""


def _breadcrumbs(advert: Advert, base: str) -> str:
    plural, slug, word = PLURALS[advert.species]
    lost = advert.status is Status.LOST
    crumbs = [("Pet911.ru", "/", base)]
    if advert.city:
        kind = "propavshie" if lost else "naydennye"
        href = f"{base}/catalog/{kind}-{slug}-{advert.city.slug}"
        crumbs.append((advert.city.name, href, base + href))  # the real site doubles the host too
    status = advert.status.value
    pets = f"/{status}-pets"
    crumbs.append(("Пропавшие" if lost else "Найденные", pets, base + pets))
    crumbs.append((plural, f"/{status}-{word}", f"{base}/{status}-{word}"))
    links = "".join(
        f'<a class="link-gray-dk breadcrumbs__item" href="{href}">{name}</a>'
        for name, href, _ in crumbs
    )
    items: list[dict[str, object]] = [
        {"@type": "ListItem", "position": position, "name": name, "item": item}
        for position, (name, _, item) in enumerate(crumbs, 1)
    ]
    items.append({"@type": "ListItem", "position": len(items) + 1, "name": advert.title})
    title = escape(advert.title)
    return f"""<div class="breadcrumbs section-top__breadcrumbs page-text__breadcrumbs">
{links}<span class="link-gray-dk breadcrumbs__item">{title}</span> </div>
<script type="application/ld+json">
        {{
            "@context": "https://schema.org",
            "@type": "BreadcrumbList",
            "itemListElement": {_json(items)}        }}
    </script>
"""


def _share(url: str) -> str:
    return f"""<div class="card-row d-flex flex-column flex-md-row justify-content-between">
<div class="card__buttons order-1 order-md-2 d-flex flex-wrap">
<button class="btn btn-fill-accent-lt card__show-number js-popup-btn" data-popup=".js-popup-phone" \
id="showPhoneBtn">
Показать номер хозяина </button>
</div>
<div class="order-2 order-md-1 card-share">
<div class="share-links">
<a class="share-link" href="https://vk.com/share.php?url={url}" rel="noopener" target="_blank">\
<img src="/img/icons/share/icon-vk.svg" alt="VK" class="share-link__icon"></a>
<a class="share-link" href="https://connect.ok.ru/offer?url={url}" rel="noopener" target="_blank">\
<img src="/img/icons/share/icon-ok.svg" alt="OK" class="share-link__icon"></a>
</div>
</div>
</div>
"""


def _rows(advert: Advert, base: str) -> str:
    lost = advert.status is Status.LOST
    rows = [("Номер объявления", advert.source_id)]
    if advert.breed:
        link = f'<a class="notice_link" href="{base}/catalog/porodi">{escape(advert.breed)}</a> '
        rows.append(("Порода питомца", f"\n{link}"))
    if advert.sex:
        rows.append(("Пол питомца", "Мужской" if advert.sex is Sex.MALE else "Женский"))
    rows += [
        ("Добавлено", _day(advert.posted_on)),
        ("\nПропал(а) " if lost else "\nНайден(а) ", _day(advert.event_on)),
        ("\nИмя хозяина " if lost else "\nИмя нашедшего ", escape(advert.owner)),
    ]
    return "".join(
        f"""<div class="card-info">
<div class="gray-dk-color card-info__title">{name}</div>
<div class="card-info__value">{value}</div>
</div>
"""
        for name, value in rows
    )


def _day(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()]}, {day:%d.%m.%Y}"


def _comments(advert: Advert) -> str:
    return f"""<div id="commentPjax" data-pjax-container><section class="section comments">
<div class="container">
<div class="comments__items">
<div id="w0" class="list-view"><div data-key="{advert.number + 7}"><div class="comments-item ">
<div class="md-font comments-item__name">Всероссийская система поиска животных Pet911</div>
<div class="text-lt comments-item__text">\
Объявление {advert.source_id} размещено в группе ВКонтакте \
<a href="https://vk.com/example" target="_blank">Pet911.ru пропала найдена собака кошка</a></div>
<div class="gray-dk-color comments-item__date"> {advert.posted_on:%d.%m.%Y}</div>
</div></div>
</div> </div>
</div>
</section>
</div>
"""


def _popups(advert: Advert) -> str:
    return f"""<div class="popup popup-middle share js-popup-phone js-popup">
<div class="popup__overlay overlay js-popup-close"></div>
<div class="popup__container d-flex flex-column">
<div class="share__wrapper">
<div class="h3 share__title">{escape(advert.owner)}</div>
<div class="share__title">
<a href="#" class="h3 share__phone d-flex align-items-center justify-content-center">
<span class="share__phone-title"></span>
</a>
</div>
</div>
</div>
</div>
<div class="popup popup-middle map js-address js-popup">
<div class="map__container" id="map-single"></div>
<div class="map-address__info">
<h3>{escape(advert.address)}</h3>
</div>
</div>
"""


def _map_script(advert: Advert, base: str) -> str:
    maps = "".join(
        f"""        initMap(
            '{name}',
            {{
                lat: {advert.latitude},
                lng: {advert.longitude}
            }}
        );
"""
        for name in ("map-single-pc", "map-single")
    )
    return f"""<script>
    $(document).ready(function () {{
{maps}    }});
    $(document).one('click','#showPhoneBtn',function(e) {{
      $.ajax({{
        type: 'get',
        url: '{base}/pet/show-phone/{advert.number}',
        dataType: 'json',
      }});
    }});
{SCRIPTS}</script>
"""


def similar_section(adverts: Sequence[Advert], base: str) -> str:
    """The carousel of other people's animals that stands on every listing page."""
    slides = "".join(_similar_slide(advert, base) for advert in adverts)
    return f"""<section class="section pets">
<div class="container">
<div class="section__title">
<h2>Похожие пропавшие и найденные</h2>
</div>
<div class="slider stories__wrapper">
<div class="swiper-container slider__wrapper js-pets-slider">
<div class="swiper-wrapper">
{slides}</div>
</div>
</div>
</div>
</section>
"""


def _similar_slide(advert: Advert, base: str) -> str:
    title = escape(advert.title)
    return f"""<div class="swiper-slide">
<a href="{advert.path}" class="pets-item" title="{title}">
<div class="pets-item__thumb">
<img src="{base}{thumb_path(advert)}" class="img-crop">
</div>
<div class="pets-item__content">
<div class="pets-item__title">
<h3>{title[:40]}...</h3>
</div>
<div class="text pets-item__excerpt">{_excerpt(advert)}...</div>
<div class="gray-dk-color pets-item__date">{advert.event_on:%d.%m.%Y}</div>
</div>
</a>
</div>
"""


def thumb_path(advert: Advert) -> str:
    if not advert.photos:
        return NO_PHOTO
    folder, _, name = advert.photos[0].path.rpartition("/")
    return f"{folder}/thumb_{name}"


def _excerpt(advert: Advert) -> str:
    return escape(advert.description[:46])


def catalog_page(adverts: Sequence[tuple[Advert, bool]], view: CatalogView, base: str) -> str:
    """`adverts` with whether each is promoted, in the order of the page."""
    cards = "".join(_card(advert, promoted, base) for advert, promoted in adverts)
    total = f"{view.total:,}".replace(",", "\N{NO-BREAK SPACE}")
    return f"""<!DOCTYPE html>
<html lang="ru">
<head>
<meta charset="UTF-8">
<meta name="csrf-param" content="_csrf-newfront">
<title>Все объявления о пропаже и находке животных на сайте Pet911</title>
<link href="{base}{escape(view.address(view.page))}" rel="canonical">
{HEAD_LINKS}</head>
<body class="simple-header page-catalogue">
<div class="secondbody">
<section class="section catalog search-results js-search-results">
<div class="section-top">
<div class="container">
<div class="total_find_ads">Найдено {total} объявлений</div>
<div class="h1-2 section-top__title">
<h1>База пропавших и найденных животных</h1>
</div>
<div class="breadcrumbs section-top__breadcrumbs section-top__breadcrumbs">
<a class="link-gray-dk breadcrumbs__item" href="/">Pet911.ru</a>\
<span class="link-gray-dk breadcrumbs__item">Каталог</span> </div>
</div>
</div>
<div class="container">
<div id="w0" class="ajaxContainer"><div class="catalog__items">
{cards}</div>{_pagination(view, base)}</div> {FOOTER} </div>
<div class="catalog-map" id="map-catalog"></div>
</section>
</div>
{HEADER}<script>
{SCRIPTS}</script>
</body>
</html>
"""


def _card(advert: Advert, promoted: bool, base: str) -> str:
    title = escape(advert.title)
    top = "is-top            " if promoted else "            "
    rocket = (
        '<img src="/img/icons/icon-rocket.svg" alt="alt" class="catalog-item__gold js-tooltipster" '
        'title="Объявление продвигается">\n'
        if promoted
        else ""
    )
    return f"""<div id="petid_{advert.number}" class="catalog-item
    {top}">
<div class="close_catalog_item">
<div><img class="close_inline" src="/img/icons/icon-close-small-white.svg"></div>
</div>
<a href="{advert.path}" class="catalog-item__thumb">
<img loading="lazy" src="{base}{thumb_path(advert)}" alt="{title}" class="img-crop" \
width="196" height="129" title="Потерялась: {title}">
</a>
<div class="catalog-item__content">
<a href="{advert.path}" class="catalog-item__title">
{title[:30]}... </a>
<div class="catalog-item__excerpt">{_excerpt(advert)}...</div>
<div class="catalog-item__more">
<div class="catalog-item__info">
{rocket}<div class="gray-dk-color catalog-item__date">{_day(advert.posted_on)}</div>
</div>
<div class="catalog-item__controls">
<button class="catalog-item__share js-popup-btn show-share-popup" data-id="{advert.number}">
<img src="/img/icons/icon-share-accent.svg" alt="alt" class="catalog-item__share-icon">
</button>
<button type="button" class="catalog-item__wishlist addFav" data-pid="{advert.number}">
<img src="/img/icons/icon-wishlist-accent.svg" alt="alt" class="catalog-item__wishlist-icon">
</button>
</div>
</div>
</div>
</div>
"""


def _pagination(view: CatalogView, base: str) -> str:
    if view.pages <= 1:
        return ""

    def link(page: int, inside: str, class_: str = "pagination__item") -> str:
        href = escape(base + view.address(page))
        return f'<a class="{class_}" href="{href}" data-page="{page - 1}">{inside}</a>\n'

    def arrow(way: str) -> str:
        icon = f"/img/icons/icon-arrow-{way}-dark.svg"
        return f'<img src="{icon}" alt="alt" class="pagination-arrow__icon">'

    near = range(max(1, view.page - 2), min(view.pages, view.page + 3) + 1)
    active = '<span class="pagination__item pagination__active">{}</span>\n'
    items = [active.format(page) if page == view.page else link(page, str(page)) for page in near]
    first = active.format(arrow("prev")) if view.page == 1 else link(1, arrow("prev"))
    last = view.page == view.pages
    end = (
        active.format(arrow("next"))
        if last
        else link(view.pages, arrow("next"), "pagination-arrow")
    )
    return (
        '<div class="pagination"><div class="pagination__inner"><div class="pagination__items">'
        f"{first}{''.join(items)}{end}</div>"
        f'<div class="gray-bk-color pagination__info">Показано {view.shown} из {view.total} '
        "объявлений</div></div></div>"
    )
