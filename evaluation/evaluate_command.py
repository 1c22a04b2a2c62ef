"""What `petdata evaluate` does and prints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.controls import controls_of
from evaluation.embed_flags import EmbedFlags
from evaluation.embeddings import Embeddings, read_embeddings
from evaluation.evaluate import EvaluateOptions, Evaluation, PartFigures, evaluate, told
from evaluation.hidden import (
    ANIMAL,
    BACKGROUND,
    BOXED,
    HALVES,
    boxed,
    half_hidden,
    with_box,
)
from evaluation.opened import Opened, embedding_cache, open_both
from evaluation.pair_kinds import announced
from evaluation.pairs import PairRules
from evaluation.significance import Interval
from evaluation.stored import StoredEvaluation, slug, store
from petdata.errors import PetdataError
from petdata.workspace import Workspace, find_workspace

LABELS: Final = {  # and whether it is printed in per cent
    "top_1_accuracy": ("Top-1 %", True),
    "top_5_accuracy": ("Top-5 %", True),
    "top_10_accuracy": ("Top-10 %", True),
    "mean_average_precision": ("mAP %", True),
    "identity_top_1_accuracy": ("identity Top-1 %", True),
    "identity_top_5_accuracy": ("identity Top-5 %", True),
    "identity_top_10_accuracy": ("identity Top-10 %", True),
    "identity_mean_average_precision": ("identity mAP %", True),
    "open_set_identification_rate": ("TPIR % at FPIR 1 %", True),
    "roc_auc": ("AUC", False),
    "equal_error_rate": ("EER", False),
    "nearest_point_equal_error_rate": ("EER, nearest point", False),
    "true_accept_rate_at_far_1e-2": ("TAR % at FAR 1e-2", True),
    "true_accept_rate_at_far_1e-3": ("TAR % at FAR 1e-3", True),
    "all_pairs_roc_auc": ("AUC, all pairs", False),
    "all_pairs_equal_error_rate": ("EER, all pairs", False),
    "all_pairs_nearest_point_equal_error_rate": ("EER, nearest, all", False),
    "all_pairs_true_accept_rate_at_far_1e-2": ("TAR % at 1e-2, all", True),
    "all_pairs_true_accept_rate_at_far_1e-3": ("TAR % at 1e-3, all", True),
}


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
        console.print(_table(part, found.controls))
        for line in (*_lines(part), *_halves(part, found.controls), *_kinds(part)):
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
        "release": f"{release.name}@{release.version}",
        "revision": release.revision,
        "dataset_config": release.config,
        "build_hash": release.build_hash,
        "split": flags.split,
        "crop": opened.crop,
        "text_from": opened.text_from,
        "photos_without_box": opened.photos.boxes_missing,
        "photos_without_text": opened.photos.texts_missing,
        "precision": flags.precision,
        "batch_size": flags.batch_size,
    }


def _name(opened: Opened, model: Evaluation) -> str:
    """The same command finds its folder again."""
    release = opened.photos.release
    key = repr((model.model_hash, model.dataset_hash, model.options, opened.flags.precision))
    parts = (opened.reference.rpartition("/")[2], release.name, release.version, opened.flags.split)
    return slug("-".join((*parts, hashlib.sha256(key.encode()).hexdigest()[:8])))


def _table(part: PartFigures, controls: Mapping[str, Evaluation]) -> Table:
    """Beside controls on the very same photos; halves of photos have lines of their own."""
    networks = {name: each for name, each in controls.items() if name not in HALVES}
    table = Table(title=part.name, title_justify="left", box=SIMPLE_HEAD)  # fits 80 characters
    table.add_column("", no_wrap=True)
    for column in ("model", "95 % interval", *networks):
        header = column if column == "95 % interval" else column.replace(" ", "\n")
        table.add_column(header, justify="right", no_wrap=True)
    for figure, (label, in_percent) in LABELS.items():
        interval = part.figures.get(figure)
        if interval is None:
            continue
        others = [control.part(part.name).figures.get(figure) for control in networks.values()]
        low, high = (_number(end, in_percent) for end in (interval.low, interval.high))
        shown = [_estimate(each, in_percent) for each in (interval, *others)]
        table.add_row(label, shown[0], f"{low} to {high}", *shown[1:])
    return table


def _estimate(interval: Interval | None, in_percent: bool) -> str:
    return "" if interval is None else _number(interval.estimate, in_percent)


def _number(value: float, in_percent: bool) -> str:
    return f"{100 * value:.1f}" if in_percent else f"{value:.4f}"


def _lines(part: PartFigures) -> Iterator[str]:
    counts = part.counts
    yield (
        f"{counts['photos']:,} photos of {counts['identities']:,} identities; "
        f"{counts['queries']:,} queries, {counts['skipped_queries']:,} skipped (no other photo); "
        f"gallery: {counts['mean_gallery_photos']:,.0f} photos of "
        f"{counts['mean_gallery_identities']:,.0f} identities, each query's own species"
    )
    yield (
        f"pairs under the caps: {counts['positive_pairs']:,} of one identity, "
        f"{counts['negative_pairs']:,} of two; list {part.pairs_hash[:16]}"
    )
    if part.top_1_by_gallery_size:
        sizes = part.top_1_by_gallery_size.items()
        yield "Top-1 by gallery: " + ", ".join(
            f"{100 * rate:.1f} % of {size:,} identities" for size, rate in sizes
        )
    equal = part.thresholds.get("all_pairs_equal_error_rate")
    if equal is not None:
        yield f"EER threshold (all pairs, chosen on these photos: set it on others): {equal:.4f}"


def _halves(part: PartFigures, controls: Mapping[str, Evaluation]) -> Iterator[str]:
    for name in HALVES:
        found = controls[name].find(part.name) if name in controls else None
        if found is not None:
            told = [
                _with_interval(label, found.figures.get(figure), in_percent=in_percent)
                for label, figure, in_percent in (
                    ("Top-1 %", "top_1_accuracy", True),
                    ("AUC", "all_pairs_roc_auc", False),
                    ("EER", "all_pairs_equal_error_rate", False),
                )
            ]
            yield f"{name}, {found.counts['photos']:,} photos: " + "; ".join(filter(None, told))


def _kinds(part: PartFigures) -> Iterator[str]:
    for name, kind in part.pair_kinds.items():
        told = [
            _with_interval(label, kind.figures.get(figure))
            for label, figure in (
                ("AUC", "roc_auc"),
                ("EER", "equal_error_rate"),
                ("mean similarity", "mean_similarity"),
            )
        ]
        yield (
            f"positive pairs, {name}: {kind.pairs:,} of {kind.identities:,} identities"
            + "".join(f"; {each}" for each in told if each)
        )


def _with_interval(label: str, interval: Interval | None, *, in_percent: bool = False) -> str:
    if interval is None:
        return ""
    value, low, high = (
        _number(each, in_percent) for each in (interval.estimate, interval.low, interval.high)
    )
    return f"{label} {value} ({low} to {high})"
