"""Releases as training reads them, held to their rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_release import PETS, copy_to_spoil, small_release
from worlds import Animal, add, build_release, photo, release_rows

from petdata.errors import CorruptFile, PetdataError
from petdata.releases import open_release
from petdata.side_table_kinds import BOXES, DESCRIPTIONS, Producer
from petdata.side_tables import append_rows
from petdata.workspace import Workspace
from trainer.photo_set import BadPhoto, PhotoSet, open_photos


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("photo_set") / "workspace")


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return copy_to_spoil(release, tmp_path / "workspace")


def open_split(folder: Path, split: str = "train", config: str = "all", **more: str) -> PhotoSet:
    workspace = Workspace(root=folder.parents[2])
    return open_photos(open_release(folder, config=config, workspace=workspace), split, **more)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_those_of_the_files(release: Path, split: str) -> None:
    photos = open_split(release, split)
    rows = release_rows(release, "photo_id", "identity_id", "sha256", "source", "species", "image")
    by_id = {row["photo_id"]: row for row in rows}
    assert len(photos) > 0
    expected = [by_id[photo_id.as_py()] for photo_id in photos.photo_ids]
    assert photos.sha256.to_pylist() == [row["sha256"] for row in expected]
    assert photos.sources.to_pylist() == [row["source"] for row in expected]
    assert photos.species.to_pylist() == [row["species"] for row in expected]
    order = np.random.default_rng(0).permutation(len(photos))
    pixels = [expected[n]["image"]["bytes"] for n in order]
    assert photos.read(order) == pixels


def test_all_photos_stand_in_one_split(release: Path) -> None:
    found = [id for split in open_release(release).splits for id in ids(open_split(release, split))]
    assert sorted(found) == sorted(row["photo_id"] for row in release_rows(release))
    assert len(PETS) == 13


def ids(photos: PhotoSet) -> list[str]:
    return [str(photo_id) for photo_id in photos.photo_ids.to_pylist()]


def test_labels_number_the_groups_by_name(release: Path) -> None:
    photos = open_split(release, "train")
    table = pq.read_table(release / "metadata" / "identity_groups.parquet").to_pylist()
    group_of = {r["identity_id"]: r["identity_group"] for r in table if r["config"] == "all"}
    groups = [group_of[photo_id.rpartition("/")[0]] for photo_id in ids(photos)]
    assert photos.groups.to_pylist() == sorted(set(groups))
    assert photos.labels.tolist() == [sorted(set(groups)).index(group) for group in groups]
    assert photos.labels.dtype == np.int64


def test_two_identities_of_one_animal_have_one_label(release: Path) -> None:
    """rl500002 and telegram/1000-5 show one picture, of which the first's copy is kept."""
    rows = [
        (split, int(label))
        for split in ("train", "validation")
        for photos in [open_split(release, split)]
        for label, source in zip(photos.labels, photos.sources.to_pylist(), strict=True)
        if source == "telegram"
    ]
    shared = [
        photos.labels.tolist().count(label)
        for split, label in rows
        for photos in [open_split(release, split)]
    ]
    assert sorted(shared) == [1, 3]  # 1000-9 alone; 1000-5 with both photos of rl500002


def test_a_configuration_has_its_own_files_and_hash(release: Path) -> None:
    everything, pet911 = open_split(release), open_split(release, config="pet911")
    assert set(pet911.sources.to_pylist()) == {"pet911"}
    hashes = {
        everything.dataset_hash,
        pet911.dataset_hash,
        open_split(release, "validation").dataset_hash,
    }
    assert len(hashes) == 3
    assert open_split(release).dataset_hash == everything.dataset_hash


def test_names_and_versions_of_the_workspace(release: Path) -> None:
    workspace = Workspace(root=release.parents[2])
    for reference, revision in (("pets", None), ("pets@1.0.0", None), ("pets", "v1.0.0")):
        found = open_release(reference, revision=revision, workspace=workspace)
        assert (found.folder, found.revision, found.version) == (release, None, "1.0.0")
    with pytest.raises(PetdataError, match=r"no release 'cats'.*here are pets@1\.0\.0"):
        open_release("cats", workspace=workspace)


def test_what_is_not_there_is_answered_with_what_is(release: Path) -> None:
    with pytest.raises(PetdataError, match="no configuration 'dogs'; choose from all, dogfacenet"):
        open_release(release, config="dogs")
    with pytest.raises(PetdataError, match="no split 'tests'; it has test, train, validation"):
        open_split(release, "tests")
    with pytest.raises(PetdataError, match="built without texts: petdata build --keep-text"):
        open_split(release, texts="owner")
    with pytest.raises(PetdataError, match=r"no side table 'yolo'.*there is none yet"):
        open_split(release, boxes="yolo")


# Damage


def spoil(copy: Path, source: str, change: Callable[[bytearray, int, int], None]) -> str:
    """Change the first photo of a source in train. Returns its file."""
    path = f"data/{source}/train-00000.parquet"
    table = pq.read_table(copy / "metadata" / "byte_index.parquet")
    found = next(row for row in table.to_pylist() if row["path"] == path)
    content = bytearray((copy / path).read_bytes())
    change(content, found["offset"], found["length"])
    (copy / path).write_bytes(content)
    return path


