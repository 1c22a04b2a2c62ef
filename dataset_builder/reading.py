"""What readers of data sets share: their notes, and the way from a file to an `Original`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dataset_builder.archives import Files, Member, is_archive, open_files
from petdata.bulk_intake import Original
from petdata.errors import PetdataError
from petdata.limits import Limits
from petdata.records import Species

# TIFF and BMP are told from other files to be refused by name, not passed over.
PHOTO_SUFFIXES: Final = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp"]
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """What others say that a data set holds."""

    by: str
    photos: int
    identities: int


@dataclass
class Reading:
    """What a reader meets beside photos: counted, and said in the final report."""

    limits: Limits = field(default_factory=Limits)
    counts: Counter[str] = field(default_factory=Counter)  # "files that are no photos", ...
    warnings: list[str] = field(default_factory=list)

    def original(
        self, member: Member, *, source_id: str, species: Species, **more: Any
    ) -> Original:
        return Original(
            source_id=source_id,
            species=species,
            read=lambda: member.read_photo(self.limits),
            **{"address": member.path, **more},
        )

    def is_photo(self, path: str) -> bool:
        if suffix_of(path) in PHOTO_SUFFIXES:
            return True
        self.counts["files that are no photos"] += 1
        return False

    def finish(self, files: Files) -> None:
        if links := getattr(files, "links", 0):
            self.warnings.append(
                f"{files.path}: {links:,} symbolic links or special files were passed over"
            )


def suffix_of(path: str) -> str:
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""


def stem_of(path: str) -> str:
    """Without the last suffix, folders kept."""
    return path[: -len(suffix_of(path))] if suffix_of(path) else path


def identity_key(name: str) -> str:
    """A name as part of an identity_id: no slash, no space, nothing that is not printable."""
    return "".join(
        c
        if c.isprintable() and not c.isspace() and c not in "/%"
        else "".join(f"%{byte:02X}" for byte in c.encode())
        for c in name
    )


def open_data_set(root: Path) -> Files:
    """The folder or archive itself; of a folder with nothing but one archive, that archive."""
    if root.is_dir():
        entries = [path for path in root.iterdir() if not path.name.startswith(".")]
        archives = [path for path in entries if path.is_file() and is_archive(path.name)]
        if len(archives) == 1 and not any(path.is_dir() for path in entries):
            return open_files(archives[0])
    elif not root.exists():
        raise PetdataError(f"there is no {root}")
    return open_files(root)
