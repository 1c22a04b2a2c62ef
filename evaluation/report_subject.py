"""What a report is about: an evaluation, a run, or both where they belong together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.epoch_costs import run_named
from evaluation.stored import ABOUT, StoredEvaluation, find_stored, read_stored
from petdata.errors import PetdataError
from petdata.workspace import Workspace


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    stored: StoredEvaluation | None
    run: Path | None  # that trained the model, where it is here
    others: tuple[str, ...] = ()  # further evaluations of the run

    @property
    def title(self) -> str:
        if self.stored is None:
            assert self.run is not None
            return self.run.name
        return str(self.stored.about.get("model") or self.stored.folder.name)

    @property
    def subtitle(self) -> str:
        if self.stored is None:
            return "training run"
        about = self.stored.about
        return f"evaluated on {about.get('release')}, {about.get('split')}"

    @property
    def why_not_evaluated(self) -> str:
        return f"{self.title} was not evaluated yet: petdata evaluate {self.title} RELEASE does it."

    @property
    def folder(self) -> Path:
        if self.stored is not None:
            return self.stored.folder
        assert self.run is not None
        return self.run


def find_subject(workspace: Workspace, text: str) -> Subject:
    """An evaluation by name or folder, else a run and its last evaluation. Raises PetdataError."""
    stored, run, no_evaluation = None, run_named(text, workspace), ""
    try:
        stored = find_stored(workspace, text)
    except PetdataError as error:
        no_evaluation = str(error)
    if stored is not None and run is not None and stored != run:
        raise PetdataError(f"{text} is an evaluation and a run: give {stored} or {run}")
    if stored is not None:
        found = read_stored(stored)
        return Subject(stored=found, run=run_named(str(found.about.get("model")), workspace))
    if run is None:
        raise PetdataError(f"no run and {no_evaluation}")
    evaluations = _evaluations_of(run, workspace)
    return Subject(
        stored=read_stored(evaluations[0]) if evaluations else None,
        run=run,
        others=tuple(folder.name for folder in evaluations[1:]),
    )


def _evaluations_of(run: Path, workspace: Workspace) -> list[Path]:
    """Their folders, the last one first; one that cannot be read is nobody's."""
    files = sorted(
        (workspace.root / "evaluations").glob(f"[!.]*/{ABOUT}"),
        key=lambda path: (path.stat().st_mtime, path),
        reverse=True,
    )
    found = []
    for file in files:
        try:
            model = str(json.loads(file.read_text(encoding="utf-8"))["model"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        named = run_named(model, workspace)
        if named is not None and named.resolve() == run.resolve():
            found.append(file.parent)
    return found
