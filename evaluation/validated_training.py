"""Training, with the validation split embedded and measured before it and after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from evaluation.embed import embed
from evaluation.validation import validation_figures
from petdata.workspace import Workspace
from trainer.config import TrainConfig
from trainer.model import PetEncoder, build_model
from trainer.plan import TrainPlan, plan_training
from trainer.train import (
    OnEpochEnd,
    Say,
    make_sampler,
    open_training_release,
    photos_for,
    train,
)

VALIDATION: Final = "validation"


def train_with_validation(
    config: TrainConfig, workspace: Workspace, *, say: Say = lambda line: None
) -> Path:
    """The run's folder. Raises PetdataError."""
    validate = _validator(config, workspace, say) if config.validate else None
    return train(config, workspace, on_epoch_end=validate, say=say)


def plan_only(config: TrainConfig, workspace: Workspace) -> TrainPlan:
    release = open_training_release(config, workspace)
    photos = photos_for(config, release, "train")
    return plan_training(config, photos, make_sampler(config, photos), build_model(config))


def _validator(config: TrainConfig, workspace: Workspace, say: Say) -> OnEpochEnd | None:
    release = open_training_release(config, workspace)
    if VALIDATION not in release.splits:
        say("no validation: the release has no such split; petdata build --val-fraction makes one")
        return None
    photos = photos_for(config, release, VALIDATION)

    def figures(model: PetEncoder) -> Mapping[str, float]:
        embeddings = embed(model, photos, workers=config.workers, skip_bad=config.skip_bad)
        return validation_figures(embeddings, seed=config.seed)

    return figures
