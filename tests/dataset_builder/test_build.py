"""Whole builds of small worlds: equal inputs make equal releases."""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from worlds import Animal, add, build_release, photo, release_rows

from dataset_builder import matching, writing
from dataset_builder.build import build
from dataset_builder.near_duplicates import near_duplicates
from dataset_builder.options import BuildOptions
from petdata.errors import CorruptFile, PetdataError, StorageFailure
from petdata.shards import read_photos
from petdata.takedowns import add_takedown
from petdata.uncached import whole_pages
from petdata.workspace import Workspace

PETS = [
    Animal("cat_individual_images/0001", [photo(1), photo(1, 1)]),
    Animal("pet911/rl500001", [photo(2), photo(2, 1)]),
    Animal("pet911/rl500002", [photo(3), photo(3, 1), photo(3, 0, quality=60)]),
    Animal("pet911/rl501003", [photo(4)]),
    Animal("telegram/1000-5", [photo(2), photo(2, 2)]),
    Animal("telegram/1000-9", [photo(5)]),
    Animal("lcw/17", [photo(6), photo(6, 1)]),
    Animal("lcw/18", [photo(1), photo(7)]),  # leaks
    Animal("petface/cat-000001", [photo(8), photo(8, 1)], source_split="train"),
    Animal("petface/cat-000002", [photo(3)], source_split="train"),
    Animal("petface/cat-000003", [photo(9)], source_split="val"),
]


def world(root: Path, pets: Iterable[Animal] = PETS, shard_bytes: int = 64 * 2**20) -> Workspace:
    root.mkdir()
    (root / "secret.key").write_text("07" * 32)
    (root / "secret.key").chmod(0o600)
    workspace = Workspace(root=root)
    add(workspace, pets, shard_bytes)
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return world(tmp_path_factory.mktemp("build") / "workspace")


def content(release: Path, config: str = "all") -> dict[str, list[str]]:
    """Every row of a configuration as text, by split, in order."""
    manifest = json.loads((release / "manifest.json").read_text())
    return {
        split: [repr(photo) for photo in read_photos([release / path for path in paths])]
        for split, paths in manifest["configs"][config].items()
    }


def tables(release: Path) -> dict[str, list[Any]]:
    """The metadata as sorted rows."""
    found = {}
    for path in sorted((release / "metadata").glob("*.parquet")):
        if path.stem != "byte_index":
            found[path.stem] = sorted(
                map(repr, duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall())
            )
    return found


