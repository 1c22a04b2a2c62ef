"""A network by what people call it: a run, an exported folder, one on the Hub, a table's entry."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from petdata.errors import CorruptFile, PetdataError, UnknownSource
from petdata.workspace import Workspace, find_workspace
from trainer.checkpoint import MODEL
from trainer.checkpoint_files import hub_folder
from trainer.config import TrainConfig, config_of
from trainer.encoders import VISION_ENCODERS, load_vision_encoder
from trainer.model import PetEncoder
from trainer.model_folder import CONFIG, fill_model, read_model
from trainer.run_folder import find_run

EXPORTED: Final = "petdata.json"  # what an exported folder is known by


def open_model(
    reference: str | Path, *, workspace: Workspace | None = None, tiny: bool = False
) -> tuple[PetEncoder, TrainConfig | None]:
    """The network, in evaluation mode, and how it was trained: None for one of the table.

    `reference`: a finished run by folder or name, an exported folder, user/name of an export on the
    Hub, or an entry of VISION_ENCODERS, which comes frozen, with its published weights (`tiny`: of
    the same make with few random ones). Raises PetdataError, naming what there is.
    """
    text = str(reference)
    folder = Path(text).expanduser()
    if (folder / EXPORTED).is_file():
        return _exported(folder)
    if (folder / CONFIG).is_file() and (folder / "vision").is_dir():
        return read_model(folder)
    run = _run(text, workspace or find_workspace())
    if run is not None and text in VISION_ENCODERS and not folder.is_dir():
        raise PetdataError(f"{text} is an encoder and a run here: say {run} to mean the run")
    if run is not None:
        if not (run / MODEL).is_dir():
            raise PetdataError(
                f"{run} is not finished: petdata train goes on with it; or name the model of one "
                "of its checkpoints"
            )
        return read_model(run / MODEL)
    if text in VISION_ENCODERS:
        seed = 0 if tiny else None
        vision = load_vision_encoder(text, tiny=tiny, trainable_blocks=0, seed=seed)
        return PetEncoder(vision).eval(), None
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w.-]+)?", text) and not folder.exists():
        repo_id, _, revision = text.partition("@")
        return _exported(hub_folder(repo_id, revision or None))
    raise UnknownSource(
        f"no model {text!r}: give a run's name or folder, an exported folder, user/name of the "
        f"Hub, or one of {', '.join(VISION_ENCODERS)}"
    )


def read_exported(folder: Path) -> dict[str, Any]:
    """petdata.json of an exported folder. Raises CorruptFile."""
    try:
        said = json.loads((folder / EXPORTED).read_text(encoding="utf-8"))
        if str(said["format"]).split(".")[0] != "1":
            raise ValueError(f"format {said['format']}, this petdata reads 1")
        return {**said, "config": dict(said["config"]), "files": dict(said["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"{folder / EXPORTED} cannot be read ({error!r}): petdata export writes one"
        ) from error


def _exported(folder: Path) -> tuple[PetEncoder, TrainConfig]:
    config = config_of(read_exported(folder)["config"], where=str(folder / EXPORTED))
    return fill_model(config, folder).eval(), config


def _run(text: str, workspace: Workspace) -> Path | None:
    try:
        return find_run(workspace, text)
    except PetdataError:
        return None
