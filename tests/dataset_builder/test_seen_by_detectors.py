"""Photos with several animals: dropped or kept by a build, counted by statistics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner
from worlds import Animal, add, build_release, photo, release_rows, sha256

from petdata.cli import app
from petdata.manifest import read_manifest
from petdata.side_table_kinds import BOXES, SEVERAL, VALUES, Producer
from petdata.side_tables import append_rows, table_folder
from petdata.workspace import Workspace

YOLO = Producer(model="yolo12x")
CATS = [photo(n) for n in range(20, 26)]
TEST = [photo(26), photo(27)]
ANIMALS = [
    Animal("pet911/rl600001", CATS[:3]),
    Animal("pet911/rl600002", CATS[3:]),
    Animal("cat_individual_images/1", TEST),
]
SOME = {"class": "cat", "score": 0.9, "x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0}


def row(jpeg: bytes, several: bool | None, chosen: int | None = 0) -> dict[str, Any]:
    boxes = None if several is None else [SOME] if chosen == 0 else []
    return {
        "sha256": sha256(jpeg),
        "boxes": boxes,
        "chosen": chosen if boxes else None,
        "problem": "cannot be decoded" if several is None else None,
        SEVERAL.name: several,
    }


# Two of the six cats and one test photo show several; one cat was not looked at, one is broken.
LOOKED = [
    *(row(CATS[0], True), row(CATS[1], False), row(CATS[2], False, chosen=None)),
    *(row(CATS[3], True), row(CATS[4], None)),
    *(row(TEST[0], True), row(TEST[1], False)),
]


def mark(workspace: Workspace, rows: list[dict[str, Any]]) -> None:
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, rows, [SEVERAL])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(root=tmp_path)
    add(workspace, ANIMALS)
    return workspace


def kept(release: Path) -> set[str]:
    return {each["sha256"] for each in release_rows(release)}


def test_photos_with_several_animals_leave_training_and_stay_in_test_sets(
    workspace: Workspace,
) -> None:
    everything = {sha256(jpeg) for jpeg in (*CATS, *TEST)}
    before = build_release(workspace)
    assert kept(before) == everything
    mark(workspace, LOOKED)
    release = build_release(workspace)
    assert kept(release) == everything - {sha256(CATS[0]), sha256(CATS[3])}
    reasons = pq.read_table(release / "metadata" / "attrition.parquet").to_pylist()
    dropped = [each["photo_id"][-12:] for each in reasons if each["reason"] == "several_on_photo"]
    assert sorted(dropped) == sorted(sha256(CATS[n])[:12] for n in (0, 3))
    assert kept(build_release(workspace, multi_animal="keep")) == everything


def test_the_build_hash_is_that_of_the_photos_that_were_dropped(workspace: Workspace) -> None:
    def built() -> str:
        return str(read_manifest(build_release(workspace))["build_hash"])

    mark(workspace, LOOKED[:1])
    one = built()
    mark(workspace, [row(photo(99), True)])  # a photo that is in no release
    assert built() == one
    shutil.rmtree(table_folder(workspace.root, "boxes"))
    without = built()
    mark(workspace, [row(CATS[3], True)])  # dropped, so no carried row says it
    other = built()
    assert len({one, without, other}) == 3


def test_a_table_that_does_not_say_it_drops_nothing(workspace: Workspace) -> None:
    rows = [{"sha256": sha256(CATS[0]), "boxes": [SOME, SOME], "chosen": 0}]
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, rows)
    assert len(kept(build_release(workspace))) == len(CATS) + len(TEST)
    assert "boxes" in read_manifest(build_release(workspace))["side_tables"]


def test_a_column_of_another_kind_is_not_taken_for_it(workspace: Workspace) -> None:
    rows = [{"sha256": sha256(CATS[0]), SEVERAL.name: True}]
    append_rows(table_folder(workspace.root, "boxes"), VALUES, YOLO, rows, [SEVERAL])
    assert len(kept(build_release(workspace))) == len(CATS) + len(TEST)


def test_statistics_show_their_share(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    mark(workspace, LOOKED)
    build_release(workspace)
    shards = json.loads(CliRunner().invoke(app, ["stats", "--shards", "--json"]).stdout)
    collected = {"source": "pet911", "photos": 6, "looked_at": 4, "without_box": 1}
    test = {"source": "cat_individual_images", "photos": 2, "looked_at": 2, "without_box": 0}
    test |= {"several_animals": 1, "share": 0.5}
    assert shards["seen_by_detector"] == [
        test,
        collected | {"several_animals": 2, "share": 0.5},
    ]
    release = json.loads(CliRunner().invoke(app, ["stats", "pets", "--json"]).stdout)
    kept_ones = collected | {"photos": 4, "looked_at": 2, "several_animals": 0, "share": 0.0}
    assert release["seen_by_detector"] == [test, kept_ones]
    page = tmp_path / "pets.html"
    printed = CliRunner().invoke(app, ["stats", "pets", "--html", str(page)]).stdout
    assert "what the detector saw" in printed
    assert "What the detector saw" in page.read_text()
    assert "several on photo" in printed


def test_without_boxes_statistics_say_nothing_of_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    build_release(workspace)
    assert json.loads(CliRunner().invoke(app, ["stats", "--json"]).stdout)["seen_by_detector"] == []
    assert "the detector" not in CliRunner().invoke(app, ["stats"]).stdout
