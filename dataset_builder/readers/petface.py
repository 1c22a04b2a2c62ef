"""PetFace: images, lists and annotations, unpacked or in archives, in any mixture.

    images/<species>/<6-digit id>/<nn>.png    or members <species>/<id>/<nn>.png of *.tar.gz
    split/..., annotations/...                or members PetFace/split/... of a zip

Faces, aligned, 224 x 224. An identity is (species, folder).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np

from dataset_builder.archives import (
    Files,
    Folder,
    Key,
    Member,
    Tar,
    Zip,
    is_archive,
    name_in_both,
    open_files,
)
from dataset_builder.readers.petface_lists import (
    Annotation,
    Lists,
    Pair,
    PhotoName,
    list_members,
    photo_name,
    read_lists,
    read_pairs,
)
from dataset_builder.reading import Published, Reading
from petdata.bulk_intake import Original
from petdata.errors import CorruptFile, PetdataError
from petdata.records import Species

PUBLISHED: Final = (
    Published(by="Kudryavtsev et al. 2026, 13 families", photos=1_001_532, identities=257_349),
    Published(by="PetFace's abstract, 13 families", photos=1_012_934, identities=257_484),
    Published(by="listing of the cat archive, cats alone", photos=643_539, identities=164_100),
)
FAMILIES: Final = (
    *("cat", "chimp", "chinchilla", "degus", "dog", "ferret", "guineapig", "hamster"),
    *("hedgehog", "javasparrow", "parakeet", "pig", "rabbit"),
)
DEFAULT_FAMILIES: Final = ("cat", "dog")
_NOTHING: Final = Annotation(None, None, {})


class PetFace:
    """Opened for one import. Archives are looked through here, before anything is read."""

    def __init__(
        self, root: Path, reading: Reading, families: Sequence[str] = DEFAULT_FAMILIES
    ) -> None:
        if unknown := sorted(set(families) - set(FAMILIES)):
            raise PetdataError(
                f"PetFace has no family {', '.join(unknown)}; it has {', '.join(FAMILIES)}"
            )
        self.root, self.reading = root, reading
        self.families = tuple(family for family in FAMILIES if family in families)
        self._files = list(self._open())
        self._refuse_doubles()
        members = self._list_members()
        self.lists = {family: read_lists(members, family, reading) for family in self.families}
        for family, lists in self.lists.items():
            if not lists.splits:
                reading.warnings.append(
                    f"{root} has no lists of {family} (split/{family}/train.csv ...): their "
                    "source_split stays null. Put PetFace's zip with the lists beside the images "
                    "before the first import: photos that are in shards keep what they have"
                )

    def read(self) -> Iterator[Original]:
        found: dict[str, array[int]] = {family: array("q") for family in self.families}
        for files in self._files:
            for member, name in self._photos(files):
                found[name.species].append(name.key)
                yield self._original(member, name)
        for family, keys in found.items():
            self._compare(self.lists[family], family, np.array(keys, np.int64))

    def verification_pairs(self) -> Iterator[Pair]:
        for lists in self.lists.values():
            yield from read_pairs(lists, self.reading)

    def _open(self) -> Iterator[Files]:
        if not self.root.is_dir():
            yield open_files(self.root, _key_in(self.root))
            return
        yield Folder(self.root)
        for path in sorted(self.root.iterdir()):
            if path.is_file() and is_archive(path.name) and self._may_be_wanted(path.name):
                yield open_files(path, _key_in(path))

    def _may_be_wanted(self, name: str) -> bool:
        """Not an archive that its name gives to another family."""
        family = re.match(r"[a-z]*", name.lower())
        return family is None or family[0] not in set(FAMILIES).difference(self.families)

    def _refuse_doubles(self) -> None:
        archives = [files for files in self._files if isinstance(files, Zip | Tar)]
        for first, second in combinations(archives, 2):
            if name := name_in_both(first, second, _key_in(first.path)):
                raise CorruptFile(
                    f"{name} stands in {first.path} and in {second.path}: which one is right? "
                    "Move one of them away"
                )
        folders = [files for files in self._files if isinstance(files, Folder)]
        holds_photos = any(next(self._photos(files), None) is not None for files in folders)
        if holds_photos and any(len(files.hashes) and _has_photos(files) for files in archives):
            raise CorruptFile(
                f"{self.root} has photos both unpacked and in archives: move one of them away"
            )

    def _list_members(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        for files in self._files:
            for name, member in list_members(files):
                if name in members:
                    raise CorruptFile(f"{self.root} has {name} twice: move one of them away")
                # In a tar a member can be loaded only while it passes by.
                text = member.load() if isinstance(files, Tar) else None
                members[name] = (
                    member if text is None else Member(member.path, len(text), _constant(text))
                )
        return members

    def _photos(self, files: Files) -> Iterator[tuple[Member, PhotoName]]:
        if isinstance(files, Folder):
            images = files.find_folder("images")
            for family in self.families:
                below = f"{images}/{family}" if images is not None else family
                if (files.path / below).is_dir():
                    for member in files.members(below):
                        path = f"{family}/{member.path}"
                        yield from self._photo(Member(path, member.size, member.load))
        else:
            for member in files.members():
                yield from self._photo(member)

    def _photo(self, member: Member) -> Iterator[tuple[Member, PhotoName]]:
        name = photo_name(member.path)
        if name is not None and name.species in self.families:
            yield member, name

    def _original(self, member: Member, name: PhotoName) -> Original:
        lists = self.lists[name.species]
        split = lists.split_of(name)
        if split is None and lists.splits:
            self.reading.counts[f"{name.species} photos on no list"] += 1
        annotation = lists.annotations.get(name.folder, _NOTHING)
        return self.reading.original(
            member,
            source_id=name.source_id,
            species=Species(name.species),
            address="/".join(member.path.split("/")[-3:]),
            source_split=split,
            sex=annotation.sex,
            breed=annotation.breed,
            attributes=annotation.attributes,
        )

    def _compare(
        self, lists: Lists, family: str, found: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> None:
        for split, keys in lists.splits.items():
            if absent := len(np.setdiff1d(keys, found)):
                self.reading.counts[f"{family} photos of list {split} that are not here"] += absent


def _key_in(archive: Path) -> Key:
    """Photos and lists are the same wherever they stand; a README is not."""

    def key(path: str) -> str:
        name = photo_name(path)
        if name is not None:
            return f"{name.species}/{name.key}"
        match = re.search(r"(?:^|/)((?:split|annotations)/.*)", path)
        return match[1] if match else f"{archive.name}:{path}"

    return key


def _has_photos(files: Files) -> bool:
    return any(photo_name(member.path) is not None for member in files.members())


def _constant(text: bytes) -> Callable[[], bytes]:
    return lambda: text
