"""The tables beside the data: what became of every row, groups, links, the byte index, leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.appearances import Indices
from dataset_builder.plan import SPLITS, Plan
from petdata.byte_index import ByteIndex, index_shard
from petdata.shards import storing, whole_file

BYTE_INDEX: Final = "metadata/byte_index.parquet"  # of a release


def write_table(table: pa.Table, path: Path) -> None:
    with whole_file(path) as file, storing(path):
        pq.write_table(table, file, compression="zstd")


def write_json(value: Any, path: Path) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    with whole_file(path) as file, storing(path):
        file.write(text.encode() + b"\n")


def photo_ids(plan: Plan, published: Sequence[str], chosen: Indices) -> list[str]:
    hashes = plan.rows.sha256.take(pa.array(chosen)).to_pylist()
    identities = plan.rows.identity[chosen].tolist()
    return [f"{published[i]}/{sha256[:12]}" for i, sha256 in zip(identities, hashes, strict=True)]


def attrition_table(plan: Plan, published: Sequence[str]) -> pa.Table:
    """One row for each input row; `reason` is null where it was kept, `split` where it was not."""
    rows = plan.rows
    names = [level.source.name for level in rows.levels]
    kept = plan.kept
    return pa.table(
        {
            "photo_id": pa.array(photo_ids(plan, published, np.arange(len(rows)))),
            "identity_id": _taken(published, rows.identity),
            "identity_group": _taken(published, plan.groups.of[rows.identity]),
            "source": _taken(names, rows.level),
            "source_split": _null_if_empty(rows.source_split),
            "species": rows.species,
            "split": _taken(SPLITS, plan.split, ~kept),
            "reason": _taken([*plan.reasons, ""], plan.reason, kept),
        }
    )


def _null_if_empty(column: pa.DictionaryArray) -> pa.Array:
    values = column.dictionary.to_pylist()
    empty = [number for number, value in enumerate(values) if not value]
    mask = np.isin(column.indices.to_numpy(), empty)
    return pa.DictionaryArray.from_arrays(
        pa.array(column.indices.to_numpy(), mask=mask), column.dictionary
    )


def _taken(values: Sequence[str], numbers: Any, null: Any = None) -> pa.Array:
    # Of a value that stands in a dictionary twice, pyarrow 26 writes out unset memory.
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    place_of = np.array([places[value] for value in values], np.int32)
    indices = pa.array(place_of[np.maximum(np.asarray(numbers, np.int32), 0)], mask=null)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def groups_table(
    plan: Plan, published: Sequence[str], configs: Mapping[str, Iterable[int]]
) -> pa.Table:
    """(config, identity_id, identity_group) of every identity that has kept photos.

    A later source never changes the group of an earlier one, so a configuration's groups are those
    of the whole build, of the identities that it holds.
    """
    rows = plan.rows
    parts = []
    for config, levels in configs.items():
        chosen = plan.kept & np.isin(rows.level, np.array(sorted(levels)))
        identities = np.unique(rows.identity[chosen])
        parts.append(
            pa.table(
                {
                    "config": pa.array([config] * len(identities), pa.string()),
                    "identity_id": pa.array([published[i] for i in identities], pa.string()),
                    "identity_group": pa.array(
                        [published[i] for i in plan.groups.of[identities]], pa.string()
                    ),
                }
            )
        )
    return pa.concat_tables(parts)


def links_table(plan: Plan, published: Sequence[str]) -> pa.Table:
    """Every pair of identities that share a picture, exactly or nearly, with both photos."""
    links = sorted(plan.links)
    of = plan.groups.of
    first = np.array([link.first_row for link in links], np.int64)
    second = np.array([link.second_row for link in links], np.int64)
    return pa.table(
        {
            "kind": pa.array([link.kind for link in links], pa.string()),
            "identity_a": pa.array([published[link.first] for link in links], pa.string()),
            "identity_b": pa.array([published[link.second] for link in links], pa.string()),
            "photo_a": pa.array(photo_ids(plan, published, first), pa.string()),
            "photo_b": pa.array(photo_ids(plan, published, second), pa.string()),
            "joined": pa.array(
                [bool(of[link.first] == of[link.second]) for link in links], pa.bool_()
            ),
        }
    )


def byte_index_table(
    root: Path, paths: Sequence[str], known: Mapping[str, ByteIndex] | None = None
) -> pa.Table:
    """Where each photo lies: file, row, offset and length in bytes.

    Files whose index is `known` are not walked.
    """
    parts = []
    for path in paths:
        index = (known or {}).get(path) or index_shard(root / path)
        if index is None:
            continue
        parts.append(
            pa.table(
                {
                    "path": pa.DictionaryArray.from_arrays(
                        pa.array(np.zeros(index.rows, np.int32)), pa.array([path])
                    ),
                    "row": pa.array(np.arange(index.rows), pa.int32()),
                    "offset": pa.array(np.asarray(index.offsets), pa.int64()),
                    "length": pa.array(np.asarray(index.lengths), pa.int64()),
                    "file_bytes": pa.array(np.full(index.rows, index.file_bytes), pa.int64()),
                }
            )
        )
    return pa.concat_tables(parts).unify_dictionaries()


def leakage(plan: Plan, detection: Any) -> dict[str, Any]:
    """What the leak gate looked at and took."""
    removed = {
        reason.removeprefix("leak:"): int(np.count_nonzero(plan.reason == index))
        for index, reason in enumerate(plan.reasons)
        if reason.startswith("leak:")
    }
    return {
        "pairs_examined": plan.pairs_examined,
        "near_duplicates_found": plan.pairs_found,
        "removed_from_training": removed,
        "left": plan.pairs_left,
        "leak_bits": plan.options.leak_bits,
        "detection_power": detection,
        "cannot_see": (
            "another photo of the same animal, or a part of a photo such as a face crop: the gate "
            "compares whole pictures"
        ),
    }
