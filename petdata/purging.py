"""Photos out of a ledger, its segments and its shards, so that no page and no file still has them.

A shard without the rows is written beside its place; then one commit lets the ledger say what is in
it and forgets the photos; then it takes the old one's place. `finish_rewrites` does the last step
where a kill came before it, so whoever writes a ledger calls it first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from petdata.errors import CorruptFile, ListingReason, Reason, StorageFailure, TryLater
from petdata.ledger import Ledger
from petdata.ledger_tables import ShardRecord
from petdata.records import Photo
from petdata.segments import SegmentWriter, read_segment
from petdata.shards import read_photos, write_shard
from petdata.workspace import Workspace, sync_folder

_BESIDE: Final = ".{name}.{fingerprint}.rewritten"  # until the ledger says so
# Three JSON lists: identities of the source, and twice the hashes.
_CONDEMNED: Final = (
    "(photos.source_id IN (SELECT value FROM json_each(?)) "
    "OR sha256 IN (SELECT value FROM json_each(?)) "
    "OR original_sha256 IN (SELECT value FROM json_each(?)))"
)


@dataclass(frozen=True, kw_only=True)
class Condemned:
    """What must go: identities as a whole, and photos by a hash of what arrived or was kept."""

    identities: frozenset[str]  # "pet911/rl518787"
    hashes: Mapping[str, int | None]  # SHA-256 -> bytes of the JPEG, where it is known

    def of_source(self, source: str) -> tuple[str, str, str]:
        """Values for a query that has _CONDEMNED in it."""
        names = (identity.partition("/") for identity in self.identities)
        own = sorted(source_id for name, _, source_id in names if name == source)
        hashes = json.dumps(sorted(self.hashes))
        return json.dumps(own), hashes, hashes


@dataclass(frozen=True, kw_only=True)
class SourcePurge:
    source: str
    photos: int  # rows of the ledger that are forgotten
    shards: tuple[str, ...]  # that were written again


def condemned_photos(ledger: Ledger, condemned: Condemned) -> Iterator[tuple[str, str, int | None]]:
    """(SHA-256, that of what arrived or "", bytes) of every photo that is to go."""
    for row in ledger.query(
        "SELECT sha256, coalesce(original_sha256, '') AS original, bytes FROM photos "
        f"WHERE sha256 IS NOT NULL AND {_CONDEMNED}",
        *condemned.of_source(ledger.source),
    ):
        yield row["sha256"], row["original"], row["bytes"]


def purge_source(workspace: Workspace, source: str, condemned: Condemned) -> SourcePurge:
    """Raises LedgerBusy while the source is being collected. Run again, it goes on."""
    folder, segments = workspace.shards(source), workspace.segments(source)
    with Ledger(workspace.ledger(source), source=source) as ledger:
        ledger.query("PRAGMA secure_delete = ON")
        _clean(ledger, folder)
        finish_rewrites(ledger, folder)
        photos = len(list(condemned_photos(ledger, condemned)))
        written = [
            shard.name
            for shard in ledger.shards()
            if (rows := _rows_to_drop(ledger, shard, condemned))
            and _rewrite(ledger, folder, shard, rows, condemned)
        ]
        _forget(ledger, condemned)
        _rewrite_segments(ledger, segments)
        _rewrite_pages(ledger)
    return SourcePurge(source=source, photos=photos, shards=tuple(written))


def finish_rewrites(ledger: Ledger, folder: Path) -> None:
    """Put shards in place that the ledger knows already; the caller is its one writer."""
    for unfinished in folder.glob(".*.rewriting"):
        unfinished.unlink()
    for shard in ledger.shards():
        for beside in folder.glob(_BESIDE.format(name=shard.name, fingerprint="*")):
            if beside.name == _beside(shard.name, shard.fingerprint):
                _put_in_place(beside, folder / shard.name)
            else:
                beside.unlink()


def _beside(name: str, fingerprint: str) -> str:
    return _BESIDE.format(name=name, fingerprint=fingerprint[:16])


def _clean(ledger: Ledger, folder: Path) -> None:
    """What killed runs left: the next one makes it again."""
    known = {shard.name for shard in ledger.shards()}
    for path in folder.glob(".*.tmp"):
        path.unlink()
    unfinished = folder / f"part-{len(known):05d}.parquet"
    unfinished.unlink(missing_ok=True)
    if strangers := sorted({path.name for path in folder.glob("part-*.parquet")} - known):
        raise CorruptFile(
            f"{folder} holds {', '.join(strangers[:3])}, which the ledger {ledger.path} does not "
            "know: restore the ledger that belongs to these shards, or move the shards away"
        )


def _rows_to_drop(ledger: Ledger, shard: ShardRecord, condemned: Condemned) -> list[int]:
    rows = ledger.query(
        f"SELECT row FROM photos WHERE outcome = 'kept' AND shard_id = ? AND {_CONDEMNED} "
        "ORDER BY row",
        shard.shard_id,
        *condemned.of_source(ledger.source),
    )
    return [row["row"] for row in rows]


def _rewrite(
    ledger: Ledger, folder: Path, shard: ShardRecord, rows: list[int], condemned: Condemned
) -> bool:
    path = folder / shard.name
    new = folder / f".{shard.name}.rewriting"
    info = write_shard(new, _without(path, frozenset(rows)))
    beside = folder / _beside(shard.name, info.fingerprint)
    _put_in_place(new, beside)
    dropped = json.dumps(rows)
    with ledger.transaction():
        _forget(ledger, condemned, shard_id=shard.shard_id)
        ledger.write(
            "UPDATE photos SET row = row - (SELECT count(*) FROM json_each(?) WHERE value < row) "
            "WHERE shard_id = ?",
            dropped,
            shard.shard_id,
        )
        ledger.write(
            "UPDATE shards SET rows = ?, bytes = ?, fingerprint = ? WHERE shard_id = ?",
            *(info.rows, info.bytes, info.fingerprint, shard.shard_id),
        )
    _put_in_place(beside, path)
    return True


def _without(path: Path, rows: frozenset[int]) -> Iterator[Photo]:
    for row, photo in enumerate(read_photos([path])):
        if row not in rows:
            yield photo


def _put_in_place(path: Path, target: Path) -> None:
    try:
        path.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StorageFailure(f"cannot write {target}: {error.strerror}") from error


def _forget(ledger: Ledger, condemned: Condemned, *, shard_id: int | None = None) -> None:
    """Photos become dropped ones without hashes; of condemned identities only a tombstone stays."""
    own, hashes, _ = values = condemned.of_source(ledger.source)
    here = " AND shard_id = ?" if shard_id is not None else ""
    at = (shard_id,) if shard_id is not None else ()
    with ledger.transaction():
        ledger.write(
            "UPDATE photos SET outcome = 'dropped', reason = ?, detail = 'it was purged', "
            "original_sha256 = NULL, sha256 = NULL, phash = NULL, width = NULL, height = NULL, "
            "bytes = NULL, segment = NULL, segment_offset = NULL, shard_id = NULL, row = NULL "
            f"WHERE (sha256 IS NOT NULL OR outcome != 'dropped') AND {_CONDEMNED}{here}",
            Reason.TAKEN_DOWN,
            *values,
            *at,
        )
        if shard_id is None:
            ledger.write(
                "DELETE FROM photos WHERE source_id IN (SELECT value FROM json_each(?))", own
            )
            ledger.write(
                "UPDATE listings SET outcome = 'dropped', reason = ?, url = ? || source_id, "
                "record = NULL, content_hash = NULL, current_version = NULL "
                "WHERE source_id IN (SELECT value FROM json_each(?))",
                *(ListingReason.TAKEN_DOWN, f"{ledger.source}/", own),
            )
            # What another message says of a photo may hold its hash or id.
            ledger.write(
                "UPDATE photos SET detail = NULL WHERE detail IS NOT NULL AND EXISTS "
                "(SELECT 1 FROM json_each(?) WHERE instr(detail, substr(value, 1, 12)))",
                hashes,
            )


def _rewrite_segments(ledger: Ledger, folder: Path) -> None:
    """Only what the ledger refers to stays: a record that it forgot is still in its segment."""
    old = sorted(folder.glob("*.segment"))
    for name in ledger.segments_in_use() - {path.name for path in old}:
        ledger.want_again(name)
    if not old:
        return
    rows = ledger.query(
        "SELECT source_id, version, position, segment, segment_offset FROM photos "
        "WHERE outcome = 'stored' AND segment IS NOT NULL ORDER BY segment, segment_offset"
    )
    if rows:
        writer = SegmentWriter(folder / f"{int(old[-1].stem) + 1:08d}.segment")
        moved: dict[tuple[str, int], int] = {}
        try:
            for row in rows:
                place = row["segment"], row["segment_offset"]
                if place not in moved:
                    moved[place] = writer.append(read_segment(folder / place[0], place[1]))
        finally:
            writer.close()
        with ledger.transaction():
            for row in rows:
                ledger.write(
                    "UPDATE photos SET segment = ?, segment_offset = ? "
                    "WHERE source_id = ? AND version = ? AND position = ?",
                    *(writer.path.name, moved[row["segment"], row["segment_offset"]]),
                    *(row["source_id"], row["version"], row["position"]),
                )
    for path in old:
        path.unlink()
    sync_folder(folder)


def _rewrite_pages(ledger: Ledger) -> None:
    """No free page and no write-ahead log keeps what a row said."""
    ledger.query("VACUUM")
    busy = ledger.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
    if busy:
        raise TryLater(
            f"{ledger.path} is being read by another program, so its log cannot be emptied: run "
            "the same command again when that has ended"
        )
