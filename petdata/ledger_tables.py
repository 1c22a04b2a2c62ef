"""What the ledger stores: its tables, and the values that go in and out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from petdata.errors import ListingReason

LEDGER_VERSION: Final = 1

TABLES: Final = """
CREATE TABLE listings (
    source_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('pending', 'kept', 'dropped', 'gone')),
    reason TEXT,
    version INTEGER NOT NULL,          -- the latest one, 1 upwards; 0: found but not read yet
    current_version INTEGER,           -- the one whose photos count; null: none
    content_hash TEXT,                 -- null: to be read (again)
    record TEXT,                       -- the Listing, scrubbed, as JSON
    closed INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, -- runs in a row that could not read it
    walk_id INTEGER,                   -- the walk that found it first
    run_id INTEGER,                    -- the run that read it last
    first_seen_at INTEGER NOT NULL,    -- microseconds since 1970, as all times here
    checked_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX listings_by_outcome ON listings (outcome, checked_at, source_id);

CREATE TABLE photos (
    source_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('wanted', 'stored', 'kept', 'dropped')),
    reason TEXT,
    detail TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    original_sha256 TEXT,
    sha256 TEXT,
    phash TEXT,                        -- 16 hex digits
    width INTEGER,
    height INTEGER,
    bytes INTEGER,
    fetched_at INTEGER,
    segment TEXT,                      -- where a stored photo lies: in a segment ...
    segment_offset INTEGER,
    shard_id INTEGER,                  -- ... or in a shard, as every kept one
    row INTEGER,
    PRIMARY KEY (source_id, version, position)
) WITHOUT ROWID;
CREATE INDEX photos_under_way ON photos (outcome) WHERE outcome IN ('wanted', 'stored');
-- the same media in several listings, as Telegram's reposts are
CREATE INDEX photos_by_media ON photos (address) WHERE address GLOB 'photo:*';
CREATE INDEX photos_by_shard ON photos (shard_id, row) WHERE outcome = 'kept';

CREATE TABLE shards (
    shard_id INTEGER PRIMARY KEY,      -- part-<shard_id>.parquet
    name TEXT NOT NULL UNIQUE,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    written_at INTEGER NOT NULL
);

CREATE TABLE walks (
    walk_id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,               -- which catalogue: two scopes don't know each other
    next_url TEXT,
    total INTEGER,                     -- what the catalogue says it has
    walked INTEGER,                    -- different cards that its last run has seen
    started_at INTEGER NOT NULL,
    finished_at INTEGER
);

CREATE TABLE channels (
    channel_id INTEGER PRIMARY KEY,
    handle TEXT UNIQUE,                -- lower case; null: known from an export only
    access_hash INTEGER,               -- what the account that resolved the handle asks with
    cursor INTEGER NOT NULL DEFAULT 0, -- all posts up to this message have their outcome
    messages INTEGER NOT NULL DEFAULT 0, -- read so far, those without photos among them
    reached_end_at INTEGER             -- when the newest message was read last
);

CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT,
    report TEXT                        -- JSON
);

CREATE VIEW current_photos AS
SELECT photos.source_id, photos.version, photos.position, photos.sha256, photos.original_sha256,
       shards.name AS shard, photos.row
FROM listings
JOIN photos ON photos.source_id = listings.source_id AND photos.version = listings.current_version
JOIN shards ON shards.shard_id = photos.shard_id
WHERE photos.outcome = 'kept' AND listings.outcome != 'gone';
"""


@dataclass(frozen=True, slots=True)
class PhotoKey:
    source_id: str
    version: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPhoto:
    """What is known of a photo whose bytes are durable in a segment."""

    original_sha256: str
    sha256: str
    phash: str
    width: int
    height: int
    bytes: int
    segment: str
    segment_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingState:
    source_id: str
    url: str
    outcome: str
    reason: str | None
    version: int
    content_hash: str | None
    closed: bool

    @property
    def is_unread(self) -> bool:
        return self.content_hash is None

    @property
    def may_come_back(self) -> bool:
        """Worth reading again as soon as the catalogue shows it."""
        return self.outcome == "gone" or (
            self.outcome == "dropped" and self.reason == ListingReason.SPECIES_NOT_WANTED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    walk_id: int
    next_url: str | None  # where an interrupted walk goes on; None: at its start
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    channel_id: int
    handle: str | None
    access_hash: int | None
    cursor: int
    messages: int
    reached_end_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    shard_id: int
    name: str
    rows: int
    bytes: int
    fingerprint: str
