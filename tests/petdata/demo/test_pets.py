from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops

from petdata.demo.pets import Box, Pet, draw_identity, draw_photo, encode_photo
from petdata.records import Species

SPECIES = (Species.CAT, Species.DOG, Species.BIRD, Species.OTHER)


def other_colours(pet: Pet) -> Pet:
    """The same body, pose and scene with another coat: what differs on a photo is the animal."""
    coat = replace(pet.coat, ground=(0.1, 0.9, 0.1), marks=(0.9, 0.1, 0.9), white=0.0)
    return replace(pet, coat=coat)


def differing_box(first: Image.Image, second: Image.Image) -> Box:
    difference = ImageChops.difference(first, second).convert("L").point(lambda v: 255 * (v > 12))
    box = difference.getbbox()
    assert box is not None
    return box


def is_within(inner: Box, outer: Box, slack: int) -> bool:
    return (
        inner[0] >= outer[0] - slack
        and inner[1] >= outer[1] - slack
        and inner[2] <= outer[2] + slack
        and inner[3] <= outer[3] + slack
    )


def test_an_identity_and_its_photos_depend_on_their_numbers_alone() -> None:
    assert draw_identity(3, 14) == draw_identity(3, 14)
    assert draw_identity(3, 14) != draw_identity(4, 14)
    draw_photo(draw_identity(9, 9), 9)  # must not disturb what follows
    first, again = (draw_photo(draw_identity(3, 14), 2) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes()
    assert (first.box, first.head_box) == (again.box, again.head_box)


def test_photos_of_one_animal_differ() -> None:
    pet = draw_identity(1, 0, Species.DOG)
    photos = {draw_photo(pet, k).image.tobytes() for k in range(8)}
    assert len(photos) == 8


def test_cats_and_dogs_are_equally_frequent() -> None:
    cats = sum(draw_identity(2, index).species is Species.CAT for index in range(400))
    assert 150 < cats < 250  # 5 standard deviations


@pytest.mark.parametrize("species", SPECIES)
def test_every_photo_shows_the_animal_and_its_head(species: Species) -> None:
    for index in range(6):
        for k in range(3):
            photo = draw_photo(draw_identity(5, index, species), k)
            width, height = photo.image.size
            assert photo.image.mode == "RGB"
            assert 360 <= min(width, height) <= max(width, height) <= 1280
            left, top, right, bottom = photo.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            assert is_within(photo.head_box, photo.box, slack=0)
            assert photo.head_box[2] - photo.head_box[0] >= 16
            assert photo.head_box[3] - photo.head_box[1] >= 16


@pytest.mark.parametrize("species", [Species.CAT, Species.DOG])
def test_the_box_is_where_another_coat_changes_the_photo(species: Species) -> None:
    for index in range(6):
        pet = draw_identity(6, index, species)
        photo, recoloured = draw_photo(pet, 1), draw_photo(other_colours(pet), 1)
        found = differing_box(photo.image, recoloured.image)
        slack = 4 + photo.image.width // 100  # soft edges, single hairs, enlargement
        assert is_within(found, photo.box, slack)
        assert is_within(photo.box, found, slack)


@pytest.mark.parametrize("species", [Species.CAT, Species.DOG])
def test_the_eyes_are_inside_the_head_box(species: Species) -> None:
    seen = 0
    for index in range(8):
        pet = draw_identity(8, index, species)
        bright = replace(pet, face=replace(pet.face, iris=(1.0, 0.0, 1.0)))
        photo, changed = draw_photo(pet, 0), draw_photo(bright, 0)
        if ImageChops.difference(photo.image, changed.image).getbbox() is None:
            continue  # seen from behind, or asleep
        seen += 1
        assert is_within(differing_box(photo.image, changed.image), photo.head_box, slack=3)
    assert seen >= 4


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_encoded_photos_decode_to_nearly_the_same_pixels(form: str) -> None:
    image = draw_photo(draw_identity(1, 1), 0).image
    with Image.open(io.BytesIO(encode_photo(image, form, 90))) as decoded:
        assert decoded.format == form
        assert decoded.size == image.size
        difference = np.asarray(decoded.convert("RGB"), np.int16) - np.asarray(image, np.int16)
    assert np.abs(difference).mean() < 6
