"""A small YOLO12 learns drawn pets, and its crops reach networks pixel for pixel."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import train_yolo
from PIL import Image
from typer.testing import CliRunner
from worlds import Animal, add, build_release

from evaluation.embed import embed
from petdata.cli import app
from petdata.demo.pets import draw_identity, draw_photo, encode_photo
from petdata.jpeg import canonicalise
from petdata.side_tables import read_side_table
from petdata.workspace import Workspace
from trainer.data import open_photos, open_release
from trainer.decoding import PhotoDecoder
from trainer.detect_choice import Box, overlap
from trainer.open_model import open_model
from trainer.photo_set import PhotoSet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="needs pip install -e '.[crop]'"
    ),
]
SEED = 11
LEARNED = range(600)  # numbers of pets
HELD_OUT = range(5_000, 5_080)


@pytest.fixture(scope="module")
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .pt. Trained once, then kept in pytest's cache."""
    script = Path(train_yolo.__file__)
    name = hashlib.sha256(script.read_bytes() + repr((SEED, LEARNED)).encode()).hexdigest()[:12]
    weights = Path(request.config.cache.mkdir("detectors")) / f"pets-{name}.pt"
    if not weights.exists():
        folder = tmp_path_factory.mktemp("drawn")
        for split, pets in (("train", LEARNED), ("val", LEARNED[:8])):
            _draw(folder / split, pets)
        command = [sys.executable, script, folder, weights.with_suffix(".part")]
        own = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(folder)}
        subprocess.run(command, env=os.environ | own, check=True)
        weights.with_suffix(".part").rename(weights)
    return weights


def _draw(folder: Path, pets: range) -> None:
    """Pictures, and what is on each: number of the species, middle, size, in shares."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in pets:
        pet = draw_identity(SEED, number)
        drawn = draw_photo(pet, 0)
        width, height = drawn.image.size
        left, top, right, bottom = drawn.box
        middle = (left + right) / 2 / width, (top + bottom) / 2 / height
        size = (right - left) / width, (bottom - top) / height
        line = (train_yolo.NAMES.index(pet.species), *middle, *size)
        drawn.image.thumbnail((192, 192))
        drawn.image.save(folder / "images" / f"{number}.jpg", quality=90)
        (folder / "labels" / f"{number}.txt").write_text(" ".join(map(str, line)))


@pytest.fixture(scope="module")
def truth() -> dict[str, Box]:
    """Filled with the photos: SHA-256 -> where the animal is."""
    return {}


@pytest.fixture(scope="module")
def workspace(
    detector: Path, truth: dict[str, Box], tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """Pets that the detector has never seen, found by it, in a release."""
    workspace = Workspace(root=tmp_path_factory.mktemp("held out"))
    animals = []
    for number in HELD_OUT:
        pet = draw_identity(SEED, number)
        drawn = draw_photo(pet, 0)
        kept = canonicalise(encode_photo(drawn.image, "JPEG", 88))
        assert (kept.width, kept.height) == drawn.image.size
        truth[hashlib.sha256(kept.jpeg).hexdigest()] = Box(pet.species, 1, *drawn.box)
        identity = f"pet911/rl70{number:04}"
        animals.append(Animal(identity, [kept.jpeg], species=pet.species))
    add(workspace, animals)
    command = [
        "detect",
        "pet911",
        "--model",
        str(detector),
        "--device",
        "cpu",
        "--threshold",
        "0.1",
    ]
    sha256 = hashlib.sha256(detector.read_bytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PETDATA_HOME", str(workspace.root))
        result = CliRunner().invoke(app, [*command, "--weights-sha256", sha256])
    assert result.exit_code == 0, result.output
    build_release(workspace, multi_animal="keep")
    return workspace


def test_recall_on_pets_that_it_has_not_seen(workspace: Workspace, truth: dict[str, Box]) -> None:
    rows = read_side_table(workspace.root / "side_tables" / "boxes").rows.to_pylist()
    assert len(rows) == len(HELD_OUT)
    found = 0
    for row in rows:
        if row["chosen"] is not None:
            box = row["boxes"][row["chosen"]]
            corners = [box[name] for name in ("x0", "y0", "x1", "y1")]
            found += overlap(Box("", 1, *corners), truth[row["sha256"]]) >= 0.5
    print(f"recall at IoU 0.5: {found / len(rows):.3f}")  # noqa: T201
    assert found / len(rows) >= 0.7


def photos_of(workspace: Workspace, boxes: str | None) -> PhotoSet:
    return open_photos(open_release("pets", workspace=workspace), "train", boxes=boxes)


def as_they_are(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture).transpose(2, 0, 1))


def test_crops_are_those_of_pillow_pixel_for_pixel(workspace: Workspace) -> None:
    photos = photos_of(workspace, "boxes")
    decoder = PhotoDecoder(photos, as_they_are)  # type: ignore[arg-type]
    assert photos.boxes is not None
    cut = 0
    for row, jpeg in enumerate(photos.read(np.arange(len(photos)))):
        picture = Image.open(io.BytesIO(jpeg))
        if not math.isnan(photos.boxes[row][0]):
            x0, y0, x1, y1 = photos.boxes[row].tolist()
            whole = picture.size
            picture = picture.crop((math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)))
            cut += picture.size != whole
        np.testing.assert_array_equal(decoder.load(row), as_they_are(picture))
    assert cut > len(photos) / 2


def test_crops_change_embeddings(workspace: Workspace) -> None:
    model, _ = open_model("dinov2-small", workspace=workspace, tiny=True)
    cropped, whole = (
        embed(model, photos_of(workspace, boxes), workers=0).vectors for boxes in ("boxes", None)
    )
    photos = photos_of(workspace, "boxes")
    assert photos.boxes is not None
    differs = np.abs(cropped - whole).max(axis=1) > 1e-4
    has_box = ~np.isnan(photos.boxes[:, 0])
    assert not differs[~has_box].any()
    assert differs[has_box].mean() > 0.9
