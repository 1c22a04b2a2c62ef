"""What models and owners say of photos, for statistics: animals on them, texts that repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from dataset_builder.database import open_database
from dataset_builder.inputs import input_files
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.seen_by_detectors import Seen, as_json, seen_photos
from dataset_builder.stats import current_rows
from petdata.errors import CorruptFile
from petdata.manifest import read_manifest
from petdata.side_table_kinds import DESCRIPTIONS
from petdata.side_tables import (
    BOXES_TABLE,
    join,
    part_files,
    read_kind,
    read_side_table,
    table_folder,
    table_names,
)
from petdata.sources import known_sources
from petdata.text_repeats import TextRepeats, text_repeats
from petdata.workspace import Workspace

OWNER: Final = "owner"  # titles and descriptions of announcements


@dataclass(frozen=True, kw_only=True)
class Beside:
    seen: Sequence[Seen] = ()
    texts: Mapping[str, TextRepeats] = field(default_factory=dict)  # owner, or a side table

    def as_json(self) -> dict[str, Any]:
        repeats = {name: found.as_json() for name, found in self.texts.items()}
        return {"seen_by_detector": as_json(self.seen), "text_repeats": repeats}


NOTHING: Final = Beside()


def release_beside(release: Path, workspace: Workspace) -> Beside:
    """Of what a release keeps; tables that it has not are the workspace's. Raises CorruptFile."""
    files = read_manifest(release)["files"]
    paths = sorted(str(release / path) for path, entry in files.items() if "fingerprint" in entry)
    groups = str(release / "metadata" / "identity_groups.parquet")
    query = """
        SELECT source, sha256, identity_group AS identity, concat_ws(chr(10), title, description)
            AS text
        FROM read_parquet($paths) JOIN read_parquet($groups) USING (identity_id)
        WHERE config = 'all'
    """
    with open_database() as database:
        return _beside(
            database, query, {"paths": paths, "groups": groups}, [release, workspace.root]
        )


def shard_beside(workspace: Workspace) -> Beside:
    """Of the current rows of all shards, and the side tables of the workspace."""
    files = input_files(workspace, levels_of(known_sources(workspace).values(), BuildOptions()))
    query = """
        SELECT source, sha256, identity_id AS identity, concat_ws(chr(10), title, description)
            AS text
        FROM read_parquet($paths, filename = true, file_row_number = true) r
        JOIN current c ON c.path = r.filename AND c.row = r.file_row_number
        WHERE is_current
    """
    with open_database() as database:
        database.register("current", current_rows(files))
        paths = [str(file.path) for file in files]
        return _beside(database, query, {"paths": paths}, [workspace.root])


def _beside(
    database: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, Any],
    roots: Sequence[Path],
) -> Beside:
    try:
        database.execute(f"CREATE TABLE here AS {query}", parameters)
    except duckdb.Error as error:
        raise CorruptFile(f"photos cannot be read: {str(error).splitlines()[0]}") from error
    boxes = next((root for root in roots if BOXES_TABLE in table_names(root)), roots[0])
    return Beside(
        seen=seen_photos(boxes, database, "SELECT source, sha256 FROM here"),
        texts=dict(_repeats(database.sql("FROM here").to_arrow_table(), roots)),
    )


def _repeats(photos: pa.Table, roots: Sequence[Path]) -> Iterator[tuple[str, TextRepeats]]:
    """Of owners' texts where there are any, and of each table of descriptions."""
    identities = photos["identity"].combine_chunks().dictionary_encode()
    numbers = np.asarray(identities.indices, np.int64)
    owner = text_repeats(photos["text"], numbers)
    if owner.texts:
        yield OWNER, owner
    tables = {name: root for root in reversed(roots) for name in table_names(root)}
    for name, root in sorted(tables.items()):
        folder = table_folder(root, name)
        if read_kind(part_files(folder)[0])[0].name == DESCRIPTIONS.name:
            said = join(read_side_table(folder, columns=("text",)), photos["sha256"])
            yield name, text_repeats(said.values["text"], numbers)
