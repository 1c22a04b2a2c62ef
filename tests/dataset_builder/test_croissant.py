"""croissant.json as mlcroissant reads it: valid, and its records are the rows of the files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow.parquet as pq
import pytest
from small_release import small_release

from dataset_builder.croissant import CONFORMS_TO, croissant
from petdata.manifest import read_manifest
from petdata.records import SHARD_SCHEMA
from petdata.sources import SOURCES

pytestmark = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph:DeprecationWarning", "ignore:The inplace keyword"
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def described(release: Path) -> mlcroissant.Dataset:
    return mlcroissant.Dataset(jsonld=str(release / "croissant.json"))


def test_it_is_valid_without_errors_or_warnings(
    release: Path, described: mlcroissant.Dataset
) -> None:
    issues = described.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    document = json.loads((release / "croissant.json").read_text())
    assert document["conformsTo"] == list(CONFORMS_TO)
    assert document["version"] == "1.0.0"


def test_what_is_wrong_is_found_by_this_validation(release: Path, tmp_path: Path) -> None:
    document = json.loads((release / "croissant.json").read_text())
    document["recordSet"][1]["field"][3]["source"]["fileSet"]["@id"] = "nowhere"
    (tmp_path / "croissant.json").write_text(json.dumps(document))
    with pytest.raises(mlcroissant.ValidationError, match="nowhere"):
        mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))


@pytest.mark.parametrize("config", ["all", "no_petface", "lcw", "dogfacenet"])
def test_records_are_the_rows_of_a_config(
    release: Path, described: mlcroissant.Dataset, config: str
) -> None:
    expected: Counter[tuple[str, str, str]] = Counter()
    for split, paths in read_manifest(release)["configs"][config].items():
        for path in paths:
            table = pq.read_table(release / path, columns=["photo_id", "species"])
            expected.update((split, row["photo_id"], row["species"]) for row in table.to_pylist())
    found: Counter[tuple[str, str, str]] = Counter()
    for record in described.records(config):
        values = {name.partition("/")[2]: value for name, value in record.items()}
        found[
            values["split"].decode(), values["photo_id"].decode(), values["species"].decode()
        ] += 1
        assert values["image"].size == (values["width"], values["height"])
    assert found == expected
    assert found


def test_every_column_but_the_thumbnail_is_a_field(release: Path) -> None:
    document = json.loads((release / "croissant.json").read_text())
    records = {entry["@id"]: entry for entry in document["recordSet"]}
    names = {field["name"] for field in records["all"]["field"]}
    assert names == {"split", *SHARD_SCHEMA.names} - {"thumbnail"}
    assert set(records) == {"splits", *read_manifest(release)["configs"]}


def test_files_have_the_hashes_of_their_bytes(release: Path) -> None:
    document = json.loads((release / "croissant.json").read_text())
    files = [entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"]
    paths = {str(path.relative_to(release)) for path in release.glob("data/**/*.parquet")}
    assert {entry["contentUrl"] for entry in files} == paths
    for entry in files:
        content = (release / entry["contentUrl"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["contentSize"] == f"{len(content)} B"


def test_responsible_use_is_said(described: mlcroissant.Dataset) -> None:
    metadata: Any = described.metadata
    assert metadata.data_collection_type == ["Web Scraping", "Secondary Data Analysis"]
    assert "leak:dogfacenet 2" in " ".join(metadata.data_preprocessing_protocol)
    assert "pseudonyms" in " ".join(metadata.personal_sensitive_information)
    for name in ("data_biases", "data_limitations", "data_social_impact", "data_use_cases"):
        assert getattr(metadata, name)
    assert metadata.data_release_maintenance_plan


def test_licences_are_those_of_the_sources(release: Path) -> None:
    document = croissant(release, read_manifest(release), SOURCES)
    assert {
        "https://creativecommons.org/licenses/by/4.0/",
        "https://www.apache.org/licenses/LICENSE-2.0",
    } < set(document["license"])
    assert len(document["license"]) == 5
    assert any(text.startswith("none granted (pet911)") for text in document["license"])


def test_the_day_is_that_of_the_newest_photo(release: Path) -> None:
    days = [
        moment.date().isoformat()
        for path in release.glob("data/**/*.parquet")
        for moment in pq.ParquetFile(path).read(columns=["fetched_at"])["fetched_at"].to_pylist()
        if moment is not None
    ]
    document = json.loads((release / "croissant.json").read_text())
    assert document["datePublished"] == max(days)


def test_the_manifest_knows_its_hash_and_a_second_writing_has_the_same_bytes(
    release: Path,
) -> None:
    manifest = read_manifest(release)
    content = (release / "croissant.json").read_bytes()
    assert manifest["files"]["croissant.json"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert croissant(release, manifest, SOURCES) == json.loads(content)
