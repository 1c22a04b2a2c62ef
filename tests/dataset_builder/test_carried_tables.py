"""Side tables of a workspace in its releases: loaded by name, verified, forgotten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from small_release import PETS
from test_verify import seal
from worlds import Animal, add, build_release, photo, release_rows, sha256

from dataset_builder.croissant import CROISSANT
from dataset_builder.diff import compare
from dataset_builder.plan import no_matcher
from dataset_builder.purge import purge
from dataset_builder.verify import Verification
from petdata.errors import CorruptFile, PetdataError
from petdata.manifest import read_manifest
from petdata.side_table_kinds import BOXES, DESCRIPTIONS, VALUES, Producer
from petdata.side_tables import (
    append_rows,
    compact,
    join,
    part_files,
    read_side_table,
    table_folder,
    table_names,
)
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

YOLO = Producer(model="yolo12x", model_hash="ab" * 32, settings={"size": 640})
TALKER = Producer(model="Qwen/Qwen3-VL", prompt_version="3")
ELSEWHERE = "f" * 64  # a photo that is in no release
SHARPNESS = [pa.field("sharpness", pa.float32()), pa.field("sizes", pa.list_(pa.int16()))]


def photo_rows(animals: Iterable[Animal]) -> dict[str, dict[str, Any]]:
    """SHA-256 -> what every side table says first; raw ids, as a run over shards has them."""
    found = {}
    for animal in animals:
        for content in animal.photos:
            name = sha256(content)
            found[name] = {"sha256": name, "photo_id": f"{animal.identity}/{name[:12]}"}
    return found


PHOTOS = photo_rows(PETS)
UNSEEN = sha256(photo(12))  # it has no row
PROBLEM = sha256(photo(12, 1))  # the model failed on it


def fill(workspace: Workspace) -> None:
    box = {"class": "cat", "score": 0.75, "x0": 1.0, "y0": 2.0, "x1": 30.0, "y1": 40.5}
    chosen = {name: row for name, row in PHOTOS.items() if name not in (UNSEEN, PROBLEM)}
    boxes = [row | {"boxes": [box, box], "chosen": 1} for row in chosen.values()]
    boxes += [{"sha256": ELSEWHERE, "photo_id": None, "boxes": [], "chosen": None}]
    boxes += [{"sha256": PROBLEM, "boxes": None, "problem": "no memory in /home/me"}]
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, boxes[:5])
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, boxes[5:])
    said = {"language": "en", "model": "Qwen/Qwen3-VL", "prompt_version": "3"}
    said |= {"fields": {"species": "cat", "coat": "red"}}
    texts = [row | {"text": f"a cat {name[:4]}"} | said for name, row in chosen.items()]
    append_rows(table_folder(workspace.root, "descriptions"), DESCRIPTIONS, TALKER, texts)
    values = [row | {"sharpness": 0.5, "sizes": [1, 2]} for row in list(PHOTOS.values())[:3]]
    append_rows(table_folder(workspace.root, "mine"), VALUES, YOLO, values, SHARPNESS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("carried") / "workspace"
    root.mkdir()
    (root / "secret.key").write_text("07" * 32)
    (root / "secret.key").chmod(0o600)
    workspace = Workspace(root=root)
    add(workspace, PETS)
    fill(workspace)
    build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    return root


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Workspace:
    return Workspace(root=shutil.copytree(built, tmp_path / "workspace"))


@pytest.fixture
def release(workspace: Workspace) -> Path:
    return workspace.root / "releases" / "pets" / "1.0.0"


def problems(release: Path) -> list[str]:
    verification = Verification(
        workspace=Workspace(root=release.parents[2]),
        release=release,
        quick=True,
        make_matcher=lambda rows, scratch: no_matcher,
    )
    return list(verification.problems())


def test_every_kept_photo_has_its_row_under_its_published_id(release: Path) -> None:
    kept = {row["sha256"]: row["photo_id"] for row in release_rows(release)}
    expected = {name: id for name, id in kept.items() if name not in (UNSEEN, PROBLEM)}
    assert table_names(release) == ["boxes", "descriptions", "mine"]
    for name in ("boxes", "descriptions"):
        found = read_side_table(table_folder(release, name)).rows
        rows = zip(found["sha256"].to_pylist(), found["photo_id"].to_pylist(), strict=True)
        assert dict(rows) == expected
        assert found["problem"].null_count == found.num_rows == len(expected)
    stated = read_manifest(release)["side_tables"]
    assert {name: (table["rows"], table["without"]) for name, table in stated.items()} == {
        "boxes": (len(expected), 2),
        "descriptions": (len(expected), 2),
        "mine": (3, len(kept) - 3),
    }
    assert problems(release) == []


def test_nothing_leads_to_an_announcement(release: Path) -> None:
    for path in (release / "side_tables").rglob("*.parquet"):
        said = path.read_bytes() + repr(pq.read_table(path, partitioning=None).to_pylist()).encode()
        for secret in (b"rl50", b"1000-5", b"1000-9", b"/home/me"):
            assert secret not in said, path


@pytest.mark.parametrize("name", ["boxes", "descriptions", "mine"])
def test_datasets_load_a_table_by_name_with_the_splits_of_its_photos(
    release: Path, tmp_path: Path, name: str
) -> None:
    photos = load_dataset(str(release), "all", cache_dir=str(tmp_path / "cache"))
    found = load_dataset(str(release), name, cache_dir=str(tmp_path / "cache"))
    assert set(found) <= set(photos)
    for split, rows in found.items():
        order = photos[split]["photo_id"][:]
        # The photos' order, without those that have no row.
        assert rows["photo_id"][:] == [id for id in order if id in set(rows["photo_id"][:])]
    row = found["train"][0]
    if name == "boxes":
        assert row["boxes"][row["chosen"]]["y1"] == 40.5
    elif name == "descriptions":
        assert row["fields"]["coat"] == "red"
        assert row["text"].startswith("a cat ")
    else:
        assert (row["sharpness"], row["sizes"]) == (0.5, [1, 2])


def test_the_release_and_the_workspace_say_the_same_of_a_photo(
    workspace: Workspace, release: Path
) -> None:
    photos = pa.array([row["sha256"] for row in release_rows(release)])
    here, there = (
        join(read_side_table(table_folder(root, "boxes")), photos)
        for root in (workspace.root, release)
    )
    columns = ["boxes", "chosen"]
    assert here.values.select(columns).to_pylist() == there.values.select(columns).to_pylist()
    # Here: the photo that leaks together with its group, and the one that is nowhere.
    assert (here.ignored, there.ignored) == (2, 0)
    assert (here.without, there.without) == (1, 2)  # UNSEEN; and PROBLEM, whose row stays at home


def test_card_and_croissant_name_the_tables(release: Path) -> None:
    _, front, text = (release / "README.md").read_text().split("---\n", 2)
    configs = {config["config_name"]: config for config in yaml.safe_load(front)["configs"]}
    assert {"all", "lcw", "boxes", "descriptions", "mine"} <= configs.keys()
    assert configs["boxes"]["data_files"][0] == {
        "split": "train",
        "path": ["side_tables/boxes/train-00000.parquet"],
    }
    assert "| `descriptions` | descriptions | Qwen/Qwen3-VL prompt 3 | " in text
    croissant = json.loads((release / CROISSANT).read_text())
    records = {record["name"]: record for record in croissant["recordSet"]}
    assert [field["name"] for field in records["boxes"]["field"]] == [
        *("split", "sha256", "photo_id", "chosen", "problem")
    ]


def test_equal_tables_make_equal_builds_however_they_are_stored(
    workspace: Workspace, release: Path
) -> None:
    before = {path.name: path.read_bytes() for path in (release / "side_tables/boxes").iterdir()}
    compact(table_folder(workspace.root, "boxes"))
    # A row of a photo that no release has is nobody's business.
    row = {"sha256": "e" * 64, "boxes": []}
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, [row])
    again = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    assert again == release
    other = build_release(workspace, val_fraction=0.33, keep_source_ids=False, seed=1)
    assert other != release
    boxes = read_side_table(table_folder(other, "boxes")).rows
    assert boxes.num_rows == read_side_table(table_folder(release, "boxes")).rows.num_rows
    shutil.rmtree(release)
    shutil.rmtree(other)
    fresh = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    assert {p.name: p.read_bytes() for p in (fresh / "side_tables/boxes").iterdir()} == before


def test_a_changed_value_makes_a_patch_that_shares_every_photo(
    workspace: Workspace, release: Path
) -> None:
    name, row = next(iter(PHOTOS.items()))
    changed = [row | {"boxes": [], "chosen": None}]
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, changed)
    second = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    assert second.name == "1.0.1"
    found = duckdb.sql(
        f"SELECT boxes FROM '{second}/side_tables/boxes/*.parquet' WHERE sha256 = '{name}'"
    ).fetchall()
    assert found == [([],)]
    for path in second.glob("data/**/*.parquet"):
        assert path.stat().st_ino == (release / path.relative_to(second)).stat().st_ino
    assert compare(release, second).is_empty


def test_a_table_may_not_be_called_like_a_configuration(workspace: Workspace) -> None:
    folder = table_folder(workspace.root, "no_petface")
    table_folder(workspace.root, "mine").rename(folder)
    with pytest.raises(PetdataError, match="no_petface: a configuration"):
        build_release(workspace)


def test_a_broken_part_is_named_before_anything_is_written(workspace: Workspace) -> None:
    part = part_files(table_folder(workspace.root, "boxes"))[1]
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(CorruptFile, match=r"part-000001\.parquet"):
        build_release(workspace, seed=9)
    assert [path.name for path in (workspace.root / "releases/pets").iterdir()] == ["1.0.0"]


# Verified


def wide(rows: list[dict[str, Any]]) -> None:
    rows[0]["boxes"][0]["x1"] = 5_000


def stranger(rows: list[dict[str, Any]]) -> None:
    rows[0] |= {"sha256": ELSEWHERE, "photo_id": f"lcw/17/{ELSEWHERE[:12]}"}


def raw_id(rows: list[dict[str, Any]]) -> None:
    rows[0]["photo_id"] = f"pet911/rl500001/{rows[0]['sha256'][:12]}"


def excuse(rows: list[dict[str, Any]]) -> None:
    rows[0] |= {"problem": "x", "boxes": None, "chosen": None}


def fewer(rows: list[dict[str, Any]]) -> None:
    del rows[0]


def nonsense(rows: list[dict[str, Any]]) -> None:
    rows[0]["chosen"] = 7


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (wide, "has a box beyond its "),
        (stranger, "is not among the photos of this split"),
        (raw_id, "is not among the photos of this split"),
        (excuse, "says why there is nothing"),
        (fewer, "rows, the manifest says "),
        (nonsense, "chosen is the number of no box"),
    ],
)
def test_verify_names_rows_that_are_not_right(
    release: Path, change: Callable[[list[dict[str, Any]]], None], why: str
) -> None:
    path = release / "side_tables/boxes/train-00000.parquet"
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    seal(release)
    found = problems(release)
    assert any(why in problem for problem in found), found
    assert len(found) <= 2


@pytest.mark.parametrize(
    "tables", [{"boxes": {}}, {"../x": 5}, [], {"boxes": {"splits": {"a": 1}}}]
)
def test_a_manifest_that_no_build_writes_is_named(release: Path, tables: Any) -> None:
    path = release / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"side_tables": tables}))
    assert any("no build writes" in problem for problem in problems(release))


# Forgotten


def test_a_purge_takes_the_rows_of_what_it_takes(workspace: Workspace) -> None:
    gone = PETS[0]
    entry, _ = add_takedown(workspace.takedowns, gone.identity, "asked", date(2026, 3, 1))
    # A table may know a photo of it that no ledger does.
    other = f"{gone.identity}/{'d' * 12}"
    row = {"sha256": "d" * 64, "photo_id": other, "boxes": []}
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, [row])
    purged = purge(workspace, entry)
    left = {sha256(content) for animal in PETS[1:] for content in animal.photos}
    for name in ("boxes", "descriptions", "mine"):
        found = read_side_table(table_folder(workspace.root, name)).rows
        hashes = set(found["sha256"].to_pylist())
        assert hashes <= left | {ELSEWHERE}
        assert not {sha256(content) for content in gone.photos} & hashes
    assert sum("side_tables" in line for line in purged.removed) == 4
    release = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    assert problems(release) == []


def test_what_was_taken_down_is_in_no_later_table(workspace: Workspace) -> None:
    name = sha256(PETS[0].photos[0])
    add_takedown(workspace.takedowns, name, "asked", date(2026, 3, 1))
    release = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    for table in table_names(release):
        assert name not in read_side_table(table_folder(release, table)).rows["sha256"].to_pylist()
    assert problems(release) == []
