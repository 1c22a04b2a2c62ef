"""The spider arguments (`-a name=value`), checked before the first request."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import urlsplit

from petdata.errors import PetdataError
from petdata.records import Species

DEFAULT_BASE_URL: Final = "https://pet911.ru"


@dataclass(frozen=True, kw_only=True)
class CrawlOptions:
    species: frozenset[Species] = frozenset({Species.CAT, Species.DOG})
    city: str | None = None  # as in the site's addresses: "moskva"
    min_photos: int = 2  # Kudryavtsev et al. 2026, section 2.1: two to eight photos per animal
    max_photos: int = 8
    max_listings: int | None = None  # new listings in this run; None: no limit
    known_stop: int = 40  # known listings in a row that end an incremental walk; 0: walk to the end
    recheck: float | None = None  # days after which an open listing is read again; None: never
    base_url: str = DEFAULT_BASE_URL

    def __post_init__(self) -> None:
        if not self.species:
            raise PetdataError("species: name at least one, e.g. species=cat,dog")
        if self.city is not None and not re.fullmatch(r"[a-z0-9-]+", self.city):
            raise PetdataError(
                f"city={self.city!r}: write it as the site's addresses do, e.g. city=moskva"
            )
        if not 1 <= self.min_photos <= self.max_photos:
            raise PetdataError(
                f"min_photos={self.min_photos}, max_photos={self.max_photos}: "
                "need 1 <= min_photos <= max_photos"
            )
        if self.max_listings is not None and self.max_listings < 1:
            raise PetdataError(f"max_listings={self.max_listings}: must be at least 1")
        if self.known_stop < 0:
            raise PetdataError(f"known_stop={self.known_stop}: must be 0 (never stop) or more")
        if self.recheck is not None and not 0 <= self.recheck < math.inf:
            raise PetdataError(f"recheck={self.recheck}: a number of days, 0 or more")
        _check_base_url(self.base_url)

    @property
    def scope(self) -> str:
        """What a walk of the catalogue looks for: walks of one scope continue one another."""
        species = ",".join(sorted(self.species))
        return f"{self.base_url} species={species} city={self.city or '*'}"

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """`host[:port]` of everything that may be requested."""
        host = urlsplit(self.base_url).netloc.lower()
        if self.is_loopback:
            return frozenset({host})
        host = host.removeprefix("www.")
        return frozenset({host, f"www.{host}", f"cdn.{host}"})


def parse_options(arguments: dict[str, str]) -> CrawlOptions:
    """Options from `-a` arguments. Raises PetdataError naming the argument that is off."""
    known = [option.name for option in fields(CrawlOptions)]
    if unknown := sorted(arguments.keys() - set(known)):
        raise PetdataError(f"unknown argument {', '.join(unknown)}; known are {', '.join(known)}")
    given = {name: value.strip() for name, value in arguments.items() if value.strip()}
    values: dict[str, object] = dict(given)
    for name in ("min_photos", "max_photos", "max_listings", "known_stop"):
        if name in given:
            values[name] = _number(name, given[name], int)
    if "recheck" in given:
        values["recheck"] = _number("recheck", given["recheck"], float)
    if "species" in given:
        values["species"] = frozenset(
            _species(name.strip()) for name in given["species"].split(",")
        )
    if "base_url" in given:
        values["base_url"] = given["base_url"].rstrip("/")
    return CrawlOptions(**values)  # type: ignore[arg-type]


def _check_base_url(base_url: str) -> None:
    """Nothing but scheme, host and port: whatever follows would be glued into every address."""
    try:
        parts = urlsplit(base_url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        has_host = False
    if not has_host or parts.scheme not in ("http", "https"):
        raise PetdataError(f"base_url={base_url!r}: write http(s)://host")
    given = {
        "userinfo": "@" in parts.netloc,
        "path": bool(parts.path),
        "query": "?" in base_url,
        "fragment": "#" in base_url,
    }
    if excess := [name for name, is_given in given.items() if is_given]:
        # Not repeated here: userinfo may be a password.
        raise PetdataError(f"base_url has a {', '.join(excess)}: write http(s)://host alone")


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise PetdataError(f"{name}={text!r} is not a number") from None


def _species(name: str) -> Species:
    try:
        return Species(name)
    except ValueError:
        raise PetdataError(
            f"species={name!r} is unknown; choose from {', '.join(Species)}"
        ) from None
