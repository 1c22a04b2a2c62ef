"""Weights into a network, all of them or an error.

Libraries only warn when a checkpoint's names do not fit and start from random weights; published
checkpoints have lost that way (their tensors carry the name of a wrapper class). Here whatever is
missing, left over or of another shape is an error that lists it.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from petdata.errors import CorruptFile, PetdataError

SHOWN = 12  # names an error lists of each kind; the count is always whole
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class CheckpointMismatch(PetdataError):
    """A checkpoint does not hold exactly what the network needs."""


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """What did not fit when a state was put into a network."""

    missing: Collection[str] = ()
    left_over: Collection[str] = ()
    other_shape: Collection[str] = ()


def load_strictly(network: nn.Module, state: Mapping[str, Tensor]) -> Misfit:
    """Copies what fits by name and shape; the caller refuses the rest with `refuse_misfit`."""
    own = network.state_dict()
    other_shape = {
        name for name in own.keys() & state.keys() if own[name].shape != state[name].shape
    }
    network.load_state_dict(
        {name: value for name, value in state.items() if name not in other_shape}, strict=False
    )
    return Misfit(
        missing=own.keys() - state.keys(),
        left_over=state.keys() - own.keys(),
        other_shape=other_shape,
    )


def refuse_misfit(
    misfit: Misfit,
    *,
    origin: str,
    may_be_left: Iterable[str] = (),
    may_be_missing: Iterable[str] = (),
) -> None:
    """Raises CheckpointMismatch unless everything outside the two lists (patterns) fits."""
    problems = {
        "missing": _outside(misfit.missing, may_be_missing),
        "left over": _outside(misfit.left_over, may_be_left),
        "of another shape": sorted(misfit.other_shape),
    }
    if not any(problems.values()):
        return
    lines = [
        f"{len(names):,} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in problems.items()
        if names
    ]
    raise CheckpointMismatch(
        f"{origin} does not fit this encoder. " + "; ".join(lines) + ". Nothing was loaded: is it"
        " the checkpoint of another encoder, or were its tensors renamed?"
    )


def _outside(names: Iterable[str], allowed: Iterable[str]) -> list[str]:
    patterns = [re.compile(pattern) for pattern in allowed]
    return sorted(name for name in names if not any(p.search(name) for p in patterns))


def without_wrapper(state: Mapping[str, Tensor], wrappers: Collection[str]) -> dict[str, Tensor]:
    """The state with a wrapper class's prefix taken off every name that carries one.

    Repositories exist in both spellings, sometimes in two revisions of one, so names without a
    prefix stay. Raises CheckpointMismatch when two names become one.
    """
    bare: dict[str, Tensor] = {}
    for name, value in state.items():
        prefix = next((w for w in wrappers if name.startswith(w)), "")
        short = name.removeprefix(prefix)
        if short in bare:
            raise CheckpointMismatch(
                f"two tensors are called {short!r} once the prefix {prefix!r} is off:"
                " the checkpoint holds two models"
            )
        bare[short] = value
    return bare


def below(state: Mapping[str, Tensor], anchor: str, *, origin: str) -> dict[str, Tensor]:
    """The part of a larger model's state where `anchor` stands, named as if it stood alone."""
    roots = [name.removesuffix(anchor) for name in state if name.endswith(anchor)]
    if len(roots) != 1:
        raise CheckpointMismatch(
            f"{origin} has {len(roots)} tensors called {anchor!r}, one was expected"
        )
    return {
        name.removeprefix(roots[0]): v for name, v in state.items() if name.startswith(roots[0])
    }


def read_state(folder: Path, *, pickle_file: str | None = None) -> dict[str, Tensor]:
    """All tensors of a checkpoint folder (or of one file), from safetensors.

    A pickle can run code when it is read: it is refused, unless the table names it as the only
    file its repository has; then torch reads it with weights_only=True, which runs none.
    """
    if folder.is_file():
        return _read_pickle(folder) if folder.name == pickle_file else _read_safetensors(folder)
    files = sorted(folder.glob("*.safetensors"))
    standard = [
        f for f in files if re.fullmatch(r"(open_clip_)?model(-\d+-of-\d+)?\.safetensors", f.name)
    ]
    if standard:
        return {name: value for file in standard for name, value in _read_safetensors(file).items()}
    if len(files) == 1:
        return _read_safetensors(files[0])
    if pickle_file is not None and (folder / pickle_file).is_file():
        return _read_pickle(folder / pickle_file)
    if files:
        raise CheckpointMismatch(
            f"{folder} holds {len(files)} safetensors files and none is called model.safetensors:"
            " name the file instead of the folder"
        )
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        raise CheckpointMismatch(
            f"{folder} holds only {', '.join(pickles)}: reading a pickle can run code. Convert it"
            " with safetensors.torch.save_file and give that file"
        )
    raise CheckpointMismatch(f"{folder} holds no *.safetensors file")


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        raise CheckpointMismatch(f"{file} is not a .safetensors file: reading others can run code")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as e:
        raise CorruptFile(f"{file}: {e}") from e


def _read_pickle(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError) as e:
        raise CorruptFile(f"{file} holds more than tensors, or is broken: {e}") from e
    if not isinstance(content, dict):
        raise CorruptFile(f"{file} holds no table of tensors")
    for key in ("model", "state_dict"):  # a training checkpoint around the weights
        content = content[key] if isinstance(content.get(key), dict) else content
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}
