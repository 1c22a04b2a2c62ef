"""Drawing by number: the same for one listing and for all at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petdata.demo.servers.advert_texts import CITIES
from petdata.demo.servers.advert_traits import (
    REPOSTED_AFTER,
    SPECIES,
    are_in_city,
    city_of,
    have_species,
    have_status,
    identity_of,
    index_of,
    number_of,
    species_of,
    status_of,
)
from petdata.demo.servers.adverts import draw_advert
from petdata.demo.servers.dice import Dice, unit, units
from petdata.demo.servers.site_config import Faults, SiteConfig, plain_config
from petdata.records import Species, Status

seeds = st.integers(0, 2**62)


@given(seeds, st.integers(0, 2**16), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_one_chance_equals_the_same_chance_among_many(
    seed: int, salt: int, indices: list[int]
) -> None:
    many = units(seed, salt, np.array(indices, np.uint64))
    assert many.tolist() == [unit(seed, salt, index) for index in indices]
    assert ((many >= 0) & (many < 1)).all()


def test_chances_are_spread_evenly() -> None:
    tenths = np.floor(units(1, 2, np.arange(20_000, dtype=np.uint64)) * 10).astype(int)
    assert np.bincount(tenths, minlength=10).tolist() == pytest.approx([2000] * 10, abs=220)
    dice = Dice(1, 2, 3)
    counts = Counter(dice.weighted((1.0, 0.0, 3.0)) for _ in range(4000))
    assert counts[1] == 0
    assert counts[2] == pytest.approx(3000, abs=140)  # 5 standard deviations


@pytest.mark.parametrize("reposted", [0.03, 0.5])
def test_traits_of_one_listing_equal_those_of_all_at_once(reposted: float) -> None:
    config = SiteConfig(seed=5, listings=400, reposted=reposted)
    indices = np.arange(400, dtype=np.uint64)
    for species in SPECIES:
        expected = [species_of(config, index) is species for index in range(400)]
        assert have_species(config, indices, species).tolist() == expected
    for status in (Status.LOST, Status.FOUND):
        expected = [status_of(config, index) is status for index in range(400)]
        assert have_status(config, indices, status).tolist() == expected
    for city in CITIES:
        expected = [city_of(config, index) is city for index in range(400)]
        assert are_in_city(config, indices, city).tolist() == expected


@given(seeds, st.integers(0, 100_000))
def test_numbers_grow_with_gaps_and_lead_back_to_their_listing(seed: int, index: int) -> None:
    config = SiteConfig(seed=seed)
    number = number_of(config, index)
    assert index_of(config, number) == index
    after = number_of(config, index + 1)
    assert number < after
    for between in range(number + 1, after):
        assert index_of(config, between) is None


def test_a_reposted_animal_keeps_its_species_and_gets_new_photos() -> None:
    config = SiteConfig(seed=1, listings=200, reposted=0.3)
    reposts = [index for index in range(200) if identity_of(config, index) != index]
    assert len(reposts) > 30
    for index in reposts:
        again, first = draw_advert(config, index), draw_advert(config, index - REPOSTED_AFTER)
        assert again.identity == first.index
        shown, before = (
            {(photo.picture.identity, photo.picture.number) for photo in advert.photos}
            for advert in (again, first)
        )
        assert shown & before <= {(first.index, 0)}


def test_shares_are_those_of_the_config() -> None:
    config = SiteConfig(
        seed=3,
        listings=2000,
        closed=0.25,
        without_city=0.2,
        found=0.4,
        faults=Faults(truncated=0.1, noindex=0.1, duplicate=0.1),
    )
    adverts = [draw_advert(config, index) for index in range(2000)]
    photos = [photo for advert in adverts for photo in advert.photos]
    faults = Counter(photo.fault.value for photo in photos)
    assert sum(a.closed is not None for a in adverts) == pytest.approx(500, abs=100)
    assert sum(a.city is None for a in adverts) == pytest.approx(400, abs=90)
    assert sum(a.status is Status.FOUND for a in adverts) == pytest.approx(800, abs=110)
    assert sum(a.noindex for a in adverts) == pytest.approx(200, abs=70)
    assert sum(a.species is Species.CAT for a in adverts) == pytest.approx(1000, abs=115)
    assert faults["truncated"] == pytest.approx(len(photos) * 0.1, rel=0.15)
    assert 0.05 * len(photos) < faults["duplicate"] < 0.1 * len(photos)  # not the first of any
    assert Counter(len(a.photos) for a in adverts)[0] == pytest.approx(40, abs=32)


def test_nothing_goes_wrong_on_a_plain_site() -> None:
    config = plain_config(listings=300)
    for index in range(300):
        advert = draw_advert(config, index)
        assert (advert.noindex, advert.flaky, advert.slow) == (False, False, False)
        assert advert.kept_photos == advert.photos
        assert len({photo.picture for photo in advert.photos}) == len(advert.photos)
        assert not any(photo.flaky or photo.slow for photo in advert.photos)


@pytest.mark.parametrize("listings", [0, 2**20])
def test_impossible_sizes_are_refused(listings: int) -> None:
    with pytest.raises(ValueError, match="listings"):
        SiteConfig(listings=listings)


def test_a_pool_smaller_than_a_listing_is_refused() -> None:
    with pytest.raises(ValueError, match="photo_pool=10"):
        SiteConfig(photo_pool=10)


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match="truncated"):
        Faults(truncated=1.5)
