"""Kinds of side tables: the columns of each, in a version, and what a part says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from petdata import __version__
from petdata.errors import CorruptFile, PetdataError
from petdata.records import SHARD_SCHEMA
from petdata.side_table_checks import UNREADABLE, type_problem

KEYS: Final = (
    pa.field("sha256", pa.string(), nullable=False),  # of the kept JPEG, hex
    pa.field("photo_id", pa.string()),
)
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")  # of a table and of a column
_METADATA: Final = b"petdata.side_table"
_RESERVED: Final = frozenset(SHARD_SCHEMA.names)  # a join would have two columns of that name


@dataclass(frozen=True)
class Kind:
    """Columns that every table of this kind has, in a version: a nullable one more is minor."""

    name: str
    version: str
    values: tuple[pa.Field, ...]


_PROBLEM: Final = pa.field("problem", pa.string())  # why there is nothing; such rows stay at home
_BOX: Final = pa.struct(
    [
        pa.field("class", pa.string()),
        pa.field("score", pa.float32()),  # 0..1
        *(pa.field(name, pa.float32()) for name in ("x0", "y0", "x1", "y1")),
    ]
)
BOXES: Final = Kind(
    "boxes",
    "1.0",
    (
        # In pixels of the kept photo: 0 <= x0 < x1 <= width. Empty: looked at, none found.
        pa.field("boxes", pa.list_(_BOX)),
        pa.field("chosen", pa.int32()),  # which of them, from 0; null where none was
        _PROBLEM,
    ),
)
# What petdata detect says beyond that: null where nothing was looked at.
SEVERAL: Final = pa.field("several_animals", pa.bool_())
DESCRIPTIONS: Final = Kind(
    "descriptions",
    "1.0",
    (
        pa.field("text", pa.string()),
        pa.field("language", pa.string()),  # ru
        pa.field("model", pa.string()),
        pa.field("prompt_version", pa.string()),
        pa.field(
            "fields",
            pa.struct(
                [
                    pa.field(name, pa.string())
                    for name in ("species", "breed", "age_class", "coat", "marks")
                ]
            ),
        ),
        _PROBLEM,
    ),
)
VALUES: Final = Kind("values", "1.0", ())  # columns of your own
KINDS: Final = {kind.name: kind for kind in (BOXES, DESCRIPTIONS, VALUES)}


@dataclass(frozen=True, kw_only=True)
class Producer:
    """What made a table. One table has one: rows of two models would be mixed up unseen."""

    model: str  # "yolo12x", "Qwen/Qwen3-VL-8B-Instruct"
    model_hash: str = ""  # SHA-256 of the weights, or the revision
    prompt_version: str = ""
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)  # published


def schema_of(kind: Kind, producer: Producer, extra: Sequence[pa.Field] = ()) -> pa.Schema:
    """`extra`: columns beyond those of the kind. Raises PetdataError for what may not be one."""
    for column in extra:
        _check_column(column)
    said = {
        "kind": kind.name,
        "version": kind.version,
        "producer": asdict(producer) | {"settings": dict(producer.settings)},
        "petdata": __version__,
    }
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return pa.schema([*KEYS, *kind.values, *extra], metadata={_METADATA: text.encode()})


def _check_column(column: pa.Field) -> None:
    problem = type_problem(column.type)
    if not NAME.fullmatch(column.name):
        problem = "small letters, digits and _ only"
    elif column.name in _RESERVED:
        problem = "the record has a column of this name"
    if problem:
        raise PetdataError(f"column {column.name!r} of a side table: {problem}")


def kind_of(path: Path, schema: pa.Schema) -> tuple[Kind, Producer]:
    try:
        said = json.loads((schema.metadata or {})[_METADATA])
        kind, version = said["kind"], str(said["version"])
        made_by = said["producer"]
        producer = Producer(
            **{name: str(made_by[name]) for name in ("model", "model_hash", "prompt_version")},
            settings=dict(made_by["settings"]),
        )
    except UNREADABLE as error:
        raise corrupt(path, f"it does not say what it is ({error!r})") from error
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None or version.split(".")[0] != known.version.split(".")[0]:
        raise CorruptFile(
            f"{path} is of kind {kind!r} {version}; this petdata reads "
            f"{', '.join(f'{k.name} {k.version}' for k in KINDS.values())}"
        )
    return known, producer


def check_schema(path: Path, schema: pa.Schema, kind: Kind) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise corrupt(path, "two columns have one name")
    for column in (*KEYS, *kind.values):
        if column.name not in schema.names:
            raise corrupt(path, f"there is no column {column.name}")
        if (found := schema.field(column.name)).type != column.type:
            raise corrupt(path, f"column {column.name} is {found.type}, need {column.type}")
    for column in schema:
        if column.name not in {own.name for own in (*KEYS, *kind.values)}:
            try:
                _check_column(column)
            except PetdataError as error:
                raise corrupt(path, str(error)) from error


def require_same(first: Path, schema: pa.Schema, other: Path, found: pa.Schema) -> None:
    """One kind, one producer, the same columns: parts of one table. Raises CorruptFile."""
    mine, theirs = kind_of(first, schema), kind_of(other, found)
    if mine != theirs:
        raise CorruptFile(
            f"{first} was made by {_said(mine)}, {other} by {_said(theirs)}: one side table has "
            "one producer; name another table, or delete this one's folder"
        )
    if [(c.name, c.type) for c in schema] != [(c.name, c.type) for c in found]:
        raise CorruptFile(f"{first} and {other} have different columns: name another table")


def _said(made: tuple[Kind, Producer]) -> str:
    return json.dumps({"kind": made[0].name, **asdict(made[1])}, default=dict, sort_keys=True)


def corrupt(path: Path, what: str) -> CorruptFile:
    return CorruptFile(
        f"{path}: {what}: delete it and make it again, or restore it; photos are not affected"
    )
