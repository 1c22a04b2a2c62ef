"""The pet911.ru spider: which request next, which page function. Nothing else.

A walk goes through the catalogue from the newest listing on. Every page's listings are in the
ledger before the walk moves on, so a walk that is cut off goes on where it was. Listings shift to
later pages while new ones arrive (met twice, known the second time) and to earlier pages while old
ones are removed: so after each page with news the page before is looked at again, and the one
before that, until nothing unknown stands there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Self

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DownloadCancelledError, IgnoreRequest
from scrapy.http import Response, TextResponse
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from crawlers.options import parse_options
from crawlers.pages import PageNotUnderstood
from crawlers.pages.opt_out import opts_out
from crawlers.pages.pet911 import parse_catalog, parse_listing_with_notes, source_id_of
from crawlers.pages.pet911_catalog import ListingLink
from crawlers.pages.pet911_urls import city_of, page_number, species_of
from crawlers.pipelines import FetchedPhoto
from crawlers.state import CrawlState, MarkupWatch
from petdata.errors import ListingReason, MarkupChanged, PetdataError, Reason, TryLater
from petdata.intake import Wanted
from petdata.ledger import PhotoKey, Walk, now
from petdata.records import Species
from petdata.workspace import find_workspace

PHOTO_PRIORITY: Final = 20
LISTING_PRIORITY: Final = 10
CATALOGUE_PRIORITY: Final = 0
ANIMAL_FILTER: Final = {Species.DOG: 1, Species.CAT: 2, Species.BIRD: 3}  # PetsSearch[animal]
LARGE_PAGE_BYTES: Final = 250_000  # the largest real one that is known has 187,000
LISTINGS_PER_PAGE: Final = 20
RECHECKS_AT_ONCE: Final = 50  # listings asked for before the scheduler is empty again
DAY_US: Final = 24 * 3600 * 1_000_000
GONE: Final = (404, 410)
FORBIDDEN: Final = (401, 403, 451)


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a walk goes once it has looked back; None: it is finished."""

    next_url: str | None
    at_end: bool  # of the catalogue, not only where the known listings begin


