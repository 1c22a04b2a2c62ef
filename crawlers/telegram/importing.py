"""A channel out of a Telegram Desktop export, through the same steps as a live one.

What the live harvest has read stays as it is: it knows which messages are one album.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

from crawlers.telegram.albums import group_albums
from crawlers.telegram.channels import Channel
from crawlers.telegram.collection import Collection
from crawlers.telegram.export import ExportChannel
from crawlers.telegram.listings import place_of, post_id
from crawlers.telegram.messages import Message
from petdata.errors import Reason, RejectedPhoto
from petdata.intake import Wanted
from petdata.ledger_channels import channel_of_handle, channel_state, remember_channel


def entry_of(run: Collection, part: ExportChannel, channels: Sequence[Channel]) -> Channel | None:
    """The entry of channels.toml that is about this channel: exports know ids, not handles."""
    for channel in channels:
        if channel.channel_id == part.channel_id:
            return channel
        if channel.handle is not None:
            known = channel_of_handle(run.intake.ledger, channel.handle)
            if known is not None and known.channel_id == part.channel_id:
                return channel
    return None


async def import_channel(run: Collection, part: ExportChannel, channel: Channel) -> None:
    ledger = run.intake.ledger
    is_new = channel.handle is not None and channel_of_handle(ledger, channel.handle) is None
    remember_channel(ledger, part.channel_id, handle=channel.handle if is_new else None)
    state = channel_state(ledger, part.channel_id)
    harvested = state.cursor if state is not None else 0
    met = run.channels.setdefault(channel.name, type(run.counts)())
    for pending in ledger.pending_listings():
        if place_of(pending.source_id)[0] == part.channel_id:
            await _read_photos(run, part, run.intake.wanted(pending.source_id))
    # A live album never lies on both sides of the cursor, whatever one inferred here does.
    for album in group_albums(_behind(harvested, part, run, met)):
        if album.photos:
            met["posts"] += 1
        _look_for_missing(run, part, post_id(album.first.channel_id, album.first.message_id))
        wanted = run.take(album, channel, channel.handle)
        await _read_photos(run, part, wanted)
    for kind, count in part.skipped.items():
        run.counts[f"messages_skipped/{kind}"] += count


def _look_for_missing(run: Collection, part: ExportChannel, source_id: str) -> None:
    """A post is read again where this export has a file that an earlier one lacked."""
    for address in run.missing_photos(source_id):
        with suppress(RejectedPhoto):
            part.read_photo(address, run.intake.config.limits)
            run.intake.ledger.write(
                "UPDATE listings SET content_hash = NULL WHERE source_id = ?", source_id
            )
            return


def _behind(
    harvested: int, part: ExportChannel, run: Collection, met: Counter[str]
) -> Iterator[Message]:
    for message in part.messages:
        run.counts["read"] += 1
        met["messages"] += 1
        if message.message_id > harvested:
            yield message
        else:
            run.counts["harvested_before"] += 1


async def _read_photos(run: Collection, part: ExportChannel, wanted: Sequence[Wanted]) -> None:
    for photo in wanted:
        if not photo.address.startswith("export:"):
            continue  # a live run has begun it, and will go on
        try:
            raw = part.read_photo(photo.address, run.intake.config.limits)
        except RejectedPhoto as rejected:
            if rejected.reason is Reason.UNREACHABLE:
                run.intake.postpone_photo(photo.key, rejected.detail)
            else:
                run.intake.drop_photo(photo.key, rejected.reason, rejected.detail)
        else:
            await run.examine(photo, raw)
