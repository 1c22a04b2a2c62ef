"""What `petdata detect` does and prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from petdata.progress_line import ProgressLine, StderrConsole
from petdata.side_tables import table_folder
from petdata.workspace import find_workspace
from trainer.describe_command import PROBLEMS_SHOWN, print_photos
from trainer.detect import DetectCounts, detect_photos
from trainer.detectors import TransformersDetector
from trainer.enrich_flags import DetectFlags
from trainer.unseen_photos import unseen_photos


def detect_and_print(reference: str, given: Mapping[str, Any]) -> None:
    flags = DetectFlags(**given)
    workspace = find_workspace()
    folder = table_folder(workspace.root, flags.table)
    photos = unseen_photos(reference, folder, workspace, limit=flags.limit)
    print_photos(photos)
    if not len(photos):
        return
    console = StderrConsole(soft_wrap=True)
    latest = DetectCounts()

    def tell(counts: DetectCounts, problem: str | None) -> None:
        nonlocal latest
        latest = counts
        if problem and counts.problems + counts.unreadable <= PROBLEMS_SHOWN:
            console.print(problem, markup=False)
        progress.tick()

    detector = TransformersDetector(flags.model, flags.device)
    try:
        with ProgressLine(console, lambda: _line(latest, len(photos))) as progress:
            latest = detect_photos(
                photos,
                folder,
                detector,
                threshold=flags.threshold,
                batch_size=flags.batch_size,
                tell=tell,
            )
    finally:
        typer.echo(_line(latest, len(photos)), err=True)
    typer.echo(folder)


def _line(counts: DetectCounts, total: int) -> str:
    parts = [
        f"{counts.chosen:,} of {total:,} have a box",
        f"{counts.without_box:,} stay whole",
        f"{counts.several:,} show several animals",
        f"{counts.per_second:.2f} photos/s",
    ]
    for name in ("problems", "unreadable", "without_pixels"):
        if getattr(counts, name):
            parts.append(f"{getattr(counts, name):,} {name.replace('_', ' ')}")
    return ", ".join(parts)
