"""Models of transformers' Auto classes out of a folder or the Hub: whole, from safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from petdata.errors import PetdataError
from trainer.checkpoint_files import hub_folder
from trainer.strict_loading import refuse_misfit
from trainer.transformers_loading import misfit_of, quiet


def model_folder(model: str) -> tuple[Path, str]:
    """Where user/name[@revision] or a folder lies, and its name without the way to it."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder, folder.resolve().name
    name, _, revision = model.partition("@")
    if name.count("/") != 1 or name.startswith(("/", ".")):
        raise PetdataError(f"no model {model!r}: give a folder, or user/name of the Hub")
    return hub_folder(name, revision or None), model


def load_whole(auto_class: str, folder: Path, device: str) -> Any:
    """In evaluation mode. Raises PetdataError, also where a tensor is missing or left over."""
    import transformers

    with quiet():
        try:
            network, report = getattr(transformers, auto_class).from_pretrained(
                folder, use_safetensors=True, dtype="auto", output_loading_info=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise PetdataError(f"{folder} cannot be loaded by {auto_class}: {error}") from error
    refuse_misfit(misfit_of(report), origin=str(folder))
    return network.to(device_of(device)).eval()


def load_processor(auto_class: str, folder: Path) -> Any:
    import transformers

    with quiet():
        try:
            return getattr(transformers, auto_class).from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise PetdataError(f"{folder} has no usable {auto_class}: {error}") from error


def device_of(name: str) -> torch.device:
    """Of auto, cpu, cuda. Raises PetdataError where there is no such one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise PetdataError("there is no GPU that torch can use: leave out --device cuda")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
