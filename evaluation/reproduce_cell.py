"""One cell, in a process of its own: trained, evaluated, its result written."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from evaluation.controls import RAW
from evaluation.embed_flags import EmbedFlags
from evaluation.evaluate import EvaluateOptions, Evaluation
from evaluation.evaluate_command import evaluate_opened
from evaluation.opened import open_both
from evaluation.reproduce_plan import Job
from evaluation.reproduce_store import CellResult, Results
from evaluation.stored import StoredEvaluation
from evaluation.validated_training import train_with_validation
from petdata.errors import PetdataError
from petdata.workspace import Workspace


def run_cell(job: Job, results: Results, workspace: Workspace) -> None:
    """As the target of a process: says what it does to the cell's log, exits with 1 on errors."""
    _write_to(results.log(job.key))
    _end_with_parent()
    try:
        results.write_result(carry_out(job, workspace))
    except PetdataError as error:
        print(f"petdata: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the cell's log
        sys.exit(1)


def carry_out(job: Job, workspace: Workspace) -> CellResult:
    began = time.perf_counter()
    model = job.config.encoder
    if not job.frozen:
        model = train_with_validation(job.config, workspace, say=_say).name
    trained = time.perf_counter()
    stored, device = _evaluated(job, model, workspace)
    seconds = {"training": trained - began, "evaluation": time.perf_counter() - trained}
    raw = stored.controls.get(RAW)
    return CellResult(
        key=job.key,
        seed=job.config.seed,
        config={k: v for k, v in dataclasses.asdict(job.config).items() if v is not None},
        frozen=job.frozen,
        run=model,
        evaluation=stored.folder.name,
        embeddings=str(stored.about["embeddings"]),
        parts={part.name: part.figures for part in stored.model.parts},
        raw={} if raw is None else _estimates(raw),
        counts={part.name: part.counts for part in stored.model.parts},
        trained_on=job.trained_on,
        identities=job.identities,
        seconds=seconds,
        device=device,
    )


def _evaluated(job: Job, model: str, workspace: Workspace) -> tuple[StoredEvaluation, str]:
    config, choice = job.config, job.evaluate
    chosen: dict[str, Any] = {
        "split": choice.split,
        "dataset_config": choice.dataset_config,
        "batch_size": choice.batch_size,
        "device": config.device,
        "workers": config.workers,
        "skip_bad": config.skip_bad,
    }
    if job.frozen:
        chosen |= {"tiny": config.tiny, "crop": config.crop}
        if config.crop is not None:
            chosen["box_padding"] = config.box_padding
    else:
        model = str(workspace.root / "runs" / model)
    opened = open_both(model, job.release, EmbedFlags(**chosen), workspace)
    stored = evaluate_opened(
        opened,
        workspace,
        EvaluateOptions(resamples=choice.resamples),
        with_controls=choice.controls,
    )
    on_gpu = torch.cuda.is_available() and config.device == "auto"
    return stored, torch.cuda.get_device_name() if on_gpu else "CPU"


def _estimates(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    return {
        part.name: {name: interval.estimate for name, interval in part.figures.items()}
        for part in evaluation.parts
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the cell's log


def _write_to(log: Path) -> None:
    """What libraries print goes there too."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _end_with_parent() -> None:
    """A killed parent leaves nobody behind who trains the same run as the next one."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)  # what is on disk can be gone on with, as after any kill

    threading.Thread(target=watch, daemon=True).start()
