"""One run of collection from Telegram: posts go into the intake, live or from an export.

Every post has its outcome in the ledger before the cursor of its channel moves past it, and
photos that are still wanted then are fetched first thing in the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection as Several
from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from typing import Any, Final

from crawlers.report import counts_under
from crawlers.telegram.albums import MAX_PARTS, WINDOW, Album
from crawlers.telegram.channels import Channel
from crawlers.telegram.keywords import Rules
from crawlers.telegram.listings import SOURCE, is_same_post, listing_of, post_id, url_of
from petdata.errors import ListingReason, PetdataError, Reason, RejectedPhoto
from petdata.intake import Intake, IntakeConfig, Wanted
from petdata.ledger_tables import ListingState
from petdata.listing import Listing
from petdata.records import Species

_NOT_IN_EXPORT: Final = (Reason.NOT_FOUND, Reason.FORBIDDEN, Reason.UNREACHABLE)


@dataclass(frozen=True, kw_only=True)
class HarvestOptions:
    species: frozenset[Species] = frozenset({Species.CAT, Species.DOG, Species.UNKNOWN})
    min_photos: int = 1  # Kudryavtsev et al. 2026, table 2: 1.8 photos per identity on average
    max_photos: int = MAX_PARTS
    rescan: int = 200  # message ids behind the newest known one that are read again for edits
    recheck: float | None = None  # days after which an open post is read again; None: never
    max_messages: int | None = None  # new ones of each channel in this run; None: all
    max_wait: int = 60  # seconds that Telegram may ask to wait before the run ends
    shard_bytes: int = IntakeConfig.shard_bytes

    def __post_init__(self) -> None:
        if not self.species:
            raise PetdataError("--species: name at least one, e.g. cat,dog,unknown")
        if not 1 <= self.min_photos <= self.max_photos:
            raise PetdataError(
                f"--min-photos {self.min_photos}, --max-photos {self.max_photos}: "
                "need 1 <= min-photos <= max-photos"
            )
        for name in ("rescan", "recheck", "max_wait"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 10**9:
                raise PetdataError(f"--{name.replace('_', '-')} {value}: must be 0 or more")
        if self.max_messages is not None and self.max_messages < 1:
            raise PetdataError(f"--max-messages {self.max_messages}: must be at least 1")

    def intake_config(self) -> IntakeConfig:
        return IntakeConfig(
            min_photos=self.min_photos, max_photos=self.max_photos, shard_bytes=self.shard_bytes
        )


def parse_species(text: str) -> frozenset[Species]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := sorted(names - set(Species)):
        raise PetdataError(f"--species: no {', '.join(unknown)}; choose from {', '.join(Species)}")
    return frozenset(Species(name) for name in names)


@dataclass(kw_only=True)
class Collection:
    """What one run shares: the open intake, what it looks for, and what it has met."""

    intake: Intake
    options: HarvestOptions
    rules: Rules
    counts: Counter[str] = field(default_factory=Counter)
    channels: dict[str, Counter[str]] = field(default_factory=dict)  # by name, for the report
    warnings: list[str] = field(default_factory=list)
    failure: PetdataError | None = None
    started: float = field(default_factory=time.monotonic)

    def take(
        self,
        album: Album,
        channel: Channel,
        handle: str | None,
        other_handles: Several[str] = (),
    ) -> list[Wanted]:
        """Record a post, and say which of its photos must be fetched."""
        intake = self.intake
        id = self.known_id(album) or post_id(album.first.channel_id, album.first.message_id)
        claims = self._claims(album)
        if not album.photos:
            self.counts["posts_without_photos"] += 1
            self._bury(claims)
            return []
        self.counts["posts"] += 1
        self._bury(claim for claim in claims if claim.source_id != id)
        url = url_of(album.first.channel_id, album.first.message_id, handle)
        if self._is_taken_down(album, {handle, *other_handles}, claims):
            self._refuse(id, url, ListingReason.TAKEN_DOWN)
            return []
        listing = listing_of(album, self.rules, source_id=id, basis=channel.basis, handle=handle)
        if isinstance(listing, ListingReason):
            self._refuse(id, url, listing)
            return []
        if listing.species not in self.options.species:
            if self._was_refused(id, ListingReason.SPECIES_NOT_WANTED):
                intake.ledger.mark_checked(id, run_id=intake.run_id)
            else:
                intake.listing_not_wanted(id, url)
            return []
        if self._is_known_otherwise(listing):
            intake.ledger.mark_checked(id, run_id=intake.run_id)
            intake.counts["listing/unchanged"] += 1
            return intake.wanted(id)
        return intake.take_listing(listing)

    def _claims(self, album: Album) -> list[ListingState]:
        """What the ledger has of this post's messages, as posts of any extent.

        An export's reader may have made several posts of an album, or one post of several.
        """
        ledger, first = self.intake.ledger, album.first
        found = {post_id(first.channel_id, message.message_id) for message in album.messages}
        before = range(max(1, first.message_id - WINDOW * MAX_PARTS), first.message_id)
        addresses = [f"export:{first.channel_id}/{message.message_id}" for message in album.photos]
        found |= {
            row["source_id"]
            for row in ledger.query(
                "SELECT source_id FROM photos JOIN listings USING (source_id, version) WHERE "
                f"source_id IN ({_marks(before)}) AND address IN ({_marks(addresses)})",
                *(post_id(first.channel_id, message_id) for message_id in before),
                *addresses,
            )
        }
        states = (ledger.listing_state(id) for id in sorted(found))
        return [state for state in states if state is not None]

    def _bury(self, claims: Iterable[ListingState]) -> None:
        for state in claims:
            if state.outcome in ("kept", "pending"):
                self.intake.listing_gone(state.source_id)

    def _is_taken_down(
        self, album: Album, handles: Iterable[str | None], claims: Iterable[ListingState]
    ) -> bool:
        """Also where a part of it was forgotten as a post, or a post that it was a part of."""
        takedowns = self.intake.takedowns
        ids = {post_id(part.channel_id, part.message_id) for part in album.messages}
        ids |= {state.source_id for state in claims}
        return any(takedowns.forbids_identity(f"{SOURCE}/{id}") for id in ids) or any(
            takedowns.forbids_url(link) for link in links_to(album, handles)
        )

    def known_id(self, album: Album) -> str | None:
        """The identity that a post has already, also where its first message was deleted."""
        addresses = [message.photo for message in album.photos]
        rows = self.intake.ledger.query(
            "SELECT source_id FROM photos WHERE address GLOB 'photo:*' "
            f"AND address IN ({_marks(addresses)}) LIMIT 1",
            *addresses,
        )
        return str(rows[0]["source_id"]) if rows else None

    def _refuse(self, id: str, url: str, reason: ListingReason) -> None:
        if self._was_refused(id, reason):
            self.intake.ledger.mark_checked(id, run_id=self.intake.run_id)
        else:
            self.intake.refuse_listing(id, url, reason)

    def _was_refused(self, id: str, reason: ListingReason) -> bool:
        state = self.intake.ledger.listing_state(id)
        return state is not None and state.outcome == "dropped" and state.reason == reason

    def _is_known_otherwise(self, listing: Listing) -> bool:
        """Whether an export has brought the post that is met live, or the other way round."""
        state = self.intake.ledger.listing_state(listing.source_id)
        if state is None or state.content_hash is None or state.outcome not in ("kept", "pending"):
            return False
        if self.missing_photos(listing.source_id):
            return False
        return is_same_post(self.intake.ledger.listing_record(listing.source_id), listing)

    def missing_photos(self, source_id: str) -> list[str]:
        """Addresses of what a post shows and an export did not have."""
        ledger = self.intake.ledger
        state = ledger.listing_state(source_id)
        return [
            row["address"]
            for row in (ledger.photos_of(source_id, state.version) if state is not None else [])
            if row["reason"] in _NOT_IN_EXPORT and row["address"].startswith("export:")
        ]

    async def examine(self, wanted: Wanted, raw: bytes) -> None:
        """Judge the bytes of a photo beside the event loop, and keep or drop it."""
        try:
            canonical = await asyncio.to_thread(self.intake.examine, raw)
        except RejectedPhoto as rejected:
            self.intake.drop_photo(wanted.key, rejected.reason, rejected.detail)
        else:
            self.intake.keep_photo(wanted.key, canonical)


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))


def links_to(album: Album, handles: Iterable[str | None]) -> Iterable[str]:
    """Every address at which a part of the post stands."""
    for message in album.messages:
        for handle in {None, *handles}:
            yield url_of(message.channel_id, message.message_id, handle)


def collection_report(run: Collection, outcome: str) -> dict[str, Any]:
    """The run in numbers: the final table and the JSON are made from it."""
    counts = run.intake.counts
    return {
        "source": SOURCE,
        "outcome": outcome,
        "error": str(run.failure) if run.failure is not None else None,
        "seconds": round(time.monotonic() - run.started, 1),
        "requests": run.counts["requests"],
        "warnings": run.warnings,
        "messages": {k: n for k, n in sorted(run.counts.items()) if k != "requests"},
        "channels": {name: dict(sorted(met.items())) for name, met in run.channels.items()},
        "listings": counts_under(counts, "listing/"),
        "photos": counts_under(counts, "photo/"),
        "bytes": counts.get("bytes", 0),
        "shards": counts.get("shards", 0),
    }
