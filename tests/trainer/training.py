"""A release to train on in seconds, and the loop's configuration for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worlds import Animal, add, build_release, photo

from petdata.workspace import Workspace
from trainer.config import TrainConfig

IDENTITIES = 14  # of which some go to validation


def training_workspace(root: Path) -> Workspace:
    root.mkdir(exist_ok=True)
    workspace = Workspace(root=root)
    animals = [
        Animal(
            f"pet911/rl60{n:04}",
            [photo(100 + n, number) for number in range(3)],
            title=f"Пропал кот {n}, рыжий" if n % 3 else "",
        )
        for n in range(IDENTITIES)
    ]
    add(workspace, animals)
    build_release(workspace, val_fraction=0.3, keep_text=True)
    return workspace


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
