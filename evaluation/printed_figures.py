"""Figures of a part of an evaluation as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from evaluation.evaluate import Evaluation, PartFigures
from evaluation.hidden import HALVES
from evaluation.significance import Interval

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


def table_of(part: PartFigures, controls: Mapping[str, Evaluation]) -> Table:
    """Beside controls on the very same photos; halves of photos have lines of their own."""
    networks = {name: each for name, each in controls.items() if name not in HALVES}
    table = Table(title=part.name, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
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


def lines_below(part: PartFigures, controls: Mapping[str, Evaluation]) -> Iterator[str]:
    yield from _counted(part)
    yield from _halves(part, controls)
    yield from _kinds(part)


def _counted(part: PartFigures) -> Iterator[str]:
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
