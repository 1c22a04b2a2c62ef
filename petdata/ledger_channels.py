"""What the ledger keeps of channels: how to ask for them, and up to where they were read."""

from __future__ import annotations

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


def post_at(ledger: Ledger, channel: str | int, message_id: int) -> str | None:
    """The listing of a post that has this message; a channel is a handle or an id."""
    state = (
        channel_state(ledger, channel)
        if isinstance(channel, int)
        else channel_of_handle(ledger, channel)
    )
    if state is None:
        return None
    place = f"{state.channel_id}/{message_id}"
    rows = ledger.query(
        "SELECT source_id FROM listings WHERE source_id = ? UNION ALL "
        "SELECT source_id FROM photos WHERE address LIKE ? OR address = ? LIMIT 1",
        f"{state.channel_id}-{message_id}",
        f"photo:%@{place}",
        f"export:{place}",
    )
    return str(rows[0]["source_id"]) if rows else None
