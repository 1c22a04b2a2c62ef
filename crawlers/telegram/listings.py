"""An album and the channel it stands in -> the listing that collection takes, or why not."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC
from typing import Final

from crawlers.telegram.albums import Album
from crawlers.telegram.channels import Basis
from crawlers.telegram.keywords import Rules, understand
from crawlers.telegram.messages import message_of
from petdata.errors import ListingReason
from petdata.listing import Listing, PhotoRef, content_hash
from petdata.scrub import scrub

SOURCE: Final = "telegram"
_SOURCE_ID: Final = re.compile(r"(\d+)-(\d+)")


def post_id(channel_id: int, message_id: int) -> str:
    return f"{channel_id}-{message_id}"


def place_of(source_id: str) -> tuple[int, int]:
    """Channel and first message of a listing."""
    match = _SOURCE_ID.fullmatch(source_id)
    if match is None:
        raise ValueError(f"{source_id!r} is no post")
    return int(match[1]), int(match[2])


def url_of(channel_id: int, message_id: int, handle: str | None) -> str:
    place = handle if handle is not None else f"c/{channel_id}"
    return f"https://t.me/{place}/{message_id}"


def listing_of(
    album: Album, rules: Rules, *, source_id: str, basis: Basis, handle: str | None
) -> Listing | ListingReason:
    """One post or album, with at least one photo, is one identity.

    `source_id` is of its first message, or of the first that it had before that was deleted.
    """
    if album.is_protected:
        return ListingReason.OPTED_OUT
    understood = understand(album.text, rules)
    if understood.refused is not None:
        return understood.refused
    first = album.first
    parts = [message.message_id for message in album.messages]
    attributes = {}
    if parts != [place_of(source_id)[1]]:
        attributes["parts"] = " ".join(map(str, parts))
    if first.album_inferred:
        attributes["album_inferred"] = "true"
    return Listing(
        source=SOURCE,
        source_id=source_id,
        url=url_of(first.channel_id, first.message_id, handle),
        status=understood.status,
        closed=understood.closed,
        species=understood.species,
        photos=tuple(
            PhotoRef(position=position, address=message.photo)
            for position, message in enumerate(album.photos)
            if message.photo is not None
        ),
        description=scrub(album.text).text or None,
        posted_on=first.sent_at.astimezone(UTC).date(),
        multi_animal=understood.multi_animal,
        basis=basis,
        attributes=attributes,
    )


def is_same_post(known: Listing, met: Listing) -> bool:
    """Whether one reading was live and one of an export, and both found the same post.

    Their photos bear different addresses, and only live ones tell which media it was.
    """
    if known.photos[0].address.partition(":")[0] == met.photos[0].address.partition(":")[0]:
        return False
    return content_hash(_plain(known)) == content_hash(_plain(met))


def _plain(listing: Listing) -> Listing:
    photos = tuple(
        PhotoRef(position=photo.position, address="{}/{}".format(*message_of(photo.address)))
        for photo in listing.photos
    )
    return replace(listing, photos=photos, attributes={})


def parts_of(listing: Listing) -> list[int]:
    """Ids of all messages of a post."""
    parts = listing.attributes.get("parts")
    return [int(part) for part in parts.split()] if parts else [place_of(listing.source_id)[1]]
