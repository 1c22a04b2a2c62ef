"""What `petdata evaluate` does and prints."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

import petdata
from evaluation.controls import controls_of
from evaluation.costs import counted_costs
from evaluation.embed_flags import EmbedFlags
from evaluation.embeddings import Embeddings, read_embeddings
from evaluation.evaluate import EvaluateOptions, Evaluation, evaluate, told
from evaluation.hidden import (
    ANIMAL,
    BACKGROUND,
    BOXED,
    boxed,
    half_hidden,
    with_box,
)
from evaluation.opened import Opened, embedding_cache, open_both
from evaluation.pair_kinds import announced
from evaluation.pairs import PairRules
from evaluation.printed_figures import lines_below, table_of
from evaluation.repeated_texts import repeated_texts, sentences
from evaluation.stored import StoredEvaluation, slug, store
from petdata.errors import PetdataError
from petdata.workspace import Workspace, find_workspace
from trainer.hub_models import device_of
from trainer.run_folder import git_state, package_versions


def evaluate_and_print(  # noqa: PLR0913 - one parameter an option
    model: str,
    release: str,
    flags: Mapping[str, Any],
    *,
    name: str | None,
    resamples: int,
    seed: int,
    with_controls: bool,
    as_json: bool,
) -> None:
    workspace = find_workspace()
    opened = open_both(model, release, EmbedFlags(**flags), workspace)
    options = EvaluateOptions(pairs=PairRules(seed=seed), resamples=resamples, seed=seed)
    found = evaluate_opened(opened, workspace, options, name=name, with_controls=with_controls)
    if as_json:
        controls = {name: told(control) for name, control in found.controls.items()}
        document = {**found.about, "folder": str(found.folder), "model_figures": told(found.model)}
        typer.echo(json.dumps({**document, "control_figures": controls}, indent=2))
        return
    console = Console(highlight=False)
    for part in found.model.parts:
        console.print(table_of(part, found.controls))
        for line in lines_below(part, found.controls):
            console.print(line, soft_wrap=True, markup=False)
    if repeated := found.about["text_repeats"]:
        for line in sentences(repeated):
            console.print(line, soft_wrap=True, markup=False)
    for control, reason in found.about["controls_not_had"].items():
        console.print(f"without {control}: {reason}", soft_wrap=True, markup=False)
    console.print(found.folder, soft_wrap=True, markup=False)


def evaluate_opened(
    opened: Opened,
    workspace: Workspace,
    options: EvaluateOptions,
    *,
    name: str | None = None,
    with_controls: bool = True,
) -> StoredEvaluation:
    """Embedded, evaluated, stored in evaluations/ of the workspace."""
    cache = embedding_cache(workspace)
    folder = opened.embed(cache)
    embeddings = read_embeddings(folder)
    photos = opened.photos
    said = announced(photos.release, photos.split, embeddings.photo_ids)
    model = evaluate(embeddings, options, said)
    controls = _Controls(opened, cache, options)
    if with_controls:
        controls.embed_networks()
        controls.hide_halves(embeddings, folder)
    about = _about(opened) | {
        "embeddings": folder.name,
        "control_embeddings": controls.folders,
        "controls_not_had": controls.not_had,
        "control_boxes": controls.boxes,
        "skipped_photos": embeddings.skipped,
    }
    into = workspace.root / "evaluations" / (slug(name) if name else _name(opened, model))
    return store(into, about, embeddings, model, controls.evaluated)


@dataclass
class _Controls:
    """On the same photos; one that cannot be had is left out, with the reason."""

    opened: Opened
    cache: Path
    options: EvaluateOptions
    evaluated: dict[str, Evaluation] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)  # of embeddings, in the cache
    not_had: dict[str, str] = field(default_factory=dict)
    boxes: str | None = None  # the side table that tells animals from backgrounds

    def embed_networks(self) -> None:
        for name, make in controls_of(self.opened).items():
            try:
                folder = self.opened.embed(self.cache, make())
            except PetdataError as error:
                self.not_had[name] = str(error)
                continue
            self._take(name, read_embeddings(folder), folder)

    def hide_halves(self, embeddings: Embeddings, folder: Path) -> None:
        """The model itself, on photos without the animal and without what is around it."""
        try:
            self.boxes, hidden = half_hidden(self.opened)
        except PetdataError as error:
            self.not_had |= dict.fromkeys((BACKGROUND, ANIMAL), str(error))
            return
        for name, photos in hidden.items():
            try:
                made = self.opened.embed(self.cache, photos=photos)
            except PetdataError as error:
                self.not_had[name] = str(error)
                continue
            self._take(name, with_box(read_embeddings(made), photos), made)
        if not boxed(hidden[BACKGROUND]).all():
            self._take(BOXED, with_box(embeddings, hidden[BACKGROUND]), folder)

    def _take(self, name: str, embeddings: Embeddings, folder: Path) -> None:
        self.evaluated[name] = evaluate(embeddings, self.options)
        self.folders[name] = folder.name


def _about(opened: Opened) -> dict[str, Any]:
    release, flags = opened.photos.release, opened.flags
    return {
        "model": opened.reference,
        "reference": release.reference,
        "release": f"{release.name}@{release.version}",
        "revision": release.revision,
        "dataset_config": release.config,
        "build_hash": release.build_hash,
        "split": flags.split,
        "crop": opened.crop,
        "box_padding": opened.box_padding,
        "text_from": opened.text_from,
        "photos_without_box": opened.photos.boxes_missing,
        "photos_without_text": opened.photos.texts_missing,
        "text_repeats": repeated_texts(opened.photos),
        "precision": flags.precision,
        "batch_size": flags.batch_size,
        "tiny": flags.tiny,
        "costs": counted_costs(opened.model),
        "environment": {
            "petdata": petdata.__version__,
            "python": platform.python_version(),
            "device": str(device_of(flags.device)),
            "packages": dict(package_versions()),
        },
        "git": git_state(),
    }


def _name(opened: Opened, model: Evaluation) -> str:
    """The same command finds its folder again."""
    release = opened.photos.release
    key = repr((model.model_hash, model.dataset_hash, model.options, opened.flags.precision))
    parts = (opened.reference.rpartition("/")[2], release.name, release.version, opened.flags.split)
    return slug("-".join((*parts, hashlib.sha256(key.encode()).hexdigest()[:8])))
