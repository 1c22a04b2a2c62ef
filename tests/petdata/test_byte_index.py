from __future__ import annotations

import base64
import multiprocessing
import os
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petdata import byte_index
from petdata.byte_index import ByteIndex, PhotoReader, index_content, index_shard
from petdata.errors import CorruptFile
from petdata.records import IMAGE_TYPE
from petdata.shards import write_shard
from shard_photos import opaque_photo, photo

Images = list[bytes | None]

AS_IT_IS: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
}


def image_table(images: Sequence[bytes | None]) -> pa.Table:
    """Images between two other columns; a null is now the whole image, now its bytes alone."""
    structs = [
        {"bytes": image, "path": f"{row}.jpg"} if image is not None or row % 2 else None
        for row, image in enumerate(images)
    ]
    return pa.table(
        {
            "before": pa.array([f"row {row}" for row in range(len(images))]),
            "image": pa.array(structs, IMAGE_TYPE),
            "after": pa.array(range(len(images))),
        }
    )


def some_images(rows: int, seed: int = 0) -> Images:
    """Images of 0 to 400 bytes, a tenth of them null."""
    generator = np.random.default_rng(seed)
    return [
        None if generator.random() < 0.1 else generator.bytes(int(generator.integers(400)))
        for _ in range(rows)
    ]


def by_pyarrow(path: Path) -> Images:
    column = pq.read_table(path, columns=["image"]).column("image")
    return [None if image is None else image["bytes"] for image in column.to_pylist()]


def by_index(path: Path, index: ByteIndex | None) -> Images:
    assert index is not None
    content = path.read_bytes()
    return [
        None if offset == -1 == length else content[offset : offset + length]
        for offset, length in zip(index.offsets.tolist(), index.lengths.tolist(), strict=True)
    ]


def by_reader(path: Path, rows: int) -> Images:
    reader = PhotoReader([path])
    return [reader.read(0, row) for row in range(rows)]


# Positions


@pytest.mark.parametrize("rows", [1, 5_000])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("chunking", [False, True], ids=["", "content-defined"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"row_group_size": 777},
        {"data_page_size": 1_000, "write_batch_size": 7},
        {"row_group_size": 1_000, "data_page_size": 5_000, "write_page_checksum": True},
        {"write_statistics": True, "write_page_index": True, "write_batch_size": 100},
    ],
    ids=["one-page", "row-groups", "small-pages", "checksums", "statistics"],
)
def test_every_position_gives_the_bytes_that_pyarrow_gives(
    tmp_path: Path, rows: int, version: str, chunking: bool, layout: dict[str, Any]
) -> None:
    path = tmp_path / "x.parquet"
    chunks = {"min_chunk_size": 2_000, "max_chunk_size": 8_000} if chunking else False
    options = AS_IT_IS | layout | {"use_content_defined_chunking": chunks}
    images = some_images(rows)
    pq.write_table(image_table(images), path, data_page_version=version, **options)
    index = index_shard(path)
    assert by_index(path, index) == by_pyarrow(path) == images
    assert by_reader(path, rows) == images
    in_memory = index_content(memoryview(path.read_bytes()))
    assert by_index(path, in_memory) == images
    assert in_memory.file_bytes == path.stat().st_size


