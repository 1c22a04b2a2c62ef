"""The ledger: one SQLite file per source, with the outcome of every listing and photo.

It, not the crawler's memory, is the truth. A photo is `wanted`, then `stored` (its bytes are
durable in a segment, or in the shard of an earlier version), then `kept` (in a shard); or it is
`dropped` with a reason. A listing is `pending` until no photo of it is wanted, then `kept` or
`dropped`; `gone` once the site has removed it. docs/reliability.md has the guarantee that follows.

Every public method that writes is one transaction, or part of the one that the caller opened with
`transaction()`. There is one writer per source; readers open with `read_only=True` at any time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from petdata.errors import CorruptFile, ListingReason, PetdataError, Reason, StorageFailure
from petdata.ledger_lock import LedgerLock
from petdata.ledger_tables import (
    LEDGER_VERSION,
    TABLES,
    ListingState,
    PhotoKey,
    ShardRecord,
    StoredPhoto,
    Walk,
)
from petdata.listing import Listing, content_hash, listing_from_json, listing_to_json
from petdata.workspace import make_folder, sync_folder

# Verdicts that another fetch will not change: a new version takes them over. What is no image or
# was cut off may have been an error page, and is asked for again.
_FINAL: Final = (
    Reason.CORRUPT,
    Reason.TOO_FEW_PIXELS,
    Reason.TOO_MANY_PIXELS,
    Reason.TOO_MANY_BYTES,
    Reason.UNSUPPORTED,
    Reason.TAKEN_DOWN,
)


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class Ledger:
    def __init__(self, path: Path, *, source: str, read_only: bool = False) -> None:
        self.path = path
        self.source = source
        self._lock: LedgerLock | None = None
        if read_only:
            if not path.exists():
                raise PetdataError(f"nothing has been collected from {source} yet (no {path})")
            self._connect(f"{path.as_uri()}?mode=ro")
        else:
            make_folder(path.parent)
            self._lock = LedgerLock(path.with_suffix(".lock"), source=source)
            self._connect(path.as_uri())
            try:
                sync_folder(path.parent)  # SQLite does, but tells nobody where it cannot
            except OSError as error:
                self.close()
                raise StorageFailure(f"cannot sync {path.parent}: {error.strerror}") from error

    def _connect(self, uri: str) -> None:
        try:
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)
            self._database.row_factory = sqlite3.Row
            if self._lock is not None:
                self._write_ahead()
                self._database.execute("PRAGMA synchronous = FULL")
                self._create_tables()
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            self.close()
            raise _storage_failure(self.path, error) from error
        if version != LEDGER_VERSION:
            self.close()
            raise CorruptFile(
                f"{self.path} has ledger version {version}, this petdata reads {LEDGER_VERSION}: "
                "use the petdata that wrote it"
            )

    def _write_ahead(self) -> None:
        """SQLite only says so, and goes on without, where it could not turn it on."""
        mode = self._database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            self.close()
            raise StorageFailure(
                f"{self.path}: no write-ahead log can be made beside it (journal mode {mode}): the "
                "disk is full or broken, or a network folder. Mend the disk and start again"
            )

    def _create_tables(self) -> None:
        if self._database.execute("PRAGMA user_version").fetchone()[0] != 0:
            return
        script = f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {LEDGER_VERSION}; COMMIT;"
        self._database.executescript(script)

    def close(self) -> None:
        if hasattr(self, "_database"):
            self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at its end; nested ones join the outermost."""
        if self._database.in_transaction:
            yield
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise _storage_failure(self.path, error) from error
        except BaseException:
            self._rollback()
            raise

    def _rollback(self) -> None:
        if self._database.in_transaction:
            try:
                self._database.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _storage_failure(self.path, error) from error

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read with SQL; the tables are documented at the top of this module."""
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _storage_failure(self.path, error) from error

    def _one(self, sql: str, *values: object) -> Any:
        rows = self.query(sql, *values)
        return rows[0][0] if rows else None

    def write(self, sql: str, *values: object) -> int:
        """One statement, in a transaction. Returns how many rows it changed."""
        with self.transaction():
            return int(self._database.execute(sql, values).rowcount)

    # Runs and walks

    def start_run(self, command: str) -> int:
        self.write("INSERT INTO runs (command, started_at) VALUES (?, ?)", command, now())
        return int(self._one("SELECT max(run_id) FROM runs"))

    def finish_run(self, run_id: int, outcome: str, report: str) -> None:
        self.write(
            "UPDATE runs SET finished_at = ?, outcome = ?, report = ? WHERE run_id = ?",
            now(),
            outcome,
            report,
            run_id,
        )

    def open_walk(self, scope: str) -> Walk:
        """The unfinished walk of this scope, else a new one."""
        rows = self.query(
            "SELECT walk_id, next_url FROM walks WHERE scope = ? AND finished_at IS NULL "
            "ORDER BY walk_id DESC LIMIT 1",
            scope,
        )
        if rows:
            return Walk(walk_id=rows[0]["walk_id"], next_url=rows[0]["next_url"], resumed=True)
        self.write("INSERT INTO walks (scope, started_at) VALUES (?, ?)", scope, now())
        walk_id = self._one("SELECT max(walk_id) FROM walks")
        return Walk(walk_id=walk_id, next_url=None, resumed=False)

    def advance_walk(self, walk_id: int, *, next_url: str) -> None:
        """All listings of the pages before `next_url` are in the ledger."""
        self.write("UPDATE walks SET next_url = ? WHERE walk_id = ?", next_url, walk_id)

    def restart_walk(self, walk_id: int) -> None:
        """Let an unfinished walk begin anew with the first page."""
        self.write("UPDATE walks SET next_url = NULL WHERE walk_id = ?", walk_id)

    def finish_walk(self, walk_id: int, *, walked: int, total: int | None) -> None:
        self.write(
            "UPDATE walks SET finished_at = ?, walked = ?, total = ? WHERE walk_id = ?",
            now(),
            walked,
            total,
            walk_id,
        )

    # Listings

    def listing_state(self, source_id: str) -> ListingState | None:
        states = self._listing_states("WHERE source_id = ?", source_id)
        return states[0] if states else None

    def _listing_states(self, where: str, *values: object) -> list[ListingState]:
        rows = self.query(
            "SELECT source_id, url, outcome, reason, version, content_hash, closed FROM listings "
            + where,
            *values,
        )
        return [ListingState(**(dict(row) | {"closed": bool(row["closed"])})) for row in rows]

    def is_known_to(self, scope: str, source_id: str) -> bool:
        """Whether a finished walk of this scope has come as far back as this listing."""
        return bool(
            self._one(
                "SELECT EXISTS (SELECT 1 FROM walks JOIN listings ON listings.source_id = ? "
                "WHERE scope = ? AND finished_at IS NOT NULL AND (walks.walk_id = listings.walk_id "
                "OR first_seen_at < started_at))",
                source_id,
                scope,
            )
        )

    def listings_at(self, url: str) -> list[str]:
        """Ids of the listings that stand at an address."""
        return [
            row["source_id"]
            for row in self.query("SELECT source_id FROM listings WHERE url = ?", url)
        ]

    def listing_record(self, source_id: str) -> Listing:
        return listing_from_json(
            self._one("SELECT record FROM listings WHERE source_id = ?", source_id)
        )

    def begin_version(self, listing: Listing, *, run_id: int | None = None) -> int:
        """A listing that is new or has changed: its photos are wanted. Returns its new version.

        A photo that an earlier version has at the same address is not wanted again.
        """
        with self.transaction():
            version = 1 + int(
                self._one("SELECT version FROM listings WHERE source_id = ?", listing.source_id)
                or 0
            )
            at = now()
            self.write(
                "INSERT INTO listings (source_id, url, outcome, version, content_hash, record, "
                "closed, run_id, first_seen_at, checked_at) "
                "VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (source_id) DO UPDATE SET url = excluded.url, outcome = 'pending', "
                "reason = NULL, version = excluded.version, content_hash = excluded.content_hash, "
                "attempts = 0, "
                "record = excluded.record, closed = excluded.closed, run_id = excluded.run_id, "
                "checked_at = excluded.checked_at",
                listing.source_id,
                listing.url,
                version,
                content_hash(listing),
                listing_to_json(listing),
                listing.closed,
                run_id,
                at,
                at,
            )
            for photo in listing.photos:
                self._begin_photo(
                    PhotoKey(listing.source_id, version, photo.position), photo.address
                )
            self._drop_photos(listing.source_id, Reason.SUPERSEDED, before_version=version)
        return version

    def _begin_photo(self, key: PhotoKey, address: str) -> None:
        marks = ", ".join("?" * len(_FINAL))
        carried = self.write(
            "INSERT INTO photos (source_id, version, position, address, outcome, reason, detail, "
            "original_sha256, sha256, phash, width, height, bytes, fetched_at, segment, "
            "segment_offset, shard_id, row) "
            "SELECT source_id, ?, ?, address, iif(outcome = 'kept', 'stored', outcome), reason, "
            "detail, original_sha256, sha256, phash, width, height, bytes, fetched_at, segment, "
            "segment_offset, shard_id, row FROM photos "
            "WHERE source_id = ? AND address = ? AND version < ? AND (outcome IN "
            f"('kept', 'stored') OR outcome = 'dropped' AND reason IN ({marks})) "
            "ORDER BY version DESC LIMIT 1",
            key.version,
            key.position,
            key.source_id,
            address,
            key.version,
            *_FINAL,
        )
        if not carried:
            self.write(
                "INSERT INTO photos (source_id, version, position, address, outcome) "
                "VALUES (?, ?, ?, ?, 'wanted')",
                key.source_id,
                key.version,
                key.position,
                address,
            )

    def mark_checked(self, source_id: str, *, run_id: int | None = None) -> None:
        """The listing was read again and has not changed."""
        self.write(
            "UPDATE listings SET checked_at = ?, run_id = ?, attempts = 0 WHERE source_id = ?",
            now(),
            run_id,
            source_id,
        )

    def postpone_listing(self, source_id: str) -> int:
        """A listing that could not be read. Returns how many runs in a row that happened."""
        with self.transaction():
            self.write("UPDATE listings SET attempts = attempts + 1 WHERE source_id = ?", source_id)
            return int(self._one("SELECT attempts FROM listings WHERE source_id = ?", source_id))

    def mark_gone(self, source_id: str) -> None:
        """The site has removed the listing: a tombstone stays, its photos count no longer."""
        with self.transaction():
            self.write(
                "UPDATE listings SET outcome = 'gone', checked_at = ? WHERE source_id = ?",
                now(),
                source_id,
            )
            self._drop_photos(source_id, Reason.LISTING_DROPPED)

    def drop_listing(
        self,
        source_id: str,
        url: str,
        reason: ListingReason,
        *,
        run_id: int | None = None,
    ) -> None:
        """Refuse a listing, whether or not it was begun."""
        with self.transaction():
            at = now()
            self.write(
                "INSERT INTO listings (source_id, url, outcome, reason, version, run_id, "
                "first_seen_at, checked_at) VALUES (?, ?, 'dropped', ?, 0, ?, ?, ?) "
                "ON CONFLICT (source_id) DO UPDATE SET outcome = 'dropped', "
                "reason = excluded.reason, current_version = NULL, run_id = excluded.run_id, "
                "checked_at = excluded.checked_at",
                source_id,
                url,
                reason,
                run_id,
                at,
                at,
            )
            self._drop_photos(source_id, Reason.LISTING_DROPPED)

    def keep_listing(self, source_id: str) -> None:
        """All photos have their outcome and enough are stored: it may be drained."""
        self.write("UPDATE listings SET outcome = 'kept' WHERE source_id = ?", source_id)

    def discover(self, links: Iterable[tuple[str, str]], walk_id: int) -> list[str]:
        """Listings that a catalogue page names. Returns the ids that must be read.

        These are the ones that the ledger does not know, that were gone, or that an earlier run
        did not want. A known listing may have moved to another address.
        """
        to_read = []
        with self.transaction():
            for source_id, url in links:
                state = self.listing_state(source_id)
                if state is None:
                    self.write(
                        "INSERT INTO listings (source_id, url, outcome, version, walk_id, "
                        "first_seen_at, checked_at) VALUES (?, ?, 'pending', 0, ?, ?, ?)",
                        source_id,
                        url,
                        walk_id,
                        now(),
                        now(),
                    )
                elif state.may_come_back:
                    self.write(
                        "UPDATE listings SET outcome = 'pending', reason = NULL, url = ?, "
                        "content_hash = NULL, attempts = 0 WHERE source_id = ?",
                        url,
                        source_id,
                    )
                else:
                    if state.url != url:
                        self.write(
                            "UPDATE listings SET url = ? WHERE source_id = ?", url, source_id
                        )
                    continue
                to_read.append(source_id)
        return to_read

    def unread_run(self, run_id: int, reasons: tuple[ListingReason, ...]) -> int:
        """Distrust what a run read: what it refused for these reasons must be read again.

        What the run kept is due at the next recheck. Returns how many listings are unread again.
        """
        marks = ", ".join("?" * len(reasons))
        with self.transaction():
            self.write("UPDATE listings SET checked_at = 0 WHERE run_id = ?", run_id)
            return self.write(
                "UPDATE listings SET outcome = 'pending', reason = NULL, content_hash = NULL, "
                "current_version = (SELECT max(photos.version) FROM photos WHERE outcome = 'kept' "
                "                   AND photos.source_id = listings.source_id) "
                f"WHERE run_id = ? AND outcome = 'dropped' AND reason IN ({marks})",
                run_id,
                *reasons,
            )

    def _drop_photos(
        self, source_id: str, reason: Reason, *, before_version: int | None = None
    ) -> None:
        """Drop what is wanted or stored; what is in a shard stays there."""
        self.write(
            "UPDATE photos SET outcome = 'dropped', reason = ?, segment = NULL "
            "WHERE source_id = ? AND outcome IN ('wanted', 'stored') AND version < ?",
            reason,
            source_id,
            before_version or 2**31,
        )

    def pending_listings(self) -> Iterator[ListingState]:
        """Listings that are not read yet, or whose photos are not all settled, oldest first."""
        after: tuple[int, str] = (-1, "")
        while rows := self.query(
            "SELECT source_id, first_seen_at FROM listings WHERE outcome = 'pending' "
            "AND (first_seen_at, source_id) > (?, ?) ORDER BY first_seen_at, source_id LIMIT 500",
            *after,
        ):
            for row in rows:
                state = self.listing_state(row["source_id"])
                if state is not None and state.outcome == "pending":
                    yield state
            after = (rows[-1]["first_seen_at"], rows[-1]["source_id"])

    def due_for_recheck(self, before: int) -> Iterator[ListingState]:
        """Open listings last read before this time, the longest unread first."""
        after: tuple[int, str] = (-1, "")
        while rows := self.query(
            "SELECT source_id, checked_at FROM listings WHERE outcome IN ('kept', 'dropped') "
            "AND closed = 0 AND coalesce(reason, '') NOT IN (?, ?) AND checked_at < ? "
            "AND (checked_at, source_id) > (?, ?) ORDER BY checked_at, source_id LIMIT 500",
            ListingReason.TAKEN_DOWN,
            ListingReason.SPECIES_NOT_WANTED,
            before,
            *after,
        ):
            for row in rows:
                state = self.listing_state(row["source_id"])
                if state is not None:
                    yield state
            after = (rows[-1]["checked_at"], rows[-1]["source_id"])

    # Photos

    def photos_of(self, source_id: str, version: int) -> list[sqlite3.Row]:
        return self.query(
            "SELECT * FROM photos WHERE source_id = ? AND version = ? ORDER BY position",
            source_id,
            version,
        )

    def photo(self, key: PhotoKey) -> sqlite3.Row | None:
        rows = self.query(
            "SELECT * FROM photos WHERE source_id = ? AND version = ? AND position = ?",
            key.source_id,
            key.version,
            key.position,
        )
        return rows[0] if rows else None

    def photos_under_way(self) -> list[sqlite3.Row]:
        """Wanted and stored photos."""
        return self.query("SELECT * FROM photos WHERE outcome IN ('wanted', 'stored')")

    def photos_that_may_be_kept(self, source_id: str, version: int) -> int:
        """How many photos of a version nothing final speaks against."""
        about_bytes = (*_FINAL, Reason.NOT_AN_IMAGE, Reason.TRUNCATED)
        final = (*about_bytes, Reason.DUPLICATE_IN_IDENTITY, Reason.NOT_FOUND)
        marks = ", ".join("?" * len(final))
        return int(
            self._one(
                "SELECT count(*) FROM photos WHERE source_id = ? AND version = ? "
                f"AND NOT (outcome = 'dropped' AND reason IN ({marks}))",
                source_id,
                version,
                *final,
            )
        )

    def store_photo(self, key: PhotoKey, stored: StoredPhoto) -> None:
        self.write(
            "UPDATE photos SET outcome = 'stored', original_sha256 = ?, sha256 = ?, phash = ?, "
            "width = ?, height = ?, bytes = ?, fetched_at = ?, segment = ?, segment_offset = ? "
            "WHERE source_id = ? AND version = ? AND position = ? AND outcome = 'wanted'",
            stored.original_sha256,
            stored.sha256,
            stored.phash,
            stored.width,
            stored.height,
            stored.bytes,
            now(),
            stored.segment,
            stored.segment_offset,
            key.source_id,
            key.version,
            key.position,
        )

    def adopt_photo(self, key: PhotoKey, media: str) -> bool:
        """Let a wanted photo have the bytes of another listing's photo of the same media.

        `media` is what the addresses of both begin with, up to "@".
        """
        columns = (
            *("original_sha256", "sha256", "phash", "width", "height", "bytes", "fetched_at"),
            *("segment", "segment_offset", "shard_id", "row"),
        )
        return bool(
            self.write(
                "UPDATE photos SET outcome = 'stored', "
                f"{', '.join(f'{name} = same.{name}' for name in columns)} "
                f"FROM (SELECT {', '.join(f'photos.{name}' for name in columns)} "
                "      FROM photos JOIN listings USING (source_id) "
                "      WHERE address GLOB 'photo:*' AND address >= ? AND address < ? "
                "      AND photos.outcome IN ('stored', 'kept') "
                "      AND coalesce(listings.reason, '') != ? ORDER BY fetched_at LIMIT 1) AS same "
                "WHERE source_id = ? AND version = ? AND position = ? AND outcome = 'wanted'",
                f"{media}@",
                f"{media}A",  # the character after "@"
                ListingReason.TAKEN_DOWN,
                key.source_id,
                key.version,
                key.position,
            )
        )

    def drop_photo(self, key: PhotoKey, reason: Reason, detail: str) -> None:
        self.write(
            "UPDATE photos SET outcome = 'dropped', reason = ?, detail = ?, segment = NULL "
            "WHERE source_id = ? AND version = ? AND position = ?",
            reason,
            detail,
            key.source_id,
            key.version,
            key.position,
        )

    def postpone_photo(self, key: PhotoKey, detail: str) -> int:
        """A photo that could not be fetched stays wanted. Returns how often that happened."""
        where = (key.source_id, key.version, key.position)
        with self.transaction():
            self.write(
                "UPDATE photos SET attempts = attempts + 1, detail = ? "
                "WHERE source_id = ? AND version = ? AND position = ?",
                detail,
                *where,
            )
            return int(
                self._one(
                    "SELECT attempts FROM photos "
                    "WHERE source_id = ? AND version = ? AND position = ?",
                    *where,
                )
            )

    def has_wanted_photos(self, source_id: str, version: int) -> bool:
        return bool(
            self._one(
                "SELECT EXISTS (SELECT 1 FROM photos WHERE source_id = ? AND version = ? "
                "AND outcome = 'wanted')",
                source_id,
                version,
            )
        )

    # Draining stored photos into shards

    def bytes_to_drain(self) -> int:
        return int(
            self._one(
                "SELECT coalesce(sum(bytes), 0) FROM photos JOIN listings USING (source_id) "
                "WHERE photos.outcome = 'stored' AND listings.outcome = 'kept'"
            )
        )

    def photos_to_drain(self) -> list[sqlite3.Row]:
        """Stored photos of kept listings, in the order in which a shard has them."""
        return self.query(
            "SELECT photos.* FROM photos JOIN listings USING (source_id) "
            "WHERE photos.outcome = 'stored' AND listings.outcome = 'kept' "
            "ORDER BY length(source_id), source_id, photos.version, position"
        )

    def record_shard(self, shard: ShardRecord, photos: Iterable[PhotoKey]) -> None:
        """The shard is durable and complete: its photos, in row order, are kept from now on."""
        with self.transaction():
            self.write(
                "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?)",
                shard.shard_id,
                shard.name,
                shard.rows,
                shard.bytes,
                shard.fingerprint,
                now(),
            )
            rows = [
                (shard.shard_id, row, key.source_id, key.version, key.position)
                for row, key in enumerate(photos)
            ]
            self._database.executemany(
                "UPDATE photos SET outcome = 'kept', shard_id = ?, row = ?, segment = NULL, "
                "segment_offset = NULL WHERE source_id = ? AND version = ? AND position = ?",
                rows,
            )
            self._database.executemany(
                "UPDATE listings SET current_version = ? WHERE source_id = ?",
                sorted({(version, source_id) for _, _, source_id, version, _ in rows}),
            )

    def shards(self) -> list[ShardRecord]:
        rows = self.query(
            "SELECT shard_id, name, rows, bytes, fingerprint FROM shards ORDER BY shard_id"
        )
        return [ShardRecord(**dict(row)) for row in rows]

    def want_again(self, segment: str) -> int:
        """A segment is lost: what was stored in it is wanted again. Returns how many photos."""
        with self.transaction():
            self.write(
                "UPDATE listings SET outcome = 'pending' WHERE outcome = 'kept' AND source_id IN "
                "(SELECT source_id FROM photos WHERE outcome = 'stored' AND segment = ?)",
                segment,
            )
            return self.write(
                "UPDATE photos SET outcome = 'wanted', segment = NULL, segment_offset = NULL "
                "WHERE outcome = 'stored' AND segment = ?",
                segment,
            )

    def segments_in_use(self) -> set[str]:
        rows = self.query("SELECT DISTINCT segment FROM photos WHERE outcome = 'stored'")
        return {row["segment"] for row in rows if row["segment"] is not None}


def _storage_failure(path: Path, error: sqlite3.Error) -> PetdataError:
    message = str(error)
    if "malformed" in message or "not a database" in message:
        return CorruptFile(
            f"{path}: {message}. Start again once the disk is in order; if that does not help, "
            "restore the file from a copy, or move it and its shards away"
        )
    return StorageFailure(
        f"{path}: {message}. What is committed is safe: mend the disk and start again"
    )
