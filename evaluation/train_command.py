"""petdata train: the loop, with the validation split evaluated after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from petdata.workspace import find_workspace
from trainer.config import read_config


def train_and_print(file: Path | None, flags: Mapping[str, Any], *, dry_run: bool) -> None:
    from evaluation.validated_training import plan_only, train_with_validation
    from trainer.plan import plan_lines

    config = read_config(file, flags)
    workspace = find_workspace()
    if dry_run:
        for line in plan_lines(plan_only(config, workspace)):
            typer.echo(line)
        return
    run = train_with_validation(config, workspace, say=lambda line: typer.echo(line, err=True))
    typer.echo(run)


def print_encoders() -> None:
    from trainer.encoder_table import VISION_ENCODERS
    from trainer.text_encoder_table import TEXT_ENCODERS

    for title, table in (("vision", VISION_ENCODERS), ("text", TEXT_ENCODERS)):
        for name, spec in table.items():
            typer.echo(f"{title}  {name:28} {spec.weights.hub_id or spec.weights.package}")
