"""Photos for tests of shards: real little JPEGs, or any bytes where only the layout matters."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from petdata.jpeg import CanonicalJpeg, canonicalise
from petdata.records import Photo, Sex, Species, Status


@cache
def picture(seed: int) -> CanonicalJpeg:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((80, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return canonicalise(buffer.getvalue())


def photo(number: int, **changes: Any) -> Photo:
    """A photo as the crawl makes it, two to an identity; every other one has its gaps."""
    canonical = picture(number)
    identity_id = f"pet911/rl{100_000 + number // 2}"
    gaps = number % 2 == 1
    values: dict[str, Any] = {
        "photo_id": f"{identity_id}/{canonical.sha256[:12]}",
        "identity_id": identity_id,
        "source": "pet911",
        "species": Species.CAT,
        "listing_version": 1,
        "position": number % 2,
        "image": canonical.jpeg,
        "width": canonical.width,
        "height": canonical.height,
        "sha256": canonical.sha256,
        "original_sha256": canonical.original_sha256,
        "phash": canonical.phash,
        "thumbnail": canonical.thumbnail,
        "title": None if gaps else "Пропала кошка",
        "description": None if gaps else f"Белая грудка, {number} года. Звонить [phone]",
        "status": Status.LOST,
        "closed": False,
        "breed": None if gaps else "метис",
        "sex": None if gaps else Sex.FEMALE,
        "city": "Москва",
        "latitude": 55.8,
        "longitude": None if gaps else 37.6,
        "event_on": None if gaps else date(2026, 2, 28),
        "posted_on": date(2026, 3, 1),
        "fetched_at": datetime(2026, 3, 2, tzinfo=UTC) + timedelta(microseconds=number),
        "source_url": f"https://pet911.ru/{identity_id[7:]}",
        "licence": "unknown",
        "basis": "research",
        "multi_animal": None if gaps else False,
        "attributes": None if gaps else '{"глаза": "зелёные"}',
    }
    return Photo(**(values | changes))


def opaque_photo(number: int, image: bytes | None) -> Photo:
    """A photo of any bytes, with all that may be null left out."""
    sha256 = hashlib.sha256(image or b"").hexdigest()
    identity_id = f"opaque/{number}"
    return Photo(
        photo_id=f"{identity_id}/{sha256[:12]}",
        identity_id=identity_id,
        source="opaque",
        species=Species.UNKNOWN,
        image=image,
        sha256=sha256,
        phash=number,
    )
