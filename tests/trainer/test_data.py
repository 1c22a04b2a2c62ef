"""Batches against photos opened one by one with Pillow."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from small_release import PETS, copy_to_spoil, small_release
from worlds import add, build_release

from petdata.errors import PetdataError
from petdata.records import SHARD_SCHEMA
from petdata.releases import open_release
from petdata.side_table_kinds import BOXES, Producer
from petdata.side_tables import append_rows
from petdata.workspace import Workspace
from trainer.data import BadPhoto, Batch, PhotoLoader, PhotoSet, default_workers, open_photos
from trainer.decoding import decode, padded

BATCHES = [np.array(rows) for rows in ([3, 1, 2], [0], [9, 8, 7, 6, 5], [4, 4], [0, 9])]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("data") / "workspace")


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return copy_to_spoil(release, tmp_path / "workspace")


@pytest.fixture
def photos(release: Path) -> PhotoSet:
    return open_train(release)


def open_train(folder: Path, **more: str | float) -> PhotoSet:
    release = open_release(folder, workspace=Workspace(root=folder.parents[2]))
    return open_photos(release, "train", **more)  # type: ignore[arg-type]


def small(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.resize((24, 16)))).permute(2, 0, 1).float()


def expected(photos: PhotoSet, rows: np.ndarray) -> torch.Tensor:
    pictures = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in photos.read(rows)]
    return torch.stack([small(picture) for picture in pictures])


def check(photos: PhotoSet, batches: list[Batch], wanted: list[np.ndarray]) -> None:
    for batch, rows in zip(batches, wanted, strict=True):
        assert batch.rows.tolist() == rows.tolist()
        assert batch.labels.tolist() == photos.labels[rows].tolist()
        assert batch.photo_ids == [photos.photo_ids[row].as_py() for row in rows.tolist()]
        assert torch.equal(batch.pixel_values, expected(photos, rows))
        assert batch.pixel_values.dtype == torch.float32
        assert batch.pixel_values.is_contiguous()


# Order and content


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_those_that_were_asked_for(photos: PhotoSet, workers: int) -> None:
    loader = PhotoLoader(photos, small, BATCHES, workers=workers)
    for _ in range(2):
        check(photos, list(loader), BATCHES)
    assert loader.workers == workers


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_that_are_kept_stay_what_they_were(photos: PhotoSet, workers: int) -> None:
    """The memory of a batch is used again only when nothing refers to it."""
    wanted = [np.array([n % 10, (n + 1) % 10]) for n in range(30)]
    batches, views = [], []
    for batch in PhotoLoader(photos, small, iter(wanted), workers=workers):
        batches.append(batch)
        views.append(batch.pixel_values[1:])
    check(photos, batches, wanted)
    del batches
    for view, rows in zip(views, wanted, strict=True):
        assert torch.equal(view, expected(photos, rows[1:]))


def test_a_photo_that_takes_long_does_not_change_the_order(photos: PhotoSet) -> None:
    slow = photos.read_one(3)

    def transform(picture: Image.Image) -> torch.Tensor:
        if picture.size == Image.open(io.BytesIO(slow)).size:
            time.sleep(0.2)
        return small(picture)

    check(photos, list(PhotoLoader(photos, transform, BATCHES, workers=2)), BATCHES)


def test_no_batches_and_empty_ones(photos: PhotoSet) -> None:
    none: list[np.ndarray] = []
    empty = [np.empty(0, np.int64), np.array([1]), np.empty(0, np.int64)]
    for workers in (0, 1):
        assert list(PhotoLoader(photos, small, none, workers=workers)) == []
        sizes = [len(batch) for batch in PhotoLoader(photos, small, empty, workers=workers)]
        assert sizes == [0, 1, 0]


def test_as_many_workers_as_there_are_cores(photos: PhotoSet) -> None:
    cores = len(os.sched_getaffinity(0))
    assert PhotoLoader(photos, small, []).workers == default_workers() == min(8, cores)


def test_pixels_are_those_of_pillow(photos: PhotoSet, real_data: Path) -> None:
    jpegs = photos.read(np.arange(len(photos)))
    for path in sorted((real_data / "real-pets").rglob("*.jpg"))[::10]:
        jpegs.append(path.read_bytes())
    for jpeg in jpegs:
        with Image.open(io.BytesIO(jpeg)) as picture:
            if picture.mode in ("RGB", "L"):
                assert np.array_equal(decode(jpeg), np.array(picture.convert("RGB")))


# Texts


def test_texts_of_owners_become_tokens(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path / "workspace")
    add(workspace, PETS)
    folder = build_release(workspace, keep_text=True)
    photos = open_train(folder, texts="owner")
    rows = {
        row["photo_id"]: row
        for path in folder.glob("data/**/train-*.parquet")
        for row in pq.read_table(path, columns=["photo_id", "title"], partitioning=None).to_pylist()
    }
    titles = [rows[photo_id]["title"] for photo_id in photos.photo_ids.to_pylist()]
    assert photos.texts is not None
    assert photos.texts.to_pylist() == [title or "" for title in titles]
    assert photos.texts_missing == titles.count(None)
    assert "Пропала кошка" in titles

    def tokenize(texts: list[str]) -> dict[str, torch.Tensor]:
        lengths = torch.tensor([[len(text)] for text in texts])
        return {"input_ids": lengths, "attention_mask": torch.ones_like(lengths)}

    batch = next(iter(PhotoLoader(photos, small, [np.array([2, 0])], workers=1, tokenize=tokenize)))
    assert batch.input_ids is not None
    assert batch.input_ids.tolist() == [[len(titles[2] or "")], [len(titles[0] or "")]]
    assert batch.attention_mask is not None
    without = open_train(folder)
    assert without.dataset_hash != photos.dataset_hash
    with pytest.raises(ValueError, match="opened without texts"):
        list(PhotoLoader(without, small, BATCHES, workers=0, tokenize=tokenize))


# Boxes


def test_boxes_by_hand() -> None:
    def box(*corners: float) -> np.ndarray:
        return np.array(corners, np.float32)

    assert padded(box(10.2, 20.7, 29.1, 40.0), 0.0, 100, 80) == (10, 20, 30, 40)
    assert padded(box(10, 20, 30, 40), 0.1, 100, 80) == (8, 18, 32, 42)
    assert padded(box(1, 1, 99, 79), 0.5, 100, 80) == (0, 0, 100, 80)
    assert padded(box(*[np.nan] * 4), 0.5, 100, 80) == (0, 0, 100, 80)
    with pytest.raises(ValueError, match="outside"):
        padded(box(100, 0, 120, 80), 0.0, 100, 80)


def test_photos_are_cut_to_their_boxes(copy: Path) -> None:
    whole = open_train(copy)
    corner = {"class": "cat", "score": 0.5, "x0": 8.0, "y0": 16.5, "x1": 200.0, "y1": 150.0}
    rows = [{"sha256": whole.sha256[2].as_py(), "boxes": [corner], "chosen": 0}]
    append_rows(copy.parents[2] / "side_tables" / "yolo", BOXES, Producer(model="tests"), rows)
    photos = open_train(copy, boxes="yolo", box_padding=0.01)
    batch = next(iter(PhotoLoader(photos, small, [np.array([2, 3])], workers=1)))
    picture = Image.open(io.BytesIO(whole.read_one(2))).convert("RGB")
    # 1 % of 192 and of 133.5 pixels more on each side.
    cut = picture.crop((6, 15, 202, 152))
    assert torch.equal(batch.pixel_values[0], small(cut))
    assert torch.equal(batch.pixel_values[1], expected(whole, np.array([3]))[0])
    assert open_train(copy, boxes="yolo").dataset_hash != photos.dataset_hash


# What goes wrong


def spoil(copy: Path, source: str) -> str:
    """Change a byte of the first photo of a source in train. Returns its file."""
    path = f"data/{source}/train-00000.parquet"
    table = pq.read_table(copy / "metadata" / "byte_index.parquet").to_pylist()
    found = next(row for row in table if row["path"] == path)
    content = bytearray((copy / path).read_bytes())
    content[found["offset"] + found["length"] // 2] ^= 1
    (copy / path).write_bytes(content)
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_photo_is_an_error_or_left_out(copy: Path, workers: int) -> None:
    path = spoil(copy, "telegram")
    photos = open_train(copy)
    bad = photos.sources.to_pylist().index("telegram")
    wanted = [np.array([0, 1]), np.array([2, bad, 3]), np.array([bad]), np.array([bad, 1])]
    with pytest.raises(BadPhoto, match=rf"{path}, row 0: photo telegram/.*SHA-256.*--skip-bad"):
        list(PhotoLoader(photos, small, wanted, workers=workers))
    said: list[str] = []
    loader = PhotoLoader(photos, small, wanted, workers=workers, skip_bad=True, say=said.append)
    kept = [rows[rows != bad] for rows in wanted]
    batches = list(loader)
    assert [batch.rows.tolist() for batch in batches] == [rows.tolist() for rows in kept]
    for batch, rows in zip(batches, kept, strict=True):
        assert batch.pixel_values.shape == (len(rows), 3, 16, 24)
        if len(rows):
            assert torch.equal(batch.pixel_values, expected(photos, rows))
    assert loader.skipped == 3
    assert len(said) == 1
    assert path in said[0]


def test_bytes_that_no_decoder_takes(copy: Path) -> None:
    """Whole by its hash, and still no picture that can be decoded."""
    photos = open_train(copy)
    jpeg = photos.read_one(0)
    with pytest.raises(ValueError, match=r"."):
        decode(jpeg[: len(jpeg) // 2])
    with pytest.raises(ValueError, match=r"."):
        decode(b"\xff\xd8\xff no picture")


def die(picture: Image.Image) -> torch.Tensor:
    if picture.size != (64, 64):  # what the loader asks for the shape with
        os.kill(os.getpid(), signal.SIGKILL)
    return small(picture)


def fail(picture: Image.Image) -> torch.Tensor:
    if picture.size != (64, 64):
        raise ZeroDivisionError("in the transform")
    return small(picture)


def grow(picture: Image.Image) -> torch.Tensor:
    return torch.zeros(3, *picture.size)


@pytest.mark.parametrize(
    ("transform", "kind", "message"),
    [
        (die, PetdataError, r"loading process died \(SIGKILL\).*--workers"),
        (fail, RuntimeError, "ZeroDivisionError: in the transform"),
        (grow, PetdataError, "photos of a batch must have one size"),
    ],
)
def test_a_process_that_cannot_go_on_ends_the_loader(
    photos: PhotoSet,
    transform: Callable[[Image.Image], torch.Tensor],
    kind: type[Exception],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        list(PhotoLoader(photos, transform, BATCHES, workers=2))
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_while_nobody_looks(photos: PhotoSet) -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield np.arange(10)

    loader = iter(PhotoLoader(photos, small, endless(), workers=2))
    next(loader)
    victim = multiprocessing.active_children()[0]
    os.kill(victim.pid or 0, signal.SIGKILL)
    victim.join()
    with pytest.raises(PetdataError, match="died"):
        list(islice(loader, 20))
    assert multiprocessing.active_children() == []


def test_leaving_early_leaves_no_process(photos: PhotoSet) -> None:
    for batch in PhotoLoader(photos, small, BATCHES * 10, workers=2):
        assert len(multiprocessing.active_children()) == 2
        kept = batch.pixel_values
        break
    del batch
    assert multiprocessing.active_children() == []
    assert torch.equal(kept, expected(photos, BATCHES[0]))


# Size


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    """Labels and places against plain dictionaries, of an index that was made up."""
    rows, files = 100_000, 7
    generator = np.random.default_rng(0)
    identity = np.sort(generator.integers(0, 40_000, rows))
    names = [f"lcw/{number}" for number in identity]
    sha256 = [f"{number:064x}" for number in generator.permutation(rows)]
    ids = [f"{name}/{text[:12]}" for name, text in zip(names, sha256, strict=True)]
    group_of = {name: f"lcw/{int(name[4:]) // 2}" for name in set(names)}
    folder = tmp_path / "releases" / "big" / "1.0.0"
    (folder / "metadata").mkdir(parents=True)
    (folder / "data" / "lcw").mkdir(parents=True)
    entries, index = {}, []
    for number, part in enumerate(np.array_split(np.arange(rows), files)):
        path = f"data/lcw/train-{number:05d}.parquet"
        columns = {field.name: pa.nulls(len(part), field.type) for field in SHARD_SCHEMA}
        columns |= {
            "photo_id": pa.array([ids[n] for n in part]),
            "identity_id": pa.array([names[n] for n in part]),
            "sha256": pa.array([sha256[n] for n in part]),
            "source": pa.array(["lcw"] * len(part)),
            "species": pa.array(["cat"] * len(part)),
            "phash": pa.array(np.zeros(len(part), np.uint64)),
        }
        pq.write_table(pa.table(columns, schema=SHARD_SCHEMA), folder / path)
        entries[path] = {"rows": len(part), "bytes": 0, "sha256": "", "fingerprint": ""}
        column = np.arange(len(part))
        index.append(
            pa.table(
                {
                    "path": pa.array([path] * len(part)).dictionary_encode(),
                    "row": pa.array(column, pa.int32()),
                    "offset": pa.array(column * 100),
                    "length": pa.array(np.full(len(part), 100)),
                    "file_bytes": pa.array(np.full(len(part), 100 * rows)),
                }
            )
        )
    pq.write_table(pa.concat_tables(index), folder / "metadata" / "byte_index.parquet")
    groups = {"config": ["all"] * len(group_of), "identity_id": list(group_of)}
    groups["identity_group"] = list(group_of.values())
    pq.write_table(pa.table(groups), folder / "metadata" / "identity_groups.parquet")
    manifest = {"format": "1.0", "name": "big", "version": "1.0.0", "variant": "full"}
    configs = {"all": {"train": list(entries)}}
    more = {"build_hash": "0", "files": entries, "configs": configs, "options": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest | more))
    photos = open_train(folder)
    expected = sorted(set(group_of.values()))
    number_of = {name: number for number, name in enumerate(expected)}
    assert photos.groups.to_pylist() == expected
    assert photos.labels.tolist() == [number_of[group_of[name]] for name in names]
    assert photos.photo_ids.to_pylist() == ids
    assert photos.describe(99_999) == (
        f"data/lcw/train-00006.parquet, row {len(part) - 1}: photo {ids[-1]}"
    )
