"""A finished run as a folder that others load: plain classes, a card, and where it came from.

    README.md  petdata.json  config.json  model.safetensors  preprocessor_config.json
    vision/  text/  fusion.safetensors     instead, of networks that read texts too
    onnx/model.onnx                        with --onnx

The folder appears whole, after the release gate has opened it as its readers will.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from petdata.errors import CorruptFile, PetdataError, StorageFailure
from petdata.hub_local import hashed
from petdata.sources import known_sources
from petdata.workspace import Workspace, make_folder, sync_folder, write_whole
from trainer.checkpoint import MODEL, checkpoints_of, read_progress, sync_tree
from trainer.config import TrainConfig
from trainer.encoder_table import VISION_ENCODERS
from trainer.metrics_log import read_metrics
from trainer.model import PetEncoder
from trainer.model_card import CardFacts, model_card
from trainer.model_folder import FUSION, read_model
from trainer.onnx_export import write_onnx
from trainer.open_model import EXPORTED, open_model, read_exported
from trainer.plain_code import ONNX_FILE, loading_code, onnx_code
from trainer.release_gate import TOLERANCE, Probe, check_release, make_probe, own_embeddings
from trainer.run_folder import read_provenance
from trainer.vision_families import FAMILIES

__all__ = ["Exported", "export", "open_model"]

FORMAT: Final = "1.0"
CARD: Final = "README.md"
_SECRET_OF_THE_RUN: Final = ("command",)  # may name folders of whoever trained
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    folder: Path
    compared: int  # photos and drawn pictures
    difference: float  # the largest, of unit vectors
    onnx_difference: float | None


def export(
    run: Path,
    workspace: Workspace,
    *,
    into: Path | None = None,
    onnx: bool = False,
    say: Say = lambda line: None,
) -> Exported:
    """Into a new folder, or in the place of an earlier export; `run`/export unless said otherwise.

    Raises GateRefusal, and nothing is there, where the folder does not give the run's embeddings.
    """
    if not (run / MODEL).is_dir():
        raise PetdataError(
            f"{run} is not finished: petdata train goes on with it, or ends it at once with fewer "
            "--epochs"
        )
    target = (into or run / "export").expanduser()
    _refuse_foreign(target)
    model, config = read_model(run / MODEL)
    with _appearing_whole(target) as partial:
        return _write(partial, target, model, config, run, workspace, onnx=onnx, say=say)


def _write(  # noqa: PLR0913 - the one step with everything at hand
    partial: Path,
    target: Path,
    model: PetEncoder,
    config: TrainConfig,
    run: Path,
    workspace: Workspace,
    *,
    onnx: bool,
    say: Say,
) -> Exported:
    copy_networks(run / MODEL, partial, model, config)
    if onnx:
        say("writing the network as ONNX")
        write_onnx(model, partial / ONNX_FILE)
    probe, why_not = make_probe(config, workspace)
    if why_not:
        say(f"comparing drawn pictures alone, for the data set's photos cannot be had: {why_not}")
    say(f"comparing {len(probe)} embeddings in a fresh process")
    code = loading_code(model, config.encoder)
    expected = own_embeddings(model, probe)
    difference = check_release(partial, code, probe, expected)
    code_of_onnx = onnx_code(model, config.encoder) if onnx else None
    onnx_difference = None
    if code_of_onnx is not None:
        onnx_difference = check_release(partial, code_of_onnx, probe, expected)
    provenance = _public(read_provenance(run / MODEL))
    facts = CardFacts(
        run=run.resolve().name,
        model=model,
        config=_public_config(config, provenance["dataset"]),
        provenance=provenance,
        sources=known_sources(workspace),
        metrics=read_metrics(run),
        steps=read_progress(checkpoints_of(run)[-1]).step,
        code=code,
        onnx_code=code_of_onnx,
        photos_compared=_counted(probe),
        difference=difference,
        onnx_difference=onnx_difference,
    )
    write_whole(partial / CARD, model_card(facts).encode())
    write_whole(partial / EXPORTED, _about(facts, partial, len(probe)))
    return Exported(
        folder=target,
        compared=len(probe),
        difference=difference,
        onnx_difference=onnx_difference,
    )


def copy_networks(source: Path, partial: Path, model: PetEncoder, config: TrainConfig) -> None:
    """Out of a run's model, into an empty folder, with what other libraries look for."""
    if model.text is None:
        shutil.copytree(source / "vision", partial, dirs_exist_ok=True)
        _write_sizes(partial, model, config)
        return
    for name in ("vision", "text"):
        shutil.copytree(source / name, partial / name)
    shutil.copyfile(source / FUSION, partial / FUSION)
    _write_sizes(partial / "vision", model, config)


