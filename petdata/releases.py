"""Releases as training reads them: columns and photos of one split, from a folder or from the Hub.

Nothing is converted, and of a release on the Hub nothing is fetched but its metadata: photos come
by ranges of bytes, when they are asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from petdata.byte_index import ByteIndex, PhotoReader
from petdata.errors import CorruptFile, PetdataError
from petdata.manifest import RECIPE, read_manifest
from petdata.release_folders import find_folder, known_releases
from petdata.side_tables import table_folder, table_names
from petdata.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from petdata.hub_metadata import HubRelease

Int64Array = NDArray[np.int64]

_ON_THE_HUB: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@.+)?")
_BYTE_INDEX: Final = "metadata/byte_index.parquet"
_READING_THREADS: Final = 8
_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError)


class Photos(Protocol):
    """Reads JPEGs by row of a split. Works in forked processes."""

    def read(self, row: int) -> bytes | None:
        """What has the SHA-256 of the row; None for one without pixels. Raises CorruptFile."""

    def fetch(self, rows: Int64Array) -> None:
        """Bring photos near that are not here, many at once. Raises TryLater."""

    @property
    def are_remote(self) -> bool: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Release:
    """One configuration of a release."""

    reference: str  # as the user wrote it
    name: str
    version: str
    folder: Path  # with all files, or with the metadata of a release on the Hub
    revision: str | None  # on the Hub: the commit, or the version that was pulled; else None
    config: str
    manifest: Mapping[str, Any] = field(repr=False)
    workspace: Workspace = field(repr=False)
    hub: HubRelease | None = field(default=None, repr=False)

    @property
    def build_hash(self) -> str:
        return str(self.manifest["build_hash"])

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._paths)

    @cached_property
    def _paths(self) -> Mapping[str, Sequence[str]]:
        configs: Mapping[str, Mapping[str, Sequence[str]]] = self.manifest["configs"]
        if self.config not in configs:
            raise PetdataError(
                f"{self.reference} has no configuration {self.config!r}; choose from "
                f"{', '.join(configs)}"
            )
        return configs[self.config]

    def files(self, split: str) -> list[str]:
        """Paths in the release. Raises PetdataError for a split that it has not."""
        if split not in self._paths:
            raise PetdataError(
                f"{self.reference}, configuration {self.config}, has no split {split!r}; it has "
                f"{', '.join(self.splits)}"
            )
        return list(self._paths[split])

    def columns(self, split: str, names: Sequence[str]) -> tuple[pa.Table, Int64Array]:
        """These columns of all rows, and how many rows each file has. Raises CorruptFile."""
        paths = self.files(split)
        places = [self.folder / path for path in paths]
        if self.hub is not None:
            places = self.hub.column_files(paths, names)
        with ThreadPoolExecutor(min(_READING_THREADS, os.cpu_count() or 1)) as threads:
            tables = list(threads.map(lambda path: _read(path, names), places))
        rows = np.array([table.num_rows for table in tables], np.int64)
        for path, count in zip(paths, rows.tolist(), strict=True):
            if count != self.manifest["files"][path]["rows"]:
                raise CorruptFile(
                    f"{self.folder / path} has {count:,} rows, the manifest says "
                    f"{self.manifest['files'][path]['rows']:,}: pull or build it again"
                )
        return pa.concat_tables(tables), rows

    def groups(self) -> pa.Table:
        """(identity_id, identity_group) of this configuration."""
        path = self.folder / "metadata" / "identity_groups.parquet"
        table = _read(path, ["config", "identity_id", "identity_group"])
        return table.filter(pc.equal(table["config"], self.config)).drop_columns(["config"])

    def photos(
        self, split: str, photo_ids: pa.StringArray, sha256: pa.StringArray
    ) -> tuple[Photos, Int64Array]:
        """What reads the split's photos, and the length of each in bytes: -1 without pixels, 0
        where only reading it would tell.
        """
        paths = self.files(split)
        indexes = file_indexes(self.folder / _BYTE_INDEX, paths)
        counts = [int(self.manifest["files"][path]["rows"]) for path in paths]
        for path, index, count in zip(paths, indexes, counts, strict=True):
            if index is not None and index.rows != count:
                raise CorruptFile(
                    f"{self.folder / _BYTE_INDEX}: {index.rows:,} rows of {path}, which has "
                    f"{count:,}: pull or build the release again"
                )
        lengths = [
            np.zeros(count, np.int64) if index is None else index.lengths
            for index, count in zip(indexes, counts, strict=True)
        ]
        found = np.concatenate(lengths) if lengths else np.empty(0, np.int64)
        if self.hub is not None:
            return self.hub.photos(paths, indexes, (photo_ids, sha256)), found
        reader = PhotoReader([self.folder / path for path in paths], indexes)
        return _LocalPhotos(reader, np.cumsum([0, *counts]), sha256), found

    def side_table(self, name: str) -> Path:
        """The folder of a table of the release, else of the workspace. Raises PetdataError."""
        if self.hub is not None:
            self.hub.fetch_side_table(name)
        for root in (self.folder, self.workspace.root):
            if name in table_names(root):
                return table_folder(root, name)
        known = sorted({*table_names(self.folder), *table_names(self.workspace.root)})
        raise PetdataError(
            f"no side table {name!r} in {self.reference} or in {self.workspace.root}; "
            f"there is {', '.join(known) or 'none yet'}"
        )

    def require_pixels(self, split: str, missing: int) -> None:
        """Raise PetdataError where photos of a split have none."""
        if not missing:
            return
        what = "is a recipe" if self.manifest["variant"] == RECIPE else "lacks pixels"
        here, first = self.reference, ""
        if self.hub is not None:
            here, first = f"{self.name}@{self.version}", f"petdata pull {self.reference}, then "
        raise PetdataError(
            f"{self.reference} {what}: {missing:,} photos of {split} have no pixels in "
            f"configuration {self.config}; {first}petdata rehydrate {here} fills them in from this "
            "workspace's shards, or choose a configuration that has them"
        )


class _LocalPhotos:
    are_remote = False

    def __init__(self, reader: PhotoReader, firsts: Int64Array, sha256: pa.StringArray) -> None:
        self._reader = reader
        self._sha256 = sha256
        self._firsts = firsts  # (files + 1,): row of the split that each file begins with

    def read(self, row: int) -> bytes | None:
        file = int(np.searchsorted(self._firsts, row, side="right")) - 1
        photo = self._reader.read(file, row - int(self._firsts[file]))
        if photo is not None and hashlib.sha256(photo).hexdigest() != self._sha256[row].as_py():
            raise CorruptFile("it does not have its SHA-256: restore the file from a copy")
        return photo

    def fetch(self, rows: Int64Array) -> None:
        """They are here."""


def open_release(
    reference: str | Path,
    *,
    revision: str | None = None,
    config: str = "all",
    workspace: Workspace | None = None,
) -> Release:
    """A release's folder, NAME or NAME@VERSION of the workspace, or user/name[@revision].

    Raises PetdataError, naming what there is, and TryLater where the Hub does not answer.
    """
    workspace = workspace or find_workspace()
    text = str(reference)
    found = find_folder(workspace, f"{text}@{revision}" if revision else text)
    if found is not None:
        return _opened(text, found, config, workspace)
    if _ON_THE_HUB.fullmatch(text) and not Path(text).expanduser().exists():
        from petdata.hub_metadata import open_on_the_hub, pulled_folder

        if (pulled := pulled_folder(text, revision, workspace)) is not None:
            return _opened(text, pulled, config, workspace, revision=pulled.name)
        hub = open_on_the_hub(text, revision, workspace)
        return _opened(text, hub.folder, config, workspace, hub)
    raise PetdataError(
        f"no release {text!r}, neither a folder nor a name; {known_releases(workspace)}"
    )


def _opened(
    reference: str,
    folder: Path,
    config: str,
    workspace: Workspace,
    hub: HubRelease | None = None,
    revision: str | None = None,
) -> Release:
    manifest = read_manifest(folder)
    release = Release(
        reference=reference,
        name=manifest["name"],
        version=manifest["version"],
        folder=folder,
        revision=revision if hub is None else hub.commit,
        config=config,
        manifest=manifest,
        workspace=workspace,
        hub=hub,
    )
    _ = release.splits  # an unknown configuration is told at once
    return release


def _read(path: Path, names: Sequence[str]) -> pa.Table:
    try:
        return pq.ParquetFile(path, pre_buffer=False).read(list(names), use_threads=False)
    except _UNREADABLE as error:
        raise CorruptFile(f"{path} cannot be read ({error}): pull or build it again") from error


def file_indexes(path: Path, wanted: Sequence[str]) -> list[ByteIndex | None]:
    """Of each file; None for those that the table leaves out, as no contiguous bytes.

    The table has the rows of a file beside each other and in order, as builds write them.
    """
    table = _read(path, ["path", "row", "offset", "length", "file_bytes"])
    paths = table["path"].cast(pa.string()).dictionary_encode().combine_chunks()
    code = paths.indices.to_numpy()
    row, offset, length, size = (
        table[name].to_numpy() for name in ("row", "offset", "length", "file_bytes")
    )
    starts = np.flatnonzero(np.r_[True, code[1:] != code[:-1]]) if len(code) else np.empty(0, int)
    ends = np.r_[starts[1:], len(code)]
    names = paths.dictionary.to_pylist()
    runs = {
        names[code[start]]: slice(start, end)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    }
    ordered = len(runs) == len(starts) and all(
        np.array_equal(row[run], np.arange(run.stop - run.start)) for run in runs.values()
    )
    if not ordered:
        raise CorruptFile(f"{path} does not have its rows in order: pull or build it again")
    return [
        ByteIndex(
            offsets=np.ascontiguousarray(offset[run]),
            lengths=np.ascontiguousarray(length[run]),
            file_bytes=int(size[run.start]),
        )
        if (run := runs.get(name)) is not None
        else None
        for name in wanted
    ]