def test_a_changed_byte_names_file_and_photo(copy: Path) -> None:
    def flip(content: bytearray, offset: int, length: int) -> None:
        content[offset + length // 2] ^= 1

    path = spoil(copy, "telegram", flip)
    photos = open_split(copy, config="telegram")
    with pytest.raises(BadPhoto, match=f"{path}, row 0: photo telegram/.*SHA-256"):
        photos.read(np.array([0]))


def test_a_file_of_another_size_names_file_and_photo(copy: Path) -> None:
    path = copy / "metadata" / "byte_index.parquet"
    table = pq.read_table(path)
    sizes = pa.array([size + 1 for size in table["file_bytes"].to_pylist()], pa.int64())
    column = table.schema.get_field_index("file_bytes")
    pq.write_table(table.set_column(column, "file_bytes", sizes), path)
    with pytest.raises(BadPhoto, match=r"train-00000\.parquet, row 0: photo telegram/.*index"):
        open_split(copy, config="telegram").read(np.array([0]))


def test_an_identity_without_group_is_told(copy: Path) -> None:
    path = copy / "metadata" / "identity_groups.parquet"
    table = pq.read_table(path)
    keep = [not id.startswith("telegram/") for id in table["identity_id"].to_pylist()]
    pq.write_table(table.filter(pa.array(keep)), path)
    with pytest.raises(CorruptFile, match="no group of telegram/"):
        open_split(copy)


def test_a_recipe_says_rehydrate(copy: Path) -> None:
    table = pq.read_table(copy / "metadata" / "byte_index.parquet")
    hidden = pa.array([-1] * len(table), pa.int64())
    for name in ("offset", "length"):
        table = table.set_column(table.schema.get_field_index(name), name, hidden)
    pq.write_table(table, copy / "metadata" / "byte_index.parquet")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "variant": "recipe"}))
    with pytest.raises(PetdataError, match=r"recipe: 10 photos of train.*petdata rehydrate"):
        open_split(copy)


def test_a_file_that_the_index_leaves_out_is_read_through_pyarrow(copy: Path) -> None:
    before = open_split(copy).read(np.arange(10))
    path = copy / "data" / "pet911" / "train-00000.parquet"
    pq.write_table(pq.read_table(path, partitioning=None), path, compression="zstd")
    table = pq.read_table(copy / "metadata" / "byte_index.parquet")
    keep = [name != "data/pet911/train-00000.parquet" for name in table["path"].to_pylist()]
    pq.write_table(table.filter(pa.array(keep)), copy / "metadata" / "byte_index.parquet")
    assert open_split(copy).read(np.arange(10)) == before


# Side tables

PRODUCER = Producer(model="tests")
SAID = {"model": "tests", "prompt_version": "1", "language": "en"}


def test_boxes_of_a_side_table(copy: Path) -> None:
    photos = open_split(copy)
    box = {"class": "cat", "score": 0.9, "x0": 1.5, "y0": 2.0, "x1": 30.0, "y1": 40.0}
    hashes = photos.sha256.to_pylist()
    rows = [
        {"sha256": hashes[3], "boxes": [{**box, "x0": 0.0}, box], "chosen": 1},
        {"sha256": hashes[1], "boxes": [], "chosen": None},
        {"sha256": "0" * 64, "boxes": [box], "chosen": 0},
    ]
    append_rows(copy.parents[2] / "side_tables" / "yolo", BOXES, PRODUCER, rows)
    found = open_split(copy, boxes="yolo")
    assert found.boxes is not None
    assert found.boxes[3].tolist() == [1.5, 2.0, 30.0, 40.0]
    assert np.isnan(np.delete(found.boxes, 3, 0)).all()
    assert found.boxes_missing == len(photos) - 1
    assert found.dataset_hash != photos.dataset_hash
    with pytest.raises(PetdataError, match="holds boxes, descriptions are needed"):
        open_split(copy, texts="yolo")


def test_photos_without_title_and_description_have_the_empty_text(tmp_path: Path) -> None:
    """Sources differ: imports of public data sets have neither."""
    workspace = Workspace(root=tmp_path)
    texts = {"pet911/rl500001": "Найден кот", "lcw/1": "", "telegram/1000-9": "Кошка"}
    add(
        workspace,
        [
            Animal(name, [photo(n), photo(n, 1)], title=t)
            for n, (name, t) in enumerate(texts.items())
        ],
    )
    found = open_split(
        build_release(workspace, keep_text=True, merge_identities="off"), texts="owner"
    )
    assert found.texts is not None
    names = [photo_id.rpartition("/")[0] for photo_id in found.photo_ids.to_pylist()]
    assert found.texts.to_pylist() == [texts[name] for name in names]
    assert found.texts_missing == names.count("lcw/1")


def test_texts_of_a_side_table(copy: Path) -> None:
    photos = open_split(copy)
    hashes = photos.sha256.to_pylist()
    rows = [
        {"sha256": hashes[2], "text": " a grey cat ", **SAID},
        {"sha256": hashes[0], "text": None, "problem": "refused"},
    ]
    append_rows(copy.parents[2] / "side_tables" / "qwen", DESCRIPTIONS, PRODUCER, rows)
    found = open_split(copy, texts="qwen")
    assert found.texts is not None
    assert found.texts.to_pylist() == ["", "", "a grey cat", *[""] * (len(photos) - 3)]
    assert found.texts_missing == len(photos) - 1
    hash_before = found.dataset_hash
    rows = [{"sha256": hashes[1], "text": "a dog", **SAID}]
    append_rows(copy.parents[2] / "side_tables" / "qwen", DESCRIPTIONS, PRODUCER, rows)
    assert open_split(copy, texts="qwen").dataset_hash != hash_before


def test_read_is_checked_by_hash(release: Path) -> None:
    photos = open_split(release)
    for jpeg, sha256 in zip(photos.read(np.arange(10)), photos.sha256.to_pylist(), strict=True):
        assert hashlib.sha256(jpeg).hexdigest() == sha256
