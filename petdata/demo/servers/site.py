"""A local site like pet911.ru, of drawn pets: any number of listings, made when asked for.

    with Site(listings=300, seed=7) as site:
        ...  # crawl site.url, then compare with site.truth(index)

or, as a process of its own: python -m petdata.demo.servers.site --listings 300 --seed 7
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, quote, urlencode

import numpy as np
import numpy.typing as npt

from petdata.demo.servers.advert_texts import CITIES, CLOSED_FOUND, CLOSED_LOST, City
from petdata.demo.servers.advert_traits import (
    are_in_city,
    have_species,
    have_status,
    index_of,
    promoted_indices,
)
from petdata.demo.servers.adverts import Advert, draw_advert, draw_photos
from petdata.demo.servers.local_server import LocalServer, Request, Response
from petdata.demo.servers.site_config import SiteConfig, plain_config
from petdata.demo.servers.site_frame import NO_PHOTO_SVG, ROBOTS_TXT
from petdata.demo.servers.site_pages import (
    CatalogView,
    catalog_page,
    listing_page,
    similar_section,
)
from petdata.demo.servers.site_photos import NOT_FOUND_PAGE, SitePhotos
from petdata.records import Species, Status

PER_PAGE: Final = 20
SIMILAR: Final = 8  # listings in the carousel of similar ones
ADVERTS_KEPT: Final = 4096  # listings in memory, whatever their number

_LISTING_PATH = re.compile(r"/r[lf](\d{5,9})/?$")
_PHOTO_NAME = re.compile(r"/(thumb_)?(?:Pet_)?\d{10}[0-9a-f]{8}([0-9a-f]{5})\.(\d{2})\d{6}[._]")
_PAGE = re.compile(r"/page-(\d{1,7})$")
_NAMED_CATALOG = re.compile(r"/catalog/(propavshie|naydennye)-(koshki|sobaki)-([a-z-]+)$")
_STATUS_CATALOG = re.compile(r"/(lost|found)-(pets|cats|dogs)$")
_PHONE_PATH = re.compile(r"/pet/show-phone/(\d+)$")


@dataclass(frozen=True, slots=True)
class _Filter:
    species: Species | None = None
    status: Status | None = None
    city: City | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Edit:
    """What became of a listing after it was posted."""

    title: str | None = None
    description: str | None = None
    more_photos: int = 0
    closed: str | None = None


class Site:
    """The site and its server; a context manager. All methods may be called while it serves."""

    def __init__(
        self,
        config: SiteConfig | None = None,
        *,
        listings: int | None = None,
        seed: int | None = None,
        port: int = 0,
    ) -> None:
        config = config or SiteConfig()
        self.config = replace(
            config,
            listings=config.listings if listings is None else listings,
            seed=config.seed if seed is None else seed,
        )
        self.server = LocalServer(self._answer, port)
        self.photos = SitePhotos(self.config)
        self._count = self.config.listings
        self._promoted = promoted_indices(self.config)
        self._removed: dict[int, int] = {}  # index -> status code
        self._edits: dict[int, _Edit] = {}
        self._failed_once: set[str] = set()  # only what is flaky and was asked for
        self._lock = threading.Lock()
        self._draw = lru_cache(maxsize=ADVERTS_KEPT)(self._draw_edited)
        self._similar = lru_cache(maxsize=256)(self._draw_similar)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.__exit__(kind, error, traceback)

    @property
    def url(self) -> str:
        return self.server.url

    # What is true

    def truth(self, index: int) -> Advert:
        """Everything about one listing, edits included; 0 is the oldest."""
        if not 0 <= index < self._count:
            raise IndexError(f"no listing {index} of {self._count}")
        return self._draw(index, self._edits.get(index))

    def truths(self) -> Iterator[Advert]:
        """Every listing that the catalogue shows, the oldest first."""
        return (self.truth(index) for index in range(self._count) if index not in self._removed)

    def truth_of(self, source_id: str) -> Advert:
        """The listing with this id, removed ones too."""
        return self.truth(self._index_of(source_id))

    def is_promoted(self, advert: Advert) -> bool:
        return advert.index in self._promoted

    # Changes

    def add_listings(self, count: int) -> tuple[Advert, ...]:
        """New listings, which now stand first in the catalogue."""
        with self._lock:
            first = self._count
            self._count += count
        return tuple(self.truth(index) for index in range(first, first + count))

    def remove(self, source_id: str, status: int = 410) -> None:
        """Takes a listing out of the catalogue; its page answers with `status` from now on."""
        self._removed[self._index_of(source_id)] = status

    def close(self, source_id: str, notice: str | None = None) -> None:
        """Ends a search; by default with the notice of a happy end."""
        advert = self.truth_of(source_id)
        usual = CLOSED_LOST if advert.status is Status.LOST else CLOSED_FOUND
        self._change(advert.index, closed=notice or usual[0])

    def edit(
        self,
        source_id: str,
        *,
        title: str | None = None,
        description: str | None = None,
        more_photos: int = 0,
    ) -> Advert:
        """Changes a listing's text, adds photos after its others, or both."""
        index = self._index_of(source_id)
        changes = {"title": title, "description": description}
        given = {name: text for name, text in changes.items() if text is not None}
        self._change(index, more_photos=more_photos, **given)
        return self.truth(index)

    def _change(self, index: int, *, more_photos: int = 0, **changes: str) -> None:
        with self._lock:
            edit = self._edits.get(index, _Edit())
            self._edits[index] = replace(
                edit, more_photos=edit.more_photos + more_photos, **changes
            )

    def _index_of(self, source_id: str) -> int:
        index = index_of(self.config, int(source_id[2:]))
        if index is None or index >= self._count or self.truth(index).source_id != source_id:
            raise KeyError(f"no listing {source_id}")
        return index

    def _draw_edited(self, index: int, edit: _Edit | None) -> Advert:
        advert = draw_advert(self.config, index)
        if edit is None:
            return advert
        photos = advert.photos
        if edit.more_photos:
            photos = draw_photos(self.config, index, len(photos) + edit.more_photos)
        return replace(
            advert,
            title=edit.title or advert.title,
            description=edit.description or advert.description,
            closed=edit.closed or advert.closed,
            photos=photos,
        )

    # Answers

    def _answer(self, request: Request) -> Response:
        path = request.path
        if match := _PHOTO_NAME.search(path):
            return self._photo(path, int(match[2], 16), int(match[3]), thumb=bool(match[1]))
        if match := _LISTING_PATH.search(path):
            return self._listing(request, int(match[1]))
        if (wanted := _catalog_filter(path, request.query)) is not None:
            return self._catalog(path, request.query, wanted)
        if match := _PHONE_PATH.search(path):
            return self._phone(int(match[1]))
        if path == "/robots.txt":
            return Response(body=ROBOTS_TXT.encode(), content_type="text/plain", kind="robots")
        if path.startswith("/img/no-photo/"):
            return Response(body=NO_PHOTO_SVG.encode(), content_type="image/svg+xml")
        if path == "/":
            return Response(status=302, headers=(("Location", f"{self.url}/catalog"),))
        return Response(body=NOT_FOUND_PAGE, status=404)

    def _fails_first(self, path: str) -> bool:
        """Whether this is the first request for something that fails once."""
        with self._lock:
            first = path not in self._failed_once
            self._failed_once.add(path)
        return first

    def _listing(self, request: Request, number: int) -> Response:
        index = index_of(self.config, number)
        if index is None or index >= self._count:
            return Response(body=NOT_FOUND_PAGE, status=404, kind="listing")
        if index in self._removed:
            return Response(body=NOT_FOUND_PAGE, status=self._removed[index], kind="listing")
        advert = self.truth(index)
        if not request.path.rstrip("/").endswith(advert.source_id):
            return Response(body=NOT_FOUND_PAGE, status=404, kind="listing")
        if advert.flaky and self._fails_first(advert.source_id):
            return Response(status=503, kind="listing")
        page = listing_page(advert, self.url, self._similar(index // SIMILAR, self._count))
        delay_s = self.config.faults.slow_s if advert.slow else 0.0
        return Response(body=page.encode(), kind="listing", delay_s=delay_s)

    def _draw_similar(self, block: int, count: int) -> str:
        """The carousel on the pages of one block of listings shows the block before it."""
        before = block - 1 if block else count // SIMILAR
        first = min(before * SIMILAR, max(count - SIMILAR, 0))
        others = range(first, min(first + SIMILAR, count))
        return similar_section([self.truth(index) for index in others], self.url)

    def _photo(self, path: str, index: int, position: int, *, thumb: bool) -> Response:
        if index >= self._count:
            return Response(body=NOT_FOUND_PAGE, status=404, kind="photo")
        photos = self.truth(index).photos
        full = path.replace("/thumb_", "/")
        if position >= len(photos) or photos[position].path != full:
            return Response(body=NOT_FOUND_PAGE, status=404, kind="photo")
        photo = photos[position]
        if thumb:
            return self.photos.thumbnail(photo)
        if photo.flaky and self._fails_first(photo.path):
            return Response(status=503, kind="photo")
        return self.photos.respond(photo)

    def _phone(self, number: int) -> Response:
        index = index_of(self.config, number)
        if index is None or index >= self._count:
            return Response(body=NOT_FOUND_PAGE, status=404, kind="phone")
        answer = {"status": "success", "html": self.truth(index).phone}
        return Response(
            body=json.dumps(answer).encode(), content_type="application/json", kind="phone"
        )

    def _catalog(self, path: str, query: str, wanted: _Filter) -> Response:
        order = self._order(wanted)
        pages = max(1, -(-len(order) // PER_PAGE))
        asked = _page_asked(path, query)
        page = min(max(asked, 1), pages)  # Yii's Pagination answers with the last page beyond it
        shown = order[(page - 1) * PER_PAGE : page * PER_PAGE].tolist()
        view = CatalogView(_first_page(path, query), page, pages, len(order), len(shown))
        adverts = [(self.truth(index), index in self._promoted) for index in shown]
        return Response(body=catalog_page(adverts, view, self.url).encode(), kind="catalogue")

    def _order(self, wanted: _Filter) -> npt.NDArray[np.uint64]:
        """Indices as the catalogue shows them: promoted ones first, then the newest."""
        newest = self._count - 1
        indices = np.arange(newest + 1, dtype=np.uint64)[::-1]
        mask = np.ones(len(indices), np.bool_)
        mask[[newest - index for index in list(self._removed)]] = False
        if wanted.species is not None:
            mask &= have_species(self.config, indices, wanted.species)
        if wanted.status is not None:
            mask &= have_status(self.config, indices, wanted.status)
        if wanted.city is not None:
            mask &= are_in_city(self.config, indices, wanted.city)
        promoted = np.zeros(len(indices), np.bool_)
        promoted[[newest - index for index in self._promoted]] = True
        return np.concatenate([indices[mask & promoted], indices[mask & ~promoted]])


_ANIMALS = {"1": Species.DOG, "2": Species.CAT, "3": Species.BIRD}
_TYPES = {"1": Status.LOST, "2": Status.FOUND}


def _catalog_filter(path: str, query: str) -> _Filter | None:
    """What a catalogue's address asks for; None for any other address."""
    path = _PAGE.sub("", path)
    if path == "/catalog":
        fields = parse_qs(query)
        return _Filter(
            species=_ANIMALS.get(fields.get("PetsSearch[animal]", [""])[0]),
            status=_TYPES.get(fields.get("PetsSearch[type]", [""])[0]),
        )
    if match := _NAMED_CATALOG.fullmatch(path):
        city = next((city for city in CITIES if city.slug == match[3]), None)
        status = Status.LOST if match[1] == "propavshie" else Status.FOUND
        species = Species.CAT if match[2] == "koshki" else Species.DOG
        return _Filter(species, status, city) if city else None
    if match := _STATUS_CATALOG.fullmatch(path):
        kinds = {"cats": Species.CAT, "dogs": Species.DOG}
        return _Filter(kinds.get(match[2]), Status(match[1]))
    return None


def _page_asked(path: str, query: str) -> int:
    if match := _PAGE.search(path):
        return int(match[1])
    number = parse_qs(query).get("page", ["1"])[0]
    return int(number) if re.fullmatch(r"\d{1,7}", number) else 1


def _first_page(path: str, query: str) -> str:
    """The address of a catalogue's first page, filters kept."""
    fields = [(k, v) for k, values in parse_qs(query).items() if k != "page" for v in values]
    address = quote(_PAGE.sub("", path))
    return f"{address}?{urlencode(fields)}" if fields else address


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a local pet911-like site of drawn pets.")
    parser.add_argument("--listings", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--plain", action="store_true", help="no faults, a small pool of photos")
    parser.add_argument("--photo-pool", type=int, default=None)
    options = parser.parse_args()
    if options.plain:
        config = plain_config(options.listings, options.seed, options.photo_pool or 64)
    else:
        config = SiteConfig(
            listings=options.listings, seed=options.seed, photo_pool=options.photo_pool
        )
    with Site(config, port=options.port) as site:
        sys.stdout.write(f"{site.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
