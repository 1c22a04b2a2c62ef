"""Looking at what was collected without changing it: status, and whether shards keep their word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from petdata.errors import CorruptFile, PetdataError
from petdata.ledger import Ledger
from petdata.ledger_channels import known_channels, post_at, posts_of
from petdata.ledger_lock import Holder, read_holder
from petdata.ledger_tables import ChannelState, ShardRecord
from petdata.shards import ShardInfo, read_photos, verify_shard
from petdata.sources import find_source, known_sources
from petdata.takedowns import telegram_post
from petdata.workspace import Workspace

_TELEGRAM_IDENTITY: Final = re.compile(r"telegram/(\d+)-(\d+)")


@dataclass(frozen=True, kw_only=True)
class SourceStatus:
    source: str
    running: Holder | None
    listings: Mapping[str, int]  # by outcome
    photos: Mapping[str, int]  # by outcome
    dropped: Mapping[str, int]  # photos, by reason
    identities: int  # with current photos
    current_photos: int
    shards: int
    shard_bytes: int
    last_run: Mapping[str, Any] | None  # command, started_at, outcome, report


def collected_sources(workspace: Workspace) -> list[str]:
    """Sources that have a ledger here, best rank first."""
    return [name for name in known_sources(workspace) if workspace.ledger(name).exists()]


def source_status(workspace: Workspace, source: str) -> SourceStatus:
    path = workspace.ledger(source)
    with Ledger(path, source=source, read_only=True) as ledger:
        current = ledger.query("SELECT count(*), count(DISTINCT source_id) FROM current_photos")[0]
        shards = ledger.shards()
        return SourceStatus(
            source=source,
            running=read_holder(path.with_suffix(".lock")),
            listings=_counts(ledger, "SELECT outcome, count(*) FROM listings GROUP BY 1"),
            photos=_counts(ledger, "SELECT outcome, count(*) FROM photos GROUP BY 1"),
            dropped=_counts(
                ledger,
                "SELECT reason, count(*) FROM photos WHERE outcome = 'dropped' "
                "GROUP BY 1 ORDER BY 2 DESC",
            ),
            identities=current[1],
            current_photos=current[0],
            shards=len(shards),
            shard_bytes=sum(shard.bytes for shard in shards),
            last_run=_last_run(ledger),
        )


def _counts(ledger: Ledger, sql: str) -> dict[str, int]:
    return {name: count for name, count in ledger.query(sql)}


def _last_run(ledger: Ledger) -> dict[str, Any] | None:
    rows = ledger.query(
        "SELECT command, started_at, outcome, report FROM runs ORDER BY run_id DESC LIMIT 1"
    )
    if not rows:
        return None
    run = dict(rows[0])
    run["started_at"] = datetime.fromtimestamp(run["started_at"] / 1e6, UTC)
    run["report"] = json.loads(run["report"]) if run["report"] else None
    return run


@dataclass(frozen=True, kw_only=True)
class ChannelStatus:
    channel_id: int
    handle: str | None
    cursor: int  # all posts up to this message have their outcome
    messages: int
    reached_end_at: datetime | None  # when the newest message was read last
    listings: Mapping[str, int]  # by outcome
    current_photos: int


def channels_status(workspace: Workspace, source: str = "telegram") -> list[ChannelStatus]:
    with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
        return [_channel_status(ledger, channel) for channel in known_channels(ledger)]


def _channel_status(ledger: Ledger, channel: ChannelState) -> ChannelStatus:
    posts = posts_of(channel.channel_id)
    counted = ledger.query(
        "SELECT outcome, count(*) FROM listings WHERE source_id > ? AND source_id < ? GROUP BY 1",
        *posts,
    )
    current = ledger.query(
        "SELECT count(*) FROM current_photos WHERE source_id > ? AND source_id < ?", *posts
    )
    reached = channel.reached_end_at
    return ChannelStatus(
        channel_id=channel.channel_id,
        handle=channel.handle,
        cursor=channel.cursor,
        messages=channel.messages,
        reached_end_at=datetime.fromtimestamp(reached / 1e6, UTC) if reached else None,
        listings={outcome: count for outcome, count in counted},
        current_photos=current[0][0],
    )


def identity_at(workspace: Workspace, address: str) -> str | None:
    """The identity that was collected from a t.me address, or whose post has this message."""
    named = _TELEGRAM_IDENTITY.fullmatch(address.strip())
    post = (int(named[1]), int(named[2])) if named is not None else telegram_post(address)
    if post is None or not workspace.ledger("telegram").exists():
        return None
    with Ledger(workspace.ledger("telegram"), source="telegram", read_only=True) as ledger:
        source_id = post_at(ledger, *post)
    return f"telegram/{source_id}" if source_id is not None else None


def list_shards(workspace: Workspace, source: str) -> list[ShardRecord]:
    with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
        return ledger.shards()


def verify_source(workspace: Workspace, source: str) -> Iterator[str]:
    """Every way in which shards and ledger contradict each other or themselves, as sentences.

    Reads every byte: each photo is decoded and hashed, the rows of each shard are held to the
    fingerprint in the ledger. Yields nothing where all is well.
    """
    folder = workspace.shards(source)
    with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
        shards = ledger.shards()
        on_disk = {path.name for path in folder.glob("part-*.parquet")}
        for name in sorted(on_disk - {shard.name for shard in shards}):
            yield f"{folder / name}: the ledger does not know this shard"
        for shard in shards:
            if shard.name not in on_disk:
                yield f"{folder / shard.name}: the ledger has it, the folder does not"
                continue
            recorded = ShardInfo(
                name=shard.name, rows=shard.rows, bytes=shard.bytes, fingerprint=shard.fingerprint
            )
            yield from verify_shard(folder / shard.name, recorded)
            with suppress(CorruptFile):  # verify_shard has named it
                yield from _compare(ledger, shard, workspace)
        yield from _photos_of_no_shard(ledger)


def _photos_of_no_shard(ledger: Ledger) -> Iterator[str]:
    for row in ledger.query(
        "SELECT source_id, version, position, photos.shard_id FROM photos "
        "LEFT JOIN shards USING (shard_id) WHERE outcome = 'kept' AND shards.shard_id IS NULL"
    ):
        yield (
            f"{ledger.source}/{row['source_id']}, version {row['version']}, photo "
            f"{row['position']}: kept in shard {row['shard_id']}, which the ledger does not know"
        )


def _compare(ledger: Ledger, shard: ShardRecord, workspace: Workspace) -> Iterator[str]:
    """Row by row: the ledger's photos of a shard and the shard's rows are the same, in order."""
    is_imported = find_source(ledger.source, workspace).kind != "collected"
    path = workspace.shards(ledger.source) / shard.name
    rows = [
        (photo.photo_id, photo.sha256, photo.listing_version, photo.position)
        for photo in read_photos([path], with_image=False)
    ]
    expected = {
        row["row"]: (
            f"{ledger.source}/{row['source_id']}/{row['sha256'][:12]}",
            row["sha256"],
            None if is_imported else row["version"],
            row["position"],
        )
        for row in ledger.query(
            "SELECT row, source_id, sha256, version, position FROM photos "
            "WHERE shard_id = ? AND outcome = 'kept'",
            shard.shard_id,
        )
    }
    for number in sorted(expected.keys() | set(range(len(rows)))):
        if number >= len(rows):
            yield f"{path}: row {number} is absent, the ledger has {expected[number][0]} there"
        elif number not in expected:
            yield f"{path}, row {number}: the ledger does not know {rows[number][0]}"
        elif rows[number] != expected[number]:
            yield f"{path}, row {number}: {rows[number]}, the ledger says {expected[number]}"


def current_rows(workspace: Workspace, source: str) -> dict[str, set[int]]:
    """Shard name -> the rows whose photos count: the latest version of listings not gone."""
    rows: dict[str, set[int]] = {}
    with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
        for row in ledger.query("SELECT shard, row FROM current_photos"):
            rows.setdefault(row["shard"], set()).add(row["row"])
    return rows


def require_collected(workspace: Workspace, source: str | None) -> list[str]:
    """The source asked for, or all that have a ledger. Raises PetdataError where there is none."""
    sources = [source] if source is not None else collected_sources(workspace)
    if not sources:
        raise PetdataError(
            f"nothing has been collected in {workspace.root} yet: start with petdata crawl pet911 "
            "or petdata telegram harvest"
        )
    return sources
