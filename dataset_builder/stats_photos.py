"""A few identities of each source with their photos, small, for a page to show."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
from PIL import Image

from dataset_builder.database import open_database
from dataset_builder.inputs import input_files
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.stats import current_rows
from petdata.byte_index import PhotoReader
from petdata.manifest import read_manifest
from petdata.sources import known_sources
from petdata.workspace import Workspace

IDENTITIES: Final = 6  # of each source; those that a hash of their ids picks
PHOTOS: Final = 4  # of each identity
HEIGHT: Final = 180  # pixels; drawn at 90, sharp on a dense screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    identity_id: str
    species: str
    photos: int  # that it has
    pictures: Sequence[str]  # data URIs of the first few


Sheets = Mapping[str, Sequence[Portrait]]  # source -> identities


def release_sheets(release: Path) -> Sheets:
    """Of a release with pixels; a source whose rows are recipes has no pictures."""
    files = read_manifest(release)["files"]
    paths = [release / path for path, entry in sorted(files.items()) if "fingerprint" in entry]
    with open_database() as database:
        return _sheets(database, paths, "SELECT * FROM listed") if paths else {}


def shard_sheets(workspace: Workspace) -> Sheets:
    files = input_files(workspace, levels_of(known_sources(workspace).values(), BuildOptions()))
    with open_database() as database:
        database.register("current", current_rows(files))
        chosen = (
            "SELECT listed.* FROM listed JOIN current c ON c.path = filename "
            "AND c.row = file_row_number WHERE is_current"
        )
        return _sheets(database, [file.path for file in files], chosen)


def _sheets(database: duckdb.DuckDBPyConnection, paths: Sequence[Path], query: str) -> Sheets:
    names = [str(path) for path in paths]
    database.register("paths", pa.table({"path": names, "number": range(len(names))}))
    database.execute(
        f"""
        CREATE VIEW listed AS
        SELECT source, identity_id, species, filename, file_row_number
        FROM read_parquet([{", ".join(_quoted(name) for name in names)}],
                          filename = true, file_row_number = true);
        CREATE TABLE chosen AS
        SELECT source, identity_id, count(*) AS photos FROM ({query})
        GROUP BY source, identity_id
        QUALIFY row_number() OVER (PARTITION BY source ORDER BY count(*) < 2, md5(identity_id))
                <= {IDENTITIES};
        """
    )
    rows = database.execute(
        f"""
        SELECT source, identity_id, species, photos, paths.number, file_row_number
        FROM ({query}) JOIN chosen USING (source, identity_id)
        JOIN paths ON paths.path = filename
        ORDER BY source, photos < 2, md5(identity_id), paths.number, file_row_number
        """
    ).fetchall()
    reader = PhotoReader(paths)
    found: dict[str, dict[str, Portrait]] = {}
    for source, identity, species, photos, file, row in rows:
        portraits = found.setdefault(source, {})
        known = portraits.get(identity)
        pictures = list(known.pictures) if known else []
        if len(pictures) < PHOTOS:
            jpeg = reader.read(file, row)
            pictures += [picture_uri(jpeg)] if jpeg else []
        portraits[identity] = Portrait(
            identity_id=identity, species=species, photos=photos, pictures=pictures
        )
    return {source: list(portraits.values()) for source, portraits in found.items()}


def _quoted(text: str) -> str:
    """A view takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


def picture_uri(jpeg: bytes, height: int = HEIGHT) -> str:
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.draft("RGB", (height, height))
        small = picture.convert("RGB")
    small.thumbnail((2 * height, height))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=72)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
