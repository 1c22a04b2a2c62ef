from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from petdata.errors import CorruptFile, StorageFailure
from petdata.jpeg import canonicalise
from petdata.records import SHARD_SCHEMA, Photo, to_row
from petdata.shards import fingerprint, read_photo, read_photos, verify_shard, write_shard
from shard_photos import opaque_photo, photo, picture


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, [photo(n) for n in range(8)])
    return path


def rewrite(path: Path, table: pa.Table, **options: object) -> None:
    pq.write_table(table, path, **options)


# What is written comes back


def test_photos_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    photos = [photo(n) for n in range(5)]
    info = write_shard(path, iter(photos))
    assert list(read_photos([path])) == photos
    assert (info.name, info.rows, info.bytes) == (path.name, 5, path.stat().st_size)
    assert info.fingerprint == fingerprint(photos)


def test_several_files_and_row_groups_are_one_stream(tmp_path: Path) -> None:
    photos = [opaque_photo(n, b"x" * (n % 50) if n % 7 else None) for n in range(2_345)]
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_shard(paths[0], photos[:2_100])
    write_shard(paths[1], photos[2_100:])
    assert pq.read_metadata(paths[0]).num_row_groups == 3
    assert list(read_photos(paths)) == photos


def test_photos_without_their_image(shard: Path) -> None:
    expected = [replace(photo(n), image=None) for n in range(8)]
    assert list(read_photos([shard], with_image=False)) == expected


def test_a_shard_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    assert write_shard(path, []).rows == 0
    assert list(read_photos([path])) == []


@pytest.mark.parametrize("row", [0, 999, 1_000, 1_999, 2_000, 2_344])
def test_one_row_of_any_row_group(tmp_path: Path, row: int) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, (opaque_photo(n, b"%d" % n) for n in range(2_345)))
    assert read_photo(path, row) == opaque_photo(row, b"%d" % row)


@pytest.mark.parametrize("row", [-1, 8])
def test_a_row_that_is_not_there(shard: Path, row: int) -> None:
    with pytest.raises(CorruptFile, match=f"no row {row}, the file has 8"):
        read_photo(shard, row)


# Layout


def test_every_jpeg_is_a_contiguous_run_of_bytes(shard: Path) -> None:
    content = shard.read_bytes()
    for n in range(8):
        assert content.count(picture(n).jpeg) == 1


def test_only_the_images_are_stored_as_they_are(shard: Path) -> None:
    group = pq.ParquetFile(shard).metadata.row_group(0)
    leaves = {
        chunk.path_in_schema: chunk
        for chunk in (group.column(number) for number in range(group.num_columns))
    }
    image = leaves.pop("image.bytes")
    assert (image.compression, image.has_dictionary_page) == ("UNCOMPRESSED", False)
    assert set(image.encodings) == {"PLAIN", "RLE"}  # RLE: definition levels
    assert not image.is_stats_set
    assert not image.has_column_index
    assert {chunk.compression for chunk in leaves.values()} == {"ZSTD"}
    assert leaves["species"].has_dictionary_page


