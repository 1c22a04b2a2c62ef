"""Boxes: the chosen one by hand, a tiny detector against its own numbers, resuming, bad rows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import save_detector
from typer.testing import CliRunner
from worlds import Animal, add, build_release, photo

from petdata.cli import app
from petdata.errors import PetdataError
from petdata.releases import open_release
from petdata.side_tables import read_side_table
from petdata.workspace import Workspace
from trainer.decoding import Pixels, decode
from trainer.detect import detect_photos
from trainer.detect_choice import Box, choose, overlap, shows_several
from trainer.detectors import TransformersDetector
from trainer.photo_set import open_photos
from trainer.unseen_photos import unseen_photos

PHOTOS = 5
PERSON = Box("person", 0.99, 0, 0, 300, 200)
SMALL_CAT = Box("cat", 0.9, 0, 0, 10, 10)
LARGE_CAT = Box("cat", 0.6, 100, 100, 200, 200)
DOG = Box("dog", 0.95, 0, 0, 300, 200)


@pytest.mark.parametrize(
    ("boxes", "species", "chosen"),
    [
        ([], "cat", None),
        ([PERSON], "cat", None),
        ([DOG, SMALL_CAT], "cat", 1),  # the right species before anything
        ([SMALL_CAT, LARGE_CAT], "cat", 1),  # 0.9 x 100 < 0.6 x 10,000
        ([PERSON, DOG], "cat", 1),  # an animal, be it called another one
        ([SMALL_CAT, DOG], "unknown", 1),
        ([LARGE_CAT, LARGE_CAT], "cat", 0),
        ([DOG, Box("bird", 0.5, 0, 0, 9, 9)], "parakeet", 1),
        ([DOG, Box("hamster", 0.5, 0, 0, 9, 9)], "hamster", 1),  # a detector that knows them
    ],
)
def test_the_chosen_box(boxes: list[Box], species: str, chosen: int | None) -> None:
    assert choose(boxes, species) == chosen


def test_overlap_by_hand() -> None:
    one, other = Box("cat", 1, 0, 0, 10, 10), Box("cat", 1, 5, 0, 15, 10)
    assert overlap(one, other) == pytest.approx(50 / 150)
    assert overlap(one, LARGE_CAT) == 0
    assert overlap(one, one) == 1


def test_two_confident_animals_apart_are_several() -> None:
    assert shows_several([SMALL_CAT, LARGE_CAT], 1)
    assert not shows_several([SMALL_CAT, DOG], 1)  # another species
    assert not shows_several([LARGE_CAT, Box("cat", 0.4, 0, 0, 10, 10)], 0)
    assert not shows_several([LARGE_CAT, Box("cat", 0.9, 101, 101, 200, 200)], 0)  # twice the same
    assert not shows_several([SMALL_CAT], None)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-rtdetr"
    save_detector(folder)
    return folder


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("detect")
    workspace = Workspace(root=root)
    add(workspace, [Animal(f"pet911/rl80{n:04}", [photo(80 + n)]) for n in range(PHOTOS)])
    build_release(workspace, val_fraction=0.3)
    return root


def test_boxes_are_the_networks_own_in_pixels_of_the_photo(tiny: Path) -> None:
    picture = decode(photo(1))[:150, :300]
    threshold = 0.005
    (found,) = TransformersDetector(str(tiny), "cpu").detect([picture], threshold)
    network = transformers.RTDetrV2ForObjectDetection.from_pretrained(tiny).eval()
    inputs = transformers.RTDetrImageProcessor.from_pretrained(tiny)(picture, return_tensors="pt")
    with torch.inference_mode():
        said = network(**inputs)
    scores = said.logits[0].sigmoid()  # (queries, classes)
    queries = len(scores)
    flat = sorted(
        ((float(scores[q, c]), q, c) for q in range(queries) for c in range(3)), reverse=True
    )[:queries]
    expected = []
    for score, query, name in flat:
        x, y, w, h = said.pred_boxes[0, query].tolist()  # middle and size, in shares
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * [300, 150, 300, 150]
        x0, y0, x1, y1 = np.clip(corners, 0, [300, 150, 300, 150])
        if score > threshold and x0 < x1 and y0 < y1:
            expected.append((("person", "cat", "dog")[name], score, x0, y0, x1, y1))
    assert len(found) == len(expected) > 0
    for box, (name, *numbers) in zip(found, expected, strict=True):
        assert box.name == name
        assert [box.score, box.x0, box.y0, box.x1, box.y1] == pytest.approx(numbers, abs=1e-3)


class PaintedDetector:
    """Says of each photo what was planned for the one with its size and first pixel."""

    model, model_hash = "painted", ""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.boxes = list(boxes)
        self.looked_at = 0
        self.fails_after: int | None = None

    def detect(self, photos: Sequence[Pixels], threshold: float) -> list[list[Box]]:
        if self.fails_after is not None and self.looked_at >= self.fails_after:
            raise KeyboardInterrupt
        self.looked_at += len(photos)
        return [[box for box in self.boxes if box.score >= threshold] for _ in photos]


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_side_table(folder).rows.to_pylist()
    return found


def test_interrupted_and_started_again_no_photo_is_looked_at_twice(
    collected: Path, tmp_path: Path
) -> None:
    workspace, folder = Workspace(root=collected), tmp_path / "boxes"
    detector = PaintedDetector([SMALL_CAT, LARGE_CAT, DOG])
    detector.fails_after = 2
    with pytest.raises(KeyboardInterrupt):
        detect_photos(unseen_photos("pet911", folder, workspace), folder, detector, batch_size=2)
    assert len(rows(folder)) == 2
    detector.fails_after = None
    counts = detect_photos(unseen_photos("pet911", folder, workspace), folder, detector)
    assert counts.chosen == counts.several == PHOTOS - 2
    assert detector.looked_at == PHOTOS
    for row in rows(folder):
        assert [box["class"] for box in row["boxes"]] == ["cat", "cat", "dog"]
        assert row["chosen"] == 1
        assert row["several_animals"]


def test_killed_and_started_again_no_stored_photo_is_looked_at_twice(
    collected: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, time; from functools import partial; from pathlib import Path\n"
        "from petdata.workspace import Workspace; from trainer import detect\n"
        "from trainer.unseen_photos import unseen_photos\n"
        "root, folder, slow_from = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])\n"
        "class Looker:\n"
        "    model, model_hash, looked_at = 'looker', '', 0\n"
        "    def detect(self, photos, threshold):\n"
        "        time.sleep(300 if self.looked_at >= slow_from else 0)\n"
        "        self.looked_at += len(photos)\n"
        "        return [[] for _ in photos]\n"
        "detect.TableParts = partial(detect.TableParts, every=2)\n"
        "photos = unseen_photos('pet911', folder, Workspace(root=root))\n"
        "detect.detect_photos(photos, folder, looker := Looker(), batch_size=1)\n"
        "print(looker.looked_at)\n"
    )
    folder = tmp_path / "boxes"
    command = [sys.executable, "-c", script, str(collected), str(folder)]
    running = subprocess.Popen([*command, "3"])
    try:
        deadline = time.monotonic() + 60
        while not list(folder.glob("part-*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    assert len(rows(folder)) == 2  # the third was looked at and not stored yet, or not looked at
    again = subprocess.run([*command, "99"], check=True, stdout=subprocess.PIPE, text=True)
    assert int(again.stdout) == PHOTOS - 2
    assert len(rows(folder)) == PHOTOS


def test_photos_without_a_box_are_counted_and_not_tried_again(
    collected: Path, tmp_path: Path
) -> None:
    workspace, folder = Workspace(root=collected), tmp_path / "boxes"
    photos = unseen_photos("pet911", folder, workspace)
    counts = detect_photos(photos, folder, PaintedDetector([PERSON]))
    assert (counts.chosen, counts.without_box) == (0, PHOTOS)
    assert len(unseen_photos("pet911", folder, workspace)) == 0
    assert {row["chosen"] for row in rows(folder)} == {None}


def test_a_corrupt_row_is_skipped_with_a_reason(tmp_path: Path) -> None:
    workspace, folder = Workspace(root=tmp_path), tmp_path / "boxes"
    add(workspace, [Animal(f"pet911/rl81{n:04}", [photo(90 + n)]) for n in range(3)])
    (shard,) = workspace.shards("pet911").glob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[content.index(b"\xff\xd8\xff") + 1000] ^= 0xFF
    shard.chmod(0o644)
    shard.write_bytes(content)
    told: list[str | None] = []
    counts = detect_photos(
        unseen_photos("pet911", folder, workspace),
        folder,
        PaintedDetector([DOG]),
        tell=lambda _, why: told.append(why),
    )
    assert (counts.chosen, counts.unreadable) == (2, 1)
    (why,) = filter(None, told)
    assert "does not have its SHA-256" in why


def test_the_command_makes_boxes_that_training_cuts_photos_to(
    collected: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(collected))
    command = ["detect", "pets", "--model", str(tiny), "--device", "cpu", "--threshold", "0.005"]
    first = CliRunner().invoke(app, command)
    again = CliRunner().invoke(app, command)
    assert first.exit_code == again.exit_code == 0, first.output
    assert f"{PHOTOS} photos to look at, 0 have a row" in first.output
    assert f"0 photos to look at, {PHOTOS} have a row" in again.output
    table = read_side_table(collected / "side_tables" / "boxes")
    assert (table.producer.model, len(table.producer.model_hash)) == ("tiny-rtdetr", 64)
    by_sha256 = {row["sha256"]: row for row in table.rows.to_pylist()}
    release = open_release("pets", workspace=Workspace(root=collected))
    photos = open_photos(release, release.splits[0], boxes="boxes")
    assert photos.boxes is not None
    for sha256, corners in zip(photos.sha256.to_pylist(), photos.boxes, strict=True):
        row = by_sha256[sha256]
        if row["chosen"] is None:
            assert np.isnan(corners).all()
        else:
            box = row["boxes"][row["chosen"]]
            assert corners.tolist() == [box[name] for name in ("x0", "y0", "x1", "y1")]


def test_another_threshold_is_another_table(
    collected: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(collected))
    command = ["detect", "pet911", "--model", str(tiny), "--device", "cpu", "--table", "other"]
    assert CliRunner().invoke(app, [*command, "--limit", "1"]).exit_code == 0
    result = CliRunner().invoke(app, [*command, "--threshold", "0.4"])
    assert isinstance(result.exception, PetdataError)
    assert "name another table" in str(result.exception)
