"""What a release has beside its photos, held to them: side tables and verification pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.manifest import tables_of
from dataset_builder.released_pairs import PAIRS, RELEASED
from dataset_builder.verify_tables import named
from petdata.errors import CorruptFile
from petdata.side_tables import FOLDER, SideTable, read_side_table


def side_table_problems(
    database: duckdb.DuckDBPyConnection, release: Path, manifest: Mapping[str, Any]
) -> Iterator[str]:
    """`database` has `photos`, with their split."""
    listed = set()
    for name, stated in tables_of(manifest).items():
        rows = 0
        for split, paths in stated["splits"].items():
            listed |= set(paths)
            if missing := sorted(set(paths) - manifest["files"].keys()):
                yield f"side table {name}, split {split}: {missing[0]} is no file of the release"
                continue
            try:
                table = read_side_table([release / path for path in paths])
            except CorruptFile as error:
                yield str(error)
                continue
            rows += table.rows.num_rows
            if table.superseded:
                yield f"side table {name}, split {split}: {table.superseded:,} photos stand twice"
            if (table.kind.name, asdict(table.producer)) != (stated["kind"], stated["producer"]):
                yield f"side table {name}, split {split}: the manifest names another kind or model"
            yield from _row_problems(database, f"side table {name}, split {split}", split, table)
        if rows != stated["rows"]:
            yield f"side table {name}: {rows:,} rows, the manifest says {stated['rows']:,}"
    for path in sorted(manifest["files"]):
        if path.startswith(f"{FOLDER}/") and path not in listed:
            yield f"{path} is of no side table that the manifest names"


def _row_problems(
    database: duckdb.DuckDBPyConnection, where: str, split: str, table: SideTable
) -> Iterator[str]:
    database.register("side_rows", table.rows)
    yield from named(
        database,
        "SELECT sha256, photo_id FROM side_rows ANTI JOIN "
        f"(SELECT sha256, photo_id FROM photos WHERE split = '{split}') USING (sha256, photo_id)",
        f"{where}: photo {{1}}, sha256 {{0}}, is not among the photos of this split",
    )
    if "problem" in table.rows.column_names:
        yield from named(
            database,
            "SELECT photo_id FROM side_rows WHERE problem NOT NULL",
            f"{where}: {{0}} says why there is nothing, which a release does not",
        )
    if "boxes" in table.rows.column_names:
        yield from named(
            database,
            "SELECT DISTINCT s.photo_id, width, height FROM "
            "(SELECT sha256, photo_id, unnest(boxes) AS box FROM side_rows) s "
            "JOIN photos USING (sha256) WHERE box.x1 > width OR box.y1 > height",
            f"{where}: {{0}} has a box beyond its {{1}} x {{2}} pixels",
        )
    database.unregister("side_rows")


def pair_problems(
    database: duckdb.DuckDBPyConnection, release: Path, manifest: Mapping[str, Any]
) -> Iterator[str]:
    stated = manifest.get("verification_pairs")
    if (PAIRS in manifest["files"]) != bool(stated):
        yield f"{PAIRS}: the manifest has only one of the file and what it says of it"
        return
    if not stated:
        return
    try:
        pairs = pq.read_table(release / PAIRS, partitioning=None)
        pairs.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{release / PAIRS} cannot be read: {error}") from error
    if pairs.schema.remove_metadata() != RELEASED:
        yield f"{PAIRS}: its columns are not those of verification pairs: {pairs.schema.names}"
        return
    if pairs.num_rows != stated["kept"]:
        yield f"{PAIRS}: {pairs.num_rows:,} pairs, the manifest says {stated['kept']:,}"
    if stated["kept"] + sum(stated["dropped"].values()) != stated["listed"]:
        yield f"{PAIRS}: {stated['listed']:,} pairs were listed, not all are accounted for"
    database.register("pairs", pairs)
    yield from named(
        database,
        "SELECT DISTINCT photo_id FROM (SELECT unnest([photo_id_a, photo_id_b]) AS photo_id "
        "FROM pairs) ANTI JOIN photos USING (photo_id)",
        f"{PAIRS}: {{0}} is no photo of the release",
    )
    database.unregister("pairs")
