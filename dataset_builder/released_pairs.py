"""PetFace's verification pairs in a release: the published ids of both photos, or counted why not.

A pair is there where the pictures of both photos are; a photo whose bytes are kept under another
identity is named as it is kept, for it is the same picture. The rest is counted by reason, so that
nobody takes a shorter list for PetFace's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset_builder.appearances import Indices, first_rows
from dataset_builder.metadata import photo_ids
from dataset_builder.options import PETFACE
from dataset_builder.plan import Plan
from dataset_builder.verification_pairs import SCHEMA, pairs_path
from petdata.errors import CorruptFile
from petdata.workspace import Workspace

PAIRS: Final = "metadata/verification_pairs.parquet"
RELEASED: Final = pa.schema(
    [
        pa.field("photo_id_a", pa.string(), nullable=False),
        pa.field("photo_id_b", pa.string(), nullable=False),
        pa.field("same_identity", pa.bool_(), nullable=False),  # as the list says
        pa.field("list", pa.string(), nullable=False),  # the species whose list it is
    ]
)
_ROWS_AT_A_TIME: Final = 50_000
_NOT_IMPORTED: Final = "not_imported"  # the import has not kept the photo
_NOT_IN_BUILD: Final = "not_in_build"  # --petface train, or another family


@dataclass(frozen=True, kw_only=True, eq=False)
class ReleasedPairs:
    table: pa.Table  # sorted, so that it doesn't depend on how the list was stored
    listed: int
    dropped: dict[str, int]  # reason -> pairs, by the first of their photos that is not there

    def as_json(self) -> dict[str, Any]:
        return {"listed": self.listed, "kept": self.table.num_rows, "dropped": self.dropped}

    def digest(self) -> str:
        digest = hashlib.sha256(repr((self.listed, sorted(self.dropped.items()))).encode())
        for batch in self.table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                digest.update(repr(tuple(row.values())).encode())
        return digest.hexdigest()


def released_pairs(
    workspace: Workspace, plan: Plan, published: Sequence[str]
) -> ReleasedPairs | None:
    """None where PetFace, or its list, is not part of the build. Raises CorruptFile."""
    path = pairs_path(workspace)
    is_there = any(level.source.name == PETFACE for level in plan.rows.levels)
    if not is_there or not path.exists():
        return None
    listed = _read(path)
    shown = first_rows(plan.rows, plan.kept)  # picture -> the row that is kept
    sides = [_side(listed[name], plan, shown) for name in ("photo_id_1", "photo_id_2")]
    reason = np.where(sides[0][1] > 0, sides[0][1], sides[1][1])
    chosen = np.flatnonzero(reason == 0)
    names = [photo_ids(plan, published, rows[chosen]) for rows, _ in sides]
    table = pa.table(
        [
            pa.array(names[0], pa.string()),
            pa.array(names[1], pa.string()),
            listed["is_same"].take(pa.array(chosen)),
            _species(listed["path_1"].take(pa.array(chosen))),
        ],
        schema=RELEASED,
    )
    numbers, counts = np.unique(reason[reason > 0], return_counts=True)
    reasons = ["", _NOT_IMPORTED, _NOT_IN_BUILD, *plan.reasons]
    dropped = {reasons[n]: c for n, c in zip(numbers.tolist(), counts.tolist(), strict=True)}
    return ReleasedPairs(
        table=table.sort_by([(name, "ascending") for name in RELEASED.names]),
        listed=listed.num_rows,
        dropped=dict(sorted(dropped.items())),
    )


def _side(ids: pa.ChunkedArray, plan: Plan, shown: Indices) -> tuple[Indices, NDArray[np.int64]]:
    """Of each pair the row that shows this photo, and 0 or the number of why there is none."""
    rows = plan.rows
    found = pc.index_in(ids, value_set=rows.photo_ids)
    own = np.asarray(pc.fill_null(found, -1), np.int64)
    is_in_build = np.asarray(found.is_valid(), np.bool_) & np.asarray(ids.is_valid(), np.bool_)
    kept = np.where(is_in_build, shown[rows.picture[own]], -1)
    why = np.where(is_in_build, 3 + plan.reason[own].astype(np.int64), 2)
    why = np.where(np.asarray(ids.is_null(), np.bool_), 1, why)
    return kept, np.where(kept >= 0, 0, why)


def _species(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of <species>/<folder>/<number>.png, which may stand in further folders."""
    found = pc.extract_regex(paths, r"(?P<species>[A-Za-z]+)/[0-9]+/[0-9]+\.[A-Za-z]+$")
    return pc.fill_null(pc.utf8_lower(pc.struct_field(found, "species")), "unknown")


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path, partitioning=None)
        table = table.select(SCHEMA.names).cast(SCHEMA)
        table.validate(full=True)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): import PetFace again") from error
    return table