class Pet911Spider(scrapy.Spider):
    name = "pet911"

    def __init__(self, crawl_state: CrawlState, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.crawl_state = crawl_state
        self.options = crawl_state.options
        self.allowed_hosts = self.options.allowed_hosts
        self.markup = MarkupWatch()
        self.walk = Walk(walk_id=0, next_url=None, resumed=False)  # until `begin_walk`
        self.known_in_a_row = 0
        self.walked: set[str] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **arguments: Any) -> Self:
        options = parse_options(arguments)
        state = CrawlState(
            options=options,
            workspace=find_workspace(),
            command=" ".join(["crawl", cls.name, *(f"{k}={v}" for k, v in arguments.items())]),
        )
        if options.is_loopback:  # nobody to be polite to
            crawler.settings.set("DOWNLOAD_DELAY", 0, priority="spider")
            crawler.settings.set("AUTOTHROTTLE_ENABLED", False, priority="spider")
        return super().from_crawler(crawler, crawl_state=state)

    # Navigation

    async def start(self) -> AsyncIterator[Any]:
        ledger = self.crawl_state.intake.ledger
        for listing in ledger.pending_listings():
            if listing.is_unread:
                yield self.listing_request(listing.source_id, listing.url)
            else:
                for wanted in self.crawl_state.intake.wanted(listing.source_id):
                    yield self.photo_request(wanted, listing.url)
        if self.options.recheck is not None:
            before = now() - int(self.options.recheck * DAY_US)
            for number, (source_id, url) in enumerate(ledger.due_for_recheck(before), start=1):
                yield self.listing_request(source_id, url)
                if number % RECHECKS_AT_ONCE == 0:
                    await self.crawler.signals.wait_for(signals.scheduler_empty)
        yield self.begin_walk()

    def begin_walk(self) -> Request:
        with self.crawl_state.storage():
            self.walk = self.crawl_state.intake.ledger.open_walk(self.options.scope)
        self.known_in_a_row = 0
        self.walked = set()
        return self.catalogue_request(self.walk.next_url or self.catalogue_url())

    def catalogue_url(self) -> str:
        filters = [ANIMAL_FILTER.get(species) for species in self.options.species]
        url = f"{self.options.base_url}/catalog"
        if len(filters) == 1 and filters[0] is not None:
            return f"{url}?PetsSearch%5Banimal%5D={filters[0]}"
        return url

    def catalogue_request(self, url: str, onward: Onward | None = None) -> Request:
        return Request(
            url,
            callback=self.parse_catalogue,
            errback=self.catalogue_failed,
            cb_kwargs={"number": page_number(url), "onward": onward},
            priority=CATALOGUE_PRIORITY,
        )

    def listing_request(self, source_id: str, url: str) -> Request:
        return Request(
            url,
            callback=self.parse_listing,
            errback=self.listing_failed,
            cb_kwargs={"source_id": source_id},
            priority=LISTING_PRIORITY,
        )

    def photo_request(self, wanted: Wanted, referer: str) -> Request:
        return Request(
            wanted.address,
            callback=self.parse_photo,
            errback=self.photo_failed,
            cb_kwargs={"key": wanted.key},
            headers={"Referer": referer},
            priority=PHOTO_PRIORITY,
        )

    # The catalogue

    def parse_catalogue(
        self, response: Response, number: int, onward: Onward | None
    ) -> Iterator[Any]:
        """Page `number`; with `onward` it was left behind before and is looked at again."""
        with self.memory_for(response):
            page = parse_catalog(text_of(response), response.url)
        self.crawl_state.counts["catalogue"] += 1
        self.crawl_state.catalogue_total = page.total or self.crawl_state.catalogue_total
        self.walked.update(link.source_id for link in page.listings)
        if not page.listings or page_number(response.url) != number:
            self.check_end(response.url, number)
            yield from self.move_on(Onward(None, at_end=True))
            return
        in_scope = [link for link in page.listings if self.in_scope(link)]
        with self.crawl_state.storage():
            unknown = [link for link in in_scope if self.is_unknown(link)][: self.room()]
            new = self.crawl_state.intake.discover(
                [(link.source_id, link.url) for link in unknown], walk_id=self.walk.walk_id
            )
            reached_known = onward is None and self.reaches_known(in_scope)
        news = [link for link in unknown if link.source_id in new]
        for link in news:
            yield self.listing_request(link.source_id, link.url)
        if self.room() == 0:
            return  # the walk stays open: the next run goes on with this page
        if onward is None:
            next_url = None if reached_known else page.next_url
            onward = Onward(next_url, at_end=page.next_url is None)
        before = previous_page(response.url, self.catalogue_url())
        if before is not None and any(not link.promoted for link in news):
            yield self.catalogue_request(before, onward)
        else:
            yield from self.move_on(onward)

    def move_on(self, onward: Onward) -> Iterator[Request]:
        ledger, state = self.crawl_state.intake.ledger, self.crawl_state
        with state.storage():
            if onward.next_url is not None:
                ledger.advance_walk(self.walk.walk_id, next_url=onward.next_url)
            else:
                ledger.finish_walk(
                    self.walk.walk_id, walked=len(self.walked), total=state.catalogue_total
                )
        if onward.next_url is not None:
            yield self.catalogue_request(onward.next_url)
        elif self.walk.resumed:  # what is new stands on the first pages again
            yield self.begin_walk()
        elif onward.at_end:
            state.walked = len(self.walked)

    def check_end(self, url: str, number: int) -> None:
        """No listings, or another page than asked for: right only behind the last page."""
        total = self.crawl_state.catalogue_total
        if number > 1 and (total is None or (number - 1) * LISTINGS_PER_PAGE >= total):
            return
        if number == 1 and total == 0:
            return
        raise self.markup_changed(
            MarkupChanged(f"page {number} of the catalogue, {url}, shows no listings (of {total})")
        )

    def room(self) -> int | None:
        """How many more listings this run may find; None: any number."""
        if self.options.max_listings is None:
            return None
        return self.options.max_listings - self.crawl_state.intake.counts["listing/found"]

    def in_scope(self, link: ListingLink) -> bool:
        species, city = species_of(link.url), city_of(link.url)
        return (species is None or species in self.options.species) and (
            self.options.city is None or city == self.options.city
        )

    def is_unknown(self, link: ListingLink) -> bool:
        return self.crawl_state.intake.ledger.listing_state(link.source_id) is None

    def reaches_known(self, links: list[ListingLink]) -> bool:
        """Whether enough known listings stand in a row; promoted ones stand anywhere."""
        ledger = self.crawl_state.intake.ledger
        for link in links:
            if link.promoted:
                continue
            if ledger.is_known_to(self.options.scope, link.source_id):
                self.known_in_a_row += 1
                if self.known_in_a_row == self.options.known_stop:
                    return True
            else:
                self.known_in_a_row = 0
        return False

    def catalogue_failed(self, failure: Failure) -> None:
        self.crawl_state.counts["catalogue_failed"] += 1
        url = failure.request.url  # type: ignore[attr-defined]
        if isinstance(failure.value, IgnoreRequest) and not isinstance(failure.value, HttpError):
            raise self.crawl_state.fail(PetdataError(f"{url} may not be read: {failure.value}"))
        raise self.crawl_state.fail(
            TryLater(f"{url} could not be read: {reason_of(failure)}. The next crawl goes on there")
        )

    # Listings

    def parse_listing(self, response: Response, source_id: str) -> Iterator[Any]:
        intake, counts = self.crawl_state.intake, self.crawl_state.counts
        counts["listing"] += 1
        with self.crawl_state.storage():
            if source_id_of(response.url) != source_id:  # redirected to something else
                intake.listing_gone(source_id)
                return
            try:
                with self.memory_for(response):
                    parsed = parse_listing_with_notes(text_of(response), response.url)
            except PageNotUnderstood:
                intake.refuse_listing(source_id, response.url, ListingReason.NOT_UNDERSTOOD)
                return
            listing = parsed.listing
            for note in parsed.disagreements:
                counts[f"disagreement/{note}"] += 1
            for kind, number in parsed.scrubbed.items():
                counts[f"scrubbed/{kind}"] += number
            try:
                self.markup.saw(listing, parsed.strategies.get("photo_urls"))
            except MarkupChanged as error:
                raise self.markup_changed(error) from error
            if parsed.bare:  # an error page with status 200: known or not, it is read again
                counts["bare"] += 1
                return
            if parsed.no_index or headers_opt_out(response):
                intake.refuse_listing(source_id, response.url, ListingReason.OPTED_OUT)
                return
            if listing.species not in self.options.species:
                intake.refuse_listing(source_id, response.url, ListingReason.SPECIES_NOT_WANTED)
                return
            wanted = intake.take_listing(listing)
        self.crawl_state.cities[listing.city or ""] += 1
        yield listing
        for photo in wanted:
            yield self.photo_request(photo, response.url)

    def memory_for(self, response: Response) -> AbstractContextManager[object]:
        """A large page becomes a tree of hundreds of megabytes: not while a photo is decoded."""
        is_large = len(response.body) > LARGE_PAGE_BYTES
        return self.crawl_state.intake.heavy if is_large else nullcontext()

    def listing_failed(self, failure: Failure) -> None:
        source_id = failure.request.cb_kwargs["source_id"]  # type: ignore[attr-defined]
        if isinstance(failure.value, HttpError) and failure.value.response.status in GONE:
            with self.crawl_state.storage():
                self.crawl_state.intake.listing_gone(source_id)
        else:  # it stays pending, and the next run asks again
            self.crawl_state.counts["listing_failed"] += 1

    def markup_changed(self, error: MarkupChanged) -> CloseSpider:
        intake = self.crawl_state.intake
        intake.ledger.unread_run(intake.run_id, ListingReason.TOO_FEW_PHOTOS)
        return self.crawl_state.fail(error)

    # Photos

    def parse_photo(self, response: Response, key: PhotoKey) -> Iterator[FetchedPhoto]:
        if headers_opt_out(response):
            with self.crawl_state.storage():
                self.crawl_state.intake.drop_photo(key, Reason.OPTED_OUT, "X-Robots-Tag")
            return
        yield FetchedPhoto(key=key, body=response.body)

    def photo_failed(self, failure: Failure) -> None:
        key = failure.request.cb_kwargs["key"]  # type: ignore[attr-defined]
        reason = reason_to_drop(failure)
        with self.crawl_state.storage():
            if reason is None:
                self.crawl_state.intake.postpone_photo(key, reason_of(failure))
            else:
                self.crawl_state.intake.drop_photo(key, reason, reason_of(failure))