def test_every_row_ends_where_it_should(workspace: Workspace) -> None:
    release = build_release(workspace)
    rows = duckdb.sql(
        "SELECT identity_id, identity_group, coalesce(split, reason) FROM "
        f"read_parquet('{release}/metadata/attrition.parquet')"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for identity, _, outcome in rows:
        found.setdefault(identity, []).append(outcome)
    assert {identity: sorted(outcomes) for identity, outcomes in found.items()} == {
        "cat_individual_images/0001": ["test", "test"],
        "pet911/rl500001": ["train", "train"],
        "pet911/rl500002": ["near_duplicate", "train", "train"],
        "pet911/rl501003": ["train"],
        "telegram/1000-5": ["duplicate_photo", "train"],
        "telegram/1000-9": ["train"],
        "lcw/17": ["train", "train"],
        "lcw/18": ["leak:cat_individual_images"] * 2,
        "petface/cat-000001": ["train", "train"],
        "petface/cat-000002": ["duplicate_photo"],
        "petface/cat-000003": ["train"],
    }
    groups = {identity: group for identity, group, _ in rows if identity != group}
    assert groups == {
        "telegram/1000-5": "pet911/rl500001",
        "petface/cat-000002": "pet911/rl500002",
        "lcw/18": "cat_individual_images/0001",
    }
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["attrition"]["lcw"] == {
        "input": 4,
        "leak:cat_individual_images": 2,
        "kept": 2,
    }


def test_a_configuration_equals_the_build_with_its_options(workspace: Workspace) -> None:
    whole = build(workspace, BuildOptions(val_fraction=0.3), name="whole").folder
    for config, options in {
        "no_petface": {"exclude": frozenset({"petface"})},
        "petface_train": {"petface": "train"},
    }.items():
        part = build(
            workspace, BuildOptions(val_fraction=0.3, **options), name=config.replace("_", "-")
        ).folder
        assert content(whole, config) == content(part), config
        where = f"WHERE config = '{config}'"
        groups = "SELECT identity_id, identity_group FROM read_parquet('{}') {} ORDER BY ALL"
        path = "metadata/identity_groups.parquet"
        assert (
            duckdb.sql(groups.format(whole / path, where)).fetchall()
            == duckdb.sql(groups.format(part / path, "WHERE config = 'all'")).fetchall()
        )
        # And its files are the very same ones.
        for file in part.glob("data/**/*.parquet"):
            assert file.stat().st_ino == (whole / file.relative_to(part)).stat().st_ino


def test_equal_inputs_make_equal_builds_however_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other order, other shards: the same hash and the same bytes."""
    monkeypatch.setattr("petdata.ledger.now", lambda: 1_790_000_000_000_000)  # `fetched_at`
    workspace = world(tmp_path / "one")
    other = world(tmp_path / "other", PETS[::-1], shard_bytes=20_000)
    assert len(list(other.shards("pet911").glob("*.parquet"))) > 1
    options = BuildOptions(val_fraction=0.3, keep_text=True)
    first = build(workspace, options, name="equal")
    second = build(other, options, name="equal")
    assert first.manifest["build_hash"] == second.manifest["build_hash"]
    data = [path.relative_to(first.folder) for path in first.folder.glob("data/**/*.parquet")]
    assert len(data) > 5
    for path in data:
        assert (first.folder / path).read_bytes() == (second.folder / path).read_bytes()
    changed = build(workspace, BuildOptions(val_fraction=0.3, keep_text=True, seed=1), name="seed")
    assert changed.manifest["build_hash"] != first.manifest["build_hash"]


def test_a_second_build_of_the_same_is_the_same(workspace: Workspace) -> None:
    options = BuildOptions()
    first = build(workspace, options, name="again")
    second = build(workspace, options, name="again")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.folder == second.folder


def test_a_build_after_changes_equals_a_build_from_nothing(tmp_path: Path) -> None:
    grown = world(tmp_path / "grown")
    options = BuildOptions(val_fraction=0.3)
    first = build(grown, options)
    assert first.manifest["version"] == "1.0.0"
    added = Animal("pet911/rl600001", [photo(20), photo(20, 1)])
    add(grown, [added])
    second = build(grown, options)
    assert second.manifest["version"] == "1.1.0"
    assert second.linked > 0
    changed = Animal("pet911/rl500001", [photo(2), photo(2, 7)])
    add(grown, [changed])
    add_takedown(grown.takedowns, "lcw/17", "asked", date.today())
    third = build(grown, options)
    assert third.manifest["version"] == "2.0.0"
    expected = content(third.folder), tables(third.folder)
    shutil.rmtree(grown.root / "releases")
    fresh = build(grown, options)
    assert fresh.linked == 0
    assert (content(fresh.folder), tables(fresh.folder)) == expected
    assert third.manifest["build_hash"] == fresh.manifest["build_hash"]
    revoked = (fresh.folder / "metadata" / "revoked.txt").read_text().split()
    assert len(revoked) == 2


def test_a_later_build_compares_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world(tmp_path / "workspace")
    compared: list[tuple[int, int | None]] = []

    def counted(one: Any, other: Any, bits: int, **options: Any) -> Iterator[Any]:
        compared.append((len(one.hashes), None if other is None else len(other.hashes)))
        return near_duplicates(one, other, bits, **options)

    monkeypatch.setattr(matching, "near_duplicates", counted)
    build_release(workspace)
    pictures, (train, test) = compared[0][0], compared[1]
    assert len(compared) == 2
    assert test == 2
    compared.clear()
    build_release(workspace)
    assert compared == []
    add(workspace, [Animal("lcw/19", [photo(11), photo(1, 0, quality=60)])])
    build_release(workspace)
    assert compared == [(pictures, 2), (2, None), (2, test)]
    assert train is not None
    rows = release_rows(workspace.root / "releases" / "pets" / "1.1.0", "identity_id")
    assert sum(row["identity_id"] == "lcw/19" for row in rows) == 0  # one photo of it leaks


def test_collected_identities_are_published_under_pseudonyms_only(workspace: Workspace) -> None:
    release = build(workspace, BuildOptions(), name="private").folder
    secrets = [b"rl500001", b"rl500002", b"rl501003", b"1000-5", b"1000-9", "Пропала".encode()]
    for path in release.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            values = (
                repr(duckdb.sql(f"SELECT * FROM '{path}'").fetchall()).encode()
                if (path.suffix == ".parquet")
                else b""
            )
            for secret in secrets:
                assert secret not in data, (path, secret)
                assert secret not in values, (path, secret)
    rows = release_rows(release, "identity_id", "source_url", "original_sha256", "title")
    for row in rows:
        collected = row["identity_id"].startswith(("pet911/", "telegram/"))
        assert (row["source_url"] is None) or not collected
        assert (row["original_sha256"] is None) == collected
        assert row["title"] is None


def test_a_corrupt_shard_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    damaged = world(tmp_path / "damaged")
    (shard,) = damaged.shards("telegram").glob("*.parquet")
    whole = shard.read_bytes()
    jpeg = photo(5)
    place = whole.index(jpeg[len(jpeg) // 2 :][:100])
    shard.write_bytes(whole[:place] + b"\xa5" * 100 + whole[place + 100 :])
    with pytest.raises(CorruptFile, match=r"telegram/part-00000\.parquet: row \d+: the photo"):
        build(damaged, BuildOptions(), name="other")
    shard.write_bytes(whole[:-40])
    with pytest.raises(CorruptFile, match=r"telegram/part-00000\.parquet cannot be read"):
        build(damaged, BuildOptions(), name="other")
    assert not list((damaged.root / "releases").rglob("*/*"))
    shard.write_bytes(whole)
    assert build(damaged, BuildOptions(), name="other").is_new
    assert not list((damaged.root / "cache").glob("build-*"))


def test_a_file_that_says_more_than_expected_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made again in twice the memory, until there is room."""
    workspace = world(tmp_path / "one")
    release = build_release(workspace)
    known = {path: path.read_bytes() for path in release.rglob("data/**/*.parquet")}
    shutil.rmtree(release)
    made: list[int] = []

    def pages(size: int) -> mmap.mmap:
        made.append(size)
        return whole_pages(size)

    monkeypatch.setattr(writing, "whole_pages", pages)
    monkeypatch.setattr(writing, "_ROW_BYTES", 0)
    monkeypatch.setattr(writing, "_FILE_BYTES", -20_000)
    assert build_release(workspace) == release
    assert known == {path: path.read_bytes() for path in release.rglob("data/**/*.parquet")}
    assert known
    sizes = [size for size in made if size]
    assert any(later >= 2 * earlier for earlier, later in pairwise(sizes))


def test_another_error_of_arrow_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = world(tmp_path / "workspace")

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("something else")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fails)
    with pytest.raises(StorageFailure, match="something else"):
        build_release(workspace)


