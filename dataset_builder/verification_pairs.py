"""PetFace's verification pairs as a small Parquet file: which two photos show one animal.

It lies in a folder below the shards, so that shards/*/*.parquet goes on to mean photos.
A build carries them. A photo id is null where that photo is not kept; of a duplicate dropped in
its identity it is the id of the copy that is kept, which has the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_builder.readers.petface_lists import Pair, PhotoName
from petdata.bulk_intake import BulkIntake
from petdata.errors import CorruptFile, Reason, StorageFailure
from petdata.ledger import Ledger
from petdata.purging import Condemned
from petdata.shards import storing, whole_file
from petdata.workspace import Workspace, make_folder, sync_folder

FILE: Final = "lists/verification_pairs.parquet"  # in the folder of the shards
SCHEMA: Final = pa.schema(
    [
        pa.field("path_1", pa.string(), nullable=False),  # as the list has it
        pa.field("path_2", pa.string(), nullable=False),
        pa.field("photo_id_1", pa.string()),
        pa.field("photo_id_2", pa.string()),
        pa.field("is_same", pa.bool_(), nullable=False),
    ]
)
_ROWS_AT_ONCE: Final = 10_000


def pairs_path(workspace: Workspace) -> Path:
    return workspace.shards("petface") / FILE


def write_pairs(intake: BulkIntake, pairs: Iterable[Pair]) -> None:
    """Whole or not at all; without pairs there is no file."""
    rows = _rows(intake.ledger, pairs)
    first = list(islice(rows, _ROWS_AT_ONCE))
    if not first:
        return
    path = intake.shards / FILE
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                while first:
                    writer.write_table(pa.Table.from_pylist(first, SCHEMA))
                    first = list(islice(rows, _ROWS_AT_ONCE))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFailure(f"cannot write {path}: {error.strerror or error}") from error


def forget_pairs(workspace: Workspace, condemned: Condemned) -> int:
    """Let pairs no longer name photos that are to go. Returns how many did."""
    path = pairs_path(workspace)
    if not path.exists():
        return 0
    try:
        table = pq.read_table(path, partitioning=None)
        columns = {name: table[name] for name in ("photo_id_1", "photo_id_2")}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): mend or delete it") from error
    starts = pa.array([sha256[:12] for sha256 in condemned.hashes], pa.string())
    identities = pa.array(list(condemned.identities), pa.string())
    named = np.zeros(table.num_rows, np.bool_)
    for name, ids in columns.items():
        going = pc.or_(
            pc.is_in(pc.utf8_slice_codeunits(ids, -12), starts),
            pc.is_in(pc.replace_substring_regex(ids, "/[^/]*$", ""), identities),
        ).fill_null(False)
        named |= np.asarray(going, np.bool_)
        left = pc.if_else(going, pa.scalar(None, pa.string()), ids)
        table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), left)
    if np.any(named):
        with whole_file(path) as file, storing(path):
            pq.write_table(table, file, compression="zstd")
    return int(np.count_nonzero(named))


def _rows(ledger: Ledger, pairs: Iterable[Pair]) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        yield {
            "path_1": pair.paths[0],
            "path_2": pair.paths[1],
            "photo_id_1": _photo_id(ledger, pair.first),
            "photo_id_2": _photo_id(ledger, pair.second),
            "is_same": pair.is_same,
        }


def _photo_id(ledger: Ledger, name: PhotoName) -> str | None:
    """By the photo's number: the list and the file may end differently."""
    address = f"{name.species}/{name.folder:06d}/{name.number:02d}."
    rows = ledger.query(
        "SELECT sha256 FROM photos WHERE source_id = ? AND address GLOB ? "
        "AND (outcome = 'kept' OR reason = ?)",
        name.source_id,
        f"{address}*",
        Reason.DUPLICATE_IN_IDENTITY,
    )
    if not rows or rows[0]["sha256"] is None:
        return None
    return f"{ledger.source}/{name.source_id}/{rows[0]['sha256'][:12]}"
