"""What `petdata detect` does and prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from petdata.side_tables import table_folder
from petdata.workspace import find_workspace
from trainer.detect import DetectCounts, detect_photos
from trainer.detectors import open_detector
from trainer.enrich_flags import DetectFlags
from trainer.enrich_progress import print_photos, told, with_progress
from trainer.unseen_photos import unseen_photos


def detect_and_print(reference: str, given: Mapping[str, Any]) -> None:
    flags = DetectFlags(**given)
    workspace = find_workspace()
    folder = table_folder(workspace.root, flags.table)
    photos = unseen_photos(reference, folder, workspace, limit=flags.limit)
    print_photos(photos)
    if not len(photos):
        return
    with open_detector(
        flags.model,
        flags.device,
        weights=workspace.root / "weights",
        trusted=flags.weights_sha256,
    ) as detector:
        with_progress(
            lambda tell: detect_photos(
                photos,
                folder,
                detector,
                threshold=flags.threshold,
                batch_size=flags.batch_size,
                tell=tell,
            ),
            DetectCounts(),
            lambda counts: _line(counts, len(photos)),
        )
    typer.echo(folder)


def _line(counts: DetectCounts, total: int) -> str:
    parts = [
        f"{counts.chosen:,} of {total:,} have a box",
        f"{counts.without_box:,} stay whole",
        f"{counts.several:,} show several animals",
        f"{counts.per_second:.2f} photos/s",
    ]
    return ", ".join([*parts, *told(counts, "problems", "unreadable", "without_pixels")])
