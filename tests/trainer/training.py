"""A release to train on in seconds, and the loop's configuration for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

from worlds import Animal, add, build_release, photo, sha256

from dataset_builder.pseudonyms import KEY_BYTES, key_path
from petdata.side_table_kinds import BOXES, DESCRIPTIONS, Producer
from petdata.side_tables import append_rows, table_folder
from petdata.workspace import Workspace
from trainer.config import TrainConfig

SAID = {"language": "en", "model": "tests", "prompt_version": "1"}
COLLECTED_AT = 1_767_571_200_000_000  # 2026-01-05, in microseconds
IDENTITIES = 14  # of which some go to validation


def training_workspace(root: Path) -> Workspace:
    """The same release each time: its hash and its published names decide splits and batches."""
    root.mkdir(exist_ok=True)
    workspace = Workspace(root=root)
    key_path(workspace).touch(mode=0o600)
    key_path(workspace).write_text("5e" * KEY_BYTES)
    animals = [
        Animal(
            f"pet911/rl60{n:04}",
            [photo(100 + n, number) for number in range(3)],
            title=f"Пропал кот {n}, рыжий" if n % 3 else "",
        )
        for n in range(IDENTITIES)
    ]
    with patch("petdata.ledger.now", return_value=COLLECTED_AT):
        add(workspace, animals)
    _look_and_describe(workspace, animals)
    build_release(workspace, val_fraction=0.3, keep_text=True)
    return workspace


def _look_and_describe(workspace: Workspace, animals: list[Animal]) -> None:
    """Side tables of boxes and descriptions; a photo of each animal has neither."""
    photos = [(animal, content) for animal in animals for content in animal.photos[1:]]
    box = {"class": "cat", "score": 0.9, "x0": 40.0, "y0": 30.0, "x1": 300.0, "y1": 260.0}
    boxes = [{"sha256": sha256(photo), "boxes": [box], "chosen": 0} for _, photo in photos]
    append_rows(table_folder(workspace.root, "boxes"), BOXES, Producer(model="tests"), boxes)
    texts = [
        {"sha256": sha256(photo), "text": f"cat {animal.identity[-2:]}", **SAID}
        for animal, photo in photos
    ]
    producer = Producer(model="tests", prompt_version="1")
    append_rows(table_folder(workspace.root, "descriptions"), DESCRIPTIONS, producer, texts)


def tiny(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "dataset": "pets",
        "encoder": "clip-vit-base",
        "tiny": True,
        "trainable_blocks": 2,
        "identities": 3,
        "epochs": 4,
        "learning_rate": 1e-3,
        "device": "cpu",
        "workers": 0,
        "log_every": 1,
        "seed": 3,
    }
    return TrainConfig(**(values | changes))
