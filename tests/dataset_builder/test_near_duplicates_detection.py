from __future__ import annotations

from functools import cache

from dataset_builder.detection_power import DetectionPower, detection_power
from dataset_builder.planted_copies import CHANGES, as_jpeg
from petdata.demo.pets import draw_identity, draw_photo


@cache
def photos() -> tuple[bytes, ...]:
    drawn = [draw_photo(draw_identity(7, number), 0).image for number in range(10)]
    return tuple(as_jpeg(photo, 90) for photo in drawn)


@cache
def measured(bits: int) -> DetectionPower:
    return detection_power(photos(), bits)


def test_what_hashes_and_thumbnails_can_see() -> None:
    power = measured(10)
    assert (power.bits, power.photos, power.pairs, power.pairs_matched) == (10, 10, 45, 0)
    assert list(power.recall) == list(CHANGES)
    certain = ("recompressed", "resized", "mirrored")
    assert all(share == 1 for name, share in power.recall.items() if name.startswith(certain))
    assert power.recall["cropped by 50 %"] == 0


def test_fewer_bits_see_less() -> None:
    assert all(measured(4).recall[name] <= share for name, share in measured(10).recall.items())
    assert measured(4).recall["cropped by 10 %"] < 0.5


def test_it_can_be_repeated() -> None:
    assert detection_power(photos(), 10) == measured(10)


def test_copies_in_the_sample_are_counted() -> None:
    power = detection_power((*photos()[:3], photos()[0]), 4)
    assert (power.pairs, power.pairs_matched) == (6, 1)


def test_narrow_and_small_photos_can_be_tried() -> None:
    small = draw_photo(draw_identity(7, 0), 0).image
    power = detection_power([as_jpeg(small.resize(size), 90) for size in ((33, 900), (40, 40))], 4)
    assert power.recall["recompressed, quality 85"] == 1


def test_a_sample_of_nothing() -> None:
    assert set(detection_power([], 4).recall.values()) == {0.0}
