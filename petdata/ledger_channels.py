"""What the ledger keeps of channels: how to ask for them, and up to where they were read."""

from __future__ import annotations

from collections.abc import Iterator

from petdata.errors import ListingReason
from petdata.ledger import Ledger, now
from petdata.ledger_tables import ChannelState


def known_channels(ledger: Ledger) -> list[ChannelState]:
    rows = ledger.query("SELECT * FROM channels ORDER BY handle, channel_id")
    return [ChannelState(**dict(row)) for row in rows]


def channel_state(ledger: Ledger, channel_id: int) -> ChannelState | None:
    rows = ledger.query("SELECT * FROM channels WHERE channel_id = ?", channel_id)
    return ChannelState(**dict(rows[0])) if rows else None


def channel_of_handle(ledger: Ledger, handle: str) -> ChannelState | None:
    rows = ledger.query("SELECT * FROM channels WHERE handle = ?", handle.lower())
    return ChannelState(**dict(rows[0])) if rows else None


def remember_channel(
    ledger: Ledger, channel_id: int, *, handle: str | None = None, access_hash: int | None = None
) -> None:
    """What is not given stays as it was; a handle that moved on belongs to its new channel."""
    handle = handle.lower() if handle is not None else None
    with ledger.transaction():
        ledger.write(
            "UPDATE channels SET handle = NULL WHERE handle = ? AND channel_id != ?",
            handle,
            channel_id,
        )
        ledger.write(
            "INSERT INTO channels (channel_id, handle, access_hash) VALUES (?, ?, ?) "
            "ON CONFLICT (channel_id) DO UPDATE SET handle = coalesce(excluded.handle, handle), "
            "access_hash = coalesce(excluded.access_hash, access_hash)",
            channel_id,
            handle,
            access_hash,
        )


def advance_channel(ledger: Ledger, channel_id: int, cursor: int, *, messages: int = 0) -> None:
    """All posts up to message `cursor` have their outcome; it never goes back."""
    ledger.write(
        "UPDATE channels SET cursor = max(cursor, ?), messages = messages + ? WHERE channel_id = ?",
        cursor,
        messages,
        channel_id,
    )


def reached_end(ledger: Ledger, channel_id: int) -> None:
    ledger.write("UPDATE channels SET reached_end_at = ? WHERE channel_id = ?", now(), channel_id)


def pending_posts(ledger: Ledger, channel_id: int) -> Iterator[str]:
    """Posts of a channel whose photos are not all settled."""
    return _posts(ledger, channel_id, "outcome = 'pending'")


def posts_to_recheck(ledger: Ledger, channel_id: int, before: int) -> Iterator[str]:
    """Open posts of a channel last read before this time.

    What was refused at first sight has nothing to be compared with and is left out.
    """
    return _posts(
        ledger,
        channel_id,
        "outcome IN ('kept', 'dropped') AND closed = 0 AND content_hash IS NOT NULL "
        "AND checked_at < ? AND coalesce(reason, '') NOT IN (?, ?)",
        before,
        ListingReason.TAKEN_DOWN,
        ListingReason.SPECIES_NOT_WANTED,
    )


def _posts(ledger: Ledger, channel_id: int, where: str, *values: object) -> Iterator[str]:
    """By pages along the primary key: neither other channels nor memory count."""
    after, end = posts_of(channel_id)
    while rows := ledger.query(
        f"SELECT source_id FROM listings WHERE source_id > ? AND source_id < ? AND {where} "
        "ORDER BY source_id LIMIT 500",
        after,
        end,
        *values,
    ):
        yield from (row["source_id"] for row in rows)
        after = rows[-1]["source_id"]


def posts_of(channel_id: int) -> tuple[str, str]:
    """Between which ids, as texts, the posts of a channel are."""
    return f"{channel_id}-", f"{channel_id}."  # "." comes after "-"


def post_at(ledger: Ledger, channel: str | int, message_id: int) -> str | None:
    """The post that has this message, rather one that counts; a channel is a handle or an id."""
    state = (
        channel_state(ledger, channel)
        if isinstance(channel, int)
        else channel_of_handle(ledger, channel)
    )
    if state is None:
        return None
    place = f"{state.channel_id}/{message_id}"
    rows = ledger.query(
        "SELECT source_id FROM listings WHERE source_id > ? AND source_id < ? AND (source_id = ? "
        "OR ' ' || json_extract(record, '$.attributes.parts') || ' ' LIKE ? OR source_id IN "
        "(SELECT source_id FROM photos WHERE address LIKE ? OR address = ?)) "
        "ORDER BY outcome IN ('kept', 'pending') DESC, source_id = ? DESC LIMIT 1",
        *posts_of(state.channel_id),
        f"{state.channel_id}-{message_id}",
        f"% {message_id} %",
        f"photo:%@{place}",
        f"export:{place}",
        f"{state.channel_id}-{message_id}",
    )
    return str(rows[0]["source_id"]) if rows else None
