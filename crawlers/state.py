"""What the spider, the pipeline and the progress line of one run share."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from scrapy.exceptions import CloseSpider

from crawlers.options import CrawlOptions
from crawlers.pages.pet911 import ParsedListing
from crawlers.pages.pet911_readings import Strategy
from crawlers.report import counts_under
from petdata.errors import CorruptFile, MarkupChanged, PetdataError, StorageFailure, TryLater
from petdata.intake import Intake
from petdata.records import Species
from petdata.workspace import Workspace

REFUSING: Final = frozenset({401, 403, 429, 500, 502, 503, 504})  # HTTP status
MOST_REFUSALS: Final = 20  # in a row, each asked for RETRY_TIMES more where Scrapy retries


@dataclass(kw_only=True)
class CrawlState:
    options: CrawlOptions
    workspace: Workspace
    command: str
    opened_intake: Intake | None = None
    failure: PetdataError | None = None  # why the run ends early
    refused_in_a_row: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # of pages; photos: intake.counts
    cities: Counter[str] = field(default_factory=Counter)  # listings read, by city
    catalogue_total: int | None = None  # as the site says
    walked: int | None = None  # listings met by a walk from the first page to the last
    report: dict[str, Any] | None = None  # once the run is over
    started: float = field(default_factory=time.monotonic)

    @property
    def intake(self) -> Intake:
        assert self.opened_intake is not None
        return self.opened_intake

    def fail(self, error: PetdataError) -> CloseSpider:
        """Remember the first failure; the exception to raise in a callback."""
        self.failure = self.failure or error
        return CloseSpider(type(error).__name__)

    def answered(self, status: int | None) -> None:
        """Watch for a site that refuses everything. Raises CloseSpider."""
        self.refused_in_a_row = self.refused_in_a_row + 1 if status in REFUSING else 0
        if self.refused_in_a_row >= MOST_REFUSALS:
            raise self.fail(
                TryLater(
                    f"the site refuses: {self.refused_in_a_row} answers in a row were errors, "
                    f"the last one HTTP {status}. Wait, and ask its owners if it goes on"
                )
            )

    @contextmanager
    def storage(self) -> Iterator[None]:
        """Around everything that writes: a full or broken disk ends the run in one line."""
        if self.failure is not None:
            raise self.fail(self.failure)
        try:
            yield
        except (StorageFailure, CorruptFile) as error:
            raise self.fail(error) from error


# Usual shares, of 1,549 listings of autumn 2025: 3 % without photos, none without a species or a
# date. Far above means that the site has new markup and the parser finds nothing where it looks.
MARKUP_LIMITS: Final[Mapping[str, float]] = {"photos": 0.3, "species": 0.2, "date": 0.2}
MARKUP_WINDOW: Final = 100  # listing pages that a share is taken over
MARKUP_MINIMUM: Final = 40  # pages below which no verdict is given


class MarkupWatch:
    """Fails a run whose pages suddenly lack what they always had, because silence is worse."""

    def __init__(self) -> None:
        self._lacking: deque[frozenset[str]] = deque(maxlen=MARKUP_WINDOW)

    def saw(self, parsed: ParsedListing | None, url: str) -> None:
        """A listing page, None where nothing was understood of it. Raises MarkupChanged.

        Photos found anywhere but in the visible page do not count: og: tags and JSON-LD have one.
        """
        lacking = dict.fromkeys(MARKUP_LIMITS, True)
        if parsed is not None:
            listing = parsed.listing
            lacking = {
                "photos": parsed.strategies.get("photo_urls") != Strategy.MARKUP,
                "species": listing.species is Species.UNKNOWN,
                "date": listing.posted_on is None and listing.event_on is None,
            }
        self._lacking.append(frozenset(name for name, lacks in lacking.items() if lacks))
        pages = len(self._lacking)
        if pages < MARKUP_MINIMUM:
            return
        for name, limit in MARKUP_LIMITS.items():
            without = sum(name in lacks for lacks in self._lacking)
            if without > limit * pages:
                raise MarkupChanged(
                    f"{without} of the last {pages} listings have no {name} (limit {limit:.0%}): "
                    f"the site's markup has changed, last seen at {url}. What was refused "
                    "in this run will be read again; update crawlers/pages/ first"
                )


def crawl_report(state: CrawlState, outcome: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    """The run in numbers: the final table and the JSON are made from it."""
    intake = state.opened_intake
    counts = dict(intake.counts) if intake is not None else {}
    seconds = time.monotonic() - state.started
    return {
        "source": intake.source.name if intake is not None else None,
        "outcome": outcome,
        "error": str(state.failure) if state.failure is not None else None,
        "seconds": round(seconds, 1),
        "requests": stats.get("downloader/request_count", 0),
        "statuses": counts_under(stats, "downloader/response_status_count/"),
        "catalogue_total": state.catalogue_total,
        "walked": state.walked,
        "warnings": warnings(state),
        "pages": dict(sorted(state.counts.items())),
        "listings": counts_under(counts, "listing/"),
        "photos": counts_under(counts, "photo/"),
        "bytes": counts.get("bytes", 0),
        "shards": counts.get("shards", 0),
    }


MISSED_SHARE: Final = 0.02  # of the catalogue's total, that removals during a walk may explain
ONE_CITY_SHARE: Final = 0.9
ONE_CITY_MINIMUM: Final = 100  # listings below which a common city means nothing


def warnings(state: CrawlState) -> list[str]:
    """Signs that the catalogue did not show everything; the run is not wrong, but look at it."""
    found = []
    total = state.catalogue_total
    if state.walked is not None and total and state.walked < (1 - MISSED_SHARE) * total:
        found.append(f"the catalogue says it has {total:,} listings, the walk met {state.walked:,}")
    read = state.cities.total()
    if state.options.city is None and read >= ONE_CITY_MINIMUM:
        [(city, count)] = state.cities.most_common(1)
        if count > ONE_CITY_SHARE * read:
            found.append(
                f"{count:,} of {read:,} listings are from {city or 'nowhere'}: the catalogue may "
                "show only listings near your address"
            )
    return found
