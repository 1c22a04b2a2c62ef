"""A whole release has no problem; each way of breaking one is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds import Animal, add, build_release, photo, sha256

from dataset_builder.appearances import Indices, Matches
from dataset_builder.inputs import Rows
from dataset_builder.matching import ThumbnailMatcher
from dataset_builder.plan import no_matcher
from dataset_builder.verify import Verification
from dataset_builder.verify_leaks import MakeMatcher
from petdata.jpeg import canonicalise
from petdata.records import SHARD_SCHEMA
from petdata.shards import LAYOUT
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

ONE = Animal("pet911/rl500001", [photo(1, 0), photo(1, 1)])
TWO = Animal("pet911/rl500002", [photo(2, 0), photo(1, 0)])
SEVEN = Animal("lcw/7", [photo(3, 0), photo(3, 1)])
FOUR = Animal("dogfacenet/4", [photo(4, 0)])
TRAIN, TEST = "data/pet911/train-00000.parquet", "data/dogfacenet/test-00000.parquet"
Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    add(Workspace(root=root), [ONE, TWO, SEVEN, FOUR])
    build_release(Workspace(root=root), keep_source_ids=False)
    return root


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Workspace:
    return Workspace(root=shutil.copytree(built, tmp_path / "workspace"))


@pytest.fixture
def release(workspace: Workspace) -> Path:
    folder = workspace.root / "releases" / "pets" / "1.0.0"
    for path in folder.rglob("*.parquet"):
        path.chmod(0o644)
    return folder


def problems(release: Path, **options: Any) -> list[str]:
    verification = Verification(
        workspace=Workspace(root=release.parents[2]),
        release=release,
        **({"make_matcher": lambda rows, scratch: no_matcher} | options),
    )
    return list(verification.problems())


def seal(release: Path) -> None:
    """Let the manifest say what the files are now: what is wrong is in them."""
    manifest = json.loads((release / "manifest.json").read_text())
    for path, entry in manifest["files"].items():
        content = (release / path).read_bytes()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (release / "manifest.json").write_text(json.dumps(manifest))


def change_rows(release: Path, name: str, change: Change, schema: pa.Schema | None = None) -> None:
    rows = pq.read_table(release / name, partitioning=None).to_pylist()
    rows = change(rows) or rows
    if name.startswith("data/"):
        pq.write_table(pa.Table.from_pylist(rows, SHARD_SCHEMA), release / name, **LAYOUT)
    else:
        pq.write_table(pa.Table.from_pylist(rows), release / name)
    seal(release)


def test_a_release_as_it_was_built_has_no_problem(release: Path) -> None:
    assert problems(release) == []


def test_a_lost_file_and_a_strange_one_are_named(release: Path) -> None:
    (release / TRAIN).unlink()
    (release / "data" / "notes.txt").touch()
    assert problems(release) == [
        f"{release / TRAIN}: the manifest has it, the folder does not",
        f"{release / 'data' / 'notes.txt'}: the manifest does not know this file",
        f"{release}: what its rows say was not looked at: restore its files first",
    ]


def test_one_other_bit_is_found_without_decoding(release: Path) -> None:
    content = bytearray((release / TRAIN).read_bytes())
    content[len(content) // 3] ^= 1  # in a JPEG
    (release / TRAIN).write_bytes(content)
    found = problems(release, quick=True)
    assert len(found) == 1
    assert found[0].startswith(f"{release / TRAIN}: sha256 ")


def test_what_the_hub_adds_to_a_pulled_folder_is_no_problem(release: Path) -> None:
    (release / ".gitattributes").touch()
    (release / ".cache" / "huggingface").mkdir(parents=True)
    (release / ".cache" / "huggingface" / "x.lock").touch()
    assert problems(release) == []


def exchange_pixels(rows: list[dict[str, Any]]) -> None:
    first, second = rows[0]["image"], rows[1]["image"]
    first["bytes"], second["bytes"] = second["bytes"], first["bytes"]


def test_pixels_of_another_row_are_found_by_decoding(release: Path) -> None:
    change_rows(release, TRAIN, exchange_pixels)
    found = [problem for problem in problems(release) if "byte_index" not in problem]
    assert len(found) == 2
    assert all("that of the image" in problem for problem in found)
    assert not any("that of the image" in problem for problem in problems(release, quick=True))


def test_other_places_of_photos_contradict_the_byte_index(release: Path) -> None:
    def shift(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["path"] == TRAIN)["offset"] += 1

    change_rows(release, "metadata/byte_index.parquet", shift)
    index = release / "metadata" / "byte_index.parquet"
    assert problems(release) == [f"{index}: {TRAIN} has its photos elsewhere than this table says"]


def test_a_group_in_two_splits_is_named(release: Path) -> None:
    group = ""

    def one_group(rows: list[dict[str, Any]]) -> None:
        nonlocal group
        group = next(row["identity_group"] for row in rows if "pet911" in row["identity_id"])
        for row in rows:
            row["identity_group"] = group

    change_rows(release, "metadata/identity_groups.parquet", one_group)
    assert f"identity group {group} stands in several splits: test, train" in problems(release)


def test_a_row_that_attrition_does_not_keep_is_named(release: Path) -> None:
    lost = ""

    def drop(rows: list[dict[str, Any]]) -> None:
        nonlocal lost
        row = next(row for row in rows if row["source"] == "lcw")
        lost = row["photo_id"]
        row |= {"split": None, "reason": "near_duplicate"}

    change_rows(release, "metadata/attrition.parquet", drop)
    found = problems(release)
    assert any(f"{lost} is not among the photos that were kept" in problem for problem in found)
    assert any(problem.startswith("lcw: the manifest says {'kept': 2}") for problem in found)


def test_sums_that_do_not_add_up_are_named(release: Path) -> None:
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["attrition"]["pet911"] == {"input": 4, "duplicate_photo": 1, "kept": 3}
    manifest["attrition"]["pet911"]["input"] = 5
    path.write_text(json.dumps(manifest))
    assert problems(release) == ["pet911: 5 photos came in, 4 are accounted for"]


def test_a_config_of_files_that_are_not_there_is_named(release: Path) -> None:
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["configs"]["lcw"]["train"].append("data/lcw/train-00001.parquet")
    path.write_text(json.dumps(manifest))
    assert problems(release) == [
        "config lcw, split train: data/lcw/train-00001.parquet is no file of the release"
    ]


def test_a_photo_that_stands_twice_and_one_that_leaks_are_named(release: Path) -> None:
    leaked = pq.read_table(release / TEST, partitioning=None).to_pylist()[0]
    leaked |= {"identity_id": "pet911/0123456789abcdef", "source": "pet911"}
    leaked["photo_id"] = f"{leaked['identity_id']}/{leaked['sha256'][:12]}"
    change_rows(release, TRAIN, lambda rows: [*rows, leaked])
    found = problems(release, quick=True)
    test_id = f"dogfacenet/4/{leaked['sha256'][:12]}"
    assert f"leak: training photo {leaked['photo_id']} has the bytes of test photo {test_id}" in (
        found
    )
    assert any(problem.startswith("one photo stands 2 times") for problem in found)


def slow_matcher(rows: Rows, scratch: Path) -> Callable[..., Matches]:
    """Every training photo with every test photo, bit by bit."""

    def match(first: Indices, second: Indices | None, bits: int) -> Matches:
        assert second is not None
        pairs = [
            (a, b)
            for a in first.tolist()
            for b in second.tolist()
            if (int(rows.phash[a]) ^ int(rows.phash[b])).bit_count() <= bits
        ]
        table = np.array(sorted(tuple(sorted(pair)) for pair in pairs), np.int64).reshape(-1, 2)
        return Matches(table[:, 0], table[:, 1])

    return match


@pytest.mark.parametrize("make_matcher", [slow_matcher, ThumbnailMatcher])
def test_a_near_copy_of_a_test_photo_is_found_by_the_matcher(
    release: Path, make_matcher: MakeMatcher
) -> None:
    assert problems(release, make_matcher=make_matcher) == []
    copy = canonicalise(photo(4, 0, quality=40))
    assert copy.sha256 != sha256(FOUR.photos[0])

    def plant(rows: list[dict[str, Any]]) -> None:
        rows[0] |= {"phash": copy.phash, "thumbnail": copy.thumbnail}

    change_rows(release, TRAIN, plant)
    planted = pq.read_table(release / TRAIN, columns=["photo_id"])["photo_id"][0]
    test_id = f"dogfacenet/4/{sha256(FOUR.photos[0])[:12]}"
    found = problems(release, make_matcher=make_matcher, quick=True)
    assert [problem for problem in found if "byte_index" not in problem] == [
        f"leak: training photo {planted} nearly shows test photo {test_id}"
    ]


@pytest.mark.parametrize("target", [ONE.identity, ONE.url, sha256(ONE.photos[1])])
def test_what_was_taken_down_since_is_named(
    workspace: Workspace, release: Path, target: str
) -> None:
    add_takedown(workspace.takedowns, target, "asked", date(2026, 3, 1))
    found = problems(release, quick=True)
    assert len(found) == (1 if target == sha256(ONE.photos[1]) else 2)
    assert all("was taken down" in problem and target in problem for problem in found), found


def test_takedowns_of_pseudonyms_need_the_key(workspace: Workspace, release: Path) -> None:
    add_takedown(workspace.takedowns, ONE.identity, "asked", date(2026, 3, 1))
    (workspace.root / "secret.key").unlink()
    verification = Verification(workspace=workspace, release=release, quick=True)
    assert list(verification.problems()) == []
    assert len(verification.not_repeated) == 1


def test_an_id_that_leads_home_is_named(release: Path) -> None:
    def tell(rows: list[dict[str, Any]]) -> None:
        rows[0]["source_url"] = ONE.url

    change_rows(release, TRAIN, tell)
    found = [problem for problem in problems(release, quick=True) if "byte_index" not in problem]
    assert found == [
        f"{TRAIN}, row 0: source_url, original_sha256 or attributes lead to an announcement"
    ]


def test_a_recipe_says_what_it_could_not_check(workspace: Workspace, release: Path) -> None:
    def empty(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"image": None, "thumbnail": None}

    change_rows(release, TRAIN, empty)
    assert sum("image or thumbnail is null" in problem for problem in problems(release)) == 3
    path = release / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"variant": "recipe"}))
    verification = Verification(workspace=workspace, release=release)
    found = [problem for problem in verification.problems() if "byte_index" not in problem]
    assert found == []
    assert verification.not_repeated[0].startswith("3 of 6 photos have no pixels here (a recipe)")


def test_a_file_that_is_no_parquet_ends_it_with_a_sentence(release: Path) -> None:
    (release / "metadata" / "attrition.parquet").write_bytes(b"PAR1")
    seal(release)
    found = problems(release)
    assert len(found) == 1
    assert "cannot be read" in found[0]