@pytest.mark.parametrize("rows", [0, 1, 2_345])
def test_shards_are_indexed(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "part-00000.parquet"
    images = some_images(rows)
    write_shard(path, (opaque_photo(row, image) for row, image in enumerate(images)))
    index = index_shard(path)
    assert index is not None
    assert index.offsets.dtype == index.lengths.dtype == np.int64
    assert index.file_bytes == path.stat().st_size
    assert by_index(path, index) == by_pyarrow(path) == images


@pytest.mark.parametrize("image_may_be_null", [True, False])
@pytest.mark.parametrize("bytes_may_be_null", [True, False])
def test_levels_follow_from_what_may_be_null(
    tmp_path: Path, image_may_be_null: bool, bytes_may_be_null: bool
) -> None:
    leaf = pa.field("bytes", pa.binary(), nullable=bytes_may_be_null)
    column = pa.field("image", pa.struct([leaf]), nullable=image_may_be_null)
    values: list[dict[str, bytes | None] | None] = [{"bytes": b"one"}, {"bytes": b"two"}]
    values += [None] * image_may_be_null + [{"bytes": None}] * bytes_may_be_null
    table = pa.table({"image": pa.array(values, column.type)}, pa.schema([column]))
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, **AS_IT_IS)
    index = index_shard(path)
    assert by_index(path, index) == [value and value["bytes"] for value in values]


runs = st.lists(  # so that levels come as runs as well as packed bits
    st.tuples(st.none() | st.binary(max_size=40), st.integers(1, 30)), max_size=8
)


@settings(deadline=None)
@given(
    runs,
    st.sampled_from(["1.0", "2.0"]),
    st.integers(1, 100),
    st.integers(1, 300),
    st.integers(1, 20),
    st.booleans(),
)
def test_positions_of_any_shape(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[tuple[bytes | None, int]],
    version: str,
    row_group_size: int,
    data_page_size: int,
    write_batch_size: int,
    checksums: bool,
) -> None:
    path = tmp_path_factory.mktemp("shape") / "x.parquet"
    images = [image for image, times in runs for _ in range(times)]
    pq.write_table(
        image_table(images),
        path,
        data_page_version=version,
        row_group_size=row_group_size,
        data_page_size=data_page_size,
        write_batch_size=write_batch_size,
        write_page_checksum=checksums,
        **AS_IT_IS,
    )
    index = index_shard(path)
    assert by_index(path, index) == by_pyarrow(path) == images


# The slow path


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "snappy"},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": {"image.bytes": "gzip"}},
        {"use_dictionary": True},
        {"use_dictionary": ["image.bytes"], "row_group_size": 30},
        {"column_encoding": {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"column_encoding": {"image.bytes": "DELTA_BYTE_ARRAY"}, "data_page_version": "2.0"},
    ],
    ids=str,
)
def test_what_is_not_stored_as_it_is_is_read_through_pyarrow(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "x.parquet"
    images = some_images(100)
    pq.write_table(image_table(images), path, **(AS_IT_IS | options))
    assert index_shard(path) is None
    assert by_reader(path, 100) == images


def test_a_dictionary_in_one_row_group_alone_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    images: Images = [b"same"] * 50
    images += [b"%d" % row * 50 for row in range(50)]
    pq.write_table(
        image_table(images),
        path,
        compression="none",
        dictionary_pagesize_limit=1_000,
        row_group_size=50,
    )
    assert index_shard(path) is None
    assert by_reader(path, 100) == images


def test_files_written_by_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    path = tmp_path / "x.parquet"
    images = [photo(number).image for number in range(20)]
    dataset = datasets.Dataset.from_dict(
        {"image": [{"bytes": image, "path": None} for image in images]},
        features=datasets.Features({"image": datasets.Image()}),
    )
    dataset.to_parquet(path)  # release 5 stores images as they are
    assert by_index(path, index_shard(path)) == by_reader(path, 20) == images
    pq.write_table(dataset.data.table, path)  # by default snappy and a dictionary
    assert index_shard(path) is None
    assert by_reader(path, 20) == images


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "zstd"])
def test_files_written_by_duckdb(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "x.parquet"
    images = some_images(100)
    table = image_table(images)
    connection = duckdb.connect()
    connection.register("images", table)
    connection.execute(f"COPY images TO '{path}' (FORMAT parquet, COMPRESSION {codec})")
    index = index_shard(path)
    assert index is None or by_index(path, index) == images
    assert by_reader(path, 100) == images


class Keys(pe.KmsClient):  # type: ignore[misc]
    def wrap_key(self, key: bytes, _master: str) -> str:
        return base64.b64encode(key).decode()

    def unwrap_key(self, wrapped: str, _master: str) -> bytes:
        return base64.b64decode(wrapped)


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_column_is_no_photo(tmp_path: Path, plaintext_footer: bool) -> None:
    path = tmp_path / "x.parquet"
    factory = pe.CryptoFactory(lambda _config: Keys())
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(),
        pe.EncryptionConfiguration(
            footer_key="footer",
            column_keys={"column": ["image.bytes"]},
            plaintext_footer=plaintext_footer,
        ),
    )
    table = image_table(some_images(10))
    pq.write_table(table, path, encryption_properties=properties, **AS_IT_IS)
    assert index_shard(path) is None
    with pytest.raises(CorruptFile, match="decrypt"):
        PhotoReader([path]).read(0, 0)


