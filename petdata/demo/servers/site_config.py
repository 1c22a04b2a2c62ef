"""What a local site is like, and how much goes wrong on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

MOST_LISTINGS: Final = 2**20 - 1  # photo addresses have five hex digits for the listing


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Shares of photos (of listings where it says so) that do not go well."""

    truncated: float = 0.010
    html: float = 0.004
    empty: float = 0.004
    missing: float = 0.010
    duplicate: float = 0.030
    opted_out: float = 0.002
    flaky: float = 0.02  # photos and listings: the first request gets 503
    slow: float = 0.01  # photos and listings: late by `slow_s`
    slow_s: float = 0.3
    noindex: float = 0.01  # listings

    def __post_init__(self) -> None:
        for share in fields(self):
            if share.name != "slow_s" and not 0 <= getattr(self, share.name) <= 1:
                raise ValueError(f"{share.name} is a share, not {getattr(self, share.name)}")


NO_FAULTS: Final = Faults(**{share.name: 0.0 for share in fields(Faults)})


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteConfig:
    """A site: the same values give the same site, byte for byte."""

    seed: int = 7
    listings: int = 300
    promoted: int = 5
    # Weights of 0 .. 10 photos. Autumn 2025 had 3 % without and 36 % with one (reference:
    # Pet911-Analysis); here fewer, since a demo shows what is kept.
    photo_counts: tuple[float, ...] = (2, 10, 25, 22, 14, 9, 6, 4, 3, 3, 2)
    species: tuple[float, ...] = (0.50, 0.42, 0.05, 0.03)  # cat, dog, bird, other
    found: float = 0.35
    closed: float = 0.08
    without_city: float = 0.11
    reposted: float = 0.03  # listings that show the animal of an earlier one
    webp: float = 0.65  # listings whose photos are WebP; the others' are JPEG
    exif: float = 0.3  # JPEG photos that carry GPS and an orientation
    # Pictures drawn per species and form, shown by all listings in turn; None: every listing shows
    # its own animal.
    photo_pool: int | None = None
    faults: Faults = Faults()

    def __post_init__(self) -> None:
        if not 1 <= self.listings <= MOST_LISTINGS:
            raise ValueError(f"{self.listings} listings; 1 to {MOST_LISTINGS:,} are possible")
        most = len(self.photo_counts) - 1
        if self.photo_pool is not None and self.photo_pool <= most:
            raise ValueError(
                f"photo_pool={self.photo_pool}: the {most} photos of one listing must differ"
            )


def plain_config(listings: int, seed: int = 7, photo_pool: int | None = 64) -> SiteConfig:
    """Nothing goes wrong and photos cost nothing: for measuring what asks the site."""
    return SiteConfig(seed=seed, listings=listings, photo_pool=photo_pool, faults=NO_FAULTS)
