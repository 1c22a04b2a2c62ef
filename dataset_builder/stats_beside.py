"""What models and owners say of photos, for statistics: animals on them, texts that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from dataset_builder.database import open_database
from dataset_builder.inputs import input_files
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.seen_by_detectors import Seen, as_json, seen_photos
from dataset_builder.stats import current_rows
from petdata.errors import CorruptFile
from petdata.manifest import read_manifest
from petdata.sources import known_sources
from petdata.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Beside:
    seen: Sequence[Seen] = ()

    def as_json(self) -> dict[str, Any]:
        return {"seen_by_detector": as_json(self.seen)}


NOTHING: Final = Beside()


def release_beside(release: Path) -> Beside:
    """Of what a release keeps. Raises CorruptFile."""
    files = read_manifest(release)["files"]
    paths = [str(release / path) for path, entry in files.items() if "fingerprint" in entry]
    with open_database() as database:
        try:
            database.execute(
                "CREATE TABLE here AS SELECT source, sha256 FROM read_parquet($paths)",
                {"paths": sorted(paths)},
            )
        except duckdb.Error as error:
            raise CorruptFile(f"{release}: {str(error).splitlines()[0]}") from error
        return Beside(seen=seen_photos(release, database, "SELECT * FROM here"))


def shard_beside(workspace: Workspace) -> Beside:
    """Of the current rows of all shards, and the side tables of the workspace."""
    files = input_files(workspace, levels_of(known_sources(workspace).values(), BuildOptions()))
    with open_database() as database:
        database.register("current", current_rows(files))
        try:
            database.execute(
                """
                CREATE TABLE here AS SELECT source, sha256
                FROM read_parquet($paths, filename = true, file_row_number = true) r
                JOIN current c ON c.path = r.filename AND c.row = r.file_row_number
                WHERE is_current
                """,
                {"paths": [str(file.path) for file in files]},
            )
        except duckdb.Error as error:
            raise CorruptFile(f"a shard cannot be read: {str(error).splitlines()[0]}") from error
        return Beside(seen=seen_photos(workspace.root, database, "SELECT * FROM here"))