def _write_sizes(folder: Path, model: PetEncoder, config: TrainConfig) -> None:
    """What timm and open_clip read a network's sizes from; transformers has written its own."""
    if (folder / "config.json").is_file():
        return
    spec = VISION_ENCODERS[config.encoder]
    sizes = dict(spec.config)
    if config.tiny:
        sizes |= {**FAMILIES[spec.family].tiny, **spec.tiny}
    if spec.family == "open_clip":
        _write_json(folder / "open_clip_config.json", {"model_cfg": sizes})
        return
    architecture = sizes.pop("architecture")
    said = model.vision.processor.to_dict()
    side = model.vision.image_size
    crop = side / said["size"]["shortest_edge"] if said.get("do_center_crop") else 1.0
    pixels = {
        "input_size": [3, side, side],
        "mean": said["image_mean"],
        "std": said["image_std"],
        "interpolation": {2: "bilinear", 3: "bicubic"}[int(said["resample"])],
        "crop_pct": crop,
        "crop_mode": "center" if said.get("do_center_crop") else "squash",
        "num_classes": 0,
    }
    made = {"architecture": architecture, "num_classes": 0, "model_args": sizes}
    _write_json(folder / "config.json", made | {"pretrained_cfg": pixels})


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def _about(facts: CardFacts, folder: Path, compared: int) -> bytes:
    """petdata.json: everything that is known of the model, and the hash of every file."""
    files = {
        str(path.relative_to(folder)): {"sha256": found.sha256, "bytes": found.bytes}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for found in [hashed(path)]
    }
    gate = {"compared": compared, "tolerance": TOLERANCE, "largest_difference": facts.difference}
    if facts.onnx_difference is not None:
        gate["largest_difference_onnx"] = facts.onnx_difference
    said = {
        "format": FORMAT,
        "run": facts.run,
        "embedding_width": facts.model.width,
        "config": {k: v for k, v in asdict(facts.config).items() if v is not None},
        **facts.provenance,
        "steps": facts.steps,
        "gate": gate,
        "files": files,
    }
    return json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"


def _counted(probe: Probe) -> str:
    drawn = f"{len(probe) - probe.photos} drawn pictures"
    return f"{probe.photos} photos and {drawn}" if probe.photos else drawn


# What a stranger may read: no folders of whoever trained


def _public(provenance: Mapping[str, Any]) -> dict[str, Any]:
    told = {k: v for k, v in provenance.items() if k not in _SECRET_OF_THE_RUN}
    dataset = dict(told["dataset"])
    if dataset["revision"] is None:
        dataset["reference"] = f"{dataset['name']}@{dataset['version']}"
    else:
        dataset["reference"] = str(dataset["reference"]).partition("@")[0]
    return told | {"dataset": dataset}


def _public_config(config: TrainConfig, dataset: Mapping[str, Any]) -> TrainConfig:
    return replace(
        config,
        dataset=dataset["reference"],
        revision=dataset["revision"],
        weights=_public_weights(config.weights),
        text_weights=_public_weights(config.text_weights),
    )


def _public_weights(weights: str) -> str:
    is_name = re.fullmatch(r"pretrained|random|[\w-][\w.-]*/[\w-][\w.-]*", weights)
    return weights if is_name and not Path(weights).exists() else Path(weights).name


# Whole or not at all


def _refuse_foreign(target: Path) -> None:
    """Only an earlier export is replaced, and only where nothing else lies in it."""
    if not target.exists():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        own = {*read_exported(target)["files"], EXPORTED}
    except (CorruptFile, NotADirectoryError) as error:
        raise PetdataError(
            f"{target} is there already and no earlier export: name another folder with --into"
        ) from error
    lying = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    if foreign := sorted(lying - own):
        raise PetdataError(
            f"{target} holds {foreign[0]}, which no export wrote: move it, or name another folder "
            "with --into"
        )


@contextmanager
def _appearing_whole(target: Path) -> Iterator[Path]:
    """A folder beside the target, which takes its place at the end; gone where that is not reached.

    A kill between the two renames leaves the former folder beside it, under a hidden name.
    """
    partial = target.with_name(f".{target.name}.partial")
    former = target.with_name(f".{target.name}.former")
    try:
        make_folder(target.parent)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        sync_tree(partial)
        if target.exists():
            shutil.rmtree(former, ignore_errors=True)
            target.rename(former)
        partial.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise StorageFailure(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
