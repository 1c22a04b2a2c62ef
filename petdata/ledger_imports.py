"""What an import writes into the ledger: identities instead of listings, all in version 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from petdata.errors import ListingReason, Reason
from petdata.ledger import Ledger, now
from petdata.ledger_tables import ShardRecord

# Looked for again by the next run: what is mended outside must not need a new ledger.
RETRIED: Final = (Reason.UNREACHABLE, Reason.NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPhoto:
    """What became of a photo. Kept ones stand in the shard in the order of their outcomes."""

    source_id: str
    position: int
    address: str  # where it lies inside the data set
    reason: Reason | None = None  # None: kept
    detail: str | None = None
    is_retried: bool = False  # takes the place of an earlier outcome
    original_sha256: str | None = None
    sha256: str | None = None
    phash: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None


@dataclass(slots=True)
class KnownIdentity:
    """What the ledger, and a batch on its way there, have of an identity."""

    addresses: set[str] = field(default_factory=set)
    retried: set[str] = field(default_factory=set)  # addresses whose outcome may be replaced
    kept: set[str] = field(default_factory=set)  # sha256
    next_position: int = 0

    def add(self, address: str, sha256: str | None) -> None:
        """`sha256`: of a kept photo."""
        self.addresses.add(address)
        if sha256 is not None:
            self.kept.add(sha256)
        self.next_position += 1


def known_identity(ledger: Ledger, source_id: str) -> KnownIdentity:
    known = KnownIdentity()
    for row in ledger.query(
        "SELECT position, address, reason, iif(outcome = 'kept', sha256, NULL) AS sha256 "
        "FROM photos WHERE source_id = ? AND version = 1",
        source_id,
    ):
        if row["reason"] in RETRIED:
            known.retried.add(row["address"])
        else:
            known.add(row["address"], row["sha256"])
        known.next_position = max(known.next_position, row["position"] + 1)
    return known


def record_batch(
    ledger: Ledger, run_id: int, shard: ShardRecord | None, outcomes: Sequence[ImportedPhoto]
) -> None:
    """The shard is durable and complete; with it go the outcomes of all photos that it ends."""
    row = 0
    at = now()
    with ledger.transaction():
        if shard is not None:
            ledger.write(
                "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?)",
                *(shard.shard_id, shard.name, shard.rows, shard.bytes, shard.fingerprint, at),
            )
        for photo in outcomes:
            is_kept = photo.reason is None
            assert shard is not None or not is_kept
            if photo.is_retried:
                ledger.write(
                    "DELETE FROM photos WHERE source_id = ? AND version = 1 AND address = ?",
                    *(photo.source_id, photo.address),
                )
            ledger.write(
                "INSERT INTO photos (source_id, version, position, address, outcome, reason, "
                "detail, original_sha256, sha256, phash, width, height, bytes, shard_id, row) "
                "VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(photo.source_id, photo.position, photo.address),
                *("kept" if is_kept else "dropped", photo.reason, photo.detail),
                *(photo.original_sha256, photo.sha256, photo.phash),
                *(photo.width, photo.height, photo.bytes),
                *((shard.shard_id, row) if shard is not None and is_kept else (None, None)),
            )
            row += is_kept
        for source_id, reason in _identities(outcomes).items():
            ledger.write(
                "INSERT INTO listings (source_id, url, outcome, reason, version, current_version, "
                "run_id, first_seen_at, checked_at) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?) "
                "ON CONFLICT (source_id) DO UPDATE SET run_id = excluded.run_id, "
                "checked_at = excluded.checked_at, "
                "outcome = iif(excluded.outcome = 'kept', 'kept', outcome), "
                "reason = iif(excluded.outcome = 'kept', NULL, reason), "
                "current_version = coalesce(excluded.current_version, current_version)",
                *(source_id, f"{ledger.source}/{source_id}"),
                *("dropped" if reason else "kept", reason, None if reason else 1),
                *(run_id, at, at),
            )


def _identities(outcomes: Sequence[ImportedPhoto]) -> dict[str, ListingReason | None]:
    """Why an identity is dropped; None: a photo of it is kept."""
    reasons: dict[str, set[Reason | None]] = {}
    for photo in outcomes:
        reasons.setdefault(photo.source_id, set()).add(photo.reason)
    return {source_id: _listing_reason(found) for source_id, found in reasons.items()}


def _listing_reason(reasons: set[Reason | None]) -> ListingReason | None:
    if None in reasons:
        return None
    is_taken_down = reasons == {Reason.TAKEN_DOWN}
    return ListingReason.TAKEN_DOWN if is_taken_down else ListingReason.TOO_FEW_PHOTOS


@dataclass(frozen=True, kw_only=True)
class ImportTotals:
    """All that the imports of a source have come to, this run and earlier ones."""

    photos: int
    kept: int
    dropped: dict[str, int]  # by reason, the commonest first
    identities: int  # with a kept photo


def import_totals(ledger: Ledger) -> ImportTotals:
    kept = ledger.query("SELECT count(*) FROM photos WHERE outcome = 'kept'")[0][0]
    dropped = ledger.query(
        "SELECT reason, count(*) FROM photos WHERE outcome = 'dropped' GROUP BY 1 "
        "ORDER BY 2 DESC, 1"
    )
    identities = ledger.query("SELECT count(*) FROM listings WHERE outcome = 'kept'")[0][0]
    reasons = {reason: count for reason, count in dropped}
    return ImportTotals(
        photos=kept + sum(reasons.values()), kept=kept, dropped=reasons, identities=identities
    )
