"""The part of a report that says how a model was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from evaluation.charts import Line, steps_chart
from evaluation.page import facts, folded, note, section
from evaluation.report_subject import Subject
from petdata.errors import PetdataError
from trainer.metrics_log import read_metrics
from trainer.model_folder import CONFIG
from trainer.run_folder import read_provenance

MOST_POINTS: Final = 400  # of a curve; of more the mean of neighbours is drawn
_FIGURES: Final = (
    "top_1_accuracy",
    "mean_average_precision",
    "equal_error_rate",
    "roc_auc",
    "true_accept_rate_at_far_1e-2",
)


def run_sections(subject: Subject) -> Iterator[str]:
    if subject.run is None:
        return
    run = subject.run
    lines = read_metrics(run)
    charts = "".join(_charts(lines))
    content = f"<div class='charts'>{charts}</div>" if charts else note("Nothing is logged yet.")
    if subject.others:
        content += note(f"Other evaluations of this run: {', '.join(subject.others)}")
    yield section("Training", _TRAINING, content + _how(run))


_TRAINING: Final = (
    "The loss at each step, and after each epoch the figures on the validation split, pairs under "
    "the caps. The band is the 95 % interval."
)


def _charts(lines: list[dict[str, Any]]) -> Iterator[str]:
    loss = _thinned(_series(lines, "loss"))
    if loss:
        yield steps_chart("loss", Line(name="loss", points=loss))
    for name in _FIGURES:
        points = _series(lines, name)
        if points:
            ends = dict(_series(lines, f"{name}_low")), dict(_series(lines, f"{name}_high"))
            band = [(x, ends[0][x], ends[1][x]) for x, _ in points if x in ends[0] and x in ends[1]]
            title = name.replace("_", " ")
            yield steps_chart(title, Line(name=title, points=points, band=band))


def _series(lines: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """Of each step the last value: a finished run may have been given more epochs."""
    found = {line["step"]: line[name] for line in lines if isinstance(line.get(name), float | int)}
    return sorted(found.items())


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    width = -(-len(points) // MOST_POINTS)
    if width < 2:
        return points
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _how(run: Path) -> str:
    try:
        told = read_provenance(run)
        config = (run / CONFIG).read_text(encoding="utf-8")
    except (PetdataError, OSError) as error:
        return note(f"How it was trained cannot be said: {error}")
    data, made = dict(told.get("dataset") or {}), dict(told.get("environment") or {})
    git = dict(told.get("git") or {})
    options = facts(_pairs_of(config))
    return facts(
        [
            ("Run", run.name),
            ("Started", told.get("started_at")),
            ("Trained on", f"{data.get('name')}@{data.get('version')}, {data.get('config')}"),
            ("Photos, animals", _counted(data)),
            ("Sources", ", ".join(map(str, data.get("sources") or []))),
            ("Build hash", data.get("build_hash")),
            ("Hash of the photos", data.get("dataset_hash")),
            ("Command", " ".join(map(str, told.get("command") or []))),
            ("petdata, commit", f"{made.get('petdata')}, {git.get('commit')}"),
            ("Device", made.get("device")),
        ]
    ) + folded("all options", options)


def _counted(data: dict[str, Any]) -> str:
    photos, animals = data.get("photos"), data.get("identity_groups")
    return f"{photos:,}, {animals:,}" if isinstance(photos, int) and animals else ""


def _pairs_of(toml: str) -> Iterator[tuple[str, str]]:
    for line in toml.splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            yield name, value
