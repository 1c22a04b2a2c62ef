"""Users' own photos: a folder an animal, or a manifest that says which photo shows which animal.

PATH/<identity>/<photo>                            identity-folders
photo,identity[,species,title,...]                 --manifest, paths relative to PATH
PATH[/<set>]/manifest.csv: path,identity,species   real-pets: several sets, the same animals
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from dataset_builder.archives import Files, Member, open_files
from dataset_builder.reading import Published, Reading, identity_key, open_data_set
from petdata.bulk_intake import Original
from petdata.errors import CorruptFile, PetdataError, Reason
from petdata.records import Sex, Species, Status
from petdata.scrub import scrub

PUBLISHED: Final[tuple[Published, ...]] = ()
Layout = Literal["identity-folders", "real-pets"]
LAYOUTS: Final = ("identity-folders", "real-pets")
REQUIRED: Final = ("photo", "identity")
OPTIONAL: Final = (
    *("species", "title", "description", "status", "breed", "sex", "city"),
    *("event_on", "posted_on", "source_split"),
)
# What a set of real-pets says beside: measured from the photo, or carried as an attribute.
_REAL_PETS_MEASURED: Final = ("width", "height", "bytes", "sha256", "dhash")
_Enum = TypeVar("_Enum", bound=StrEnum)


def read_identity_folders(root: Path, reading: Reading, species: Species) -> Iterator[Original]:
    files = open_data_set(root)
    for member in files.members():
        if not reading.is_photo(member.path):
            continue
        identity, _, rest = member.path.partition("/")
        if not rest:
            reading.counts["photos outside of any identity's folder"] += 1
            continue
        nested = (Reason.NESTED_FOLDER, "deeper than a folder of photos") if "/" in rest else None
        yield reading.original(
            member, source_id=identity_key(identity), species=species, refused=nested
        )
    reading.finish(files)


def read_manifest(
    root: Path, manifest: Path, reading: Reading, species: Species | None
) -> Iterator[Original]:
    """All lines are checked before the first photo is read; raises PetdataError with the line."""
    files = open_data_set(root)
    lines = _checked(_Table(manifest, _text_of(manifest)), species)
    present = _by_path(files, {line.photo for line in lines})
    for line in lines:
        yield _original(line, line.photo, present, reading)
    reading.finish(files)


def read_real_pets(root: Path, reading: Reading) -> Iterator[Original]:
    files = open_files(root)
    manifests = [
        member for member in files.members() if member.path.rpartition("/")[2] == "manifest.csv"
    ]
    if not manifests:
        raise PetdataError(f"{root} holds no manifest.csv")
    for manifest in manifests:
        folder = manifest.path.rpartition("/")[0]
        table = _Table(
            root / manifest.path,
            manifest.read_text(),
            photo="path",
            optional=("species", "role"),
            passed_over=_REAL_PETS_MEASURED,
        )
        lines = _checked(table, None)
        present = _by_path(files, {_joined(folder, line.photo) for line in lines})
        for line in lines:
            yield _original(line, _joined(folder, line.photo), present, reading)
    reading.finish(files)


def _joined(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


@dataclass(frozen=True, slots=True)
class _Line:
    photo: str
    identity: str
    species: Species
    columns: Mapping[str, Any]


def _original(line: _Line, path: str, present: Mapping[str, Member], reading: Reading) -> Original:
    member = present.get(path)
    refused = None if member else (Reason.NOT_FOUND, "the manifest names this file, it is not here")
    return reading.original(
        member or Member(path, 0, bytes),
        source_id=identity_key(line.identity),
        species=line.species,
        refused=refused,
        **line.columns,
    )


def _by_path(files: Files, wanted: set[str]) -> dict[str, Member]:
    return {member.path: member for member in files.members() if member.path in wanted}


# Tables


class _Table:
    """Lines of a CSV with the columns that it may have; raises PetdataError that names the line."""

    def __init__(
        self,
        path: Path,
        text: str,
        *,
        photo: str = "photo",
        optional: tuple[str, ...] = OPTIONAL,
        passed_over: tuple[str, ...] = (),
    ) -> None:
        self.path, self.photo = path, photo
        self._rows = csv.DictReader(io.StringIO(text), strict=True)
        columns = self._rows.fieldnames or []
        required = (photo, "identity")
        if missing := [name for name in required if name not in columns]:
            raise self.error(1, f"lacks the column {', '.join(missing)}")
        known = (*required, *optional, *passed_over)
        if unknown := [name for name in columns if name not in known]:
            raise self.error(
                1,
                f"has a column {unknown[0]!r}; known are {', '.join((*required, *optional))}",
            )
        self._passed_over = passed_over

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number, and the columns that say something."""
        try:
            for row in self._rows:
                line = self._rows.line_num
                if None in row or None in row.values():
                    raise self.error(line, "has another number of fields than the first")
                yield (
                    line,
                    {
                        name: value.strip()
                        for name, value in row.items()
                        if value.strip() and name not in self._passed_over
                    },
                )
        except csv.Error as error:
            raise self.error(self._rows.reader.line_num, f"cannot be read: {error}") from error

    def error(self, line: int, what: str) -> PetdataError:
        return PetdataError(f"{self.path}, line {line}: {what}")


def _checked(table: _Table, species: Species | None) -> list[_Line]:
    lines: list[_Line] = []
    seen: dict[str, int] = {}
    for number, row in table.rows():
        line = _line(table, number, row, species)
        if (first := seen.setdefault(line.photo, number)) != number:
            raise table.error(number, f"{line.photo} stands in line {first} too")
        lines.append(line)
    return lines


def _line(table: _Table, number: int, row: dict[str, str], species: Species | None) -> _Line:
    for name in (table.photo, "identity"):
        if name not in row:
            raise table.error(number, f"has no {name}")
    photo = row.pop(table.photo).replace("\\", "/").removeprefix("./")
    if photo.startswith("/") or ".." in photo.split("/"):
        raise table.error(number, f"{photo} is not below the folder of the photos")
    identity = row.pop("identity")
    try:
        if "species" in row:
            species = _choice(row.pop("species"), Species)
        columns = {name: _value(name, text) for name, text in row.items()}
    except ValueError as error:
        raise table.error(number, str(error)) from error
    if species is None:
        raise table.error(number, "names no species: add the column, or give --species")
    if (role := columns.pop("role", None)) is not None:
        columns["attributes"] = {"role": role}
    return _Line(photo, identity, species, columns)


def _value(name: str, text: str) -> Any:
    read: dict[str, Callable[[str], Any]] = {
        "status": lambda text: _choice(text, Status),
        "sex": lambda text: _choice(text, Sex),
        "event_on": _day,
        "posted_on": _day,
        "title": lambda text: scrub(text).text,
        "description": lambda text: scrub(text).text,
    }
    return read.get(name, str)(text)


def _choice(text: str, kind: type[_Enum]) -> _Enum:
    try:
        return kind(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is none of {', '.join(kind)}") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day, as 2026-11-28") from None


def _text_of(manifest: Path) -> str:
    try:
        return manifest.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{manifest} cannot be read: {error}") from error