# Damage


def test_truncation_anywhere_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_shard(path, (opaque_photo(row, image) for row, image in enumerate(some_images(30))))
    content = path.read_bytes()
    for length in range(0, len(content), 11):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptFile, match="restore the file from a copy"):
            index_shard(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_flipped_bit_never_gives_other_bytes_than_pyarrow(tmp_path: Path, version: str) -> None:
    """Bits of all but the images themselves: footer, page headers, levels and lengths."""
    path = tmp_path / "x.parquet"
    images = some_images(40, seed=3)
    options = AS_IT_IS | {"row_group_size": 25, "data_page_size": 2_000, "write_batch_size": 4}
    pq.write_table(image_table(images), path, data_page_version=version, **options)
    content = path.read_bytes()
    index = index_shard(path)
    assert index is not None
    elsewhere = np.ones(len(content), bool)
    for offset, length in zip(index.offsets, index.lengths, strict=True):
        elsewhere[offset : offset + length] = False
    generator = np.random.default_rng(5)
    refused = 0
    for position in generator.choice(np.flatnonzero(elsewhere), 600):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            found = index_shard(path)
        except CorruptFile:
            refused += 1
            continue
        if found is not None and by_index(path, found) != images:
            assert by_index(path, found) == by_pyarrow(path)
    assert refused > 50


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (pa.table({"picture": [b"x"]}), "0 columns image.bytes"),
        (pa.table({"image": [b"x"]}), "0 columns image.bytes"),
        (pa.table({"image": [{"bytes": 7}]}), "image.bytes is no column of binary values"),
        (pa.table({"image": [{"bytes": [b"x"]}]}), "0 columns image.bytes"),
    ],
    ids=["absent", "plain-bytes", "numbers", "lists"],
)
def test_a_file_without_images_is_named(tmp_path: Path, table: pa.Table, complaint: str) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, **AS_IT_IS)
    with pytest.raises(CorruptFile, match=f"x.parquet: {complaint}"):
        index_shard(path)


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="No such file"):
        index_shard(tmp_path / "absent.parquet")


# The reader


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"part-{number:05d}.parquet" for number in range(6)]
    for number, path in enumerate(paths):
        write_shard(path, (opaque_photo(row, f"{number}/{row}".encode()) for row in range(50)))
    return paths


def expected(shards: list[Path]) -> list[tuple[int, int, bytes]]:
    files = range(len(shards))
    return [(file, row, f"{file}/{row}".encode()) for file in files for row in range(50)]


