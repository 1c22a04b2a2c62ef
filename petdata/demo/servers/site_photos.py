"""The bytes behind a listing's photo addresses: drawn when they are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial

from PIL import Image

from petdata.demo.pets import Box, DrawnPhoto, draw_identity, draw_photo, encode_photo
from petdata.demo.servers.adverts import AdvertPhoto, Fault, Picture
from petdata.demo.servers.local_server import Response
from petdata.demo.servers.site_config import SiteConfig

KEPT_IN_MEMORY = 128  # encoded photos, about 50 kB each
POOL_KEPT_IN_MEMORY = 1024
POOL_SEED = 7  # one pool for all sites of a process: drawing it takes seconds
THUMBNAIL_PX = 196

# What turns upright pixels into those that each EXIF orientation turns upright again.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
ORIENTATION_TAG, GPS_TAG, MAKE_TAG = 0x0112, 0x8825, 0x010F
NOT_FOUND_PAGE = "<!DOCTYPE html><html><body><h1>Страница не найдена</h1></body></html>".encode()


@dataclass(frozen=True, slots=True)
class Boxes:
    """In pixels of the upright picture."""

    animal: Box
    head: Box


class SitePhotos:
    def __init__(self, config: SiteConfig) -> None:
        self._seed = config.seed if config.photo_pool is None else POOL_SEED
        self._faults = config.faults
        own = lru_cache(maxsize=KEPT_IN_MEMORY)(partial(_make, self._seed))
        self._made = own if config.photo_pool is None else _pooled
        self.sent: dict[str, Boxes] = {}  # SHA-256 of what was sent -> where its animal is

    def encoded(self, picture: Picture) -> bytes:
        return self._made(picture)[0]

    def drawn(self, picture: Picture) -> DrawnPhoto:
        """The upright picture before it is encoded, with its boxes."""
        return _drawn(self._seed, picture)

    def respond(self, photo: AdvertPhoto) -> Response:
        delay_s = self._faults.slow_s if photo.slow else 0.0
        media_type = f"image/{photo.picture.form.lower()}"
        if photo.fault is Fault.MISSING:
            return Response(body=NOT_FOUND_PAGE, status=404, kind="photo", delay_s=delay_s)
        if photo.fault is Fault.HTML:
            return Response(body=NOT_FOUND_PAGE, kind="photo", delay_s=delay_s)
        body, boxes = self._made(photo.picture)
        if photo.fault is Fault.EMPTY:
            body = b""
        elif photo.fault is Fault.TRUNCATED:
            body = body[: len(body) * 3 // 5]
        else:
            self.sent[hashlib.sha256(body).hexdigest()] = boxes
        headers = (("X-Robots-Tag", "noimageai"),) if photo.fault is Fault.OPTED_OUT else ()
        return Response(
            body=body, content_type=media_type, headers=headers, kind="photo", delay_s=delay_s
        )

    def thumbnail(self, photo: AdvertPhoto) -> Response:
        small = self.drawn(photo.picture).image
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        return Response(
            body=encode_photo(small, "WEBP", 75), content_type="image/webp", kind="thumbnail"
        )


_identity = lru_cache(maxsize=256)(draw_identity)


def _drawn(seed: int, picture: Picture) -> DrawnPhoto:
    return draw_photo(_identity(seed, picture.identity, picture.species), picture.number)


def _make(seed: int, picture: Picture) -> tuple[bytes, Boxes]:
    drawn = _drawn(seed, picture)
    image = drawn.image
    if picture.orientation in STORED_AS:
        image = image.transpose(STORED_AS[picture.orientation])
    raw = encode_photo(image, picture.form, picture.quality, _exif(picture))
    return raw, Boxes(drawn.box, drawn.head_box)


_pooled = lru_cache(maxsize=POOL_KEPT_IN_MEMORY)(partial(_make, POOL_SEED))


def _exif(picture: Picture) -> Image.Exif | None:
    if picture.orientation == 1 and picture.gps is None:
        return None
    exif = Image.Exif()
    exif[MAKE_TAG] = "Demo"
    exif[ORIENTATION_TAG] = picture.orientation
    if picture.gps is not None:
        latitude, longitude = picture.gps
        exif[GPS_TAG] = {1: "N", 2: _degrees(latitude), 3: "E", 4: _degrees(longitude)}
    return exif


def _degrees(angle: float) -> tuple[float, float, float]:
    minutes = angle % 1 * 60
    return (float(int(angle)), float(int(minutes)), round(minutes % 1 * 60, 2))
