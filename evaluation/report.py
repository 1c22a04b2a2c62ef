"""What an evaluation or a run says, as one HTML file to look at: no script, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from evaluation.charts import det_chart, gallery_chart, roc_chart, similarity_chart
from evaluation.evaluate import Evaluation, PartFigures
from evaluation.hidden import BOXED, HALVES
from evaluation.page import escaped, note, page, section, table, tiles
from evaluation.repeated_texts import sentences
from evaluation.report_photos import photo_sections
from evaluation.report_provenance import costs_section, provenance_section
from evaluation.report_run import run_sections
from evaluation.report_subject import Subject
from evaluation.shown_photos import PhotoShelf
from evaluation.significance import Interval
from evaluation.stored import StoredEvaluation

MODEL: Final = "model"
_K: Final = (1, 5, 10)
_VERIFICATION: Final = (
    ("AUC", "roc_auc", False),
    ("EER", "equal_error_rate", True),
    ("EER, nearest point", "nearest_point_equal_error_rate", True),
    ("TAR at FAR 1 %", "true_accept_rate_at_far_1e-2", True),
    ("TAR at FAR 0.1 %", "true_accept_rate_at_far_1e-3", True),
)
_ALL: Final = "all_pairs_"


def report_html(
    subject: Subject, shelf: PhotoShelf, measured: Mapping[str, Any] | None = None
) -> str:
    """`shelf`: of the photos that the evaluation names; `measured`: costs, where they were."""
    stored = subject.stored
    parts = []
    if stored is None:
        parts.append(section("Figures", "", note(subject.why_not_evaluated)))
    else:
        parts += _figures(stored)
        if stored.model.examples is not None:
            parts += photo_sections(stored.model.examples, shelf)
    parts += run_sections(subject)
    parts.append(costs_section(stored, measured or {}))
    if stored is not None:
        parts.append(provenance_section(stored))
    return page(subject.title, subject.subtitle, "".join(parts))


def _figures(stored: StoredEvaluation) -> Iterator[str]:
    part = stored.model.part()
    networks = {name: each for name, each in stored.controls.items() if name not in HALVES}
    yield tiles(_tiles(part))
    beside = f"<div class='beside'><div>{_searches(part)}</div>{_gallery(part, networks)}</div>"
    yield section("Searches", _SEARCHES, beside)
    yield section("Pairs", _PAIRS, _pairs(part) + _curves(part, networks))
    yield section("Sources and species", _PARTS, _parts(stored.model))
    yield section("Controls", _CONTROLS, _controls(stored.model, networks, stored.about))
    yield section("Without the animal, and without its surroundings", _HALVES, _halves(stored))
    yield section("Pairs of one listing or day, and others", _KINDS, _kinds(part))
    if repeated := stored.about.get("text_repeats"):
        said = "".join(f"<p>{escaped(sentence)}</p>" for sentence in sentences(repeated))
        yield section("Texts that repeat", "", said)


_SEARCHES: Final = (
    "Every photo is looked up among all others of its species. Top-k: the right animal is among "
    "the first k photos, or the first k animals. Below each figure its 95 % interval."
)
_PAIRS: Final = (
    "Is it one animal? Under the caps: the sampled pairs of the paper's protocol; all pairs: every "
    "two photos of a species. The curves are those of all pairs. The threshold was chosen on these "
    "photos: for use set it on others."
)
_PARTS: Final = "Each by itself: its own searches, its own pairs. EER and AUC are of all pairs."
_CONTROLS: Final = (
    "What the same photos give without the training, and without a network. Only what lies above "
    "all of these is what the model has learnt of animals. EER and AUC are of all pairs."
)
_HALVES: Final = (
    "The same model on photos with the animal's box made grey, and with everything else made grey. "
    "What is found without the animal, background finds."
)
_KINDS: Final = (
    "Photos of one announcement are often of one minute and one sofa. Each kind of pair of one "
    "animal is held against the same pairs of two, all of them."
)


def _tiles(part: PartFigures) -> Iterator[tuple[str, ...]]:
    for label, name in (
        ("Top-1", "top_1_accuracy"),
        ("mAP", "mean_average_precision"),
        ("EER of all pairs", f"{_ALL}equal_error_rate"),
        ("TPIR at 1 % false alarms", "open_set_identification_rate"),
    ):
        interval = part.figures.get(name)
        if interval is not None:
            yield f"{100 * interval.estimate:.1f} %", label, _range(interval, True)
    yield f"{part.counts['photos']:,.0f}", "photos"
    yield f"{part.counts['identities']:,.0f}", "animals"


def _searches(part: PartFigures) -> str:
    rows = []
    for label, name in (
        *((f"Top-{k}", f"top_{k}_accuracy") for k in _K),
        ("mAP", "mean_average_precision"),
    ):
        both = [part.figures.get(each) for each in (name, f"identity_{name}")]
        if all(both):
            rows.append([label, *(_cell(interval, True) for interval in both)])
    open_set = part.figures.get("open_set_identification_rate")
    if open_set is not None:
        rows.append(["TPIR at FPIR 1 %", _cell(open_set, True), ""])
    counts = part.counts
    said = (
        f"{counts['queries']:,.0f} searches among on average {counts['mean_gallery_photos']:,.0f} "
        f"photos of {counts['mean_gallery_identities']:,.0f} animals; "
        f"{counts['skipped_queries']:,.0f} photos whose animal has no other were skipped."
    )
    if not rows:
        return note(f"No photo has another of its animal, so there is nothing to find. {said}")
    return table(["", "photos, %", "animals, %"], rows) + f"<p class='soft'>{said}</p>"


def _gallery(part: PartFigures, controls: Mapping[str, Evaluation]) -> str:
    if len(part.top_1_by_gallery_size) < 2:
        return ""
    found = {MODEL: part.top_1_by_gallery_size}
    for name, control in controls.items():
        if (other := control.find(part.name)) is not None:
            found[name] = other.top_1_by_gallery_size
    return f"<div class='charts'>{gallery_chart(found)}</div>"


def _pairs(part: PartFigures) -> str:
    rows = []
    for label, name, in_percent in _VERIFICATION:
        both = [part.figures.get(each) for each in (name, f"{_ALL}{name}")]
        if any(both):
            rows.append(
                [label + (", %" if in_percent else ""), *(_cell(b, in_percent) for b in both)]
            )
    counts = part.counts
    if not rows:
        return note("There are no pairs of one animal, or none of two.")
    numbers = [
        f"{counts[f'{kind}positive_pairs']:,.0f} of one animal, "
        f"{counts[f'{kind}negative_pairs']:,.0f} of two"
        for kind in ("", "all_")
    ]
    said = f"<p class='soft'>Under the caps {numbers[0]}; all pairs: {numbers[1]}.</p>"
    return table(["", "under the caps", "all pairs"], rows) + said


def _curves(part: PartFigures, controls: Mapping[str, Evaluation]) -> str:
    equal = part.figures.get(f"{_ALL}equal_error_rate")
    if equal is None:
        return ""
    if part.curve is None or part.similarities is None:
        return note("No curves are stored with this evaluation: evaluate again to have them.")
    curves = {MODEL: part.curve}
    for name, control in controls.items():
        other = control.find(part.name)
        if other is not None and other.curve is not None:
            curves[name] = other.curve
    charts = [
        roc_chart(curves, equal.estimate),
        det_chart(curves, equal.estimate),
        similarity_chart(part.similarities, part.thresholds.get(f"{_ALL}equal_error_rate")),
    ]
    return f"<div class='charts'>{''.join(charts)}</div>"


def _parts(evaluation: Evaluation) -> str:
    if len(evaluation.parts) < 2:
        return ""
    return table(
        ["", "photos", "animals", *_SUMMARY],
        [
            [
                part.name,
                f"{part.counts['photos']:,.0f}",
                f"{part.counts['identities']:,.0f}",
                *_summary(part),
            ]
            for part in evaluation.parts
        ],
        first=True,
    )


_SUMMARY: Final = ("Top-1, %", "mAP, %", "AUC", "EER, %")


def _summary(part: PartFigures | None) -> list[str]:
    figures = {} if part is None else part.figures
    return [
        _cell(figures.get("top_1_accuracy"), True),
        _cell(figures.get("mean_average_precision"), True),
        _cell(figures.get(f"{_ALL}roc_auc"), False),
        _cell(figures.get(f"{_ALL}equal_error_rate"), True),
    ]


def _controls(
    model: Evaluation, controls: Mapping[str, Evaluation], about: Mapping[str, Any]
) -> str:
    not_had = "".join(
        note(f"Without {name}: {reason}")
        for name, reason in (about.get("controls_not_had") or {}).items()
    )
    if not controls:
        return not_had or note("This evaluation was made without controls.")
    rows = [[MODEL, *_summary(model.part())]]
    rows += [[name, *_summary(control.find("all"))] for name, control in controls.items()]
    return table(["", *_SUMMARY], rows, first=True) + not_had


def _halves(stored: StoredEvaluation) -> str:
    found = {name: stored.controls[name] for name in HALVES if name in stored.controls}
    if not found:
        return ""
    whole = found.pop(BOXED, stored.model)  # the same photos as they are
    shown = {"whole photos": whole, **found}
    rows = [
        [name, f"{each.part().counts['photos']:,.0f}", *_summary(each.part())]
        for name, each in shown.items()
    ]
    return table(["", "photos", *_SUMMARY], rows, first=True)


def _kinds(part: PartFigures) -> str:
    rows = [
        [
            name,
            f"{kind.pairs:,}",
            f"{kind.identities:,}",
            _cell(kind.figures.get("mean_similarity"), False, -1),
            _cell(kind.figures.get("roc_auc"), False),
            _cell(kind.figures.get("equal_error_rate"), True),
        ]
        for name, kind in part.pair_kinds.items()
    ]
    head = ["", "pairs", "animals", "mean similarity", "AUC", "EER, %"]
    empty = [name for name, kind in part.pair_kinds.items() if not kind.pairs]
    said = "".join(
        note(f"No pair is of the kind “{name}”: these photos cannot show what it would give.")
        for name in empty
    )
    return table(head, rows) + said


def _cell(interval: Interval | None, in_percent: bool, lowest: float = 0) -> str:
    """The value, and below it the interval."""
    if interval is None:
        return "-"
    value = f"{100 * interval.estimate:.1f}" if in_percent else f"{interval.estimate:.4f}"
    return f"{value}\n{_range(interval, in_percent, lowest)}"


def _range(interval: Interval, in_percent: bool, lowest: float = 0) -> str:
    """Of a figure between `lowest` and 1; a jackknife over few animals may leave these."""
    if np.isnan(interval.low):
        return "no interval"
    low, high = max(interval.low, lowest), min(interval.high, 1)
    return f"{100 * low:.1f} to {100 * high:.1f}" if in_percent else f"{low:.4f} to {high:.4f}"
