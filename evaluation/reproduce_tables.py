"""Results of an experiment -> its tables. Nothing is read and nothing is measured here."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evaluation.compare import SIGNIFICANT, Comparison
from evaluation.reproduce_matrix import FIGURES, Cell, Experiment
from evaluation.reproduce_store import CellResult
from evaluation.significance import Interval, holm
from evaluation.tables import TextTable

_SPREAD: Final = ("top_1_accuracy", "equal_error_rate")  # shown over seeds and of the raw encoder
NONE: Final = "–"  # an empty cell


@dataclass(frozen=True, kw_only=True)
class Row:
    cell: Cell
    results: tuple[CellResult, ...] = ()  # one a seed, the first seed first
    problem: str = ""  # why the first seed has no result: missing, failed or not run, and of what


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Of a part: each cell's first seed with the baseline's, or why they are not compared."""

    found: Mapping[str, Comparison] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def adjusted(self) -> dict[str, tuple[float, float]]:
        """Cell -> p of queries and of pairs, after Holm over this table."""
        names = list(self.found)
        queries = holm([self.found[name].queries.p for name in names])
        pairs = holm([self.found[name].pairs.p for name in names])
        return {
            name: (float(query), float(pair))
            for name, query, pair in zip(names, queries, pairs, strict=True)
        }


@dataclass(frozen=True, kw_only=True)
class FilledTable:
    part: str
    text: TextTable
    records: tuple[Mapping[str, object], ...]  # unrounded, for CSV


def parts_of(rows: Sequence[Row]) -> list[str]:
    """All photos, then each test set that has figures, here or published."""
    found = [name for row in rows for result in row.results for name in result.parts]
    found += [published.part for row in rows for published in row.cell.published]
    sources = [name for name in dict.fromkeys(found) if name.startswith("source ")]
    return ["all", *sources]


def fill(experiment: Experiment, part: str, rows: Sequence[Row], tests: Comparisons) -> FilledTable:
    columns = _columns(rows, part)
    adjusted = tests.adjusted()
    notes = _Notes()
    lines = []
    for row in rows:
        values = _line(row, part, experiment.baseline, tests, adjusted, notes)
        lines.append(tuple(values.get(column, NONE) for column in columns))
    where = "" if part == "all" else f", {part}"
    return FilledTable(
        part=part,
        text=TextTable(
            title=f"{experiment.title}{where}",
            columns=columns,
            rows=tuple(lines),
            notes=(
                *_explained(experiment, rows, tests),
                *notes.lines,
                *(_trained_on(rows) if part == "all" else ()),
            ),
        ),
        records=tuple(_record(experiment, part, row, tests, adjusted) for row in rows),
    )


def record_columns(tables: Sequence[FilledTable]) -> list[str]:
    """Of the CSV: every key of any record, in their order."""
    found = dict.fromkeys(key for table in tables for record in table.records for key in record)
    return list(found)


# Lines


