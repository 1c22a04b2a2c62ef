"""Where a run stands, whole on disk: weights, Adam's moments, and two integers of the sampler.

Nothing else is needed: dropout is seeded anew at each step, batches are a function of the epoch.
Tensors lie in safetensors files, never in pickles.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from petdata.errors import CorruptFile, StorageFailure
from petdata.workspace import sync_folder
from trainer.config import TrainConfig
from trainer.model import PetEncoder
from trainer.model_folder import write_model

KEPT: Final = 2  # checkpoints of a run; a torn disk may cost the newest
FOLDER: Final = "checkpoints"
MODEL: Final = "model"
OPTIMIZER: Final = "optimizer.safetensors"
LOSS: Final = "loss.safetensors"
STATE: Final = "state.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    step: int  # steps done
    epoch: int  # of the sampler, like batch: the next to train
    batch: int


def write_checkpoint(
    run: Path,
    progress: Progress,
    *,
    model: PetEncoder,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
) -> Path:
    """checkpoints/step-00000120, by one rename; older ones go. Raises StorageFailure."""
    folder = run / FOLDER / f"step-{progress.step:08d}"
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        write_model(model, config, partial / MODEL)
        names = parameter_names(model, loss)
        save_file(optimizer_tensors(optimizer, names), str(partial / OPTIMIZER))
        save_file(_owned(loss.state_dict()), str(partial / LOSS))
        (partial / STATE).write_text(json.dumps(vars(progress)), encoding="utf-8")
        sync_tree(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageFailure(f"cannot write {folder}: {error.strerror or error}") from error
    for old in checkpoints_of(run)[:-KEPT]:
        shutil.rmtree(old)
    return folder


def checkpoints_of(run: Path) -> list[Path]:
    """Whole ones, the newest last."""
    return sorted((run / FOLDER).glob("step-*"))


def read_progress(checkpoint: Path) -> Progress:
    try:
        return Progress(**json.loads((checkpoint / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(checkpoint, error) from error


def restore(checkpoint: Path, *, model: nn.Module, loss: nn.Module, optimizer: Any) -> None:
    """Adam's moments and the loss's own weights; the model was read by read_model."""
    try:
        loss.load_state_dict(load_file(str(checkpoint / LOSS)))
        tensors = load_file(str(checkpoint / OPTIMIZER))
        state = optimizer.state_dict()
        state["state"] = _by_index(tensors, parameter_names(model, loss))
        optimizer.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise _damaged(checkpoint, error) from error


def parameter_names(model: nn.Module, loss: nn.Module) -> list[str]:
    """Of what the optimizer moves, in its order."""
    named = [*model.named_parameters(prefix="model"), *loss.named_parameters(prefix="loss")]
    return [name for name, parameter in named if parameter.requires_grad]


def optimizer_tensors(optimizer: Any, names: list[str]) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return _owned(
        {
            f"{names[index]}/{key}": value
            for index, kept in state.items()
            for key, value in kept.items()
        }
    )


def _by_index(tensors: Mapping[str, Tensor], names: list[str]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    numbers = {name: number for number, name in enumerate(names)}
    for name, tensor in tensors.items():
        parameter, _, key = name.rpartition("/")
        found.setdefault(numbers[parameter], {})[key] = tensor
    return found


def _owned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _damaged(checkpoint: Path, error: Exception) -> CorruptFile:
    return CorruptFile(
        f"{checkpoint} is damaged ({error}): delete this folder, "
        "and the run goes on from the one before"
    )