def test_indexes_may_be_given(shards: list[Path]) -> None:
    reader = PhotoReader(shards, [index_shard(path) for path in shards])
    assert all(reader.read(file, row) == content for file, row, content in expected(shards))


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}], ids=["direct", "pyarrow"])
@pytest.mark.parametrize("row", [-1, 50])
def test_a_row_that_is_not_there(shards: list[Path], options: dict[str, Any], row: int) -> None:
    if options:
        pq.write_table(pq.read_table(shards[0]), shards[0], **options)
    with pytest.raises(IndexError):
        PhotoReader(shards).read(0, row)


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}], ids=["direct", "pyarrow"])
def test_photos_are_read_into_given_memory(tmp_path: Path, options: dict[str, Any]) -> None:
    images = some_images(300)
    path = tmp_path / "x.parquet"
    pq.write_table(image_table(images), path, row_group_size=70, **(AS_IT_IS | options))
    reader = PhotoReader([path])
    memory = memoryview(bytearray(500))
    for row, image in enumerate(images):
        for size in {0, 1, len(image or b""), len(image or b"") + 1}:
            memory[:] = b"?" * 500
            there = reader.read_into(0, row, memory[:size])
            assert there == (image is not None and size == len(image))
            assert not there or memory[:size] == image
            assert memory[size:] == b"?" * (500 - size)
    with pytest.raises(IndexError):
        reader.read_into(0, -1, memory[:1])
    with pytest.raises(IndexError):
        reader.read_into(0, len(images), memory[:1])


def test_threads_read_the_same_photos(shards: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer open files than are read, so that they are closed while others read."""
    monkeypatch.setattr(byte_index, "MAX_OPEN_FILES", 2)
    pq.write_table(pq.read_table(shards[5]), shards[5], compression="zstd", row_group_size=10)
    reader = PhotoReader(shards)
    wanted = expected(shards) * 20
    order = np.random.default_rng(0).permutation(len(wanted)).tolist()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: reader.read(*wanted[n][:2]), order))
    assert found == [wanted[n][2] for n in order]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_files_stay_open(shards: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_index, "MAX_OPEN_FILES", 2)
    before = open_descriptors()
    reader = PhotoReader(shards)
    for file, row, content in expected(shards):
        assert reader.read(file, row) == content
    assert open_descriptors() == before + 2
    del reader
    assert open_descriptors() == before


def test_a_reader_can_be_pickled(shards: list[Path]) -> None:
    reader = PhotoReader(shards)
    reader.read(0, 0)
    copy = pickle.loads(pickle.dumps(reader))
    assert all(copy.read(file, row) == content for file, row, content in expected(shards))


def reads_all(reader: PhotoReader, wanted: list[tuple[int, int, bytes]]) -> bool:
    return all(reader.read(file, row) == photo for file, row, photo in wanted)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_photos(shards: list[Path], method: str) -> None:
    pq.write_table(pq.read_table(shards[5]), shards[5], compression="zstd")
    reader = PhotoReader(shards)
    assert reads_all(reader, expected(shards))
    with multiprocessing.get_context(method).Pool(2) as processes:
        arguments = [(reader, expected(shards))] * 2
        assert processes.starmap(reads_all, arguments) == [True, True]


def test_a_file_that_changed_is_noticed(shards: list[Path]) -> None:
    reader = PhotoReader(shards, [index_shard(path) for path in shards])
    write_shard(shards[0], [opaque_photo(row, b"another photo") for row in range(50)])
    with pytest.raises(CorruptFile, match=r"its index was made for .*: index it again"):
        reader.read(0, 0)


def test_a_file_that_shrinks_is_noticed(shards: list[Path]) -> None:
    reader = PhotoReader(shards)
    assert reader.read(0, 49) == b"0/49"
    os.truncate(shards[0], 100)
    with pytest.raises(CorruptFile, match=r"part-00000\.parquet has shrunk"):
        reader.read(0, 49)
    with pytest.raises(CorruptFile, match=r"part-00000\.parquet has shrunk"):
        reader.read_into(0, 49, memoryview(bytearray(4)))


def test_a_file_that_is_gone_is_named(shards: list[Path]) -> None:
    reader = PhotoReader(shards, [index_shard(path) for path in shards])
    shards[0].unlink()
    with pytest.raises(CorruptFile, match=r"part-00000\.parquet: .*No such file"):
        reader.read(0, 0)
