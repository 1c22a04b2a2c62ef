"""What becomes of a drawn photo before it reaches a channel, and what Telegram makes of it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from PIL import Image, ImageOps

from petdata.demo.pets import draw_identity, draw_photo, encode_photo
from petdata.demo.servers.adverts import Picture

TELEGRAM_QUALITY: Final = 87
TELEGRAM_PX: Final = 1280  # the longest side that Telegram leaves


@dataclass(frozen=True, kw_only=True, slots=True)
class Repost:
    """Saved once more by whoever reposts it."""

    quality: int
    longest_px: int
    border: float = 0.0  # a frame, as a share of the longest side
    is_dark_border: bool = False
    crop: float = 0.0  # cut off each side, as a share of it


@dataclass(frozen=True, slots=True)
class PostedPhoto:
    seed: int  # of the site that the picture belongs to
    picture: Picture
    change: Repost | None = None


def encode(photo: PostedPhoto) -> bytes:
    image = _draw(photo.seed, photo.picture)
    if photo.change is not None:
        image = _repost(image, photo.change)
    image.thumbnail((TELEGRAM_PX, TELEGRAM_PX))
    return encode_photo(image, "JPEG", TELEGRAM_QUALITY)


def _repost(image: Image.Image, change: Repost) -> Image.Image:
    """Cropped, framed, made smaller, and through a JPEG of its own."""
    width, height = image.size
    x, y = round(width * change.crop), round(height * change.crop)
    image = image.crop((x, y, width - x, height - y))
    if change.border:
        colour = "#101010" if change.is_dark_border else "#fafafa"
        image = ImageOps.expand(image, round(max(image.size) * change.border), colour)
    image.thumbnail((change.longest_px, change.longest_px))
    return Image.open(io.BytesIO(encode_photo(image, "JPEG", change.quality)))


def _draw(seed: int, picture: Picture) -> Image.Image:
    pet = _identity(seed, picture.identity, picture.species)
    return draw_photo(pet, picture.number).image


_identity = lru_cache(maxsize=64)(draw_identity)