class _Notes:
    """Long reasons, told below the table and numbered in it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, what: str, reason: str) -> str:
        self.lines.append(f"({len(self.lines) + 1}) {reason}")
        return f"{what} ({len(self.lines)})"


def _columns(rows: Sequence[Row], part: str) -> tuple[str, ...]:
    found = ["", *(label for label, _ in FIGURES.values())]
    if any(row.results and row.results[0].raw.get(part) for row in rows):
        found += [f"raw {FIGURES[name][0]}" for name in _SPREAD]
    if any(len(row.results) > 1 for row in rows):
        found += [f"{FIGURES[name][0]} over seeds" for name in _SPREAD]
    found += ["Δ Top-1", "p", "Δ EER", "p of EER", "told apart"]
    if any(published.part == part for row in rows for published in row.cell.published):
        found.append("published")
    if _data_differ(rows):
        found += ["training photos", "training identities"]
    return tuple(found)


def _line(
    row: Row,
    part: str,
    baseline: str,
    tests: Comparisons,
    adjusted: Mapping[str, tuple[float, float]],
    notes: _Notes,
) -> dict[str, str]:
    name = row.cell.name
    values = {"": row.cell.label + (" (baseline)" if name == baseline else "")}
    published = [each for each in row.cell.published if each.part == part]
    if published:
        values["published"] = ", ".join(
            f"{FIGURES[each.figure][0].removesuffix(' %')} {_number(each.figure, each.value, 2)}"
            f"{' %' if FIGURES[each.figure][1] else ''} ({each.source})"
            for each in published
        )
    if not row.results:
        what = row.problem.partition(":")[0] or "not run"
        values[FIGURES["top_1_accuracy"][0]] = notes.add(what, row.problem or "not run yet")
        return values
    values |= _figures(row, part)
    if name in tests.found:
        values |= _tested(tests.found[name], adjusted[name])
    elif name in tests.reasons:
        values["told apart"] = notes.add("not compared", tests.reasons[name])
    return values


def _figures(row: Row, part: str) -> dict[str, str]:
    first, values = row.results[0], {}
    for figure, (label, _) in FIGURES.items():
        interval = first.parts.get(part, {}).get(figure)
        if interval is not None:
            values[label] = _with_interval(figure, interval)
    for figure in _SPREAD:
        label = FIGURES[figure][0]
        if figure in first.raw.get(part, {}):
            values[f"raw {label}"] = _number(figure, first.raw[part][figure])
        spread = _over_seeds(row, part, figure)
        if spread is not None:
            mean, deviation, count = spread
            values[f"{label} over seeds"] = (
                f"{_number(figure, mean)} ± {_number(figure, deviation)} ({count})"
            )
    if first.trained_on:
        values["training photos"] = f"{_photos(first):,}"
        values["training identities"] = f"{first.identities:,}"
    return values


def _tested(found: Comparison, adjusted: tuple[float, float]) -> dict[str, str]:
    query_p, pair_p = adjusted
    top_1 = _verdict(found.top_1, query_p)
    equal = {"better": "worse", "worse": "better"}  # a higher EER is worse
    eer = _verdict(found.equal_error_rate, pair_p)
    told = [f"Top-1 {top_1}"] if top_1 else []
    told += [f"EER {equal[eer]}"] if eer else []
    return {
        "Δ Top-1": _difference(found.top_1),
        "p": f"{query_p:.2g}",
        "Δ EER": _difference(found.equal_error_rate),
        "p of EER": f"{pair_p:.2g}",
        "told apart": ", ".join(told) or "no",
    }


def _verdict(gain: Interval, p: float) -> str:
    """As petdata compare concludes: the interval leaves out 0, and p after Holm is small."""
    if p >= SIGNIFICANT:
        return ""
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else ""


def _explained(experiment: Experiment, rows: Sequence[Row], tests: Comparisons) -> list[str]:
    notes = [experiment.note] if experiment.note else []
    if any(row.results for row in rows):
        notes.append(
            "In brackets 95 % intervals, by a bootstrap over identities, of the first seed."
        )
    if tests.found:
        notes.append(
            "Δ: less the baseline, in points, on the same photos; p: McNemar, after Holm for the "
            f"{len(tests.found)} of this table; told apart where the interval leaves out 0 and p "
            f"is below {SIGNIFICANT}."
        )
    if any(len(row.results) > 1 for row in rows):
        notes.append("Over seeds: mean ± standard deviation (number of seeds).")
    return notes


def _trained_on(rows: Sequence[Row]) -> list[str]:
    """Source by source and species by species, where rows differ in it."""
    if not _data_differ(rows):
        return []
    return [
        f"{row.cell.label}, trained on: "
        + "; ".join(
            f"{source} " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
            for source, kinds in row.results[0].trained_on.items()
        )
        for row in rows
        if row.results and row.results[0].trained_on
    ]


def _data_differ(rows: Sequence[Row]) -> bool:
    found = [row.results[0].trained_on for row in rows if row.results]
    trained = [each for each in found if each]
    return any(each != trained[0] for each in trained)


# Numbers


def _with_interval(figure: str, interval: Interval) -> str:
    low, high = (_number(figure, end) for end in (interval.low, interval.high))
    return f"{_number(figure, interval.estimate)} ({low} to {high})"


def _number(figure: str, value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}" if FIGURES[figure][1] else f"{value:.4f}"


def _difference(gain: Interval) -> str:
    return f"{100 * gain.estimate:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _over_seeds(row: Row, part: str, figure: str) -> tuple[float, float, int] | None:
    """Mean, standard deviation of a sample, number; None of fewer than two."""
    values = [
        result.parts[part][figure].estimate
        for result in row.results
        if figure in result.parts.get(part, {})
    ]
    if len(values) < 2:
        return None
    return statistics.fmean(values), statistics.stdev(values), len(values)


def _photos(result: CellResult) -> int:
    return sum(count for kinds in result.trained_on.values() for count in kinds.values())


def _record(
    experiment: Experiment,
    part: str,
    row: Row,
    tests: Comparisons,
    adjusted: Mapping[str, tuple[float, float]],
) -> dict[str, object]:
    name = row.cell.name
    found: dict[str, object] = {
        "experiment": experiment.name,
        "part": part,
        "cell": name,
        "label": row.cell.label,
        "baseline": experiment.baseline,
        "problem": "" if row.results else row.problem or "not run yet",
        "seeds": len(row.results),
    }
    for figure in FIGURES:
        interval = row.results[0].parts.get(part, {}).get(figure) if row.results else None
        spread = _over_seeds(row, part, figure)
        found |= {
            figure: interval and interval.estimate,
            f"{figure}_low": interval and interval.low,
            f"{figure}_high": interval and interval.high,
            f"{figure}_seed_mean": spread and spread[0],
            f"{figure}_seed_sd": spread and spread[1],
            f"raw_{figure}": row.results[0].raw.get(part, {}).get(figure) if row.results else None,
        }
    for each in row.cell.published:
        if each.part == part:
            found[f"published_{each.figure}"] = each.value
            found[f"published_{each.figure}_source"] = each.source
    if name in tests.found:
        compared = tests.found[name]
        for what, gain in (("top_1", compared.top_1), ("eer", compared.equal_error_rate)):
            found |= {
                f"{what}_difference": gain.estimate,
                f"{what}_difference_low": gain.low,
                f"{what}_difference_high": gain.high,
            }
        found |= {"top_1_p": compared.queries.p, "eer_p": compared.pairs.p}
        found["top_1_p_holm"], found["eer_p_holm"] = adjusted[name]
    if row.results:
        first = row.results[0]
        found |= {
            "training_photos": _photos(first) if first.trained_on else None,
            "training_identities": first.identities if first.trained_on else None,
            "training_seconds": None if first.frozen else first.seconds["training"],
            "device": first.device,
            "run": first.run,
            "evaluation": first.evaluation,
        }
    return found
