"""Drawn public data sets, and what became of their photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from dataset_builder.readers import cat_individual_images, dogfacenet, dogs_world, lcw, petface
from dataset_builder.reading import Reading
from petdata.bulk_intake import BulkConfig, BulkIntake, Original
from petdata.demo import datasets
from petdata.ledger import Ledger
from petdata.workspace import Workspace

SEED = 5
WRITERS: dict[str, Callable[[Path], datasets.Truth]] = {
    "dogs_world": partial(datasets.write_dogs_world, seed=SEED, identities=3),
    "dogs_world.zip": partial(datasets.write_dogs_world, seed=SEED, identities=3, packed=True),
    "lcw": partial(datasets.write_lcw, seed=SEED, identities=4),
    "lcw.zip": partial(datasets.write_lcw, seed=SEED, identities=4, packed=True),
    "petface": partial(datasets.write_petface, seed=SEED, identities=4),
    "petface.tar.gz": partial(datasets.write_petface, seed=SEED, identities=4, packed=True),
    "cat_individual_images": partial(datasets.write_cat_individual_images, seed=SEED, identities=3),
    "cat_individual_images.zip": partial(
        datasets.write_cat_individual_images, seed=SEED, identities=3, packed=True
    ),
    "dogfacenet": partial(datasets.write_dogfacenet, seed=SEED, identities=3),
    "dogfacenet.zip": partial(datasets.write_dogfacenet, seed=SEED, identities=3, form="github"),
    "dogfacenet.parquet": partial(
        datasets.write_dogfacenet, seed=SEED, identities=3, form="mirror"
    ),
}


def originals(form: str, root: Path, reading: Reading) -> Iterable[Original]:
    source = form.partition(".")[0]
    if source == "petface":
        return petface.PetFace(root, reading).read()
    readers: dict[str, Any] = {
        "dogs_world": dogs_world,
        "lcw": lcw,
        "cat_individual_images": cat_individual_images,
        "dogfacenet": dogfacenet,
    }
    found: Iterable[Original] = readers[source].read(root, reading)
    return found


def take(workspace: Path, source: str, photos: Iterable[Original]) -> None:
    config = BulkConfig(workers=0)
    with BulkIntake(Workspace(root=workspace), source, config) as intake:
        intake.take(photos)


def ledger(workspace: Path, source: str) -> Ledger:
    return Ledger(Workspace(root=workspace).ledger(source), source=source, read_only=True)


def kept(workspace: Path, source: str) -> dict[str, list[str]]:
    """Source id -> addresses, in the order of their positions."""
    with ledger(workspace, source) as opened:
        found: dict[str, list[str]] = {}
        for row in opened.query(
            "SELECT source_id, address FROM photos WHERE outcome = 'kept' "
            "ORDER BY source_id, position"
        ):
            found.setdefault(row["source_id"], []).append(row["address"])
        return found


def dropped(workspace: Path, source: str) -> dict[str, str]:
    with ledger(workspace, source) as opened:
        rows = opened.query("SELECT address, reason FROM photos WHERE outcome = 'dropped'")
        return {row["address"]: row["reason"] for row in rows}
