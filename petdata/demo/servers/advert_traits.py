"""Traits that a catalogue orders and filters by: computed for any listing, or for all at once.

Nothing is stored per listing. Listing 0 is the oldest; numbers grow with gaps, as on the site.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from petdata.demo.servers.advert_texts import CITIES, City
from petdata.demo.servers.dice import unit, units
from petdata.demo.servers.site_config import SiteConfig
from petdata.records import Species, Status

Indices = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

FIRST_NUMBER: Final = 100_003
NUMBERS_APART: Final = 7  # listing i has a number from first + 7 i to first + 7 i + 6
REPOSTED_AFTER: Final = 23  # a reposted animal was listed that many listings before
SPECIES: Final = (Species.CAT, Species.DOG, Species.BIRD, Species.OTHER)


class Salt(IntEnum):
    NUMBER = 1
    SPECIES = 2
    STATUS = 3
    CITY = 4
    ADVERT = 5
    PHOTO = 6
    PROMOTED = 7
    REPOSTED = 8


def number_of(config: SiteConfig, index: int) -> int:
    gap = int(unit(config.seed, Salt.NUMBER, index) * NUMBERS_APART)
    return FIRST_NUMBER + index * NUMBERS_APART + gap


def index_of(config: SiteConfig, number: int) -> int | None:
    """The listing that has this number, if any has."""
    index = (number - FIRST_NUMBER) // NUMBERS_APART
    return index if index >= 0 and number_of(config, index) == number else None


def promoted_indices(config: SiteConfig) -> frozenset[int]:
    return frozenset(
        int(unit(config.seed, Salt.PROMOTED, k) * config.listings) for k in range(config.promoted)
    )


def identity_of(config: SiteConfig, index: int) -> int:
    """The number of the animal that a listing shows: its own, or an earlier listing's."""
    reposted = unit(config.seed, Salt.REPOSTED, index) < config.reposted
    return index - REPOSTED_AFTER if reposted and index >= REPOSTED_AFTER else index


def species_of(config: SiteConfig, index: int) -> Species:
    edges = list(accumulate(config.species))
    chance = unit(config.seed, Salt.SPECIES, identity_of(config, index)) * edges[-1]
    return SPECIES[bisect_right(edges, chance)]


def status_of(config: SiteConfig, index: int) -> Status:
    return Status.FOUND if unit(config.seed, Salt.STATUS, index) < config.found else Status.LOST


def city_of(config: SiteConfig, index: int) -> City | None:
    chance = unit(config.seed, Salt.CITY, index)
    if chance < config.without_city:
        return None
    return CITIES[int((chance - config.without_city) / (1 - config.without_city) * len(CITIES))]


def have_species(config: SiteConfig, indices: Indices, species: Species) -> Mask:
    """`species_of(...) is species` for many listings."""
    reposted = units(config.seed, Salt.REPOSTED, indices) < config.reposted
    earlier = indices - np.uint64(REPOSTED_AFTER)
    shown = np.where(reposted & (indices >= REPOSTED_AFTER), earlier, indices)
    edges = list(accumulate(config.species))
    chances = units(config.seed, Salt.SPECIES, shown) * edges[-1]
    codes = np.searchsorted(edges, chances, side="right")
    same: Mask = codes == SPECIES.index(species)
    return same


def have_status(config: SiteConfig, indices: Indices, status: Status) -> Mask:
    found = units(config.seed, Salt.STATUS, indices) < config.found
    return found if status is Status.FOUND else ~found


def are_in_city(config: SiteConfig, indices: Indices, city: City) -> Mask:
    chances = units(config.seed, Salt.CITY, indices)
    share = (chances - config.without_city) / (1 - config.without_city) * len(CITIES)
    same: Mask = (chances >= config.without_city) & (share.astype(np.int64) == CITIES.index(city))
    return same
