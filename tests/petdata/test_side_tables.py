"""Side tables: what is written is read, what others wrote is not trusted, joins equal a loop."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petdata.errors import CorruptFile, PetdataError
from petdata.side_table_kinds import BOXES, DESCRIPTIONS, VALUES, Producer, schema_of
from petdata.side_tables import (
    append_rows,
    chosen_boxes,
    compact,
    join,
    known_sha256,
    part_files,
    read_kind,
    read_side_table,
    table_folder,
    table_names,
    write_part,
)

YOLO = Producer(model="yolo12x", model_hash="0" * 64, settings={"size": 640, "threshold": 0.25})
SHARPNESS = [pa.field("sharpness", pa.float64())]
Row = dict[str, Any]


def key(number: int) -> str:
    return f"{number:064x}"


def box(x0: float = 1, y0: float = 2, x1: float = 3, y1: float = 4, **other: Any) -> Row:
    return {"class": "cat", "score": 0.5, "x0": x0, "y0": y0, "x1": x1, "y1": y1} | other


def boxes_row(number: int, *boxes: Row, chosen: int | None = None, **other: Any) -> Row:
    photo_id = f"pet911/rl{number}/{key(number)[:12]}"
    return {
        "sha256": key(number),
        "photo_id": photo_id,
        "boxes": list(boxes),
        "chosen": chosen,
    } | other


def text_row(number: int, text: str | None = "рыжий кот", **other: Any) -> Row:
    said = {"language": "ru", "model": "m", "prompt_version": "1"}
    return {"sha256": key(number), "text": text} | said | other


def values(*pairs: tuple[int, float | None]) -> list[Row]:
    return [{"sha256": key(number), "sharpness": value} for number, value in pairs]


def add_values(folder: Path, *pairs: tuple[int, float | None]) -> Path:
    return append_rows(folder, VALUES, YOLO, values(*pairs), SHARPNESS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return table_folder(tmp_path, "boxes")


def test_boxes_come_back_as_they_were_written(folder: Path) -> None:
    rows = [
        boxes_row(1, box(), box(10, 20, 30.5, 40), chosen=1),
        boxes_row(2),  # looked at, none found
        boxes_row(3, boxes=None, problem="the photo does not decode"),
    ]
    append_rows(folder, BOXES, YOLO, rows)
    found = read_side_table(folder)
    assert found.rows.to_pylist() == [{"problem": None} | row for row in rows]
    assert (found.kind, found.producer, found.superseded) == (BOXES, YOLO, 0)
    assert read_kind(part_files(folder)[0]) == (BOXES, YOLO)
    expected = np.array([[10, 20, 30.5, 40], [np.nan] * 4, [np.nan] * 4], np.float32)
    assert np.array_equal(chosen_boxes(found.rows), expected, equal_nan=True)
    # A slice has its offsets elsewhere than at 0.
    assert np.array_equal(chosen_boxes(found.rows.slice(1)), expected[1:], equal_nan=True)
    opened = duckdb.sql(f"SELECT boxes[chosen + 1].x1 FROM '{folder}/*.parquet' ORDER BY sha256")
    assert opened.fetchall() == [(30.5,), (None,), (None,)]


def test_descriptions_come_back_with_columns_of_ones_own(tmp_path: Path) -> None:
    folder = table_folder(tmp_path, "descriptions")
    fields = {"species": "cat", "breed": None, "age_class": "adult", "coat": "red", "marks": ""}
    rows = [text_row(1, fields=fields, cost=0.25), text_row(2, None, problem="429 five times")]
    append_rows(folder, DESCRIPTIONS, YOLO, rows, [pa.field("cost", pa.float32())])
    found = read_side_table(folder, columns=["text", "cost", "fields"]).rows.to_pylist()
    assert [row["text"] for row in found] == ["рыжий кот", None]
    assert [row["cost"] for row in found] == [0.25, None]
    assert found[0]["fields"] == fields
    assert table_names(tmp_path) == ["descriptions"]


def test_the_last_part_has_the_last_word(folder: Path) -> None:
    add_values(folder, (1, 0.1), (2, 0.2))
    add_values(folder, (3, 0.3), (1, 0.9))
    add_values(folder, (1, None))
    expected = {key(1): None, key(2): 0.2, key(3): 0.3}
    for _ in range(2):
        found = read_side_table(folder)
        rows = found.rows.to_pylist()
        assert {row["sha256"]: row["sharpness"] for row in rows} == expected
        assert len(rows) == 3
        assert set(known_sha256(folder).to_pylist()) == expected.keys()
        assert compact(folder) == 3
    assert [path.name for path in part_files(folder)] == ["part-000003.parquet"]
    assert found.superseded == 0
    add_values(folder, (2, 0.8))
    assert read_side_table(folder).superseded == 1


def test_a_part_that_was_not_finished_is_none(folder: Path) -> None:
    add_values(folder, (1, 0.1))
    shutil.copy(part_files(folder)[0], folder / ".part-000001.parquet.tmp")
    (folder / ".part-000001.parquet").write_bytes(b"PAR1")
    assert known_sha256(folder).to_pylist() == [key(1)]
    assert known_sha256(folder.with_name("none")).to_pylist() == []


def test_two_programs_append_to_one_table(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from test_side_tables import add_values\n"
        "for n in range(8): add_values(Path(sys.argv[1]), (int(sys.argv[2]) + n, 0.5))"
    )
    here = str(Path(__file__).parent)
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(folder), str(start)], cwd=here)
        for start in (100, 200)
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert len(part_files(folder)) == 16
    assert read_side_table(folder).rows.num_rows == 16


def test_one_table_has_one_producer_and_one_set_of_columns(folder: Path) -> None:
    add_values(folder, (1, 0.1))
    with pytest.raises(CorruptFile, match="one side table has one producer"):
        append_rows(folder, VALUES, Producer(model="yolo12n"), values((2, 0.2)), SHARPNESS)
    with pytest.raises(CorruptFile, match="different columns"):
        append_rows(folder, VALUES, YOLO, [{"sha256": key(2)}])
    assert len(part_files(folder)) == 1


# Joins


pairs = st.lists(st.tuples(st.integers(0, 12), st.integers(-5, 5)), max_size=12)


@settings(deadline=None)
@given(parts=st.lists(pairs, min_size=1, max_size=4), photos=st.lists(st.integers(0, 20)))
def test_a_join_is_what_a_loop_over_a_dict_finds(
    parts: list[list[tuple[int, int]]], photos: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("join") / "side_tables" / "numbers"
    said: dict[str, int] = {}
    for part in parts:
        once = {key(number): value for number, value in part}
        rows = [{"sha256": sha256, "value": value} for sha256, value in once.items()]
        append_rows(folder, VALUES, YOLO, rows, [pa.field("value", pa.int64())])
        said |= once
    wanted = [key(number) for number in photos]
    half = len(wanted) // 2
    column = pa.chunked_array(
        [pa.array(wanted[:half], pa.string()), pa.array(wanted[half:], pa.string())]
    )
    joined = join(read_side_table(folder), column)
    assert joined.values.to_pylist() == [{"value": said.get(sha256)} for sha256 in wanted]
    assert joined.matched == sum(sha256 in said for sha256 in wanted)
    assert joined.without == len(wanted) - joined.matched
    assert joined.ignored == len(said.keys() - set(wanted))


def test_nested_values_are_joined_too(folder: Path) -> None:
    append_rows(folder, BOXES, YOLO, [boxes_row(1, box(), chosen=0), boxes_row(2)])
    photos = pa.array([key(2), key(7), key(1), key(1)])
    joined = join(read_side_table(folder, columns=["boxes", "chosen"]), photos)
    assert joined.values["boxes"].to_pylist() == [[], None, [box()], [box()]]
    corners = chosen_boxes(joined.values)
    assert corners[:2].tolist() != corners[2:].tolist()
    assert corners[2:].tolist() == [[1, 2, 3, 4]] * 2


def test_a_table_of_several_row_groups_and_many_texts(tmp_path: Path) -> None:
    """So many that Parquet gives its dictionaries up half way."""
    folder = table_folder(tmp_path, "descriptions")
    rows = [text_row(n, f"{n} " * 9, fields={"marks": f"{n} " * 9}) for n in range(60_000)]
    append_rows(folder, DESCRIPTIONS, YOLO, rows)
    assert pq.read_metadata(part_files(folder)[0]).num_row_groups == 2
    found = read_side_table(folder).rows
    assert found["text"].to_pylist() == [row["text"] for row in rows]
    assert found["fields"].combine_chunks().field("marks").to_pylist() == [r["text"] for r in rows]


# What is refused


BAD_ROWS: list[tuple[str, Row]] = [
    ("sha256 is not 64 hex digits", boxes_row(1, sha256="A" * 64)),
    ("sha256 is not 64 hex digits", boxes_row(1, sha256=key(1) + "\n")),
    ("photo_id does not end in the first 12", boxes_row(1, photo_id="pet911/rl1/abc")),
    ("not 0 <= x0 < x1", boxes_row(1, box(x0=float("nan")))),
    ("not 0 <= x0 < x1", boxes_row(1, box(x1=float("inf")))),
    ("not 0 <= x0 < x1", boxes_row(1, box(x0=-1))),
    ("not 0 <= x0 < x1", boxes_row(1, box(y1=2))),
    ("not 0 <= x0 < x1", boxes_row(1, boxes=[None])),
    ("score of a box", boxes_row(1, box(score=1.5))),
    ("score of a box", boxes_row(1, box(score=None))),
    ("no class of 1 to 64", boxes_row(1, box(**{"class": ""}))),
    ("no class of 1 to 64", boxes_row(1, box(**{"class": None}))),
    ("chosen is the number of no box", boxes_row(1, box(), chosen=1)),
    ("chosen is the number of no box", boxes_row(1, box(), chosen=-1)),
    ("chosen is the number of no box", boxes_row(1, chosen=0)),
    ("boxes, be they none, or a problem", boxes_row(1, boxes=None)),
    ("boxes, be they none, or a problem", boxes_row(1, problem="x")),
    ("more than 1,000 boxes", boxes_row(1, *[box()] * 1_001)),
]


@pytest.mark.parametrize(("why", "row"), BAD_ROWS)
def test_rows_that_cannot_be_true_are_neither_written_nor_read(
    folder: Path, why: str, row: Row
) -> None:
    rows = [boxes_row(8, box()), boxes_row(9), row]
    with pytest.raises(PetdataError, match=f"row 2: .*{why}"):
        append_rows(folder, BOXES, YOLO, rows)
    assert not folder.exists()
    folder.mkdir(parents=True)
    write_part(folder / "part-000000.parquet", pa.Table.from_pylist(rows, schema_of(BOXES, YOLO)))
    with pytest.raises(CorruptFile, match=f"part-000000.parquet: row 2: .*{why}"):
        read_side_table(folder)


@pytest.mark.parametrize(
    ("why", "row"),
    [
        ("its text is empty", text_row(1, " \n")),
        ("a text or a problem", text_row(1, None)),
        ("a text and no model", text_row(1, model=None)),
        ("language is no code", text_row(1, language="Russian!")),
        ("a text of 20,001 bytes", text_row(1, "x" * 20_001)),
    ],
)
def test_texts_that_say_nothing_are_refused(folder: Path, why: str, row: Row) -> None:
    with pytest.raises(PetdataError, match=why):
        append_rows(folder, DESCRIPTIONS, YOLO, [row])


def test_a_photo_that_stands_twice_in_a_part_is_refused(folder: Path) -> None:
    with pytest.raises(PetdataError, match="1 rows have a sha256 that another row has"):
        add_values(folder, (1, 0.1), (1, 0.1))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_values_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    with pytest.raises(PetdataError, match="column sharpness: 1 values are NaN or infinite"):
        add_values(folder, (1, 0.1), (2, value))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pa.field("identity_id", pa.string()), "the record has a column of this name"),
        (pa.field("Sharp", pa.int8()), "small letters"),
        (pa.field("blob", pa.binary()), "type binary"),
        (pa.field("deep", pa.list_(pa.list_(pa.struct([("x", pa.binary())])))), "type binary"),
    ],
)
def test_columns_that_may_not_be(folder: Path, column: pa.Field, why: str) -> None:
    with pytest.raises(PetdataError, match=why):
        append_rows(folder, VALUES, YOLO, [], [column])


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    for name in ("../x", "", "Boxes", "a/b", ".boxes"):
        with pytest.raises(PetdataError, match="small letters, digits and _ only"):
            table_folder(tmp_path, name)


def said(**changes: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        metadata = json.loads(table.schema.metadata[b"petdata.side_table"]) | changes
        return table.replace_schema_metadata({"petdata.side_table": json.dumps(metadata)})

    return change


def with_column(name: str, column: Sequence[Any], kind: pa.DataType) -> Any:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, pa.array(column, kind))

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.replace_schema_metadata({}), "does not say what it is"),
        (said(kind="masks"), "of kind 'masks' 1.0; this petdata reads boxes 1.0"),
        (said(kind=["boxes"]), "of kind"),
        (said(version="2.0"), "of kind 'values' 2.0"),
        (said(producer="me"), "does not say what it is"),
        (lambda table: table.drop_columns(["photo_id"]), "there is no column photo_id"),
        (with_column("sha256", [b"x" * 64], pa.binary()), "column sha256 is binary, need string"),
        (with_column("photo_id", [5], pa.int64()), "column photo_id is int64, need string"),
        (lambda table: table.append_column("title", [["x"]]), "the record has a column"),
        (lambda table: table.append_column("sharpness", [[0.1]]), "two columns have one name"),
    ],
)
def test_parts_of_another_shape_are_refused(folder: Path, change: Any, why: str) -> None:
    part = add_values(folder, (1, 0.1))
    pq.write_table(change(pq.read_table(part)), part)
    with pytest.raises(CorruptFile, match=why) as caught:
        read_side_table(folder)
    assert str(part) in str(caught.value)


def test_broken_bytes_are_a_corrupt_file_and_never_a_wrong_row(folder: Path) -> None:
    append_rows(folder, BOXES, YOLO, [boxes_row(n, box(), chosen=0) for n in range(50)])
    part = part_files(folder)[0]
    whole = part.read_bytes()
    good = read_side_table(folder).rows
    random = np.random.default_rng(3)
    outcomes = set()
    for cut in random.integers(0, len(whole), 40).tolist():
        part.write_bytes(whole[:cut])
        with pytest.raises(CorruptFile):
            read_side_table(folder)
    for place in random.integers(0, len(whole), 200).tolist():
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert read_side_table(folder).rows.to_pylist() == good.to_pylist()
            outcomes.add("read")  # of a text that says what wrote it, or of statistics
        except CorruptFile:
            outcomes.add("refused")
    assert "refused" in outcomes
    part.write_bytes(whole)
    assert read_side_table(folder).rows == good


def test_no_utf8_is_refused(folder: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    part = append_rows(
        folder, VALUES, YOLO, [{"sha256": key(1), "note": "x"}], [pa.field("note", pa.string())]
    )
    table = pq.read_table(part)
    pq.write_table(table.set_column(2, "note", bad), part)
    with pytest.raises(CorruptFile, match="UTF8"):
        read_side_table(folder)


def test_a_short_file_with_gigabytes_of_text_is_not_unpacked(folder: Path) -> None:
    rows = 500_000
    table = pa.table(
        {
            "sha256": [key(number) for number in range(rows)],
            "photo_id": pa.nulls(rows, pa.string()),
            "note": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * 19_000]),
        }
    )
    schema = schema_of(VALUES, YOLO, [pa.field("note", pa.string())])
    folder.mkdir(parents=True)
    path = folder / "part-000000.parquet"
    pq.write_table(table, path, compression="zstd", store_schema=False)
    # As if plain strings had been written.
    stored = {**schema.metadata, b"ARROW:schema": base64.b64encode(schema.serialize())}
    with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({k.decode(): v.decode() for k, v in stored.items()})
    assert pq.read_schema(path).field("note").type == pa.string()
    assert path.stat().st_size < 40_000_000
    with pytest.raises(CorruptFile, match=r"holds 8\.9 GiB"):
        read_side_table(folder)


def test_more_values_than_anybody_needs_are_not_unpacked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petdata.side_table_memory.MAX_VALUES", 1_000)
    notes = [pa.field("note", pa.list_(pa.bool_()))]
    part = append_rows(folder, VALUES, YOLO, [{"sha256": key(1), "note": [True]}], notes)
    table = pq.read_table(part)
    pq.write_table(table.set_column(2, "note", pa.array([[True] * 1_001])), part)
    with pytest.raises(CorruptFile, match="1,001 values in a column"):
        read_side_table(folder)
