from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petdata.parquet_thrift import Incomplete, read_struct
from petdata.shards import write_shard
from shard_photos import photo


def test_every_type_that_parquet_uses() -> None:
    """Written by hand from the protocol's specification."""
    written = bytes.fromhex(
        "11"  # field 1: true
        "12"  # field 2: false
        "15 03"  # field 3, i32: zigzag 3 is -2
        "16 d00f"  # field 4, i64: zigzag 2000 is 1000
        "14 01"  # field 5, i16: -1
        "13 7f"  # field 6, byte
        "18 03 616263"  # field 7, binary: abc
        "17 000000000000f03f"  # field 8, double: its eight bytes
        "19 25 02 04"  # field 9, list of two i32: 1, 2
        "1c 15 02 00"  # field 10, structure whose field 1 is 1
        "05 c801 06"  # field 100, its number in full: 3
        "29 11 01"  # field 102, list of one boolean
        "00"
    )
    struct, end = read_struct(b"??" + written + b"behind", 2)
    assert end == 2 + len(written)
    assert struct == {
        1: True,
        2: False,
        3: -2,
        4: 1000,
        5: -1,
        6: 127,
        7: b"abc",
        8: bytes.fromhex("000000000000f03f"),
        9: [1, 2],
        10: {1: 1},
        100: 3,
        102: [1],
    }
    for length in range(len(written)):
        with pytest.raises(Incomplete):
            read_struct(written[:length])


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("1b 00 00", "no type 11"),  # a map
        ("15 ffffffffffffffffffff01 00", "more than 64 bits"),
        ("1c" * 100, "nested more than"),
        ("19" + "19" * 100, "nested more than"),
    ],
)
def test_what_parquet_never_writes_is_refused(written: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_struct(bytes.fromhex(written))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(written: bytes) -> None:
    try:
        _, end = read_struct(written)
    except ValueError:
        return
    assert end <= len(written)


def test_a_long_list_that_is_not_there_costs_nothing() -> None:
    with pytest.raises(Incomplete):
        read_struct(bytes.fromhex("19 fc ffffffff7f"))


def test_a_footer_says_what_pyarrow_reads_in_it(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, [photo(number) for number in range(4)])
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer, end = read_struct(content[-8 - length : -8])
    assert end == length
    metadata = pq.read_metadata(path)
    assert footer[3] == metadata.num_rows
    (group,) = footer[4]
    for number, chunk in enumerate(group[1]):
        column = metadata.row_group(0).column(number)
        assert ".".join(name.decode() for name in chunk[3][3]) == column.path_in_schema
        assert chunk[3][7] == column.total_compressed_size
        assert chunk[3][9] == column.data_page_offset
        assert chunk[3].get(11) == column.dictionary_page_offset