def test_names_and_versions_are_checked(workspace: Workspace) -> None:
    with pytest.raises(PetdataError, match="letters, digits"):
        build(workspace, BuildOptions(), name="../x")
    with pytest.raises(PetdataError, match=r"write it as 1\.0\.0"):
        build(workspace, BuildOptions(), name="named", version="1.0")
    build(workspace, BuildOptions(), name="named", version="3.0.0")
    with pytest.raises(PetdataError, match="exists already"):
        build(workspace, BuildOptions(), name="named", version="3.0.0")


def test_a_broken_release_of_another_name_stops_no_build(tmp_path: Path) -> None:
    workspace = world(tmp_path / "broken", PETS[1:4])
    whole = build(workspace, BuildOptions(), name="whole").folder
    for number, text in enumerate(("{", "[]", '{"format": "9.0"}')):
        manifest = workspace.root / f"releases/other/{number}.0.0/manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(text)
    strange = json.loads((whole / "manifest.json").read_text())
    strange["files"] = {"data/x.parquet": {"fingerprint": "0", "size": 5}}
    manifest = workspace.root / "releases/other/5.0.0/manifest.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps(strange))
    said: list[str] = []
    built = build(workspace, BuildOptions(), name="next", say=said.append)
    assert built.linked > 0
    assert built.written == 0
    broken = [line for line in said if "is broken" in line]
    assert [line.split()[0].split("/")[-1] for line in broken] == [
        "0.0.0",
        "1.0.0",
        "2.0.0",
        "5.0.0",
    ]


def test_linked_files_keep_their_place_in_the_byte_index(tmp_path: Path) -> None:
    """As every photo's bytes tell; a table that is not the released one is not believed."""
    workspace = world(tmp_path / "linked", PETS[1:6])
    first = build(workspace, BuildOptions()).folder
    add(workspace, [Animal("lcw/90", [photo(20)])])
    second = build(workspace, BuildOptions())
    assert second.linked > 0
    assert hashes_by_index(second.folder) == hashes_by_row(second.folder)
    for release in (first, second.folder):
        path = release / "metadata" / "byte_index.parquet"
        table = pq.read_table(path)
        moved = pc.add(table["offset"], 1)
        path.unlink()
        pq.write_table(
            table.set_column(table.schema.get_field_index("offset"), "offset", moved), path
        )
    assert hashes_by_index(second.folder) != hashes_by_row(second.folder)
    add(workspace, [Animal("lcw/91", [photo(21)])])
    third = build(workspace, BuildOptions())
    assert third.linked > 0
    assert hashes_by_index(third.folder) == hashes_by_row(third.folder)


def hashes_by_index(release: Path) -> list[tuple[str, int, str]]:
    columns = 'path, row, "offset", length'
    rows = duckdb.sql(f"SELECT {columns} FROM '{release}/metadata/byte_index.parquet'").fetchall()
    found = []
    for path, row, offset, length in rows:
        jpeg = (release / path).read_bytes()[offset : offset + length]
        found.append((path, row, hashlib.sha256(jpeg).hexdigest()))
    return sorted(found)


def hashes_by_row(release: Path) -> list[tuple[str, int, str]]:
    manifest = json.loads((release / "manifest.json").read_text())
    paths = [path for path in manifest["files"] if path.startswith("data/")]
    return sorted(
        (path, row, photo.sha256)
        for path in paths
        for row, photo in enumerate(read_photos([release / path]))
    )


def test_a_released_file_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    workspace = world(tmp_path / "cut", PETS[1:6])
    first = build(workspace, BuildOptions())
    cut = first.folder / "data/telegram/train-00000.parquet"
    whole = cut.read_bytes()
    cut.unlink()
    cut.write_bytes(whole[:-1])
    again = build(workspace, BuildOptions(), version="5.0.0")
    assert (again.written, again.linked) == (1, first.written - 1)
    assert (again.folder / "data/telegram/train-00000.parquet").read_bytes() == whole
