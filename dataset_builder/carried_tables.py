"""Side tables in a release: rows of the photos that it keeps, as further configurations.

Rows stand in the order of the photos, in files of their split, and bear published photo ids. Rows
that say why there is nothing (`problem`) stay in the workspace, as do those of other photos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset_builder.database import open_database
from dataset_builder.layout import PlannedFile
from dataset_builder.manifest import file_entry
from dataset_builder.metadata import photo_ids
from dataset_builder.plan import SPLITS, Plan
from petdata.errors import CorruptFile, PetdataError
from petdata.side_table_kinds import KEYS, schema_of
from petdata.side_tables import FOLDER, SideTable, read_side_table, table_folder, table_names
from petdata.side_tables import write_part as write_file
from petdata.workspace import Workspace, make_folder

ROWS_PER_FILE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedTable:
    name: str
    table: SideTable  # of kept photos alone
    without: int  # kept photos that have no row

    def digest(self) -> str:
        """Of what it says of whom, however its parts are stored."""
        said = schema_of(self.table.kind, self.table.producer, _extra(self.table))
        digest = hashlib.sha256(repr((str(said), asdict(self.table.producer))).encode())
        rows = self.table.rows.drop_columns(["photo_id"])
        with open_database() as database:
            database.register("rows", rows)
            try:
                lines = database.sql(
                    "SELECT sha256, md5(CAST(to_json(rows) AS VARCHAR)) AS line FROM rows "
                    "ORDER BY sha256"
                ).to_arrow_table()
            except duckdb.Error as error:
                raise CorruptFile(f"side table {self.name} cannot be read: {error}") from error
        for column in lines["line"].chunks:
            digest.update("\n".join(column.to_pylist()).encode() + b"\n")
        return digest.hexdigest()


def _extra(table: SideTable) -> list[pa.Field]:
    own = {column.name for column in (*KEYS, *table.kind.values)}
    return [column for column in table.rows.schema if column.name not in own]


def read_carried(
    workspace: Workspace, plan: Plan, configs: Iterable[str], say: Callable[[str], None]
) -> list[CarriedTable]:
    """Every side table of the workspace. Raises CorruptFile, naming the part, for a broken one."""
    kept = plan.rows.sha256.filter(pa.array(plan.kept))
    found = []
    for name in table_names(workspace.root):
        if name in set(configs):
            raise PetdataError(
                f"{table_folder(workspace.root, name)}: a configuration of the release has this "
                "name: give the folder another one"
            )
        table = read_side_table(table_folder(workspace.root, name))
        rows = table.rows.filter(pc.is_in(table.rows["sha256"], value_set=kept))
        elsewhere = table.rows.num_rows - rows.num_rows
        if "problem" in rows.column_names:
            rows = rows.filter(pc.is_null(rows["problem"]))
        without = len(kept) - rows.num_rows
        say(
            f"side table {name}: {rows.num_rows:,} photos have a row, {without:,} have none; "
            f"{elsewhere:,} rows are of photos that are not in the release"
        )
        if rows.num_rows:
            carried = SideTable(kind=table.kind, producer=table.producer, rows=rows)
            found.append(CarriedTable(name=name, table=carried, without=without))
    return found


def write_carried(
    tables: Sequence[CarriedTable],
    release: Path,
    plan: Plan,
    published: Sequence[str],
    planned: Sequence[PlannedFile],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the manifest says of the tables, and of their files."""
    stated: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    for carried in tables:
        splits: dict[str, list[str]] = {}
        for split in SPLITS:
            of_split = [f.rows for f in planned if Path(f.path).name.startswith(f"{split}-")]
            rows = _in_order(carried.table, plan, published, of_split)
            for number, start in enumerate(range(0, rows.num_rows, ROWS_PER_FILE)):
                part = rows.slice(start, ROWS_PER_FILE)
                path = f"{FOLDER}/{carried.name}/{split}-{number:05d}.parquet"
                make_folder((release / path).parent)
                write_file(release / path, part)
                entries[path] = {"rows": part.num_rows, **file_entry(release / path)}
                splits.setdefault(split, []).append(path)
        stated[carried.name] = {
            "kind": carried.table.kind.name,
            "producer": asdict(carried.table.producer),
            "splits": splits,
            "rows": carried.table.rows.num_rows,
            "without": carried.without,
        }
    return stated, entries


def _in_order(
    table: SideTable, plan: Plan, published: Sequence[str], files: Sequence[Any]
) -> pa.Table:
    """Rows of these files' photos, in their order."""
    chosen = np.concatenate([np.zeros(0, np.int64), *files])
    hashes = plan.rows.sha256.take(pa.array(chosen))
    places = pc.index_in(hashes, value_set=table.rows["sha256"].combine_chunks())
    there = np.asarray(places.is_valid(), np.bool_)
    rows = table.rows.take(places.drop_null())
    ids = pa.array(photo_ids(plan, published, chosen[there]), pa.string())
    rows = rows.set_column(rows.schema.get_field_index("photo_id"), "photo_id", ids)
    schema = schema_of(table.kind, table.producer, _extra(table))
    return rows.select(schema.names).cast(schema).replace_schema_metadata(schema.metadata)
