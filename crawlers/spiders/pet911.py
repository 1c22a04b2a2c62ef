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
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DownloadCancelledError, IgnoreRequest
from scrapy.http import Response, TextResponse
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from crawlers.middlewares import RequestNotAllowed
from crawlers.options import parse_options
from crawlers.pages import PageNotUnderstood
from crawlers.pages.opt_out import opts_out
from crawlers.pages.pet911 import (
    ParsedListing,
    parse_catalog,
    parse_listing_with_notes,
    source_id_of,
)
from crawlers.pages.pet911_catalog import CatalogPage, ListingLink
from crawlers.pages.pet911_urls import city_of, page_number, species_of
from crawlers.pipelines import FetchedPhoto
from crawlers.state import CrawlState, MarkupWatch
from petdata.errors import ListingReason, MarkupChanged, PetdataError, Reason, TryLater
from petdata.intake import Wanted
from petdata.ledger import now
from petdata.ledger_tables import PhotoKey, Walk
from petdata.memory import release_free_memory
from petdata.records import Species
from petdata.workspace import find_workspace

PHOTO_PRIORITY: Final = 20
LISTING_PRIORITY: Final = 10
CATALOGUE_PRIORITY: Final = 0
ANIMAL_FILTER: Final = {Species.DOG: 1, Species.CAT: 2, Species.BIRD: 3}  # PetsSearch[animal]
LARGE_PAGE_BYTES: Final = 250_000  # the largest real one that is known has 187,000
LISTINGS_PER_PAGE: Final = 20
AT_ONCE: Final = 50  # requests left over that wait in the scheduler
DAY_US: Final = 24 * 3600 * 1_000_000
GONE: Final = (404, 410)
LEGAL_REASONS: Final = 451  # HTTP status; 401 and 403 may be a ban that passes
ROBOTS_REFUSAL: Final = "Forbidden by robots.txt"  # of Scrapy's middleware, which has no class


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
        self.restarted = False
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
        """What is pending, what is due for a recheck, then the catalogue."""
        for number, request in enumerate(self.left_over(), start=1):
            yield request
            if number % AT_ONCE == 0:  # so that memory does not grow with what is left over
                await self.crawler.signals.wait_for(signals.scheduler_empty)
        yield self.begin_walk()

    def left_over(self) -> Iterator[Request]:
        ledger = self.crawl_state.intake.ledger
        for listing in ledger.pending_listings():
            if listing.is_unread and self.in_scope(listing.url):
                yield self.listing_request(listing.source_id, listing.url)
            elif not listing.is_unread:
                for wanted in self.crawl_state.intake.wanted(listing.source_id):
                    yield self.photo_request(wanted, listing.url)
        if self.options.recheck is not None:
            before = now() - int(self.options.recheck * DAY_US)
            for listing in ledger.due_for_recheck(before):
                if self.in_scope(listing.url):
                    yield self.listing_request(listing.source_id, listing.url)

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
        state = self.crawl_state
        page = self.read_catalogue(response)
        state.counts["catalogue"] += 1
        if page.total is not None:
            state.catalogue_total = page.total
        self.walked.update(link.source_id for link in page.listings)
        if not page.listings or page_number(response.url) != number:
            self.check_end(response.url, number)
            yield from self.move_on(Onward(None, at_end=True))
            return
        in_scope = [link for link in page.listings if self.in_scope(link.url)]
        with state.storage():
            unknown = {link.source_id for link in in_scope if self.is_unknown(link)}
            chosen = self.choose(in_scope)
            to_read = state.intake.discover(
                [(link.source_id, link.url) for link in chosen], walk_id=self.walk.walk_id
            )
            reached_known = onward is None and self.reaches_known(in_scope)
        urls = {link.source_id: link.url for link in chosen}
        for source_id in to_read:
            yield self.listing_request(source_id, urls[source_id])
        if self.room() == 0:
            return  # the walk stays open: the next run goes on with this page
        if onward is None:
            if page.next_url is None and not reached_known:
                self.check_end(response.url, number + 1)
            next_url = None if reached_known else page.next_url
            onward = Onward(next_url, at_end=page.next_url is None)
        promoted = {link.source_id for link in in_scope if link.promoted}
        before = previous_page(response.url, self.catalogue_url())
        if before is not None and (unknown & set(to_read)) - promoted:
            yield self.catalogue_request(before, onward)
        else:
            yield from self.move_on(onward)

    def read_catalogue(self, response: Response) -> CatalogPage:
        try:
            with self.memory_for(response):
                return parse_catalog(text_of(response), response.url)
        except PageNotUnderstood as error:
            raise self.markup_changed(MarkupChanged(str(error))) from error

    def choose(self, links: list[ListingLink]) -> list[ListingLink]:
        """All links, or as many as this run may still find new ones."""
        room, chosen = self.room(), []
        for link in links:
            if self.crawl_state.intake.must_be_read(link.source_id):
                if room == 0:
                    continue
                room = None if room is None else room - 1
            chosen.append(link)
        return chosen

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
        """Page `number` does not exist or shows nothing: right only behind the last page."""
        total = self.crawl_state.catalogue_total
        if total is not None and (number - 1) * LISTINGS_PER_PAGE >= total:
            return
        if total is None and number > 1 and self.walked:
            return  # a site that does not say how many it has
        said = "" if total is None else f", though the catalogue says it has {total:,}"
        error = MarkupChanged(f"there are no listings behind {url}, page {number}{said}")
        raise self.markup_changed(error)

    def room(self) -> int | None:
        """How many more listings this run may find; None: any number."""
        if self.options.max_listings is None:
            return None
        return self.options.max_listings - self.crawl_state.intake.counts["listing/found"]

    def in_scope(self, url: str) -> bool:
        species, city = species_of(url), city_of(url)
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

    def catalogue_failed(self, failure: Failure) -> Iterator[Request]:
        state = self.crawl_state
        state.counts["catalogue_failed"] += 1
        url = failure.request.url  # type: ignore[attr-defined]
        if isinstance(failure.value, IgnoreRequest) and not isinstance(failure.value, HttpError):
            raise state.fail(PetdataError(f"{url} may not be read: {failure.value}"))
        if status_of(failure) in GONE and page_number(url) > 1 and not self.restarted:
            self.restarted = True  # the catalogue is shorter than when the walk was there
            with state.storage():
                state.intake.ledger.restart_walk(self.walk.walk_id)
            yield self.begin_walk()
            return
        raise state.fail(
            TryLater(f"{url} could not be read: {reason_of(failure)}. The next crawl goes on there")
        )

    # Listings

    def parse_listing(self, response: Response, source_id: str) -> Iterator[Any]:
        state, intake = self.crawl_state, self.crawl_state.intake
        state.counts["listing"] += 1
        state.answered(response.status)
        with state.storage():
            parsed = self.read_listing(response, source_id)
            if parsed is None:
                intake.listing_failed(source_id, response.url, ListingReason.NOT_UNDERSTOOD)
                return
            listing = parsed.listing
            if parsed.no_index or headers_opt_out(response):
                intake.refuse_listing(source_id, response.url, ListingReason.OPTED_OUT)
                return
            if listing.species not in self.options.species:
                intake.listing_not_wanted(source_id, response.url)
                return
            wanted = intake.take_listing(listing)
        state.cities[listing.city or ""] += 1
        yield listing
        for photo in wanted:
            yield self.photo_request(photo, response.url)

    def read_listing(self, response: Response, source_id: str) -> ParsedListing | None:
        """None for a page that says nothing of this listing: an error page with status 200, a
        redirect to the catalogue."""
        counts = self.crawl_state.counts
        parsed = None
        if source_id_of(response.url) == source_id:
            try:
                with self.memory_for(response):
                    parsed = parse_listing_with_notes(text_of(response), response.url)
            except PageNotUnderstood:
                counts["not_understood"] += 1
        try:
            self.markup.saw(parsed, response.url)
        except MarkupChanged as error:
            raise self.markup_changed(error) from error
        if parsed is None or parsed.bare:
            return None
        for note in parsed.disagreements:
            counts[f"disagreement/{note}"] += 1
        for kind, number in parsed.scrubbed.items():
            counts[f"scrubbed/{kind}"] += number
        return parsed

    def listing_failed(self, failure: Failure) -> None:
        request = failure.request  # type: ignore[attr-defined]
        source_id, intake = request.cb_kwargs["source_id"], self.crawl_state.intake
        with self.crawl_state.storage():
            if status_of(failure) in GONE:
                intake.listing_gone(source_id)
            else:
                intake.listing_failed(source_id, request.url, ListingReason.UNREACHABLE)
        self.crawl_state.answered(status_of(failure))

    def markup_changed(self, error: MarkupChanged) -> CloseSpider:
        intake = self.crawl_state.intake
        intake.ledger.unread_run(
            intake.run_id, (ListingReason.TOO_FEW_PHOTOS, ListingReason.SPECIES_NOT_WANTED)
        )
        return self.crawl_state.fail(error)

    @contextmanager
    def memory_for(self, response: Response) -> Iterator[None]:
        """A large page becomes a tree of hundreds of megabytes: not while a photo is decoded."""
        if len(response.body) <= LARGE_PAGE_BYTES:
            yield
            return
        with self.crawl_state.intake.heavy:
            try:
                yield
            finally:
                release_free_memory()

    # Photos

    def parse_photo(self, response: Response, key: PhotoKey) -> Iterator[FetchedPhoto]:
        self.crawl_state.answered(response.status)
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
        self.crawl_state.answered(status_of(failure))


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
        return Reason.FORBIDDEN if error.response.status == LEGAL_REASONS else None
    if isinstance(error, RequestNotAllowed) or str(error) == ROBOTS_REFUSAL:
        return Reason.FORBIDDEN
    return Reason.TOO_MANY_BYTES if isinstance(error, DownloadCancelledError) else None


def status_of(failure: Failure) -> int | None:
    """The HTTP status of a failed request; None where there was no answer."""
    return failure.value.response.status if isinstance(failure.value, HttpError) else None


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