def test_a_row_group_holds_sixteen_mebibytes_of_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, (opaque_photo(n, bytes(2**20)) for n in range(40)))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [16, 16, 8]


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from peak_memory import peak_mebibytes
from shard_photos import opaque_photo
from petdata.shards import read_photos, write_shard
path = Path(sys.argv[1])
write_shard(path, (opaque_photo(n, n.to_bytes(4, "big") * 50_000) for n in range(3_000)))
assert sum(len(photo.image) for photo in read_photos([path])) == 600_000_000
print(peak_mebibytes())
"""
    path = tmp_path / "part-00000.parquet"
    command = [sys.executable, "-c", script, str(path), str(Path(__file__).parent)]
    peak_mebibytes = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert peak_mebibytes < 450  # of 572 MiB of images


# Whole or absent


def failing(photos: int) -> Iterator[Photo]:
    yield from (opaque_photo(n, b"image") for n in range(photos))
    raise ConnectionError("the source went away")


def test_a_failing_source_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="the source went away"):
        write_shard(tmp_path / "part-00000.parquet", failing(1_500))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_the_old_shard_alone(shard: Path) -> None:
    before = shard.read_bytes()
    with pytest.raises(ConnectionError):
        write_shard(shard, failing(1_500))
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


def test_a_disk_that_is_full_is_a_storage_failure(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from shard_photos import opaque_photo
from petdata.errors import StorageFailure
from petdata.shards import write_shard
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
try:
    write_shard(path, (opaque_photo(n, bytes(1_000)) for n in range(10_000)))
except StorageFailure as failure:
    print(failure)
print(*path.parent.iterdir())
"""
    path = tmp_path / "part-00000.parquet"
    command = [sys.executable, "-W", "error", "-c", script, str(path), str(Path(__file__).parent)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    message, files = ended.stdout.splitlines()
    assert message.startswith(f"cannot write {path}: File too large. What is committed is safe")
    assert files == ""
    assert ended.stderr == ""


def test_a_folder_that_is_absent_is_a_storage_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailure, match="No such file or directory"):
        write_shard(tmp_path / "absent" / "part-00000.parquet", [photo(0)])


# The fingerprint


def test_the_fingerprint_is_the_hash_of_lines_of_json() -> None:
    line = (
        '{"fetched_at": "2026-01-02T03:04:05.000006+00:00", "identity_id": "opaque/7", '
        '"image": true, "latitude": 55.79999923706055, "phash": 7, '
        '"photo_id": "opaque/7/6105d6cc76af", "sha256": '
        '"6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d", '
        '"source": "opaque", "species": "unknown", "thumbnail": "00ff", '
        '"title": "\\u041a\\u043e\\u0442"}\n'
    )
    assert fingerprint([photo_of_known_content()]) == hashlib.sha256(line.encode()).hexdigest()


def photo_of_known_content() -> Photo:
    return replace(
        opaque_photo(7, b"image"),
        latitude=55.8,
        thumbnail=b"\x00\xff",
        fetched_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        title="Кот",
    )


def test_the_fingerprint_is_that_of_the_rows_however_they_are_stored(
    shard: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.parquet"
    rewrite(other, pq.read_table(shard), row_group_size=3, compression="gzip", use_dictionary=False)
    assert other.read_bytes() != shard.read_bytes()
    expected = fingerprint(photo(n) for n in range(8))
    assert fingerprint(read_photos([other])) == expected
    assert fingerprint(read_photos([shard])) == expected


def test_the_fingerprint_survives_what_storage_rounds(tmp_path: Path) -> None:
    written = replace(
        photo_of_known_content(),
        fetched_at=datetime(2026, 1, 2, 6, 4, 5, 6, tzinfo=timezone(timedelta(hours=3))),
        latitude=55.7558,
    )
    info = write_shard(tmp_path / "part-00000.parquet", [written])
    assert info.fingerprint == fingerprint(read_photos([tmp_path / info.name]))
    assert info.fingerprint == fingerprint([photo_of_known_content()])


def test_the_fingerprint_sees_every_change_and_the_order() -> None:
    one, other = photo(0), photo(1)
    prints = [
        fingerprint(photos)
        for photos in (
            [one, other],
            [other, one],
            [one],
            [replace(one, title="Пропал кот"), other],
            [replace(one, image=None), other],
            [replace(one, latitude=None), other],
        )
    ]
    assert len(set(prints)) == len(prints)


# What is not a shard


def test_columns_of_a_later_minor_version_are_ignored(shard: Path) -> None:
    table = pq.read_table(shard)
    later = table.append_column("collar", pa.array(["red"] * 8))
    metadata = {**table.schema.metadata, b"petdata.schema_version": b"1.7"}
    rewrite(shard, later.replace_schema_metadata(metadata))
    assert list(read_photos([shard])) == [photo(n) for n in range(8)]


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"10.0", b"\xff"])
def test_another_major_version_is_refused(shard: Path, version: bytes) -> None:
    table = pq.read_table(shard)
    metadata = {**table.schema.metadata, b"petdata.schema_version": version}
    rewrite(shard, table.replace_schema_metadata(metadata))
    with pytest.raises(CorruptFile, match=r"this petdata reads 1\.x: use the petdata that wrote"):
        list(read_photos([shard]))


