"""What `petdata report` does and prints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import typer

from evaluation.costs import costs_of
from evaluation.embed_flags import EmbedFlags
from evaluation.epoch_costs import PAPER_EPOCH_PHOTOS, with_epoch
from evaluation.report import report_html
from evaluation.report_photos import named_photos
from evaluation.report_subject import Subject, find_subject
from evaluation.shown_photos import PhotoShelf, evaluated_photos
from petdata.workspace import Workspace, find_workspace, write_whole
from trainer.hub_models import device_of
from trainer.open_model import open_model

FILE = "report.html"


def report_and_print(name: str, *, into: Path | None, costs: EmbedFlags | None) -> None:
    """`costs`: how to measure them; None leaves them unmeasured."""
    workspace = find_workspace()
    subject = find_subject(workspace, name)
    measured = {} if costs is None else _measured(subject, costs, workspace)
    path = into or subject.folder / FILE
    write_report(subject, path, workspace, measured=measured)
    typer.echo(path)


def write_report(
    subject: Subject, path: Path, workspace: Workspace, *, measured: dict[str, Any] | None = None
) -> None:
    stored = subject.stored
    shelf = PhotoShelf()
    if stored is not None and stored.model.examples is not None:
        photo_ids = named_photos(stored.model.examples)
        shelf = evaluated_photos(stored.about, photo_ids, workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, report_html(subject, shelf, measured).encode())


def _measured(subject: Subject, flags: EmbedFlags, workspace: Workspace) -> dict[str, Any]:
    about = {} if subject.stored is None else subject.stored.about
    reference = str(about.get("model") or subject.run)
    model, _ = open_model(reference, workspace=workspace, tiny=bool(about.get("tiny")))
    found = costs_of(
        model,
        device=device_of(flags.device),
        batch_size=flags.batch_size,
        precision=flags.precision,
    )
    if subject.run is not None:
        found = with_epoch(found, subject.run, PAPER_EPOCH_PHOTOS)
    return dataclasses.asdict(found)
