"""How many changed copies near_duplicates finds, and how often it takes two photos for one."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from dataset_builder.hamming_join import available_cores
from dataset_builder.hash_variants import hash_variants
from dataset_builder.near_duplicates import Pictures, near_duplicates
from dataset_builder.planted_copies import CHANGES, copies
from petdata.jpeg import CanonicalJpeg, canonicalise
from petdata.perceptual_hash import THUMBNAIL_BYTES

_COPIED_SIDE: Final = 384  # px, longest: 12 pixels for one of the thumbnail, at a tenth of the time
_LEAST_SIDE: Final = 130  # px: a quarter of it is still a photo to canonicalise


@dataclass(frozen=True)
class DetectionPower:
    bits: int
    photos: int
    recall: dict[str, float]  # change -> share of the copies that match their original
    pairs: int  # of photos of the sample
    pairs_matched: int  # real duplicates, of which the sample may have some, and false positives


def detection_power(photos: Sequence[bytes], bits: int) -> DetectionPower:
    """Measured by planting changed copies of the photos (JPEG files). The same for the same photos.

    Copies are made of the photo scaled to 384 pixels or less, and go through `canonicalise`.
    """
    with ThreadPoolExecutor(available_cores()) as pool:
        originals = _pictures(pool.map(canonicalise, photos))
        planted = list(pool.map(_planted, photos))
    recall = {}
    for name in CHANGES:
        copied = _pictures([files[name] for files in planted])
        found = np.zeros(len(photos), np.bool_)
        for matches in near_duplicates(originals, copied, bits):
            found[matches.one[matches.one == matches.other]] = True
        recall[name] = float(found.mean()) if len(photos) else 0.0
    matched = sum(len(matches.one) for matches in near_duplicates(originals, None, bits))
    return DetectionPower(bits, len(photos), recall, len(photos) * (len(photos) - 1) // 2, matched)


def _planted(photo: bytes) -> dict[str, CanonicalJpeg]:
    with Image.open(io.BytesIO(photo)) as picture:
        scale = max(_COPIED_SIDE / max(picture.size), _LEAST_SIDE / min(picture.size))
        width, height = (max(round(side * min(scale, 1)), _LEAST_SIDE) for side in picture.size)
        picture.draft("RGB", (width, height))
        small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return {name: canonicalise(file) for name, file in copies(small).items()}


def _pictures(photos: Iterable[CanonicalJpeg]) -> Pictures:
    found = [(photo.phash, photo.thumbnail) for photo in photos]
    thumbnails = np.frombuffer(b"".join(thumbnail for _, thumbnail in found), np.uint8)
    thumbnails = thumbnails.reshape(len(found), THUMBNAIL_BYTES)
    return Pictures(
        hash_variants(np.array([hash_ for hash_, _ in found], np.uint64), thumbnails), thumbnails
    )
