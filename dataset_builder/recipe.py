"""The recipe variant of a release: rows of sources that may not be redistributed lose their pixels.

Ids, hashes and all else stay, so that whoever has the originals can fill them in again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_builder.card import card, facts_of
from dataset_builder.croissant import CROISSANT, croissant
from dataset_builder.manifest import file_entry
from dataset_builder.metadata import BYTE_INDEX, write_json, write_table
from petdata.errors import CorruptFile
from petdata.manifest import MANIFEST, RECIPE
from petdata.shards import LAYOUT, storing, whole_file
from petdata.sources import Source
from petdata.workspace import make_folder, write_whole

PIXELS: Final = ("image", "thumbnail")
CARD: Final = "README.md"
_WRITTEN_AGAIN: Final = (BYTE_INDEX, CARD, CROISSANT)
NOWHERE: Final = -1  # offset and length of a row without a photo


def restricted_sources(
    manifest: Mapping[str, Any], sources: Mapping[str, Source]
) -> tuple[str, ...]:
    """Sources with pixels in this release that may not be passed on; unknown ones are such."""
    present = {path.split("/")[1] for path in manifest["files"] if path.startswith("data/")}
    present -= set(manifest.get("withheld", {}).get("sources", ()))
    free = {name for name, source in sources.items() if source.redistributable}
    return tuple(sorted(present - free))


def pixels_note(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """What a command that shows photos has to say of a release that lacks some."""
    if manifest["variant"] != RECIPE:
        return None
    sources = ", ".join(manifest.get("withheld", {}).get("sources", ()))
    return (
        f"{folder} is a recipe: photos of {sources} have no pixels in it and are not shown; "
        f"petdata rehydrate {folder} fills them in from this workspace's shards"
    )


def write_recipe(
    release: Path,
    manifest: Mapping[str, Any],
    withheld: Collection[str],
    sources: Mapping[str, Source],
    into: Path,
) -> dict[str, Any]:
    """Make the variant in an empty folder; what stays as it is is a link. Returns its manifest.

    Equal releases give equal bytes. Raises CorruptFile and StorageFailure.
    """
    files: dict[str, Any] = dict(manifest["files"])
    before = manifest.get("withheld", {"sources": [], "files": {}})
    full: dict[str, Any] = dict(before["files"])
    for path in files:
        make_folder((into / path).parent)
        if path.startswith("data/") and path.split("/")[1] in withheld:
            full[path] = files[path]
            files[path] = _without_pixels(release / path, into / path, files[path])
        elif path not in _WRITTEN_AGAIN:
            (into / path).symlink_to((release / path).resolve())
    variant: dict[str, Any] = {
        **manifest,
        "variant": RECIPE,
        "files": files,
        # What filling the pixels in again must lead to.
        "withheld": {"sources": sorted({*before["sources"], *withheld}), "files": full},
    }
    if BYTE_INDEX in files:
        _write_byte_index(release / BYTE_INDEX, into / BYTE_INDEX, full, files)
    facts = facts_of(into, variant) if {CARD, CROISSANT} & files.keys() else None
    if CARD in files:
        write_whole(into / CARD, card(into, variant, sources, facts).encode())
    if CROISSANT in files:
        write_json(croissant(into, variant, sources, facts), into / CROISSANT)
    for path in _WRITTEN_AGAIN:
        if path in files:
            files[path] = file_entry(into / path)
    write_json(variant, into / MANIFEST)
    return variant


def _without_pixels(source: Path, target: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The file in its row groups, and what the manifest says of it."""
    try:
        file = pq.ParquetFile(source)
        with whole_file(target) as opened:
            with storing(target):
                writer = pq.ParquetWriter(opened, file.schema_arrow, **LAYOUT)
            try:
                for group in range(file.num_row_groups):
                    table = _group_without_pixels(file, group)
                    with storing(target):
                        writer.write_table(table, row_group_size=max(table.num_rows, 1))
                with storing(target):
                    writer.close()
            finally:
                writer.is_open = False  # after a failure its destructor would go on writing
    except pa.ArrowException as error:
        raise CorruptFile(f"{source} is no Parquet ({error}): pull or build it again") from error
    # Not the mark of the rows with pixels: a build would link this file as if it had them.
    mark = hashlib.sha256(f"{RECIPE} {entry['fingerprint']}".encode()).hexdigest()
    return {"rows": file.metadata.num_rows, "fingerprint": mark, **file_entry(target)}


def _group_without_pixels(file: pq.ParquetFile, group: int) -> pa.Table:
    schema = file.schema_arrow
    rows = file.read_row_group(
        group, columns=[name for name in schema.names if name not in PIXELS], use_threads=False
    )
    columns = [
        pa.nulls(rows.num_rows, field.type) if field.name in PIXELS else rows[field.name]
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _write_byte_index(
    source: Path, target: Path, full: Mapping[str, Any], files: Mapping[str, Any]
) -> None:
    table = pq.read_table(source)
    paths = table["path"].cast(pa.string())
    hidden = pc.is_in(paths, value_set=pa.array(sorted(full), pa.string()))
    for name in ("offset", "length"):
        column = pc.if_else(hidden, pa.scalar(NOWHERE, pa.int64()), table[name])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    sizes = {path: int(files[path]["bytes"]) for path in full}
    new = pa.array([sizes.get(path) for path in paths.to_pylist()], pa.int64())
    column = pc.coalesce(new, table["file_bytes"])
    table = table.set_column(table.schema.get_field_index("file_bytes"), "file_bytes", column)
    write_table(table, target)
