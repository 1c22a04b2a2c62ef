"""What may be wrong with the rows of a side table: keys, numbers, boxes, texts. Vectorised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MAX_ROWS: Final = 30_000_000
MAX_TEXT_BYTES: Final = 20_000  # of one string; a description has some 300
MAX_BOXES: Final = 1_000  # of one photo
MAX_CLASS_BYTES: Final = 64
MAX_DEPTH: Final = 4  # lists and structs inside each other

UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)
_HEX: Final = "^[0-9a-f]{64}$"
_LANGUAGE: Final = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
_CORNERS: Final = ("x0", "y0", "x1", "y1")

_Mask = NDArray[np.bool_]


def row_problems(kind: str, rows: pa.Table) -> Iterator[str]:
    """What is wrong with the columns that are there, as sentences; each names its first row."""
    if rows.num_rows > MAX_ROWS:
        yield f"{rows.num_rows:,} rows, {MAX_ROWS:,} are the most"
        return
    checks: list[Callable[[pa.RecordBatch], Iterator[tuple[_Mask, str]]]] = [_keys]
    checks += {"boxes": [_boxes], "descriptions": [_descriptions]}.get(kind, [])
    for check in checks:
        yield from _named(rows, check)
    twice = rows.num_rows - len(pc.unique(rows["sha256"]))
    if twice:
        yield f"{twice:,} rows have a sha256 that another row has"
    for name in rows.column_names:
        for chunk in rows[name].chunks:
            yield from _leaf_problems(name, chunk)


def _named(
    rows: pa.Table, check: Callable[[pa.RecordBatch], Iterator[tuple[_Mask, str]]]
) -> Iterator[str]:
    """Of each sentence the first row, and how many there are."""
    first: dict[str, int] = {}
    count: dict[str, int] = {}
    start = 0
    for batch in rows.to_batches():
        for bad, sentence in check(batch):
            if np.any(bad):
                first.setdefault(sentence, start + int(np.argmax(bad)))
                count[sentence] = count.get(sentence, 0) + int(np.count_nonzero(bad))
        start += batch.num_rows
    for sentence, row in first.items():
        others = f" ({count[sentence]:,} rows)" if count[sentence] > 1 else ""
        yield f"row {row}: {sentence}{others}"


def _keys(batch: pa.RecordBatch) -> Iterator[tuple[_Mask, str]]:
    sha256 = batch["sha256"]
    yield ~_true(pc.match_substring_regex(sha256, _HEX)), "sha256 is not 64 hex digits"
    if "photo_id" in batch.schema.names:
        photo_id = batch["photo_id"]
        start = pc.binary_join_element_wise("/", pc.utf8_slice_codeunits(sha256, 0, 12), "")
        fits = pc.equal(pc.utf8_slice_codeunits(photo_id, -13), start)
        yield (
            ~(_true(fits) | _is_null(photo_id)),
            "photo_id does not end in the first 12 digits of sha256",
        )


def _boxes(batch: pa.RecordBatch) -> Iterator[tuple[_Mask, str]]:
    names = batch.schema.names
    if "boxes" not in names:
        return
    boxes = batch["boxes"]
    lengths = np.asarray(pc.fill_null(boxes.value_lengths(), 0))
    yield lengths > MAX_BOXES, f"more than {MAX_BOXES:,} boxes"
    parents = np.asarray(pc.list_parent_indices(boxes), np.int64)
    flat = boxes.flatten()
    fields = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
    x0, y0, x1, y1 = (_floats(fields[name]) for name in _CORNERS)
    with np.errstate(invalid="ignore"):  # NaN compares as False, which is what is wanted
        placed = (x0 >= 0) & (x0 < x1) & (x1 < np.inf) & (y0 >= 0) & (y0 < y1) & (y1 < np.inf)
        scored = (_floats(fields["score"]) >= 0) & (_floats(fields["score"]) <= 1)
    size = _floats(pc.binary_length(fields["class"]))
    named = (size > 0) & (size <= MAX_CLASS_BYTES)
    yield _rows_with(~placed, parents, batch), "a box is not 0 <= x0 < x1, 0 <= y0 < y1"
    yield _rows_with(~scored, parents, batch), "the score of a box is not between 0 and 1"
    yield _rows_with(~named, parents, batch), f"a box has no class of 1 to {MAX_CLASS_BYTES} bytes"
    if "chosen" in names:
        chosen = _floats(batch["chosen"])
        with np.errstate(invalid="ignore"):
            there = (chosen >= 0) & (chosen < lengths)
        yield ~(there | _is_null(batch["chosen"])), "chosen is the number of no box"
    if "problem" in names:
        yield (
            _is_null(boxes) == _is_null(batch["problem"]),
            "it must have boxes, be they none, or a problem, and not both",
        )


def _descriptions(batch: pa.RecordBatch) -> Iterator[tuple[_Mask, str]]:
    names = batch.schema.names
    if "text" in names:
        text = batch["text"]
        yield _true(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0)), "its text is empty"
        if "problem" in names:
            yield (
                _is_null(text) == _is_null(batch["problem"]),
                "it must have a text or a problem, and not both",
            )
        for name in ("model", "prompt_version", "language"):
            if name in names:
                yield _is_null(batch[name]) & ~_is_null(text), f"it has a text and no {name}"
    if "language" in names:
        language = batch["language"]
        fits = _true(pc.match_substring_regex(language, _LANGUAGE))
        yield ~(fits | _is_null(language)), "language is no code such as ru or en"


def _true(values: pa.Array) -> _Mask:
    return np.asarray(pc.fill_null(values, False), np.bool_)


def _is_null(values: pa.Array) -> _Mask:
    return np.asarray(values.is_null(), np.bool_)


def _floats(values: pa.Array) -> NDArray[np.float64]:
    """Nulls become NaN."""
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _rows_with(bad: _Mask, parents: NDArray[np.int64], batch: pa.RecordBatch) -> _Mask:
    mask = np.zeros(batch.num_rows, np.bool_)
    mask[parents[bad]] = True
    return mask


def _leaf_problems(name: str, values: pa.Array) -> Iterator[str]:
    for leaf in _leaves(values):
        if pa.types.is_floating(leaf.type):
            wild = int(np.count_nonzero(~np.asarray(pc.is_finite(leaf.drop_null()), np.bool_)))
            if wild:
                yield f"column {name}: {wild:,} values are NaN or infinite; null says: not known"
        elif pa.types.is_string(leaf.type):
            longest = pc.max(pc.binary_length(leaf)).as_py() or 0
            if longest > MAX_TEXT_BYTES:
                yield f"column {name}: a text of {longest:,} bytes, {MAX_TEXT_BYTES:,} are the most"


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(values.type):
        for child in values.flatten():
            yield from _leaves(child)
    elif pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        yield from _leaves(values.flatten())
    else:
        yield values


# Types


def type_problem(kind: pa.DataType, depth: int = 0) -> str | None:
    """Why a column of a side table may not have this type."""
    if depth > MAX_DEPTH:
        return f"lists and structs more than {MAX_DEPTH} deep"
    if pa.types.is_struct(kind):
        return next(filter(None, (type_problem(field.type, depth + 1) for field in kind)), None)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return type_problem(kind.value_type, depth + 1)
    plain = (
        *(pa.types.is_boolean, pa.types.is_integer, pa.types.is_float32, pa.types.is_float64),
        *(pa.types.is_string, pa.types.is_date32, pa.types.is_timestamp),
    )
    if any(matches(kind) for matches in plain):
        return None
    return f"type {kind}; known are bool, integers, floats, string, dates, lists and structs"
