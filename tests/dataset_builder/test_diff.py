"""Two releases of small worlds: every difference is told by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from worlds import Animal, add, build_release, photo, sha256

from dataset_builder.diff import Difference, compare
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

ONE = Animal("pet911/rl500001", [photo(1, 0), photo(1, 1)])
TWO = Animal("pet911/rl500002", [photo(2, 0), photo(2, 1)])
SEVEN = Animal("lcw/7", [photo(3, 0), photo(3, 1)])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(root=tmp_path)
    add(workspace, [ONE, TWO, SEVEN])
    return workspace


def forget(workspace: Workspace, target: str) -> None:
    add_takedown(workspace.takedowns, target, "asked", date(2026, 1, 1))


def photo_id(animal: Animal, number: int) -> str:
    return f"{animal.identity}/{sha256(animal.photos[number])[:12]}"


def named(difference: Difference) -> set[tuple[str, str, str]]:
    return {(c["kind"], c["photo_id"], c["reason"]) for c in difference.changes}


def test_a_release_does_not_differ_from_itself(workspace: Workspace) -> None:
    release = build_release(workspace)
    difference = compare(release, release)
    assert difference.is_empty
    assert [*difference.changes, *difference.changed_identities, *difference.notes] == []


def test_a_new_photo_and_a_new_identity_are_added(workspace: Workspace, tmp_path: Path) -> None:
    before = build_release(workspace)
    grown = Animal(ONE.identity, [*ONE.photos, photo(1, 2)])
    other = Animal("telegram/77-1", [photo(5)])
    add(workspace, [grown, other])
    difference = compare(before, build_release(workspace), tmp_path / "changes.parquet")
    assert ("added", photo_id(grown, 2), "new") in named(difference)
    assert ("added", photo_id(other, 0), "new") in named(difference)
    assert difference.photos["pet911"] == {"added": 1, "removed": 0, "changed": 2, "moved": 0}
    assert difference.photos["telegram"] == {"added": 1, "removed": 0, "changed": 0, "moved": 0}
    assert [(c["kind"], c["identity_id"], c["reason"]) for c in difference.changed_identities] == [
        ("changed", "pet911/rl500001", "photos added, changed"),
        ("added", "telegram/77-1", "new"),
    ]
    written = pq.read_table(tmp_path / "changes.parquet").to_pylist()
    assert sorted(row["photo_id"] for row in written) == sorted(
        row["photo_id"] for row in difference.changes
    )


def test_other_words_change_only_what_they_stand_in(workspace: Workspace) -> None:
    before = build_release(workspace, keep_text=True)
    add(workspace, [Animal(TWO.identity, TWO.photos, title="Найдена кошка")])
    difference = compare(before, build_release(workspace, keep_text=True))
    # both rows stand in the shards again, under version 2
    assert named(difference) == {
        ("changed", photo_id(TWO, number), "listing_version, title") for number in (0, 1)
    }


def test_what_was_taken_down_is_named(workspace: Workspace) -> None:
    before = build_release(workspace)
    forget(workspace, photo_id(TWO, 0))
    difference = compare(before, build_release(workspace))
    assert named(difference) == {("removed", photo_id(TWO, 0), "taken_down")}
    assert difference.revoked == [photo_id(TWO, 0)]


def test_a_photo_whose_first_identity_is_gone_moves_to_the_next(workspace: Workspace) -> None:
    later = Animal("telegram/77-1", [ONE.photos[0], photo(6)])
    add(workspace, [later])
    before = build_release(workspace)
    forget(workspace, ONE.identity)
    difference = compare(before, build_release(workspace))
    assert named(difference) == {
        ("moved", photo_id(later, 0), f"stood in {ONE.identity}"),
        ("removed", photo_id(ONE, 1), "taken_down"),
        ("changed", photo_id(later, 1), "group"),
    }
    kinds = {c["identity_id"]: c["kind"] for c in difference.changed_identities}
    assert kinds == {ONE.identity: "moved", later.identity: "changed"}


def test_a_source_that_is_left_out_says_so(workspace: Workspace) -> None:
    before = build_release(workspace)
    difference = compare(before, build_release(workspace, exclude=frozenset({"lcw"})))
    assert named(difference) == {
        ("removed", photo_id(SEVEN, number), "left_out_by_options") for number in (0, 1)
    }
    assert difference.identities == {"lcw": {"added": 0, "removed": 1, "changed": 0, "moved": 0}}


def test_a_photo_that_leaks_leaves_with_its_reason_and_comes_back(workspace: Workspace) -> None:
    before = build_release(workspace)
    add(workspace, [Animal("dogfacenet/4", [SEVEN.photos[0]])])
    after = build_release(workspace)
    assert named(compare(before, after)) == {
        ("moved", f"dogfacenet/4/{sha256(SEVEN.photos[0])[:12]}", "stood in lcw/7"),
        ("removed", photo_id(SEVEN, 1), "leak:dogfacenet"),
    }
    assert named(compare(after, before)) == {
        ("moved", photo_id(SEVEN, 0), "stood in dogfacenet/4"),
        ("added", photo_id(SEVEN, 1), "was leak:dogfacenet"),
    }


def test_other_names_of_the_same_photos_are_told(workspace: Workspace) -> None:
    difference = compare(build_release(workspace, keep_source_ids=False), build_release(workspace))
    assert difference.photos == {"pet911": {"added": 0, "removed": 0, "changed": 0, "moved": 4}}
    assert difference.notes