def previous_page(url: str, first: str) -> str | None:
    """The catalogue page before this one; None before the first."""
    number = page_number(url)
    if number <= 2:
        return first if number == 2 else None
    return re.sub(rf"(page[-=]){number}\b", rf"\g<1>{number - 1}", url)


def reason_to_drop(failure: Failure) -> Reason | None:
    """Why a photo that could not be fetched never will be; None: trying again may help."""
    error = failure.value
    if isinstance(error, HttpError):
        if error.response.status in GONE:
            return Reason.NOT_FOUND
        return Reason.FORBIDDEN if error.response.status in FORBIDDEN else None
    if isinstance(error, IgnoreRequest):  # robots.txt, a foreign host
        return Reason.FORBIDDEN
    return Reason.TOO_MANY_BYTES if isinstance(error, DownloadCancelledError) else None


def reason_of(failure: Failure) -> str:
    if isinstance(failure.value, HttpError):
        return f"HTTP {failure.value.response.status}"
    return f"{type(failure.value).__name__}: {failure.value}"[:200]


def headers_opt_out(response: Response) -> bool:
    return any(
        opts_out(value.decode("latin-1")) for value in response.headers.getlist("X-Robots-Tag")
    )


def text_of(response: Response) -> str:
    """The page as text; what is no text has nothing that a parser could find."""
    return response.text if isinstance(response, TextResponse) else ""
