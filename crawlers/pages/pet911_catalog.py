"""A catalogue page of pet911.ru: which listings it shows, which page comes next, how many in all.

Links and pages on another host than the catalogue's own are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from crawlers.pages.document import Element, Page, classes_of, lines_of, parse_page
from crawlers.pages.pet911_urls import absolute_url, page_number, same_site, source_id_of

MAX_LINKS: Final = 1_000  # a page of the site has 20
MAX_LINKS_IN_CARD: Final = 20  # and images; a card has two links and five images
MAX_MARKED: Final = 20  # elements marked as the active page; the site has two

_NUMBER = r"([0-9]{1,3}(?:[ ]?[0-9]{3}){0,3})(?![0-9])"
_TOTAL_FOUND = re.compile(_NUMBER)
_TOTAL_SHOWN = re.compile(rf"из {_NUMBER}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListingLink:
    source_id: str
    url: str
    promoted: bool  # paid to stand first whatever its date


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogPage:
    listings: tuple[ListingLink, ...]  # in the order of the page, each once
    next_url: str | None  # always a later page than this one; None on the last
    total: int | None  # listings in the whole catalogue, as the site says


def parse_catalog(html: str, url: str) -> CatalogPage:
    page = parse_page(html, url)
    links = _card_links(page, url) or _all_links(page, url)
    return CatalogPage(
        listings=tuple(links.values()), next_url=_next_url(page, url), total=_total(page)
    )


def _card_links(page: Page, url: str) -> dict[str, ListingLink]:
    """The first listing that each card links to."""
    links: dict[str, ListingLink] = {}
    for card in page.having_class("catalog-item", "pet"):  # 2022 on; 2021
        hrefs = (element.get("href", "") for element in islice(card.iter("a"), MAX_LINKS_IN_CARD))
        link = next((found for href in hrefs if (found := _link(href, url))), None)
        if link and len(links) < MAX_LINKS:
            links.setdefault(link.source_id, replace(link, promoted=_is_promoted(card)))
    return links


def _is_promoted(card: Element) -> bool:
    """By class, or by the rocket that some cards have without the class."""
    return not {"is-top", "adv-premium"}.isdisjoint(classes_of(card)) or any(
        "catalog-item__gold" in classes_of(image)
        for image in islice(card.iter("img"), MAX_LINKS_IN_CARD)
    )


def _all_links(page: Page, url: str) -> dict[str, ListingLink]:
    """Every link to a listing: what is left when the cards have new names."""
    links: dict[str, ListingLink] = {}
    for element in page.tree.root.iter("a"):
        link = _link(element.get("href", ""), url)
        if link and len(links) < MAX_LINKS:
            links.setdefault(link.source_id, link)
    return links


def _link(href: str, base: str) -> ListingLink | None:
    source_id = source_id_of(href)
    url = absolute_url(href, base) if source_id else None
    if source_id is None or url is None or not same_site(url, base):
        return None
    return ListingLink(source_id=source_id, url=url, promoted=False)


def _next_url(page: Page, url: str) -> str | None:
    """The link to the page after this one.

    "This one" is the later of what the address says and what the page marks as active: the site
    answers a page beyond the end with another one, and a walk must never step back.
    """
    pagination = page.first("pagination")
    if pagination is None:
        return None
    marked = page.having_class("pagination__active", "active")[:MAX_MARKED]  # 2022 on; 2021
    texts = (next(lines_of(element), "") for element in marked if _is_within(element, pagination))
    numbers = (int(text) for text in texts if re.fullmatch("[0-9]{1,7}", text))
    wanted = max([page_number(url), *numbers]) + 1
    for link in pagination.iter("a"):
        absolute = absolute_url(link.get("href", ""), url)
        if absolute and page_number(absolute) == wanted and same_site(absolute, url):
            return absolute
    return None


def _is_within(element: Element, ancestor: Element) -> bool:
    return any(each is ancestor for each in element.iterancestors())


def _total(page: Page) -> int | None:
    for name, pattern in (("total_find_ads", _TOTAL_FOUND), ("pagination__info", _TOTAL_SHOWN)):
        match = pattern.search(next(lines_of(page.first(name)), ""))
        if match:
            return int(match[1].replace(" ", ""))
    return None
