"""A recipe gets its pixels: out of this workspace's shards, by SHA-256, every hash checked.

All is written beside the release first. The files are then moved into it, the manifest last; cut
off in between, the next run ends the moving.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.card import card, facts_of
from dataset_builder.croissant import CROISSANT, croissant
from dataset_builder.database import open_database
from dataset_builder.inputs import content_sql
from dataset_builder.layout import fingerprint_of
from dataset_builder.local_originals import LocalOriginals, digests_of
from dataset_builder.manifest import file_entry
from dataset_builder.metadata import BYTE_INDEX, byte_index_table, write_json, write_table
from dataset_builder.recipe import CARD, PIXELS
from petdata.errors import CorruptFile, StorageFailure
from petdata.manifest import MANIFEST, RECIPE, read_manifest
from petdata.perceptual_hash import THUMBNAIL_SIDE, perceptual_hash
from petdata.records import IMAGE_TYPE
from petdata.shards import LAYOUT, open_shard, storing, whole_file
from petdata.sources import known_sources
from petdata.workspace import Workspace, make_folder, sync_folder, write_whole

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rehydrated:
    manifest: Mapping[str, Any]
    photos: int = 0  # that got their pixels
    lacking: Mapping[str, int] = field(default_factory=dict)  # source -> photos that are not here
    # Same rows and photos in other bytes: another pyarrow wrote them, or another decoder shrank
    # the thumbnails.
    other_bytes: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        return bool(self.manifest["variant"] != RECIPE)


def rehydrate(workspace: Workspace, release: Path, say: Say = lambda line: None) -> Rehydrated:
    """Fill all pixels in, or leave the release as it is. Raises PetdataError."""
    manifest = read_manifest(release)
    beside = release.with_name(f".{release.name}.rehydrated")
    if manifest["variant"] != RECIPE:
        _remove(beside)  # empty folders, where a run was cut off when all was moved
        return Rehydrated(manifest=manifest)
    withheld = _withheld_files(release, manifest)
    if not _is_whole(beside, manifest):
        _remove(beside)
        hashes = {path: _hashes(release / path) for path in withheld}
        originals = LocalOriginals(workspace, np.concatenate(list(hashes.values())))
        lacking = Counter[str]()
        for path, wanted in hashes.items():
            lacking[path.split("/")[1]] += int(np.count_nonzero(~originals.has(wanted)))
        if lacking.total():
            return Rehydrated(manifest=manifest, lacking=+lacking)
        say(f"filling in {sum(map(len, hashes.values())):,} photos of {len(withheld):,} files")
        _write(workspace, release, manifest, originals, beside)
    _move(beside, release)
    full = read_manifest(release)
    return Rehydrated(
        manifest=full,
        photos=sum(entry["rows"] for entry in withheld.values()),
        other_bytes=tuple(path for path in withheld if full["files"][path] != withheld[path]),
    )


def _withheld_files(release: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    files = manifest.get("withheld", {}).get("files", {})
    if not files or not files.keys() <= manifest["files"].keys():
        raise CorruptFile(
            f"{release / MANIFEST} does not say which files lack pixels: pull the release again"
        )
    return dict(files)


def _is_whole(beside: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether an earlier run has written all of this very release, and was cut off moving it."""
    if not (beside / MANIFEST).is_file():
        return False
    full = read_manifest(beside)
    return all(full[name] == recipe[name] for name in ("version", "build_hash"))


def _hashes(path: Path) -> np.ndarray:
    open_shard(path)
    return digests_of(pq.read_table(path, columns=["sha256"], partitioning=None)[0].to_pylist())


def _write(
    workspace: Workspace,
    release: Path,
    recipe: Mapping[str, Any],
    originals: LocalOriginals,
    beside: Path,
) -> None:
    """All files that change, and the manifest last."""
    withheld = recipe["withheld"]["files"]
    files = dict(recipe["files"])
    for path, entry in withheld.items():
        make_folder((beside / path).parent)
        _fill(release / path, beside / path, originals)
        files[path] = _checked(beside / path, entry, recipe)
    full = {name: value for name, value in recipe.items() if name != "withheld"}
    full |= {"variant": "full", "files": files}
    sources = known_sources(workspace)
    if BYTE_INDEX in files:
        make_folder((beside / BYTE_INDEX).parent)
        _write_byte_index(release, beside, withheld)
    facts = facts_of(release, full) if {CARD, CROISSANT} & files.keys() else None
    if CARD in files:
        write_whole(beside / CARD, card(release, full, sources, facts).encode())
    if CROISSANT in files:
        write_json(croissant(release, full, sources, facts), beside / CROISSANT)
    for path in (BYTE_INDEX, CARD, CROISSANT):
        if path in files:
            files[path] = file_entry(beside / path)
    write_json(full, beside / MANIFEST)


