"""What a matrix means on a release: each cell and seed as a job with a key, or why not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from evaluation.reproduce_inputs import InputMissing, Inputs, SplitFacts
from evaluation.reproduce_matrix import Cell, EvaluateChoice, Matrix
from petdata.errors import PetdataError
from trainer.config import HARMLESS, TrainConfig

# How long a run trains decides its weights, though a run may go on with another value.
_NOT_IN_THE_KEY: Final = HARMLESS - {"epochs", "max_steps"}


@dataclass(frozen=True, kw_only=True)
class Work:
    """In photos that pass the network, for an estimate of time."""

    trained: int  # all epochs
    embedded: int  # validation in all epochs, then the test split, that of the controls too


@dataclass(frozen=True, kw_only=True)
class Job:
    """One network to be trained, unless it is frozen, and evaluated. Equal keys, equal results."""

    key: str
    config: TrainConfig  # of a frozen network what is seen and how, nothing else
    frozen: bool
    release: str  # that it is tested on
    evaluate: EvaluateChoice
    trained_on: Mapping[str, Mapping[str, int]]  # source -> species -> photos
    identities: int  # that it is trained on
    work: Work


@dataclass(frozen=True, kw_only=True)
class Planned:
    experiment: str
    cell: Cell
    seed: int
    job: Job | None
    missing: str = ""  # why there is no job

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.cell.name}"


def make_plan(matrix: Matrix, inputs: Inputs, *, seeds: int = 1) -> list[Planned]:
    """In the order of the matrix, the first seed of every cell before the second of any.

    A frozen cell has one job: nothing in it is drawn. Raises PetdataError where the release lacks
    the split that everything is tested on.
    """
    if seeds < 1:
        raise PetdataError("seeds must be at least 1")
    inputs.facts(inputs.reference(), matrix.evaluate.split, _tested(TrainConfig(), matrix.evaluate))
    return [
        _planned(experiment.name, cell, seed, matrix.evaluate, inputs)
        for seed in range(seeds)
        for experiment in matrix.experiments
        for cell in experiment.cells
        if seed == 0 or not cell.frozen
    ]


def jobs_of(plan: list[Planned]) -> Iterator[tuple[Planned, Job]]:
    """Each job once, with the first cell that asks for it."""
    seen = set()
    for planned in plan:
        if planned.job is not None and planned.job.key not in seen:
            seen.add(planned.job.key)
            yield planned, planned.job


def _planned(
    experiment: str, cell: Cell, seed: int, choice: EvaluateChoice, inputs: Inputs
) -> Planned:
    try:
        job = _job(cell, seed, choice, inputs)
    except InputMissing as missing:
        return Planned(experiment=experiment, cell=cell, seed=seed, job=None, missing=str(missing))
    return Planned(experiment=experiment, cell=cell, seed=seed, job=job)


def _job(cell: Cell, seed: int, choice: EvaluateChoice, inputs: Inputs) -> Job:
    release = inputs.without(cell.exclude, cell.requires)
    config = replace(cell.config, dataset=release, seed=seed)
    tested = inputs.facts(inputs.reference(), choice.split, _tested(config, choice))
    rounds = 3 if choice.controls else 1  # of embedding the test split
    trained: SplitFacts | None = None
    work = Work(trained=0, embedded=rounds * tested.photos)
    if not cell.frozen:
        trained = inputs.facts(release, "train", config)
        work = Work(
            trained=_trained(config, trained.photos_of_an_epoch(config)),
            embedded=work.embedded + _validated(config, inputs),
        )
    key = _key(config, cell.frozen, trained, tested, choice)
    parts = (config.encoder, config.text_encoder, key[:12])
    name = "-".join(["reproduce", *(part for part in parts if part)])
    return Job(
        key=key,
        config=replace(config, name=name),
        frozen=cell.frozen,
        release=inputs.reference(),
        evaluate=choice,
        trained_on={} if trained is None else trained.by_source,
        identities=0 if trained is None else int((trained.photos_of_identities > 0).sum()),
        work=work,
    )


def _trained(config: TrainConfig, photos_of_an_epoch: int) -> int:
    whole = config.epochs * photos_of_an_epoch
    if config.max_steps is None:
        return whole
    return min(whole, config.max_steps * config.identities * config.photos)


def _tested(config: TrainConfig, choice: EvaluateChoice) -> TrainConfig:
    """All cells are tested on the same photos, whatever they are trained on."""
    return replace(config, dataset_config=choice.dataset_config)


def _validated(config: TrainConfig, inputs: Inputs) -> int:
    if not config.validate:
        return 0
    try:
        validation = inputs.facts(str(config.dataset), "validation", config)
    except InputMissing:  # petdata train goes on without
        return 0
    return (config.epochs + 1) * validation.photos


def _key(
    config: TrainConfig,
    frozen: bool,
    trained: SplitFacts | None,
    tested: SplitFacts,
    choice: EvaluateChoice,
) -> str:
    values: dict[str, Any]
    if frozen:
        of_it = ("encoder", "tiny", "crop", "box_padding")
        values = {"frozen": True, **{name: getattr(config, name) for name in of_it}}
    else:
        values = {k: v for k, v in dataclasses.asdict(config).items() if k not in _NOT_IN_THE_KEY}
    hashes = [None if trained is None else trained.dataset_hash, tested.dataset_hash]
    text = json.dumps([values, hashes, dataclasses.asdict(choice)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
