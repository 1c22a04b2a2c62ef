"""Photos of a release on a page, small, by their ids; what cannot be shown says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset_builder.stats_photos import picture_uri
from evaluation.page import escaped
from petdata.errors import PetdataError
from petdata.releases import Photos, Release, open_release
from petdata.workspace import Workspace

HEIGHT: Final = 150  # pixels; drawn at some 100, sharp on most screens


@dataclass(frozen=True, kw_only=True)
class ShownPhoto:
    photo_id: str
    identity_id: str  # as the release calls it, or what stands before the photo's own part
    picture: str | None  # a data URI
    why_not: str = ""

    def html(self) -> str:
        if self.picture is None:
            return f"<div class='missing'>{escaped(self.why_not)}</div>"
        name = escaped(self.photo_id)
        return f"<img src='{self.picture}' alt='photo {name}' title='{name}'>"


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoShelf:
    """`problem`: why there are no pictures at all; empty where there are."""

    problem: str = ""
    _photos: Photos | None = None
    _rows: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # row, identity id

    def show(self, photo_id: str) -> ShownPhoto:
        row, identity = self._rows.get(photo_id, (None, photo_id.rpartition("/")[0]))
        picture, why_not = None, self.problem or "not in this release"
        if self._photos is not None and row is not None:
            try:
                jpeg = self._photos.read(row)
                picture = None if jpeg is None else picture_uri(jpeg, HEIGHT)
                why_not = "no pixels here"
            except (PetdataError, OSError, ValueError) as error:
                why_not = str(error)
        return ShownPhoto(photo_id=photo_id, identity_id=identity, picture=picture, why_not=why_not)


def shelf_of(release: Release, split: str, photo_ids: Iterable[str]) -> PhotoShelf:
    """Of these photos of a split. Raises PetdataError."""
    wanted = sorted(set(photo_ids))
    table, _ = release.columns(split, ["photo_id", "identity_id", "sha256"])
    ids, sha256 = (table[name].combine_chunks() for name in ("photo_id", "sha256"))
    photos, _ = release.photos(split, ids, sha256)
    rows = pc.index_in(pa.array(wanted, pa.string()), value_set=ids).to_pylist()
    found = {
        photo_id: (row, table["identity_id"][row].as_py())
        for photo_id, row in zip(wanted, rows, strict=True)
        if row is not None
    }
    photos.fetch(np.array([row for row, _ in found.values()], np.int64))
    return PhotoShelf(_photos=photos, _rows=found)


def evaluated_photos(
    about: Mapping[str, Any], photo_ids: Iterable[str], workspace: Workspace
) -> PhotoShelf:
    """Of the release that was evaluated, where it is still to be had."""
    try:
        release = _evaluated_release(about, workspace)
        return shelf_of(release, str(about["split"]), photo_ids)
    except (PetdataError, OSError, KeyError) as error:
        return PhotoShelf(problem=f"no pictures: {error}")


def _evaluated_release(about: Mapping[str, Any], workspace: Workspace) -> Release:
    """By its name and version, else as it was called then. Raises PetdataError."""
    name, revision = str(about["release"]), about.get("revision")
    called = str(about.get("reference") or name)
    known = str(revision) if revision and "/" in called and "@" not in called else None
    problem = PetdataError(f"no release {name}")
    for reference, commit in dict.fromkeys([(name, None), (called, known)]):
        try:
            found = open_release(
                reference,
                revision=commit,
                config=str(about.get("dataset_config") or "all"),
                workspace=workspace,
            )
        except PetdataError as error:
            problem = error
            continue
        if found.build_hash == about["build_hash"]:
            return found
        problem = PetdataError(f"{reference} is another build than the one that was evaluated")
    raise problem
