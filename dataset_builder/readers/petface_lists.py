"""PetFace's lists and annotations: who is in train, val, test and reidentification; breeds, sexes.

    split/<species>/train.csv, reidentification.csv     filename,label
    split/<species>/val.txt, test.txt                   one filename a line
    split/<species>/verification.csv                    filename1,filename2,label (1: same animal)
    annotations/<species>.csv                           Name,Gender,Breed,Color1,Color2

A filename is <species>/<6-digit id>/<nn>.png. Labels restart with every species and say nothing
that the folder does not. Name has often lost its leading zeros.
"""

from __future__ import annotations

import csv
import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from dataset_builder.archives import Files, Member
from dataset_builder.reading import Reading
from petdata.errors import CorruptFile
from petdata.records import Sex

# Where a photo stands on two lists the first counts: train must own up to what it has seen.
SPLITS: Final = {
    "train": "train.csv",
    "reidentification": "reidentification.csv",
    "val": "val.txt",
    "test": "test.txt",
}
VERIFICATION: Final = "verification.csv"
_FILE = re.compile(r"(?:.*/)?([a-z]+)/(\d{1,6})/(\d{1,3})\.(?:png|jpe?g)", re.IGNORECASE)
_UNKNOWN: Final = {"", "unknown", "none", "nan", "n/a", "-"}
_SEXES: Final = {"male": Sex.MALE, "m": Sex.MALE, "female": Sex.FEMALE, "f": Sex.FEMALE}

Keys = npt.NDArray[np.int64]  # of photos of one species: 1,000 * folder + number; sorted


@dataclass(frozen=True, slots=True)
class PhotoName:
    species: str
    folder: int
    number: int

    @property
    def key(self) -> int:
        return 1_000 * self.folder + self.number

    @property
    def source_id(self) -> str:
        return f"{self.species}-{self.folder:06d}"


def photo_name(path: str) -> PhotoName | None:
    """What a path in an archive, or on a list, names; None: no photo of PetFace."""
    match = _FILE.fullmatch(path)
    if match is None:
        return None
    return PhotoName(match[1].lower(), int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Annotation:
    sex: Sex | None
    breed: str | None
    attributes: dict[str, str]


@dataclass
class Lists:
    """Of one species."""

    splits: dict[str, Keys] = field(default_factory=dict)
    annotations: dict[int, Annotation] = field(default_factory=dict)
    verification: list[Member] = field(default_factory=list)

    def split_of(self, name: PhotoName) -> str | None:
        for split in SPLITS:
            keys = self.splits.get(split)
            if keys is not None:
                place = int(np.searchsorted(keys, name.key))
                if place < len(keys) and keys[place] == name.key:
                    return split
        return None


def list_members(files: Files) -> Iterator[tuple[str, Member]]:
    """("split/dog/train.csv", member) of every list and table in a folder or archive."""
    for folder in ("split", "annotations"):
        found = files.find_folder(folder)
        if found is not None:
            for member in files.members(found):
                yield f"{folder}/{member.path}", member


def read_lists(members: dict[str, Member], species: str, reading: Reading) -> Lists:
    lists = Lists()
    for split, name in SPLITS.items():
        member = members.get(f"split/{species}/{name}")
        if member is not None:
            lists.splits[split] = _read_split(member, name, species, reading)
    if (member := members.get(f"annotations/{species}.csv")) is not None:
        lists.annotations = _read_annotations(member, reading)
    if (member := members.get(f"split/{species}/{VERIFICATION}")) is not None:
        lists.verification.append(member)
    _compare(lists, species, reading)
    return lists


def _read_split(member: Member, name: str, species: str, reading: Reading) -> Keys:
    lines = member.read_text().splitlines()
    if name.endswith(".csv"):
        rows = csv.DictReader(lines)
        if "filename" not in (rows.fieldnames or ()):
            raise CorruptFile(f"{member.path} has no column filename, but {rows.fieldnames}")
        named = ((row["filename"], row.get("label")) for row in rows)
    else:
        named = ((line.strip(), None) for line in lines if line.strip())
    keys = array("q")
    for path, label in named:
        photo = photo_name(path or "")
        if photo is None or photo.species != species:
            reading.counts[f"lines of {species}/{name} that name no photo of it"] += 1
            continue
        keys.append(photo.key)
        if label is not None and label.strip() != str(photo.folder):
            reading.counts[f"labels of {species}/{name} that are not the folder's number"] += 1
    return np.unique(np.frombuffer(keys, np.int64)) if keys else np.empty(0, np.int64)


def _read_annotations(member: Member, reading: Reading) -> dict[int, Annotation]:
    rows = csv.DictReader(member.read_text().splitlines())
    if "Name" not in (rows.fieldnames or ()):
        raise CorruptFile(f"{member.path} has no column Name, but {rows.fieldnames}")
    annotations = {}
    for row in rows:
        name = (row["Name"] or "").strip().removesuffix(".0")
        if not name.isdecimal():
            reading.counts[f"lines of annotations/{member.path} that name no folder"] += 1
            continue
        annotations[int(name)] = Annotation(
            sex=_SEXES.get((row.get("Gender") or "").strip().lower()),
            breed=_known(row.get("Breed")),
            attributes={
                column.lower(): value
                for column in ("Color1", "Color2")
                if (value := _known(row.get(column))) is not None
            },
        )
    return annotations


def _known(value: str | None) -> str | None:
    value = (value or "").strip()
    return None if value.lower() in _UNKNOWN else sys.intern(value)


def _compare(lists: Lists, species: str, reading: Reading) -> None:
    """What the lists promise of each other: counted where it does not hold."""
    train = lists.splits.get("train")
    for split, keys in lists.splits.items():
        if train is None or split == "train":
            continue
        if shared := len(np.intersect1d(train, keys)):
            reading.counts[f"{species} photos on the lists train and {split}"] += shared
        shared = len(np.intersect1d(train // 1_000, keys // 1_000))
        if split == "reidentification":
            shared = len(np.setdiff1d(keys // 1_000, train // 1_000))
            if shared:
                reading.counts[f"{species} individuals of {split} that train lacks"] += shared
        elif shared:
            reading.counts[f"{species} individuals of {split} that train has too"] += shared


@dataclass(frozen=True, slots=True)
class Pair:
    first: PhotoName
    second: PhotoName
    paths: tuple[str, str]
    is_same: bool


def read_pairs(lists: Lists, reading: Reading) -> Iterator[Pair]:
    for member in lists.verification:
        for row in csv.DictReader(member.read_text().splitlines()):
            paths = (row.get("filename1") or "", row.get("filename2") or "")
            first, second = (photo_name(path) for path in paths)
            label = (row.get("label") or "").strip()
            if first is None or second is None or label not in ("0", "1"):
                reading.counts[f"lines of {VERIFICATION} that are no pair"] += 1
            else:
                yield Pair(first, second, paths, label == "1")
