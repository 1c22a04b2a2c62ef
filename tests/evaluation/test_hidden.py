"""Photos without their animals and without their backgrounds: pixels, then whole evaluations."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training import IDENTITIES, training_workspace

from evaluation.embed_flags import EmbedFlags
from evaluation.evaluate import EvaluateOptions
from evaluation.evaluate_command import evaluate_opened
from evaluation.hidden import ANIMAL, BACKGROUND, BOXED, half_hidden, table_of_boxes
from evaluation.opened import open_both
from petdata.errors import PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.data import open_photos
from trainer.decoding import GREY, PhotoDecoder, decode_alone

FLAGS = EmbedFlags(split="validation", tiny=True, workers=0, device="cpu")
OPTIONS = EvaluateOptions(resamples=100)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("hidden") / "home")


def drawn_jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


def test_what_is_hidden_is_grey_and_the_rest_stays() -> None:
    jpeg, box = drawn_jpeg(), np.array([10.5, 20, 60, 80.2], np.float32)
    picture = np.array(Image.open(io.BytesIO(jpeg)))
    inside = np.zeros(picture.shape[:2], bool)
    inside[20:81, 10:60] = True
    background = decode_alone(jpeg, box, 0.0, "background")
    animal = decode_alone(jpeg, box, 0.0, "animal")
    assert (background[inside] == GREY).all()
    assert np.array_equal(background[~inside], picture[~inside])
    assert (animal[~inside] == GREY).all()
    assert np.array_equal(animal[inside], picture[inside])
    unseen = np.full(4, np.nan, np.float32)
    assert np.array_equal(decode_alone(jpeg, unseen, 0.0, "background"), picture)


def test_the_box_is_where_it_is_in_a_smaller_decoding() -> None:
    box = np.array([16, 32, 64, 80], np.float32)
    small = decode_alone(drawn_jpeg(), box, 0.0, "background", side_needed=48)
    assert small.shape == (48, 64, 3)
    assert (small[16:40, 8:32] == GREY).all()
    grey = (small == GREY).all(axis=2)
    assert grey.sum() - 24 * 24 < 5  # noise is grey by chance alone


def test_photos_of_a_release_are_hidden(workspace: Workspace) -> None:
    release = open_release("pets", workspace=workspace)
    photos = open_photos(release, "validation", boxes="boxes", box_use="background")
    row = int(np.flatnonzero(~np.isnan(photos.boxes[:, 0]))[0])
    shown: list[np.ndarray] = []

    def look(picture: Image.Image) -> torch.Tensor:
        shown.append(np.array(picture))
        return torch.empty(0)

    PhotoDecoder(photos, look).load(row)
    # the box of every photo in the table, see training_workspace
    expected = np.array(Image.open(io.BytesIO(photos.read_one(row))))
    expected[30:260, 40:300] = GREY
    assert np.array_equal(shown[0], expected)
    cut = open_photos(release, "validation", boxes="boxes")
    animal = open_photos(release, "validation", boxes="boxes", box_use="animal")
    assert len({each.dataset_hash for each in (cut, photos, animal)}) == 3


def test_halves_are_evaluated_on_photos_with_a_box(workspace: Workspace) -> None:
    opened = open_both("clip-vit-base", "pets", FLAGS, workspace)
    found = evaluate_opened(opened, workspace, OPTIONS, name="halves")
    assert found.about["control_boxes"] == "boxes"
    photos = len(opened.photos)
    assert 6 <= photos < 3 * IDENTITIES
    for name in (BACKGROUND, ANIMAL, BOXED):  # one photo in three has no box
        assert found.controls[name].part().counts["photos"] == photos * 2 // 3
    assert found.model.part().counts["photos"] == photos
    figures = {
        name: control.part().figures["all_pairs_roc_auc"].estimate
        for name, control in found.controls.items()
    }
    assert figures[BACKGROUND] != figures[BOXED] != figures[ANIMAL]
    folders = found.about["control_embeddings"]
    assert folders[BOXED] == found.about["embeddings"] not in (folders[BACKGROUND], folders[ANIMAL])


def test_one_that_sees_boxes_alone_has_no_background(workspace: Workspace) -> None:
    flags = EmbedFlags(split="validation", tiny=True, workers=0, device="cpu", crop="boxes")
    opened = open_both("clip-vit-base", "pets", flags, workspace)
    with pytest.raises(PetdataError, match="cut to the boxes of boxes"):
        half_hidden(opened)


def test_without_boxes_the_reason_is_said(workspace: Workspace, tmp_path: Path) -> None:
    shutil.copytree(workspace.root, tmp_path / "home")
    copied = Workspace(root=tmp_path / "home")
    release = open_release("pets", workspace=copied)
    assert table_of_boxes(release) == "boxes"
    manifest = release.folder / "manifest.json"
    said = json.loads(manifest.read_text())
    del said["side_tables"]["boxes"]
    manifest.unlink()
    manifest.write_text(json.dumps(said))
    assert table_of_boxes(open_release("pets", workspace=copied)) == "boxes"  # the workspace's
    shutil.rmtree(copied.root / "side_tables" / "boxes")
    found = evaluate_opened(open_both("clip-vit-base", "pets", FLAGS, copied), copied, OPTIONS)
    assert "petdata detect makes one" in found.about["controls_not_had"][BACKGROUND]
    assert ANIMAL not in found.controls
