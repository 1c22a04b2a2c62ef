"""What a build may be told, and the order in which sources decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from petdata.errors import PetdataError
from petdata.sources import Source

PETFACE: Final = "petface"
MOST_IDENTITIES: Final = 3  # that may show one picture; in more it is boilerplate
LARGEST_GROUP: Final = 20  # identities that links may join; more is a sign of a false link


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    exclude: frozenset[str] = frozenset()
    petface: str = "all"  # none, train or all
    min_photos: int = 1  # of an identity group, after duplicates are gone
    near_duplicates: int = 4  # bits of the perceptual hash, inside an identity group
    leak_bits: int = 10  # bits, between training and test
    merge_identities: str = "exact"  # exact, near or off
    val_fraction: float = 0.05  # 0: no validation, as Kudryavtsev et al. 2026
    keep_text: bool = False
    keep_source_ids: bool = False
    multi_animal: str = "drop"  # drop or keep
    seed: int = 0

    def __post_init__(self) -> None:
        if self.petface not in ("none", "train", "all"):
            raise PetdataError(f"--petface {self.petface}: choose from none, train, all")
        if self.merge_identities not in ("exact", "near", "off"):
            raise PetdataError(f"--merge-identities {self.merge_identities}: exact, near or off")
        if self.multi_animal not in ("drop", "keep"):
            raise PetdataError(f"--multi-animal {self.multi_animal}: drop or keep")
        if self.min_photos < 1:
            raise PetdataError(f"--min-photos {self.min_photos}: at least 1")
        if not 0 <= self.near_duplicates <= 16 or not 0 <= self.leak_bits <= 16:
            raise PetdataError("--near-duplicates and --leak-bits: 0 to 16 bits")
        if not 0 <= self.val_fraction < 1:
            raise PetdataError(f"--val-fraction {self.val_fraction}: at least 0, less than 1")
        if self.petface == "none" and PETFACE not in self.exclude:
            object.__setattr__(self, "exclude", self.exclude | {PETFACE})
        elif PETFACE in self.exclude and self.petface != "none":
            object.__setattr__(self, "petface", "none")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exclude": sorted(self.exclude)}


def petface_choice(exclude: Iterable[str], petface: str | None) -> str:
    """`--exclude petface` and `--petface none` say the same. Raises PetdataError if both differ."""
    if PETFACE not in set(exclude):
        return petface or "all"
    if petface not in (None, "none"):
        raise PetdataError(f"--exclude petface and --petface {petface} contradict each other")
    return "none"


@dataclass(frozen=True, slots=True)
class Level:
    """Rows that decide together; what a later level holds changes nothing in an earlier one."""

    source: Source
    lists: Literal["", "train", "others"]  # of PetFace

    @property
    def name(self) -> str:
        return f"{self.source.name}/{self.lists}" if self.lists else self.source.name

    def is_private(self, options: BuildOptions) -> bool:
        """Whether its identities are published under pseudonyms."""
        return self.source.kind == "collected" and not options.keep_source_ids

    @property
    def is_curated(self) -> bool:
        """Somebody labelled its identities: two that share a photo contradict each other."""
        return self.source.kind == "public"


def levels_of(sources: Iterable[Source], options: BuildOptions) -> list[Level]:
    """Test sources first, then by rank; PetFace's train list before its others."""
    found = []
    for source in sorted(sources, key=lambda s: (s.role != "test", s.rank, s.name)):
        if source.name in options.exclude:
            continue
        if source.name != PETFACE:
            found.append(Level(source, ""))
            continue
        found.append(Level(source, "train"))
        if options.petface == "all":
            found.append(Level(source, "others"))
    return found
