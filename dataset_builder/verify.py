"""Whether a release keeps its word: every file, row, split and sum, held to each other.

What is wrong comes as sentences. What cannot be repeated, as where a recipe has no pixels, is said
too: a check that was not made must not look like one that was passed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.manifest import read_revoked
from dataset_builder.matching import ThumbnailMatcher
from dataset_builder.metadata import byte_index_table
from dataset_builder.verify_beside import pair_problems, side_table_problems
from dataset_builder.verify_leaks import MakeMatcher, exact_leaks, near_leaks
from dataset_builder.verify_photos import check_photos
from dataset_builder.verify_tables import table_problems
from dataset_builder.verify_takedowns import takedown_problems
from petdata.errors import CorruptFile
from petdata.manifest import MANIFEST, read_manifest
from petdata.shards import open_shard
from petdata.workspace import Workspace

MEMORY_LIMIT: Final = "2GB"
# What the Hub adds to a folder that was pulled.
_OF_THE_HUB: Final = (".gitattributes", ".cache/")


@dataclass(kw_only=True)
class Verification:
    """One release under scrutiny; `not_repeated` fills as `problems` goes along."""

    workspace: Workspace
    release: Path
    quick: bool = False  # photos are not decoded
    make_matcher: MakeMatcher = ThumbnailMatcher
    not_repeated: list[str] = field(default_factory=list)
    photos: int = 0

    def problems(self) -> Iterator[str]:
        try:
            manifest = read_manifest(self.release)
            unreadable = yield from self._file_problems(manifest)
            if not unreadable:
                yield from self._content_problems(manifest)
        except CorruptFile as error:
            yield str(error)

    def _file_problems(self, manifest: dict[str, Any]) -> Generator[str, None, bool]:
        """Returns whether what is in the files cannot be looked at."""
        entries: dict[str, dict[str, Any]] = manifest["files"]
        there = set(_files(self.release))
        absent = sorted(entries.keys() - there)
        for path in absent:
            yield f"{self.release / path}: the manifest has it, the folder does not"
        for path in sorted(there - entries.keys() - {MANIFEST}):
            yield f"{self.release / path}: the manifest does not know this file"
        yield from self._config_problems(manifest)
        yield from self._hash_problems(
            {path: entries[path] for path in sorted(there & set(entries))}
        )
        unreadable = bool(absent)
        for path in _data_files(manifest):
            if path not in there:
                continue
            try:
                rows = open_shard(self.release / path).metadata.num_rows
            except CorruptFile as error:
                unreadable = True
                yield str(error)
            else:
                if rows != entries[path].get("rows"):
                    yield f"{self.release / path}: {rows:,} rows, {entries[path].get('rows')} named"
        if unreadable:
            yield f"{self.release}: what its rows say was not looked at: restore its files first"
        return unreadable

    def _hash_problems(self, entries: dict[str, dict[str, Any]]) -> Iterator[str]:
        paths = [self.release / path for path in entries]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for path, entry, found in zip(
                paths, entries.values(), pool.map(_size_and_hash, paths), strict=True
            ):
                if found[0] != entry["bytes"]:
                    yield f"{path}: {found[0]:,} bytes, the manifest says {entry['bytes']:,}"
                elif found[1] != entry["sha256"]:
                    yield (
                        f"{path}: sha256 {found[1][:16]}, the manifest says {entry['sha256'][:16]}"
                    )

    def _config_problems(self, manifest: dict[str, Any]) -> Iterator[str]:
        data = set(_data_files(manifest))
        for name, splits in manifest["configs"].items():
            for split, paths in splits.items():
                for path in paths:
                    if path not in data:
                        yield f"config {name}, split {split}: {path} is no file of the release"
        everything = {p for paths in manifest["configs"].get("all", {}).values() for p in paths}
        for path in sorted(data - everything):
            yield f"config all lacks {path}"

    def _content_problems(self, manifest: dict[str, Any]) -> Iterator[str]:
        paths = _data_files(manifest)
        files = [self.release / path for path in paths]
        is_recipe = manifest["variant"] != "full"
        with _open_tables(self.release, paths) as database:
            self.photos = database.execute("SELECT count(*) FROM photos").fetchall()[0][0]
            lacking = _count_lacking(files) if is_recipe else 0
            if lacking:
                self.not_repeated.append(
                    f"{lacking:,} of {self.photos:,} photos have no pixels here (a recipe): that "
                    "they decode, have their hashes, and nearly show no test photo; petdata "
                    "rehydrate brings the pixels back"
                )
            try:
                yield from table_problems(database, manifest, _leakage(self.release))
                yield from takedown_problems(database, self.workspace, manifest, self.not_repeated)
                yield from exact_leaks(database)
                yield from side_table_problems(database, self.release, manifest)
                yield from pair_problems(database, self.release, manifest)
            except duckdb.Error as error:
                raise CorruptFile(
                    f"{self.release}: its tables cannot be read: {str(error).splitlines()[0]}"
                ) from error
        yield from _index_problems(self.release, paths)
        yield from near_leaks(
            self.workspace,
            self.release,
            paths,
            bits=manifest["options"]["leak_bits"],
            make_matcher=self.make_matcher,
        )
        if not self.quick:
            yield from check_photos(files, may_lack_pixels=is_recipe)


def _files(release: Path) -> Iterator[str]:
    for path in sorted(release.rglob("*")):
        name = path.relative_to(release).as_posix()
        if path.is_file() and not name.startswith(_OF_THE_HUB):
            yield name


def _data_files(manifest: dict[str, Any]) -> list[str]:
    return [path for path in manifest["files"] if path.startswith("data/")]


def _size_and_hash(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read: {error.strerror}") from error


def _count_lacking(files: Sequence[Path]) -> int:
    columns = (pq.read_table(path, columns=["thumbnail"], partitioning=None)[0] for path in files)
    return sum(column.null_count for column in columns)


@contextmanager
def _open_tables(release: Path, paths: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """`photos`, all rows without pixels, and the tables under metadata/, by name."""
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT}) as database:
        database.execute("CREATE TABLE names (filename VARCHAR, path VARCHAR)")
        database.executemany(
            "INSERT INTO names VALUES (?, ?)", [(str(release / path), path) for path in paths]
        )
        try:
            database.execute(
                """
                CREATE TABLE photos AS
                SELECT * EXCLUDE (image, thumbnail, filename),
                       regexp_extract(path, '([a-z]+)-[0-9]{5}\\.parquet$', 1) AS split
                FROM read_parquet($paths, filename = true, file_row_number = true,
                                  hive_partitioning = false) JOIN names USING (filename)
                """,
                {"paths": [str(release / path) for path in paths]},
            )
            for name in ("attrition", "identity_groups", "identity_links"):
                database.execute(
                    f"CREATE TABLE {name} AS SELECT * FROM read_parquet($path)",
                    {"path": str(release / "metadata" / f"{name}.parquet")},
                )
        except duckdb.Error as error:
            raise CorruptFile(
                f"{release}: its tables cannot be read: {str(error).splitlines()[0]}"
            ) from error
        database.execute(
            "CREATE TABLE revoked AS SELECT unnest(CAST($hashes AS VARCHAR[])) AS sha256",
            {"hashes": read_revoked(release)},
        )
        yield database


def _leakage(release: Path) -> dict[str, Any]:
    path = release / "metadata" / "leakage.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptFile(f"{path} cannot be read: {error}") from error


def _index_problems(release: Path, paths: Sequence[str]) -> Iterator[str]:
    """The byte index says where a fresh walk finds the photos."""
    path = release / "metadata" / "byte_index.parquet"
    try:
        stored = pq.read_table(path, partitioning=None)
        stored = stored.set_column(0, "path", stored["path"].cast(pa.string()))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorruptFile(f"{path} cannot be read: {error}") from error
    known = 0
    for name in paths:
        walked = byte_index_table(release, [name])
        walked = walked.set_column(0, "path", walked["path"].cast(pa.string()))
        rows = stored.filter(pa.compute.equal(stored["path"], name))
        known += len(rows)
        rows = rows.select(walked.column_names).cast(walked.schema)
        if rows.combine_chunks() != walked.combine_chunks():
            yield f"{path}: {name} has its photos elsewhere than this table says"
    if known != len(stored):
        yield f"{path}: {len(stored) - known:,} rows are of no data file"
