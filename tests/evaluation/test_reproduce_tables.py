"""Tables of results whose every number is known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import pytest

from evaluation.compare import Comparison
from evaluation.reproduce_matrix import Cell, Experiment, Published
from evaluation.reproduce_store import CellResult
from evaluation.reproduce_tables import (
    NONE,
    Comparisons,
    FilledTable,
    Row,
    fill,
    parts_of,
    record_columns,
)
from evaluation.significance import Interval, McNemar
from evaluation.tables import csv_text, latex
from trainer.config import TrainConfig


def result(top_1: float, eer: float = 0.1, **changes: Any) -> CellResult:
    figures = {
        "top_1_accuracy": Interval(top_1, top_1 - 0.05, top_1 + 0.05, 1000),
        "equal_error_rate": Interval(eer, eer - 0.01, eer + 0.02, 1000),
    }
    values: dict[str, Any] = {
        "key": f"{top_1} {eer}",
        "seed": 0,
        "config": {},
        "frozen": False,
        "run": "a-run",
        "evaluation": "an-evaluation",
        "embeddings": "",
        "parts": {"all": figures, "species cat": figures, "source dogfacenet": figures},
        "raw": {},
        "counts": {},
        "trained_on": {"lcw": {"cat": 10}},
        "identities": 4,
        "seconds": {"training": 60.0, "evaluation": 1.0},
        "device": "CPU",
    }
    return CellResult(**(values | changes))


def cell(name: str, label: str = "", published: Sequence[Published] = ()) -> Cell:
    return Cell(
        name=name,
        label=label or name,
        config=TrainConfig(),
        published=tuple(published),
    )


def comparison(
    gain: tuple[float, float, float],
    p: float,
    *,
    eer: tuple[float, float, float] = (0.0, -0.1, 0.1),
    pair_p: float = 1.0,
) -> Comparison:
    return Comparison(
        first="base",
        second="other",
        top_1=Interval(*gain, 1000),
        auc=Interval(0, 0, 0, 1000),
        equal_error_rate=Interval(*eer, 1000),
        queries=McNemar(20, 20, exact_p=0.5, statistic=0.0, corrected_p=p),
        pairs=McNemar(20, 20, exact_p=0.5, statistic=0.0, corrected_p=pair_p),
        adjusted_query_p=p,
        adjusted_pair_p=pair_p,
        pairs_hash="",
    )


def filled(
    rows: Sequence[Row], tests: Comparisons | None = None, *, part: str = "all"
) -> FilledTable:
    experiment = Experiment(
        name="vision",
        title="Encoders",
        cells=tuple(row.cell for row in rows),
        baseline="base",
        note="A note.",
    )
    return fill(experiment, part, rows, tests or Comparisons())


def values(table: FilledTable) -> dict[str, dict[str, str]]:
    return {row[0]: dict(zip(table.text.columns, row, strict=True)) for row in table.text.rows}


BASE = Row(cell=cell("base", "The base"), results=(result(0.8),))


def test_a_figure_stands_with_its_interval() -> None:
    (row,) = values(filled([BASE])).values()
    assert row[""] == "The base (baseline)"
    assert row["Top-1 %"] == "80.0 (75.0 to 85.0)"
    assert row["EER"] == "0.1000 (0.0900 to 0.1200)"
    assert row["AUC"] == row["Δ Top-1"] == row["p"] == NONE
    assert "Top-1 % over seeds" not in row


def test_seeds_are_a_mean_and_a_deviation() -> None:
    """0.80, 0.82, 0.84: mean 0.82, sample deviation 0.02."""
    three = tuple(result(top_1) for top_1 in (0.80, 0.82, 0.84))
    table = filled([BASE, Row(cell=cell("other"), results=three)])
    found = values(table)
    assert found["other"]["Top-1 %"].startswith("80.0 ")
    assert found["other"]["Top-1 % over seeds"] == "82.0 ± 2.0 (3)"
    assert found["other"]["EER over seeds"] == "0.1000 ± 0.0000 (3)"
    assert found["The base (baseline)"]["Top-1 % over seeds"] == NONE
    assert table.records[1]["top_1_accuracy_seed_sd"] == pytest.approx(0.02)


def test_p_is_corrected_for_the_comparisons_of_the_table() -> None:
    """Holm of 0.01, 0.04, 0.03: 0.03, 0.06, 0.06."""
    rows = [BASE, *(Row(cell=cell(name), results=(result(0.9),)) for name in "abc")]
    better = (0.1, 0.02, 0.2)
    tests = Comparisons(
        found={
            "a": comparison(better, 0.01, eer=(0.05, 0.01, 0.1), pair_p=0.001),
            "b": comparison(better, 0.04),
            "c": comparison((-0.1, -0.2, -0.02), 0.03),
        }
    )
    table = filled(rows, tests)
    found = values(table)
    assert [found[name]["p"] for name in "abc"] == ["0.03", "0.06", "0.06"]
    assert found["a"]["Δ Top-1"] == "+10.0 (+2.0 to +20.0)"
    assert found["c"]["Δ Top-1"] == "-10.0 (-20.0 to -2.0)"
    assert found["a"]["told apart"] == "Top-1 better, EER worse"
    assert found["b"]["told apart"] == found["c"]["told apart"] == "no"
    assert [r.get("top_1_p_holm") for r in table.records] == [
        None,
        *map(pytest.approx, (0.03, 0.06, 0.06)),
    ]


def test_an_interval_around_zero_is_no_difference() -> None:
    rows = [BASE, Row(cell=cell("other"), results=(result(0.9),))]
    tests = Comparisons(found={"other": comparison((0.1, -0.01, 0.2), 0.001)})
    assert values(filled(rows, tests))["other"]["told apart"] == "no"


def test_a_cell_without_result_says_why() -> None:
    table = filled([BASE, Row(cell=cell("other"), problem="missing: no boxes: petdata detect")])
    assert values(table)["other"]["Top-1 %"] == "missing (1)"
    assert "(1) missing: no boxes: petdata detect" in table.text.notes
    assert table.records[1]["problem"] == "missing: no boxes: petdata detect"


def test_published_figures_stand_beside_ours_where_they_belong() -> None:
    best = cell(
        "best",
        published=[
            Published(part="all", figure="top_1_accuracy", value=0.8428, source="abstract"),
            Published(part="all", figure="equal_error_rate", value=0.0422, source="abstract"),
        ],
    )
    rows = [BASE, Row(cell=best, problem="missing: weights")]
    assert values(filled(rows))["best"]["published"] == (
        "Top-1 84.28 % (abstract), EER 0.0422 (abstract)"
    )
    other = filled(rows, part="source dogfacenet")
    assert "published" not in other.text.columns
    assert other.text.title == "Encoders, source dogfacenet"


def test_the_raw_encoder_stands_beside_the_trained_one() -> None:
    raw = {"all": {"top_1_accuracy": 0.85, "equal_error_rate": 0.2}}
    rows = [BASE, Row(cell=cell("other"), results=(result(0.8, raw=raw),))]
    found = values(filled(rows))
    assert (found["other"]["raw Top-1 %"], found["other"]["raw EER"]) == ("85.0", "0.2000")


def test_training_data_is_told_where_it_differs() -> None:
    more = {"lcw": {"cat": 10}, "petface": {"cat": 1200, "dog": 5}}
    rows = [BASE, Row(cell=cell("more"), results=(result(0.9, trained_on=more, identities=9),))]
    table = filled(rows)
    assert values(table)["more"]["training photos"] == "1,215"
    assert values(table)["more"]["training identities"] == "9"
    assert "more, trained on: lcw 10 cat; petface 1,200 cat, 5 dog" in table.text.notes
    assert "training photos" not in filled([BASE]).text.columns


def test_tables_are_of_all_photos_and_each_test_set() -> None:
    assert parts_of([BASE]) == ["all", "source dogfacenet"]
    assert parts_of([Row(cell=cell("x"))]) == ["all"]
    figure = Published(part="source cats", figure="roc_auc", value=0.9, source="card")
    assert parts_of([BASE, Row(cell=cell("x", published=[figure]))])[1:] == [
        "source dogfacenet",
        "source cats",
    ]


def test_csv_has_the_very_numbers() -> None:
    tables = [filled([BASE, Row(cell=cell("other", 'a, "b"'), results=(result(1 / 3),))])]
    text = csv_text(record_columns(tables), [r for table in tables for r in table.records])
    read = list(csv.DictReader(io.StringIO(text)))
    assert [float(line["top_1_accuracy"]) for line in read] == [0.8, 1 / 3]
    assert [line["label"] for line in read] == ["The base", 'a, "b"']
    assert read[0]["training_photos"] == "10"
    assert read[0]["roc_auc"] == ""


def test_latex_has_the_same_cells() -> None:
    table = filled([BASE, Row(cell=cell("other", "50 % & more"), results=(result(0.5),))]).text
    body = latex(table).partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    rows = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in body.splitlines()]
    assert [row[0] for row in rows] == ["The base (baseline)", r"50 \% \& more"]
    assert [row[1] for row in rows] == [row[1] for row in table.rows]
    assert {len(row) for row in rows} == {len(table.columns)}
