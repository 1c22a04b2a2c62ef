"""The way of a photo from bytes to a shard: takedowns, canonical JPEG, segment, ledger, shards.

Every source comes through here. A photo that `keep_photo` has taken is durable and is never fetched
again; it reaches a shard once its listing is settled and enough bytes are together, or at `close`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final

from petdata.errors import CorruptFile, ListingReason, Reason, RejectedPhoto, StorageFailure
from petdata.jpeg import CanonicalJpeg, Limits, canonicalise
from petdata.ledger import Ledger
from petdata.ledger_tables import PhotoKey, ShardRecord, StoredPhoto
from petdata.listing import Listing, content_hash
from petdata.memory import release_free_memory
from petdata.perceptual_hash import THUMBNAIL_SIDE
from petdata.purging import finish_rewrites
from petdata.records import Photo
from petdata.segments import SegmentWriter, read_segment
from petdata.shards import read_photo, write_shard
from petdata.sources import find_source
from petdata.takedowns import read_takedowns
from petdata.unfinished_shard import shard_name, unfinished_shard
from petdata.workspace import Workspace, make_folder

_LARGE_PIXELS: Final = 6_000_000  # from here a decoded photo is worth returning to the system
_THUMBNAIL_BYTES: Final = THUMBNAIL_SIDE**2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class IntakeConfig:
    min_photos: int = 2  # Kudryavtsev et al. 2026, section 2.1: two to eight photos per animal
    max_photos: int = 8
    max_attempts: int = 3  # runs that may fail to fetch a photo before it is given up
    shard_bytes: int = 64 * 2**20  # of JPEG in a shard; docs/record.md says why
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 1 <= self.min_photos <= self.max_photos:
            raise ValueError(
                f"min_photos {self.min_photos} and max_photos {self.max_photos}: "
                "need 1 <= min_photos <= max_photos"
            )
        if self.max_attempts < 1 or self.shard_bytes < 1:
            raise ValueError("max_attempts and shard_bytes must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A photo to fetch."""

    key: PhotoKey
    address: str