def test_parquet_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    rewrite(path, pa.table({"image": [b"x"]}))
    with pytest.raises(CorruptFile, match="it is not a shard of petdata"):
        list(read_photos([path]))


@pytest.mark.parametrize("column", ["thumbnail", "image", "photo_id"])
def test_a_missing_column_is_named(shard: Path, column: str) -> None:
    rewrite(shard, pq.read_table(shard).drop_columns([column]))
    with pytest.raises(CorruptFile, match=f"has 0 columns {column}, need one"):
        list(read_photos([shard]))


def test_a_column_of_another_type_is_named(shard: Path) -> None:
    table = pq.read_table(shard)
    phash = SHARD_SCHEMA.get_field_index("phash")
    texts = pa.array([str(n) for n in range(8)])
    rewrite(shard, table.set_column(phash, pa.field("phash", pa.string(), nullable=False), texts))
    with pytest.raises(CorruptFile, match=r"column is .*phash: string not null.* need .*uint64"):
        list(read_photos([shard]))


def test_an_unknown_enum_value_is_named_with_its_row(shard: Path) -> None:
    rows = [to_row(photo(n)) for n in range(8)]
    rows[5]["species"] = "unicorn"
    rewrite(shard, pa.Table.from_pylist(rows, SHARD_SCHEMA))
    with pytest.raises(CorruptFile, match=r"part-00000.parquet, row 5: 'unicorn' is not a valid"):
        list(read_photos([shard]))


def test_text_that_is_not_utf8_is_named_with_its_row(shard: Path) -> None:
    rows = [to_row(photo(n)) for n in range(8)]
    rows[5]["city"] = "Zlatoust"
    rewrite(shard, pa.Table.from_pylist(rows, SHARD_SCHEMA), compression="none")
    shard.write_bytes(shard.read_bytes().replace(b"Zlatoust", b"\xff" * 8))
    with pytest.raises(CorruptFile, match="row 5: 'utf-8' codec can't decode"):
        list(read_photos([shard]))


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="restore it from a copy"):
        list(read_photos([tmp_path / "absent.parquet"]))


def test_truncation_anywhere_is_found(shard: Path) -> None:
    content = shard.read_bytes()
    for length in [*range(0, 100), *range(100, len(content), 997), len(content) - 1]:
        shard.write_bytes(content[:length])
        with pytest.raises(CorruptFile):
            list(read_photos([shard]))


def flips(content: bytes, number: int) -> Iterator[bytes]:
    generator = np.random.default_rng(11)
    for position in generator.integers(0, len(content), number).tolist():
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(generator.integers(8))
        yield bytes(damaged)


def test_no_flipped_bit_goes_unnoticed_by_verify(tmp_path: Path) -> None:
    """It is reported, or it changes nothing that is read."""
    path = tmp_path / "part-00000.parquet"
    expected = [photo(n) for n in range(8)]
    recorded = write_shard(path, expected)
    reported = 0
    for damaged in flips(path.read_bytes(), 400):
        path.write_bytes(damaged)
        if list(verify_shard(path, recorded)):
            reported += 1
        else:
            assert list(read_photos([path])) == expected
    assert reported > 250


def test_readers_heed_page_checksums_where_a_file_has_them(shard: Path) -> None:
    rewrite(shard, pq.read_table(shard), write_page_checksum=True)
    expected = [photo(n) for n in range(8)]
    refused = 0
    for damaged in flips(shard.read_bytes(), 400):
        shard.write_bytes(damaged)
        try:
            assert list(read_photos([shard])) == expected
        except CorruptFile:
            refused += 1
    assert refused > 200


# Verifying


