"""How long an epoch takes: as a run logged it, or estimated from how fast photos pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from evaluation.costs import Costs
from petdata.errors import PetdataError
from petdata.workspace import Workspace
from trainer.config import read_config
from trainer.encoder_table import VISION_ENCODERS
from trainer.metrics_log import read_metrics
from trainer.model_folder import CONFIG
from trainer.run_folder import find_run
from trainer.text_encoder_table import TEXT_ENCODERS

# The five training sets of Kudryavtsev et al. 2026: 693,690 identities, in batches of 58 x 2.
PAPER_EPOCH_PHOTOS: Final = 1_387_360
LOGGED: Final = "training steps of the run, without validation"
ESTIMATED: Final = "estimate: photos / (photos/s), forward passes alone"


@dataclass(frozen=True)
class Epoch:
    photos: int
    seconds: float


def logged_epoch(run: Path) -> Epoch | None:
    """Of the steps that a run logged; None where it logged none."""
    config = read_config(run / CONFIG, {})
    batch = config.identities * config.photos
    steps = [line for line in read_metrics(run) if line.get("photos_per_second")]
    if not steps:
        return None
    batches = round(steps[-1]["step"] / steps[-1]["epoch"])
    step_s = sum(batch / line["photos_per_second"] for line in steps) / len(steps)
    return Epoch(batches * batch, batches * step_s)


def run_named(name: str, workspace: Workspace) -> Path | None:
    """None for an encoder of the table, an export, or a model on the Hub."""
    if name in VISION_ENCODERS or name in TEXT_ENCODERS:
        return None
    try:
        return find_run(workspace, name)
    except PetdataError:
        return None


def with_epoch(costs: Costs, run: Path | None, epoch_photos: int) -> Costs:
    """`epoch_photos`: what is assumed for a model that is no run, or has logged nothing."""
    logged = None if run is None else logged_epoch(run)
    if logged is not None:
        return replace(
            costs,
            epoch_photos=logged.photos,
            seconds_per_epoch=logged.seconds,
            epoch_of=LOGGED,
        )
    seconds = epoch_photos / costs.photos_per_second
    return replace(costs, epoch_photos=epoch_photos, seconds_per_epoch=seconds, epoch_of=ESTIMATED)
