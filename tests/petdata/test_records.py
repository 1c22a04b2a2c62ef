from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petdata.records import (
    COLUMN_NAMES,
    SCHEMA_VERSION,
    SHARD_SCHEMA,
    Photo,
    Sex,
    Species,
    Status,
    from_row,
    to_row,
)
from petdata.shards import write_shard
from shard_photos import photo

texts = st.text(max_size=20)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
sizes = st.integers(-(2**31), 2**31 - 1)
dates = st.dates()
degrees = st.integers(-1800, 1800).map(lambda tenths: tenths / 10)


def nullable(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


photos = st.builds(
    Photo,
    photo_id=texts,
    identity_id=texts,
    source=texts,
    source_split=nullable(texts),
    species=st.sampled_from(Species),
    listing_version=nullable(sizes),
    position=nullable(sizes),
    image=nullable(st.binary(max_size=50)),
    width=nullable(sizes),
    height=nullable(sizes),
    sha256=hashes,
    original_sha256=nullable(hashes),
    phash=st.integers(0, 2**64 - 1),
    thumbnail=nullable(st.binary(max_size=50)),
    title=nullable(texts),
    description=nullable(texts),
    status=nullable(st.sampled_from(Status)),
    closed=nullable(st.booleans()),
    breed=nullable(texts),
    sex=nullable(st.sampled_from(Sex)),
    city=nullable(texts),
    latitude=nullable(degrees),
    longitude=nullable(degrees),
    event_on=nullable(dates),
    posted_on=nullable(dates),
    fetched_at=nullable(st.datetimes(timezones=st.just(UTC))),
    source_url=nullable(texts),
    licence=nullable(texts),
    basis=nullable(texts),
    multi_animal=nullable(st.booleans()),
    attributes=nullable(texts),
)


@settings(deadline=None)
@given(st.lists(photos, max_size=4))
def test_rows_of_arrow_give_the_photos_back(written: list[Photo]) -> None:
    batch = pa.RecordBatch.from_pylist([to_row(photo) for photo in written], SHARD_SCHEMA)
    batch.validate(full=True)
    assert [from_row(row) for row in batch.to_pylist()] == written


def test_places_are_tenths_of_a_degree_on_the_way_in_and_out() -> None:
    exact = replace(photo(0), latitude=55.7558, longitude=37.6173)
    batch = pa.RecordBatch.from_pylist([to_row(exact)], SHARD_SCHEMA)
    [stored] = batch.to_pylist()
    assert (stored["latitude"], stored["longitude"]) == (55.79999923706055, 37.599998474121094)
    read = from_row(stored)
    assert (read.latitude, read.longitude) == (55.8, 37.6)
    precise = from_row({**stored, "latitude": 55.7558})  # from a file of another writer
    assert precise.latitude == 55.8


def test_columns_are_the_fields_of_a_photo() -> None:
    assert SHARD_SCHEMA.names == [field.name for field in fields(Photo)] == list(COLUMN_NAMES)
    assert SHARD_SCHEMA.metadata[b"petdata.schema_version"].decode() == SCHEMA_VERSION


def test_what_may_be_null_is_what_a_photo_may_lack() -> None:
    required = {
        *("photo_id", "identity_id", "source", "species"),
        *("sha256", "phash"),
    }
    assert {column.name for column in SHARD_SCHEMA if not column.nullable} == required
    gaps: dict[str, Any] = {name: None for name in COLUMN_NAMES if name not in required}
    lacking = replace(photo(0), **gaps)
    assert from_row(to_row(lacking)) == lacking


def test_the_documentation_lists_the_columns_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
    columns = page.split("## Columns")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (yes|no) \| (.+) \|$", columns, re.MULTILINE)
    assert [(name, kind, null == "yes") for name, kind, null, _ in rows] == [
        (column.name, str(column.type), column.nullable) for column in SHARD_SCHEMA
    ]
    named = dict((name, meaning) for name, _, _, meaning in rows)
    for name, values in (("status", Status), ("sex", Sex)):
        assert re.findall(r"`(\w+)`", named[name]) == [value.value for value in values]


def test_the_path_of_an_image_names_its_photo() -> None:
    assert to_row(photo(0))["image"]["path"] == f"{photo(0).photo_id}.jpg"


def test_unknown_columns_are_ignored_and_missing_ones_are_not() -> None:
    row = to_row(photo(0))
    assert from_row({**row, "collar": "red"}) == photo(0)
    del row["city"]
    with pytest.raises(KeyError, match="city"):
        from_row(row)


@pytest.mark.parametrize("column", ["species", "status", "sex"])
def test_a_value_outside_its_enum_is_refused(column: str) -> None:
    with pytest.raises(ValueError, match="'unicorn' is not a valid"):
        from_row({**to_row(photo(0)), column: "unicorn"})


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "part-00000.parquet"
    write_shard(path, [replace(photo(n), image=None) if n == 3 else photo(n) for n in range(6)])
    return path


def test_datasets_shows_the_images_as_images(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(
        "parquet", data_files=str(shard), cache_dir=str(tmp_path), split="train"
    )
    assert loaded.features["image"] == datasets.Image()
    assert loaded.features["phash"] == datasets.Value("uint64")
    assert loaded.features["event_on"] == datasets.Value("date32")
    assert loaded.features["fetched_at"] == datasets.Value("timestamp[us, tz=UTC]")
    assert loaded.column_names == list(COLUMN_NAMES)
    assert loaded[0]["image"].size == (photo(0).width, photo(0).height)
    assert loaded[3]["image"] is None
    assert loaded[4]["event_on"] == date(2026, 2, 28)
    stored = loaded.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert stored == {"bytes": photo(0).image, "path": f"{photo(0).photo_id}.jpg"}


def test_datasets_streams_the_images_as_images(
    shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    stream = datasets.load_dataset("parquet", data_files=str(shard), split="train", streaming=True)
    assert stream.features["image"] == datasets.Image()
    first = next(iter(stream))
    assert np.asarray(first["image"]).shape == (photo(0).height, photo(0).width, 3)


def documented(language: str) -> str:
    page = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
    (example,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return str(example)


@pytest.fixture
def in_documented_folder(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "petdata-data" / "shards" / "pet911"
    folder.mkdir(parents=True)
    (folder / shard.name).hardlink_to(shard)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.usefixtures("in_documented_folder")
def test_the_documented_ways_of_opening_shards() -> None:
    command = [sys.executable, "-c", documented("python")]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "pet911/rl100000 (80, 64)"
    assert duckdb.execute(documented("sql")).fetchall() == [("cat", "lost", 3, 6)]


def test_duckdb_reads_a_shard_as_it_is(shard: Path) -> None:
    rows = duckdb.execute(
        f"""
        SELECT identity_id, count(*), count(image), sum(octet_length(image.bytes)), max(phash),
               min(fetched_at)
        FROM '{shard}' GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    expected = []
    for identity in range(3):
        pair = [photo(2 * identity), photo(2 * identity + 1)]
        kept = [p for p in pair if p != photo(3)]
        expected.append(
            (
                pair[0].identity_id,
                2,
                len(kept),
                sum(len(p.image or b"") for p in kept),
                max(p.phash for p in pair),
                datetime(2026, 3, 2, microsecond=2 * identity, tzinfo=UTC),
            )
        )
    assert [(*row[:5], row[5].astimezone(UTC)) for row in rows] == expected
