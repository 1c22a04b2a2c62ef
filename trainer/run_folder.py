"""runs/<run>/: the configuration, where everything came from, metrics, checkpoints, the model.

    config.toml  run.json  metrics.jsonl  tensorboard/  checkpoints/  curves.png  model/

`model/` comes last and is what "finished" means.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import petdata
from petdata.errors import PetdataError
from petdata.releases import Release
from petdata.workspace import Workspace, make_folder, sync_folder, write_whole
from trainer.checkpoint import FOLDER as CHECKPOINTS
from trainer.checkpoint import MODEL, checkpoints_of, read_progress, sync_tree
from trainer.config import HARMLESS, TrainConfig, config_hash, read_config, to_toml
from trainer.data import PhotoSet
from trainer.model_folder import CONFIG
from trainer.processes import Processes

PROVENANCE: Final = "run.json"
_TOLD: Final = (
    *("torch", "torchvision", "transformers", "timm", "open_clip_torch", "accelerate"),
    *("pytorch-metric-learning", "safetensors", "numpy", "pillow", "simplejpeg"),
)


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path

    def is_finished(self, steps: int) -> bool:
        """It has trained so many steps, or more, and its model is there."""
        checkpoints = checkpoints_of(self.folder)
        if not checkpoints or not (self.folder / MODEL).is_dir():
            return False
        return read_progress(checkpoints[-1]).step >= steps


def open_run(
    workspace: Workspace,
    config: TrainConfig,
    *,
    release: Release,
    photos: PhotoSet,
    processes: Processes,
) -> Run:
    """A new folder, or the one of the same run. Raises PetdataError if it is of another."""
    key = config_hash(config, photos.dataset_hash)
    folder = workspace.root / "runs" / (config.name or _name(config, key))
    if processes.is_main:
        if (folder / PROVENANCE).is_file():
            _check_same(folder, config, key)
        make_folder(folder)
        make_folder(folder / CHECKPOINTS)
        for partial in (folder / CHECKPOINTS).glob(".*.partial"):
            shutil.rmtree(partial)
        write_whole(folder / CONFIG, to_toml(config).encode())
        if not (folder / PROVENANCE).is_file():
            told = _provenance(release, photos, processes) | {"config_hash": key}
            write_whole(folder / PROVENANCE, json.dumps(told, indent=2).encode() + b"\n")
    processes.wait()
    return Run(folder=folder)


def finish_run(run: Path) -> None:
    """model/ out of the last checkpoint, with what says where it came from.

    It takes the place of the one of fewer steps, where a finished run was given more.
    """
    newest = checkpoints_of(run)[-1]
    partial = run / f".{MODEL}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(newest / MODEL, partial, copy_function=_link_or_copy)
    shutil.copyfile(run / PROVENANCE, partial / PROVENANCE)
    sync_tree(partial)
    shutil.rmtree(run / MODEL, ignore_errors=True)
    partial.rename(run / MODEL)
    sync_folder(run)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # some file systems have no links
        shutil.copyfile(source, target)


def find_run(workspace: Workspace, text: str) -> Path:
    """The folder of a run, by its path or name. Raises PetdataError, naming what there is."""
    for folder in (Path(text).expanduser(), workspace.root / "runs" / text):
        if (folder / PROVENANCE).is_file() and (folder / CHECKPOINTS).is_dir():
            return folder
    runs = workspace.root / "runs"
    known = sorted(path.parent.name for path in runs.glob(f"*/{PROVENANCE}"))
    raise PetdataError(
        f"no run {text!r}; "
        + (f"here are {', '.join(known)}" if known else "petdata train makes one")
    )


def read_provenance(folder: Path) -> dict[str, Any]:
    """Of a run, or of a model's folder."""
    try:
        told = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PetdataError(f"{folder / PROVENANCE} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise PetdataError(f"{folder / PROVENANCE} is no JSON object")
    return told


def _name(config: TrainConfig, key: str) -> str:
    """The same command finds its run again."""
    parts = [config.encoder, config.text_encoder, config.fusion_name, key[:8]]
    return "-".join(part for part in parts if part)


def _check_same(folder: Path, config: TrainConfig, key: str) -> None:
    told = read_provenance(folder)
    if told.get("config_hash") == key:
        return
    before = read_config(folder / CONFIG, {})
    changed = [
        f"{name} was {getattr(before, name)!r}"
        for name in vars(config)
        if name not in HARMLESS and getattr(before, name) != getattr(config, name)
    ]
    raise PetdataError(
        f"{folder} is another run: {', '.join(changed) or 'its data set was another'}; "
        "give --name, or its configuration"
    )


def _provenance(release: Release, photos: PhotoSet, processes: Processes) -> dict[str, Any]:
    return {
        "dataset": {
            "reference": release.reference,
            "name": release.name,
            "version": release.version,
            "revision": release.revision,
            "config": release.config,
            "build_hash": release.build_hash,
            "dataset_hash": photos.dataset_hash,
            "photos": len(photos),
            "identity_groups": len(photos.groups),
            "sources": sorted(str(name) for name in photos.sources.dictionary.to_pylist()),
        },
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "git": git_state(),
        "environment": _environment(processes),
    }


def _environment(processes: Processes) -> dict[str, Any]:
    import torch

    device: Any = str(processes.device)
    if processes.device.type == "cuda":
        device = torch.cuda.get_device_name(processes.device)
    return {
        "petdata": petdata.__version__,
        "python": platform.python_version(),
        "device": device,
        "processes": processes.world_size,
        "threads": torch.get_num_threads(),
        "packages": dict(package_versions()),
    }


def package_versions() -> list[tuple[str, str]]:
    found = []
    for name in _TOLD:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> Mapping[str, Any] | None:
    """Of petdata's own checkout; None where it was installed from a wheel."""
    home = Path(petdata.__file__).parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(home), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
