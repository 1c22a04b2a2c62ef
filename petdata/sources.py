"""The table of sources: where photos come from, what they are used for, and who wins a duplicate.

Users declare their own in petdata.toml:

    [sources.my-shelter]
    title = "Photos of my shelter"
    role = "train"                # or "test"
    licence = "CC BY 4.0"
    redistributable = true
    rank = 65                     # optional: a lower number wins a duplicate
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from petdata.errors import PetdataError, UnknownSource
from petdata.workspace import Workspace

DECLARED_RANK: Final = 65  # behind every built-in source but before petface


@dataclass(frozen=True, kw_only=True)
class Source:
    name: str
    title: str
    kind: Literal["collected", "public", "declared"]
    role: Literal["train", "test"]
    rank: int  # of duplicate photos the copy of the lowest number stays
    licence: str | None  # None: the authors have granted none
    terms: str  # where the terms stand, or what they say
    redistributable: bool

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", self.name):
            raise PetdataError(
                f"source name {self.name!r}: use a-z, 0-9, - and _, at most 41 characters"
            )
        if self.role not in ("train", "test"):
            raise PetdataError(f"source {self.name}: role is {self.role!r}, not train or test")


# Licences and terms: as the data sets' own pages state them; docs/record.md has the reading.
_BUILT_IN: Final = (
    Source(
        name="cat_individual_images",
        title="Cat Individual Images",
        kind="public",
        role="test",
        rank=10,
        licence="CC BY 4.0",
        terms="Kaggle data set timost1234/cat-individuals",
        redistributable=True,
    ),
    Source(
        name="dogfacenet",
        title="DogFaceNet",
        kind="public",
        role="test",
        rank=20,
        licence="CC BY 4.0",
        terms="Zenodo record 12578449",
        redistributable=True,
    ),
    Source(
        name="pet911",
        title="Lost and found pets on pet911.ru",
        kind="collected",
        role="train",
        rank=30,
        licence=None,
        terms="https://pet911.ru/post/uslovia-polzovania",
        redistributable=False,
    ),
    Source(
        name="telegram",
        title="Telegram channels whose operators assert a right of use",
        kind="collected",
        role="train",
        rank=40,
        licence=None,
        terms="https://core.telegram.org/api/terms",
        redistributable=False,
    ),
    Source(
        name="lcw",
        title="Labeled Cats in the Wild",
        kind="public",
        role="train",
        rank=50,
        licence="Apache-2.0",
        terms="Kaggle data set dseidli/lcwlabeled-cats-in-the-wild",
        redistributable=True,
    ),
    Source(
        name="dogs_world",
        title="Dogs of the World",
        kind="public",
        role="train",
        rank=60,
        licence="CC0-1.0",
        terms="Kaggle data set lextoumbourou/dogs-world",
        redistributable=True,
    ),
    Source(
        name="petface",
        title="PetFace",
        kind="public",
        role="train",
        rank=70,
        licence="non-commercial research only",
        terms="https://dahlian00.github.io/PetFacePage",
        redistributable=False,
    ),
)
SOURCES: Final[Mapping[str, Source]] = {source.name: source for source in _BUILT_IN}


def known_sources(workspace: Workspace) -> dict[str, Source]:
    """The built-in sources and those that this workspace declares, best rank first."""
    declared = [_declare(name, entry) for name, entry in workspace.declared_sources.items()]
    both = [*SOURCES.values(), *declared]
    return {source.name: source for source in sorted(both, key=lambda s: (s.rank, s.name))}


def find_source(name: str, workspace: Workspace) -> Source:
    sources = known_sources(workspace)
    if name not in sources:
        raise UnknownSource(f"no source {name!r}; choose from {', '.join(sources)}")
    return sources[name]


def _declare(name: str, entry: Mapping[str, Any]) -> Source:
    where = f"petdata.toml, [sources.{name}]"
    if name in SOURCES:
        raise PetdataError(f"{where}: {name} is built in and cannot be declared again")
    if not isinstance(entry, Mapping):
        raise PetdataError(f"{where}: expected a table")
    allowed = {column.name for column in fields(Source)} - {"name", "kind"}
    if unknown := sorted(entry.keys() - allowed):
        raise PetdataError(f"{where}: unknown key {', '.join(unknown)}; known: {sorted(allowed)}")
    values: dict[str, Any] = {
        "title": name,
        "role": "train",
        "rank": DECLARED_RANK,
        "licence": None,
        "terms": "",
        "redistributable": False,
    } | dict(entry)
    if not isinstance(values["rank"], int) or not isinstance(values["redistributable"], bool):
        raise PetdataError(f"{where}: rank must be a whole number, redistributable true or false")
    return Source(name=name, kind="declared", **values)
