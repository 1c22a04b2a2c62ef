"""Channels, read live: what was left over, what is new or edited, what is due for a recheck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from telethon import errors

from crawlers.telegram.albums import Album, AlbumWindow
from crawlers.telegram.channels import Channel
from crawlers.telegram.collection import Collection
from crawlers.telegram.listings import parts_of, place_of, post_id
from crawlers.telegram.live import STALE, ChannelRefused, LiveChannels, Resolved
from crawlers.telegram.messages import Message, export_address, message_of
from petdata.errors import RejectedPhoto
from petdata.intake import Wanted
from petdata.ledger import now
from petdata.ledger_channels import (
    advance_channel,
    channel_of_handle,
    channel_state,
    pending_posts,
    posts_to_recheck,
    reached_end,
    remember_channel,
)
from petdata.ledger_tables import ListingState, PhotoKey

COMMIT_MESSAGES: Final = 100  # without photos, before the cursor is written
LONGEST_ALBUM: Final = 200  # ids from an album's first message to its last: ten parts, 20 apart
DAY_US: Final = 24 * 3600 * 1_000_000


@dataclass(kw_only=True)
class ChannelHarvest:
    """One channel in one run."""

    run: Collection
    live: LiveChannels
    channel: Channel
    place: Resolved
    seen: set[str] = field(default_factory=set)  # photos met while reading again
    postponed: set[PhotoKey] = field(default_factory=set)  # by this run

    async def harvest(self) -> None:
        await self.fetch_left_over()
        reached = await self.read_on()
        if self.run.options.recheck is not None:
            before = now() - int(self.run.options.recheck * DAY_US)
            await self.recheck(before=before, all_read=reached)

    async def fetch_left_over(self) -> None:
        """Photos that an earlier run had no time for, or could not get."""
        intake = self.run.intake
        for source_id in pending_posts(intake.ledger, self.place.channel_id):
            await self.fetch(intake.wanted(source_id))

    async def read_on(self) -> bool:
        """From the cursor on; from a little before it where the end was reached last time.

        Returns whether it is reached now.
        """
        run, ledger, id = self.run, self.run.intake.ledger, self.place.channel_id
        state = channel_state(ledger, id)
        assert state is not None
        if state.reached_end_at is not None:
            again = max(0, state.cursor - run.options.rescan)
            start = max(0, again - LONGEST_ALBUM)
        else:
            start = again = state.cursor
        window, unsaved, new, stopped = AlbumWindow(after=start), 0, 0, False
        async for message in self.live.history(self.place, after=start):
            self.saw(message, is_new=message.message_id > state.cursor)
            complete = window.add(message)
            for album in complete:
                await self.handle(album, after=again, cursor=state.cursor)
            new += message.message_id > state.cursor
            unsaved += message.message_id > state.cursor
            if unsaved and (any(a.photos for a in complete) or unsaved >= COMMIT_MESSAGES):
                advance_channel(ledger, id, window.settled_id, messages=unsaved)
                unsaved = 0
            most = run.options.max_messages
            # An album that begins at the cursor must be read to its end, or no run gets past it.
            if most is not None and new >= most and window.settled_id > state.cursor:
                stopped = True
                break
        if stopped:
            advance_channel(ledger, id, window.settled_id, messages=unsaved)
            return False
        for album in window.flush():
            await self.handle(album, after=again, cursor=state.cursor)
        await self.bury(again, state.cursor)
        with ledger.transaction():
            advance_channel(ledger, id, window.settled_id, messages=unsaved)
            reached_end(ledger, id)
        return True

    def saw(self, message: Message, *, is_new: bool) -> None:
        met = self.run.channels[self.channel.name]
        if is_new:
            self.run.counts["read"] += 1
            met["messages"] += 1
        elif message.photo is not None:
            self.seen |= {message.photo, export_address(message.channel_id, message.message_id)}

    async def handle(self, album: Album, *, after: int, cursor: int) -> None:
        """A post. One that begins at `after` or before is only met because others overlap it,
        unless it has grown past the cursor."""
        if album.first.message_id <= after and album.last_id <= cursor:
            return
        wanted = self.take(album)
        if album.photos:
            self.run.channels[self.channel.name]["posts"] += 1
        await self.fetch(wanted)

    def take(self, album: Album) -> list[Wanted]:
        return self.run.take(album, self.channel, self.channel.handle, self.place.handles)

    # Photos

    async def fetch(self, wanted: Sequence[Wanted]) -> None:
        intake = self.run.intake
        for photo in wanted:
            if photo.key in self.postponed or intake.adopt_photo(photo):
                continue
            try:
                raw = await self.live.photo(self.place, photo.address)
            except RejectedPhoto as rejected:
                intake.drop_photo(photo.key, rejected.reason, rejected.detail)
            except (
                errors.BadRequestError,
                errors.ServerError,
                *STALE,
                errors.TimedOutError,
            ) as error:
                self.postponed.add(photo.key)
                intake.postpone_photo(photo.key, type(error).__name__)
            else:
                await self.run.examine(photo, raw)

    # What has changed

    async def bury(self, after: int, until: int) -> None:
        """Posts in a part of the channel that was read again, and that are not there any more.

        History may come short now and then, so each missing post is asked for by its messages.
        """
        ledger = self.run.intake.ledger
        missing: dict[str, tuple[str, ...]] = {}  # post -> addresses of its photos
        for state in self.listings_between(after, until):
            addresses = ledger.listing_record(state.source_id).photo_urls
            if self.seen.isdisjoint(addresses):
                missing[state.source_id] = addresses
        if not missing:
            return
        asked = {message_of(address)[1] for found in missing.values() for address in found}
        for message in await self.live.messages(self.place, sorted(asked)):
            self.saw(message, is_new=False)
        for source_id, addresses in missing.items():
            if self.seen.isdisjoint(addresses):
                self.run.intake.listing_gone(source_id)

    def listings_between(self, after: int, until: int) -> Iterator[ListingState]:
        """Posts that count, by their first message."""
        ledger = self.run.intake.ledger
        for message_id in range(after + 1, until + 1):
            state = ledger.listing_state(post_id(self.place.channel_id, message_id))
            if state is not None and state.outcome in ("kept", "pending") and not state.is_unread:
                yield state

    async def recheck(self, *, before: int, all_read: bool) -> None:
        """Open posts that were last read before then: changed ones supersede, deleted ones go."""
        ledger, id = self.run.intake.ledger, self.place.channel_id
        state = channel_state(ledger, id)
        due: dict[str, list[int]] = {}
        for source_id in posts_to_recheck(ledger, id, before):
            if not all_read and (state is None or place_of(source_id)[1] > state.cursor):
                continue  # of an export, whose albums are guesses until they are read live
            due[source_id] = parts_of(ledger.listing_record(source_id))
            if sum(map(len, due.values())) >= COMMIT_MESSAGES - 10:
                await self.look_again(due)
                due = {}
        if due:
            await self.look_again(due)

    async def look_again(self, ids: Mapping[str, Sequence[int]]) -> None:
        intake = self.run.intake
        asked = sorted({id for parts in ids.values() for id in parts})
        found = {m.message_id: m for m in await self.live.messages(self.place, asked)}
        for id, parts in ids.items():
            messages = tuple(found[part] for part in parts if part in found)
            if not messages:
                intake.listing_gone(id)
                continue
            self.run.counts["rechecked"] += 1
            album = Album(messages=messages)
            if album.photos:
                await self.fetch(self.take(album))
            else:
                intake.listing_gone(id)


async def find_channel(run: Collection, live: LiveChannels, channel: Channel) -> Resolved:
    """The channel as this account can ask for it; its handle is resolved once, and kept.

    Raises ChannelRefused.
    """
    ledger = run.intake.ledger
    known = (
        channel_of_handle(ledger, channel.handle)
        if channel.handle is not None
        else channel_state(ledger, channel.channel_id or 0)
    )
    if known is not None and known.access_hash is not None:
        place = Resolved(channel_id=known.channel_id, access_hash=known.access_hash)
        _require_asserted(channel, place)
        with suppress(errors.ChannelInvalidError):  # another account had resolved it
            place = await live.look_up(place, channel.name)
            if channel.handle is None or channel.handle in place.handles:
                return place
    if channel.handle is None:
        raise ChannelRefused(
            f"{channel.name}: an account finds a channel by its handle only; add its handle"
        )
    place = await live.resolve(channel.handle)
    _require_asserted(channel, place)
    if known is not None and channel.channel_id is None and place.channel_id != known.channel_id:
        raise ChannelRefused(
            f"{channel.name} is another channel by now (id {place.channel_id}, before "
            f"{known.channel_id}): what was asserted is about the other one. Give the id of the "
            "one that you mean"
        )
    remember_channel(ledger, place.channel_id, handle=channel.handle, access_hash=place.access_hash)
    return place


def _require_asserted(channel: Channel, place: Resolved) -> None:
    if channel.channel_id not in (None, place.channel_id):
        raise ChannelRefused(
            f"{channel.name} has the id {place.channel_id}, not {channel.channel_id}: what was "
            "asserted may be about another channel"
        )


async def harvest_channel(run: Collection, live: LiveChannels, channel: Channel) -> None:
    """Raises ChannelRefused where the channel cannot or must not be read."""
    run.channels[channel.name] = run.channels.get(channel.name, type(run.counts)())
    place = await find_channel(run, live, channel)
    try:
        await ChannelHarvest(run=run, live=live, channel=channel, place=place).harvest()
    except (errors.ChannelPrivateError, errors.ChannelInvalidError) as error:
        raise ChannelRefused(f"{channel.name} can no longer be read by this account") from error