class Intake:
    """Open for one run of one source; a context manager. Not thread-safe but for `examine`."""

    def __init__(
        self,
        workspace: Workspace,
        source: str,
        config: IntakeConfig | None = None,
        *,
        command: str = "",
    ) -> None:
        self.source = find_source(source, workspace)
        self.config = config or IntakeConfig()
        self.takedowns = read_takedowns(workspace.takedowns)
        self.counts: Counter[str] = Counter()  # "listing/kept", "photo/truncated", ...
        self.heavy = Lock()  # held by what needs much memory, so that their needs don't add up
        self._shards = workspace.shards(source)
        self._segments = workspace.segments(source)
        self._segment: SegmentWriter | None = None
        self._undrained_bytes = 0
        self.ledger = Ledger(workspace.ledger(source), source=source)
        try:
            make_folder(self._shards)
            make_folder(self._segments)
            self.run_id = self.ledger.start_run(command)
            self._recover()
        except OSError as error:
            self.ledger.close()
            raise StorageFailure(f"cannot prepare {error.filename}: {error.strerror}") from error
        except BaseException:
            self.ledger.close()
            raise

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close("finished" if kind is None else kind.__name__)

    def close(self, outcome: str = "finished", report: str = "{}") -> None:
        """Write what is settled into a last shard and let go of the ledger."""
        try:
            if outcome != StorageFailure.__name__:
                self.drain()
                self.ledger.finish_run(self.run_id, outcome, report)
                self._close_segment()
                self._remove_unused_segments()
        finally:
            self._close_segment()
            self.ledger.close()

    # Listings

    def discover(self, links: Iterable[tuple[str, str]], *, walk_id: int) -> list[str]:
        """(source id, address) pairs of a catalogue page -> the ids that must be read."""
        allowed = [(id, url) for id, url in links if not self._is_taken_down(id, url)]
        to_read = self.ledger.discover(allowed, walk_id)
        self.counts["listing/found"] += len(to_read)
        return to_read

    def must_be_read(self, source_id: str) -> bool:
        """Whether `discover` would ask for this listing."""
        state = self.ledger.listing_state(source_id)
        return state is None or state.may_come_back

    def take_listing(self, listing: Listing) -> list[Wanted]:
        """Record a listing and say which of its photos must be fetched."""
        if self._is_taken_down(listing.source_id, listing.url):
            self.refuse_listing(listing.source_id, listing.url, ListingReason.TAKEN_DOWN)
            return []
        if self._is_unchanged(listing):
            self.ledger.mark_checked(listing.source_id, run_id=self.run_id)
            self.counts["listing/unchanged"] += 1
            return self.wanted(listing.source_id)
        with self.ledger.transaction():
            version = self.ledger.begin_version(listing, run_id=self.run_id)
            self._refuse_photos(listing, version)
            if len(listing.photos) < self.config.min_photos:  # nothing to fetch for
                self.refuse_listing(listing.source_id, listing.url, ListingReason.TOO_FEW_PHOTOS)
            else:
                self._settle(listing.source_id, version)
        self.counts["listing/new" if version == 1 else "listing/changed"] += 1
        self._drain_if_full()
        return self.wanted(listing.source_id)

    def _is_unchanged(self, listing: Listing) -> bool:
        """Whether the ledger has this very listing, and would judge it as it did."""
        state = self.ledger.listing_state(listing.source_id)
        if state is None or state.content_hash != content_hash(listing):
            return False
        if state.outcome == "dropped":
            version, least = state.version, self.config.min_photos
            return self.ledger.photos_that_may_be_kept(state.source_id, version) < least
        return state.outcome in ("pending", "kept")

    def _refuse_photos(self, listing: Listing, version: int) -> None:
        """Drop what is beyond `max_photos` or taken down, before anything is fetched."""
        for row in self.ledger.photos_of(listing.source_id, version):
            key = PhotoKey(listing.source_id, version, row["position"])
            if row["outcome"] == "dropped":
                continue
            if self._is_photo_taken_down(row):
                self._drop(key, Reason.TAKEN_DOWN, "it is in takedowns.toml")
            elif row["position"] >= self.config.max_photos:
                detail = f"more than {self.config.max_photos} photos"
                self._drop(key, Reason.OVER_MAX_PHOTOS, detail)

    def _is_taken_down(self, source_id: str, url: str) -> bool:
        identity_id = f"{self.source.name}/{source_id}"
        return self.takedowns.forbids_identity(identity_id) or self.takedowns.forbids_url(url)

    def _is_photo_taken_down(self, row: sqlite3.Row) -> bool:
        hashes = [row[name] for name in ("sha256", "original_sha256") if row[name] is not None]
        photo_id = f"{self.source.name}/{row['source_id']}/{(row['sha256'] or '')[:12]}"
        return (
            self.takedowns.forbids_url(row["address"])
            or self.takedowns.forbids_photo(photo_id)
            or any(self.takedowns.forbids_bytes(sha256) for sha256 in hashes)
        )

    def wanted(self, source_id: str) -> list[Wanted]:
        """What is still to be fetched of a listing."""
        state = self.ledger.listing_state(source_id)
        if state is None or state.outcome != "pending":
            return []
        return [
            Wanted(key=PhotoKey(source_id, state.version, row["position"]), address=row["address"])
            for row in self.ledger.photos_of(source_id, state.version)
            if row["outcome"] == "wanted"
        ]

    def refuse_listing(self, source_id: str, url: str, reason: ListingReason) -> None:
        self.ledger.drop_listing(source_id, url, reason, run_id=self.run_id)
        self.counts[f"listing/{reason}"] += 1

    def listing_not_wanted(self, source_id: str, url: str) -> None:
        """Of another species than this run collects; what an earlier run kept stays."""
        state = self.ledger.listing_state(source_id)
        if state is None or state.version == 0:
            self.refuse_listing(source_id, url, ListingReason.SPECIES_NOT_WANTED)
        else:
            self.counts["listing/not_wanted_now"] += 1

    def listing_failed(self, source_id: str, url: str, reason: ListingReason) -> None:
        """A listing could not be read: the next run tries again, up to `max_attempts` runs.

        What is known of a listing that was read before stays as it is.
        """
        attempts = self.ledger.postpone_listing(source_id)
        state = self.ledger.listing_state(source_id)
        never_read = state is not None and state.outcome == "pending" and state.is_unread
        if attempts >= self.config.max_attempts and never_read:
            self.refuse_listing(source_id, url, reason)
        else:
            self.counts["listing/postponed"] += 1

    def listing_gone(self, source_id: str) -> None:
        self.ledger.mark_gone(source_id)
        self.counts["listing/gone"] += 1

    # Photos

    def examine(self, raw: bytes) -> CanonicalJpeg:
        """Judge fetched bytes. Raises RejectedPhoto. May run in any thread."""
        if self.takedowns.forbids_bytes(hashlib.sha256(raw).hexdigest()):
            raise RejectedPhoto(Reason.TAKEN_DOWN, "its hash is in takedowns.toml")
        with self.heavy:
            canonical = self._canonicalise(raw)
        if self.takedowns.forbids_bytes(canonical.sha256):
            raise RejectedPhoto(Reason.TAKEN_DOWN, "its hash is in takedowns.toml")
        return canonical

    def _canonicalise(self, raw: bytes) -> CanonicalJpeg:
        refused: tuple[Reason, str] | None = None
        try:
            canonical = canonicalise(raw, self.config.limits)
        except RejectedPhoto as rejected:
            refused = rejected.reason, rejected.detail
        if refused is not None:  # perhaps after decoding a lot
            release_free_memory()
            # Anew: the traceback of the first would keep its frames, and with them the pixels.
            raise RejectedPhoto(*refused)
        if canonical.width * canonical.height > _LARGE_PIXELS:
            release_free_memory()
        return canonical

    def keep_photo(self, key: PhotoKey, canonical: CanonicalJpeg) -> None:
        """Make a photo durable. On return it is safe against any crash."""
        if not self._is_wanted(key):
            return
        photo_id = f"{self.source.name}/{key.source_id}/{canonical.sha256[:12]}"
        if self.takedowns.forbids_photo(photo_id):
            self.drop_photo(key, Reason.TAKEN_DOWN, f"{photo_id} is in takedowns.toml")
            return
        segment = self._open_segment()
        offset = segment.append(canonical.thumbnail + canonical.jpeg)
        stored = StoredPhoto(
            original_sha256=canonical.original_sha256,
            sha256=canonical.sha256,
            phash=f"{canonical.phash:016x}",
            width=canonical.width,
            height=canonical.height,
            bytes=len(canonical.jpeg),
            segment=segment.path.name,
            segment_offset=offset,
        )
        with self.ledger.transaction():
            self.ledger.store_photo(key, stored)
            self._settle(key.source_id, key.version)
        self.counts["photo/stored"] += 1
        self.counts["bytes"] += len(canonical.jpeg)
        self._drain_if_full()

    def adopt_photo(self, wanted: Wanted) -> bool:
        """Keep a photo without fetching it, where another listing has brought the same media."""
        media, at, _ = wanted.address.partition("@")
        key = wanted.key
        with self.ledger.transaction():
            if not at or not self.ledger.adopt_photo(key, media):
                return False
            row = self.ledger.photo(key)
            if row is not None and self._is_photo_taken_down(row):
                self._drop(key, Reason.TAKEN_DOWN, "it is in takedowns.toml")
            else:
                self.counts["photo/reposted"] += 1
            self._settle(key.source_id, key.version)
        self._drain_if_full()
        return True

    def drop_photo(self, key: PhotoKey, reason: Reason, detail: str) -> None:
        if not self._is_wanted(key):
            return
        with self.ledger.transaction():
            self._drop(key, reason, detail)
            self._settle(key.source_id, key.version)
        self._drain_if_full()

    def postpone_photo(self, key: PhotoKey, detail: str) -> None:
        """The photo could not be fetched: the next run tries again, up to `max_attempts` runs."""
        if not self._is_wanted(key):
            return
        attempts = self.ledger.postpone_photo(key, detail)
        if attempts >= self.config.max_attempts:
            self.drop_photo(key, Reason.UNREACHABLE, f"{detail}, {attempts} runs in a row")
        else:
            self.counts["photo/postponed"] += 1

    def _is_wanted(self, key: PhotoKey) -> bool:
        row = self.ledger.photo(key)
        return row is not None and row["outcome"] == "wanted"

    def _drop(self, key: PhotoKey, reason: Reason, detail: str) -> None:
        self.ledger.drop_photo(key, reason, detail)
        self.counts[f"photo/{reason}"] += 1

    def _settle(self, source_id: str, version: int) -> None:
        """Once nothing of a listing is wanted, keep or drop it as a whole."""
        if self.ledger.has_wanted_photos(source_id, version):
            return
        seen: set[str] = set()
        size = 0
        for row in self.ledger.photos_of(source_id, version):
            if row["outcome"] != "stored":
                continue
            if row["sha256"] in seen:
                key = PhotoKey(source_id, version, row["position"])
                self._drop(key, Reason.DUPLICATE_IN_IDENTITY, "the same bytes stand before it")
            else:
                seen.add(row["sha256"])
                size += row["bytes"]
        if len(seen) >= self.config.min_photos:
            self.ledger.keep_listing(source_id)
            self._undrained_bytes += size
            self.counts["listing/kept"] += 1
            self.counts["photo/kept"] += len(seen)
        else:
            listing = self.ledger.listing_record(source_id)
            self.refuse_listing(source_id, listing.url, ListingReason.TOO_FEW_PHOTOS)
            if seen:
                self.counts["photo/listing_dropped"] += len(seen)

    # Shards

    def drain(self) -> None:
        """Write all stored photos of kept listings into one new shard."""
        rows = self.ledger.photos_to_drain()
        if not rows:
            return
        shard_id = len(self.ledger.shards())
        name = shard_name(shard_id)
        with self.heavy:
            info = write_shard(self._shards / name, self._photos(rows))
            release_free_memory()
        keys = [PhotoKey(row["source_id"], row["version"], row["position"]) for row in rows]
        self.ledger.record_shard(
            ShardRecord(
                shard_id=shard_id,
                name=name,
                rows=info.rows,
                bytes=info.bytes,
                fingerprint=info.fingerprint,
            ),
            keys,
        )
        self.counts["shards"] += 1
        self._undrained_bytes = 0
        self._close_segment()
        self._remove_unused_segments()

    def _drain_if_full(self) -> None:
        if self._undrained_bytes >= self.config.shard_bytes:
            self.drain()

    def _photos(self, rows: list[sqlite3.Row]) -> Iterator[Photo]:
        listing: Listing | None = None
        for row in rows:
            if listing is None or listing.source_id != row["source_id"]:
                listing = self.ledger.listing_record(row["source_id"])
            yield self._photo(listing, row)

    def _photo(self, listing: Listing, row: sqlite3.Row) -> Photo:
        jpeg, thumbnail = self._stored_bytes(row)
        return Photo(
            photo_id=f"{listing.identity_id}/{row['sha256'][:12]}",
            identity_id=listing.identity_id,
            source=listing.source,
            species=listing.species,
            listing_version=row["version"],
            position=row["position"],
            image=jpeg,
            width=row["width"],
            height=row["height"],
            sha256=row["sha256"],
            original_sha256=row["original_sha256"],
            phash=int(row["phash"], 16),
            thumbnail=thumbnail,
            title=listing.title,
            description=listing.description,
            status=listing.status,
            closed=listing.closed,
            breed=listing.breed,
            sex=listing.sex,
            city=listing.city,
            latitude=listing.latitude,
            longitude=listing.longitude,
            event_on=listing.event_on,
            posted_on=listing.posted_on,
            fetched_at=_EPOCH + timedelta(microseconds=row["fetched_at"]),
            source_url=listing.url,
            licence=self.source.licence,
            basis=listing.basis,
            multi_animal=listing.multi_animal,
            attributes=json.dumps(dict(listing.attributes), ensure_ascii=False, sort_keys=True)
            if listing.attributes
            else None,
        )

    def _stored_bytes(self, row: sqlite3.Row) -> tuple[bytes, bytes]:
        """JPEG and thumbnail, from the segment or the shard that holds them."""
        if row["segment"] is not None:
            payload = read_segment(self._segments / row["segment"], row["segment_offset"])
            return payload[_THUMBNAIL_BYTES:], payload[:_THUMBNAIL_BYTES]
        path = self._shards / shard_name(row["shard_id"])
        photo = read_photo(path, row["row"])
        if photo.sha256 != row["sha256"] or photo.image is None or photo.thumbnail is None:
            raise CorruptFile(f"{path}: row {row['row']} is not the photo that the ledger expects")
        return photo.image, photo.thumbnail

    # Segments and recovery

    def _open_segment(self) -> SegmentWriter:
        if self._segment is None:
            taken = [int(path.stem) for path in self._segment_files()]
            name = f"{max(taken, default=-1) + 1:08d}.segment"
            self._segment = SegmentWriter(self._segments / name)
        return self._segment

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _recover(self) -> None:
        """Bring the folders back to what the ledger says, whenever the last run ended."""
        for leftover in self._shards.glob(".*.tmp"):
            leftover.unlink()
        finish_rewrites(self.ledger, self._shards)
        for segment in self.ledger.segments_in_use():
            if not (self._segments / segment).exists():
                self.ledger.want_again(segment)
        may_be = self.ledger.bytes_to_drain() > 0
        unfinished = unfinished_shard(self.ledger, self._shards, may_be=may_be)
        self._obey_takedowns()
        self._undrained_bytes = self.ledger.bytes_to_drain()
        if unfinished is not None and self._undrained_bytes:
            self.drain()
        elif unfinished is not None:
            unfinished.unlink()
        self._remove_unused_segments()

    def _obey_takedowns(self) -> None:
        """Takedowns made since the last run: nothing of them is fetched or written any more."""
        for entry in self.takedowns.entries:
            if entry.kind == "identity":
                source, _, source_id = entry.value.partition("/")
                listings = [source_id] if source == self.source.name else []
            else:
                listings = self.ledger.listings_at(entry.value)
            for source_id in listings:
                state = self.ledger.listing_state(source_id)
                if state is not None and state.reason != ListingReason.TAKEN_DOWN:
                    self.refuse_listing(source_id, state.url, ListingReason.TAKEN_DOWN)
        for row in self.ledger.photos_under_way():
            if self._is_photo_taken_down(row):
                key = PhotoKey(row["source_id"], row["version"], row["position"])
                with self.ledger.transaction():
                    self._drop(key, Reason.TAKEN_DOWN, "it is in takedowns.toml")
                    self._settle(key.source_id, key.version)

    def _remove_unused_segments(self) -> None:
        in_use = self.ledger.segments_in_use()
        try:
            for path in self._segment_files():
                if path.name not in in_use:
                    path.unlink()
        except OSError as error:
            raise StorageFailure(f"cannot remove {error.filename}: {error.strerror}") from error

    def _segment_files(self) -> list[Path]:
        try:
            return list(self._segments.glob("[0-9]*.segment"))
        except OSError as error:
            raise StorageFailure(f"cannot read {self._segments}: {error.strerror}") from error