def _fill(source: Path, target: Path, originals: LocalOriginals) -> None:
    """The file in its row groups, as the build wrote it."""
    file = open_shard(source)
    with whole_file(target) as opened:
        with storing(target):
            writer = pq.ParquetWriter(opened, file.schema_arrow, **LAYOUT)
        try:
            for group in range(file.num_row_groups):
                table = _with_pixels(source, file, group, originals)
                with storing(target):
                    writer.write_table(table, row_group_size=max(table.num_rows, 1))
            with storing(target):
                writer.close()
        finally:
            writer.is_open = False  # after a failure its destructor would go on writing
    with storing(target):
        target.chmod(0o444)


def _with_pixels(
    path: Path, file: pq.ParquetFile, group: int, originals: LocalOriginals
) -> pa.Table:
    schema = file.schema_arrow
    names = [name for name in schema.names if name not in PIXELS]
    try:
        rows = file.read_row_group(group, columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): pull it again") from error
    jpegs, thumbnails = [], []
    for photo_id, sha256, phash in zip(
        *(rows[name].to_pylist() for name in ("photo_id", "sha256", "phash")), strict=True
    ):
        jpeg, thumbnail = originals.read(sha256)
        _check_thumbnail(photo_id, thumbnail, phash)
        jpegs.append(jpeg)
        thumbnails.append(thumbnail)
    names_inside = [f"{photo_id}.jpg" for photo_id in rows["photo_id"].to_pylist()]
    pixels = {
        "image": pa.StructArray.from_arrays(
            [pa.array(jpegs, pa.binary()), pa.array(names_inside, pa.string())],
            fields=list(IMAGE_TYPE),
        ),
        "thumbnail": pa.array(thumbnails, pa.binary()),
    }
    columns = [pixels[name] if name in pixels else rows[name] for name in schema.names]
    return pa.table(columns, schema=schema)


def _check_thumbnail(photo_id: str, thumbnail: bytes, phash: int) -> None:
    gray = np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    if perceptual_hash(gray) != phash:
        raise CorruptFile(
            f"{photo_id}: its thumbnail here has another perceptual hash than the release says: "
            "another decoder made it; import the photos again with the release's tools"
        )


def _checked(path: Path, published: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of a filled file. Raises CorruptFile where its rows are others."""
    query = f"""
        SELECT identity_id, {content_sql(recipe["options"]["keep_text"])} AS content
        FROM (SELECT *, false AS is_private FROM read_parquet(
            $path, file_row_number = true, hive_partitioning = false))
        ORDER BY file_row_number
    """
    try:
        with open_database() as database:
            rows = database.execute(query, {"path": str(path)}).fetchall()
    except duckdb.Error as error:
        raise CorruptFile(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    mark = fingerprint_of((identity, content.encode()) for identity, content in rows)
    if mark != published["fingerprint"] or len(rows) != published["rows"]:
        raise CorruptFile(
            f"{path}: the rows of the recipe are not those that were published: fingerprint "
            f"{mark[:16]}, published {published['fingerprint'][:16]}; pull the release again"
        )
    return {**published, **file_entry(path)}


def _write_byte_index(release: Path, beside: Path, withheld: Mapping[str, Any]) -> None:
    before = pq.read_table(release / BYTE_INDEX, columns=["path"], partitioning=None)
    paths = list(dict.fromkeys(before["path"].cast(pa.string()).to_pylist()))
    parts = [byte_index_table(beside if path in withheld else release, [path]) for path in paths]
    write_table(pa.concat_tables(parts).unify_dictionaries(), beside / BYTE_INDEX)


def _move(beside: Path, release: Path) -> None:
    try:
        for path in [*_files_but_manifest(beside), beside / MANIFEST]:
            target = release / path.relative_to(beside)
            path.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StorageFailure(
            f"cannot write {release}: {error.strerror}: run petdata rehydrate again"
        ) from error
    _remove(beside)


def _files_but_manifest(beside: Path) -> Iterator[Path]:
    return (p for p in sorted(beside.rglob("*")) if p.is_file() and p != beside / MANIFEST)


def _remove(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise StorageFailure(f"cannot remove {folder}: {error.strerror}") from error
