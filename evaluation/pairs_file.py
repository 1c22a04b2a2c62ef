"""Lists of verification pairs as Parquet: ids and the rules; the hash of the list is checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluation.pairs import PairRules, VerificationPairs
from petdata.errors import CorruptFile, PetdataError
from petdata.shards import whole_file

_SCHEMA: Final = pa.schema(
    [
        pa.field("first_photo_id", pa.string(), nullable=False),
        pa.field("second_photo_id", pa.string(), nullable=False),
        pa.field("is_same", pa.bool_(), nullable=False),
    ]
)
_METADATA: Final = b"petdata.pairs"
_LINES_AT_A_TIME: Final = 10_000


def pairs_hash(pairs: VerificationPairs) -> str:
    """SHA-256 of lines "first photo id<TAB>second photo id<TAB>1 or 0", each with its newline."""
    kind = pc.if_else(pa.array(pairs.is_same), "1\n", "0\n")
    lines = pc.binary_join_element_wise(*pairs.photo_ids, kind, "\t")
    digest = hashlib.sha256()
    for start in range(0, len(lines), _LINES_AT_A_TIME):
        digest.update("".join(lines[start : start + _LINES_AT_A_TIME].to_pylist()).encode())
    return digest.hexdigest()


def write_pairs(pairs: VerificationPairs, path: Path) -> str:
    """Returns the hash, which names the list wherever figures come from it."""
    digest = pairs_hash(pairs)
    about = {
        "hash": digest,
        "rules": dataclasses.asdict(pairs.rules),
        "missing_negatives": pairs.missing_negatives,
    }
    schema = _SCHEMA.with_metadata({_METADATA: json.dumps(about).encode()})
    table = pa.table([*pairs.photo_ids, pa.array(pairs.is_same)], schema=schema)
    with whole_file(path) as file:
        pq.write_table(table, file, compression="zstd")
    return digest


def read_pairs(path: Path, photo_ids: Any) -> VerificationPairs:
    """`photo_ids`: of the photos at hand, in whose rows the pairs are to be given.

    Raises CorruptFile where the list is not the one that was written, PetdataError where photos
    of it are not at hand.
    """
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[_METADATA])
        rules = PairRules(**about["rules"])
        columns = [table.column(name).combine_chunks() for name in _SCHEMA.names]
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{path} is not a list of verification pairs: {error}") from error
    first, second = (
        pc.index_in(column, pa.array(photo_ids, pa.string())) for column in columns[:2]
    )
    for ids, rows in zip(columns, (first, second), strict=False):
        if rows.null_count:
            raise PetdataError(
                f"{path}: photo {ids.filter(pc.is_null(rows))[0]} is not among the "
                f"{len(photo_ids):,} photos at hand; use the list with its own dataset and split"
            )
    pairs = VerificationPairs(
        photo_ids=(columns[0], columns[1]),
        first=first.to_numpy().astype(np.int64),
        second=second.to_numpy().astype(np.int64),
        is_same=columns[2].to_numpy(zero_copy_only=False),
        rules=rules,
        missing_negatives=about["missing_negatives"],
    )
    if pairs_hash(pairs) != about["hash"]:
        raise CorruptFile(f"{path}: the pairs do not have the hash {about['hash']} that it names")
    return pairs