def test_a_sound_shard_has_no_problems(shard: Path) -> None:
    assert list(verify_shard(shard)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"photo_id": "pet911/rl100001/000000000000"}, "photo_id is not pet911/rl100001/ and"),
        ({"source": "telegram"}, "identity_id pet911/rl100001 does not begin with source telegram"),
        ({"image": picture(50).jpeg}, "sha256 is .*, that of the image"),
        ({"width": 81}, r"the image is \(80, 64\), width and height say \(81, 64\)"),
        ({"thumbnail": b"short"}, "the thumbnail has 5 bytes, not 1,024"),
        ({"thumbnail": None}, "the thumbnail has 0 bytes, not 1,024"),
        ({"phash": 1}, "phash is 0000000000000001, that of the thumbnail"),
        (
            {"thumbnail": picture(50).thumbnail, "phash": picture(50).phash},
            "the thumbnail is not of this image",
        ),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, [photo(1), replace(photo(2), **changes), photo(3)])
    (found,) = verify_shard(path)
    assert found.startswith(f"{path}, row 1 (")
    assert re.search(problem, found)


@pytest.mark.parametrize(
    "changes", [{"title": "Пропал кот"}, {"species": "dog"}, {"closed": None}, {"latitude": 55.9}]
)
def test_a_row_that_is_not_what_was_recorded_is_reported(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "part-00000.parquet"
    recorded = write_shard(path, [photo(1), photo(2), photo(3)])
    assert list(verify_shard(path, recorded)) == []
    write_shard(path, [photo(1), replace(photo(2), **changes), photo(3)])
    assert list(verify_shard(path)) == []
    found = list(verify_shard(path, recorded))
    assert found[-1].startswith(f"{path}: the rows are not those that were written: fingerprint")


def test_the_same_rows_in_another_file_are_reported_by_its_size(shard: Path) -> None:
    recorded = write_shard(shard, [photo(n) for n in range(8)])
    rewrite(shard, pq.read_table(shard), compression="none")
    [found] = verify_shard(shard, recorded)
    assert found.endswith(f"bytes, {recorded.bytes:,} were written")


def test_rows_that_are_gone_are_counted(shard: Path) -> None:
    recorded = write_shard(shard, [photo(n) for n in range(8)])
    write_shard(shard, [photo(n) for n in range(7)])
    assert f"{shard}: 7 rows, 8 were written" in list(verify_shard(shard, recorded))


def with_image(original: Photo, image: bytes) -> Photo:
    sha256 = hashlib.sha256(image).hexdigest()
    photo_id = f"{original.identity_id}/{sha256[:12]}"
    return replace(original, image=image, sha256=sha256, photo_id=photo_id)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda jpeg: jpeg[:-200], "the image does not decode: truncated"),
        (lambda jpeg: b"GIF" + jpeg, "the image does not decode: not_an_image"),
        (lambda jpeg: jpeg + b"trailer", "the image is not canonical"),
    ],
)
def test_an_image_that_is_no_canonical_jpeg_is_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], problem: str
) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, [photo(1), with_image(photo(2), damage(picture(2).jpeg))])
    (found,) = verify_shard(path)
    assert found.startswith(f"{path}, row 1 (")
    assert problem in found


def test_a_row_that_stands_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    again = replace(photo(0), position=5)
    later = replace(photo(0), listing_version=2)  # the listing changed: a row of its own
    write_shard(path, [photo(0), photo(1), again, later])
    (found,) = verify_shard(path)
    assert found == f"{path}, row 2 ({photo(0).photo_id}): stands in the shard twice"


def test_a_truncated_shard_is_one_problem(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-100])
    (found,) = verify_shard(shard)
    assert "cannot be read as Parquet" in found


def test_real_photos_make_a_sound_shard(real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    files = sorted(real_data.glob("real-pets/*/images/*/*.jpg"))[::20]

    def photos() -> Iterator[Photo]:
        for file in files:
            canonical = canonicalise(file.read_bytes())
            yield with_image(
                replace(
                    photo(0),
                    width=canonical.width,
                    height=canonical.height,
                    phash=canonical.phash,
                    thumbnail=canonical.thumbnail,
                ),
                canonical.jpeg,
            )

    assert write_shard(path, photos()).rows == len(files) > 10
    assert list(verify_shard(path)) == []
