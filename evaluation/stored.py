"""An evaluation on disk, whole: what it was made on, the figures, the controls, the pairs.

    about.json  model.json  control-<name>.json  pairs/<part>.parquet

`about.json` comes last; without it the folder is not one.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evaluation.embeddings import Embeddings
from evaluation.evaluate import (
    Evaluation,
    evaluated_parts,
    read_evaluation,
    write_evaluation,
)
from evaluation.pairs_file import write_pairs
from evaluation.validation import pairs_of
from petdata.errors import CorruptFile, PetdataError, StorageFailure
from petdata.workspace import Workspace, make_folder, sync_folder, write_whole

ABOUT: Final = "about.json"
MODEL: Final = "model.json"
FORMAT: Final = "1.0"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredEvaluation:
    folder: Path
    about: Mapping[str, Any]  # model, release, split, how it was embedded, controls not had
    model: Evaluation
    controls: Mapping[str, Evaluation]


def slug(text: str) -> str:
    """As part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "x"


def store(
    folder: Path,
    about: Mapping[str, Any],
    embeddings: Embeddings,
    model: Evaluation,
    controls: Mapping[str, Evaluation],
) -> StoredEvaluation:
    """In the place of an earlier evaluation in that folder. Raises PetdataError for other files."""
    if folder.exists() and not (folder / ABOUT).is_file():
        raise PetdataError(f"{folder} is there already and no evaluation: give another --name")
    partial = folder.with_name(f".{folder.name}.partial")
    told = {"format": FORMAT, **about, "controls": list(controls)}
    try:
        make_folder(folder.parent)
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial / "pairs")
        for name, part in evaluated_parts(embeddings):
            pairs = pairs_of(part, model.options.pairs)
            write_pairs(pairs, partial / "pairs" / f"{slug(name)}.parquet")
        write_evaluation(model, partial / MODEL)
        for name, control in controls.items():
            write_evaluation(control, partial / _control_file(name))
        write_whole(partial / ABOUT, (json.dumps(told, indent=2) + "\n").encode())
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageFailure(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return StoredEvaluation(folder=folder, about=told, model=model, controls=controls)


def read_stored(folder: Path) -> StoredEvaluation:
    """Raises CorruptFile."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        names = [str(name) for name in about["controls"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"{folder} holds no evaluation: {error}; evaluate again") from error
    return StoredEvaluation(
        folder=folder,
        about=about,
        model=read_evaluation(folder / MODEL),
        controls={name: read_evaluation(folder / _control_file(name)) for name in names},
    )


def find_stored(workspace: Workspace, text: str) -> Path:
    """The folder of an evaluation, by its path or name. Raises PetdataError, naming those here."""
    home = workspace.root / "evaluations"
    for folder in (Path(text).expanduser(), home / text):
        if (folder / ABOUT).is_file():
            return folder
    known = sorted(path.parent.name for path in home.glob(f"[!.]*/{ABOUT}"))
    raise PetdataError(
        f"no evaluation {text!r}; "
        + (f"here are {', '.join(known)}" if known else "petdata evaluate makes one")
    )


def _control_file(name: str) -> str:
    return f"control-{slug(name)}.json"
