"""What `petdata reproduce` does and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from evaluation.reproduce import State, run_plan, states_of
from evaluation.reproduce_compare import compare_rows
from evaluation.reproduce_estimate import TERAFLOPS, hours_of
from evaluation.reproduce_inputs import Inputs
from evaluation.reproduce_matrix import Experiment, Matrix, read_matrix
from evaluation.reproduce_plan import jobs_of, make_plan
from evaluation.reproduce_store import Results
from evaluation.reproduce_tables import FilledTable, Row, fill, parts_of, record_columns
from evaluation.tables import csv_text, html_page, latex, markdown
from petdata.errors import INTERRUPTED, PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace, find_workspace, write_whole


@dataclass(frozen=True, kw_only=True)
class ReproduceFlags:
    matrix: str = "paper"  # tiny, paper or a TOML file
    only: str | None = None  # experiments, with commas
    seeds: int = 1
    dry_run: bool = False
    teraflops: float = TERAFLOPS


def reproduce_and_print(release_name: str, flags: ReproduceFlags) -> None:
    workspace = find_workspace()
    matrix = read_matrix(flags.matrix)
    if flags.only is not None:
        matrix = matrix.only([name.strip() for name in flags.only.split(",") if name.strip()])
    if flags.teraflops <= 0:
        raise PetdataError("--tflops must be above 0")
    release = open_release(release_name, config=matrix.evaluate.dataset_config, workspace=workspace)
    plan = make_plan(matrix, Inputs(release, workspace), seeds=flags.seeds)
    results = Results(workspace, matrix.name, release)
    if flags.dry_run:
        _print_plan(states_of(plan, results), flags.teraflops)
        return
    with results.alone():
        try:
            states = run_plan(plan, results, workspace, _say)
            write_tables(matrix, states, results, workspace)
        except KeyboardInterrupt:
            _say("interrupted: what is finished is kept, the same command goes on")
            sys.exit(INTERRUPTED)
    failed = [state for state in states if state.failure]
    _say(_summary(states))
    typer.echo(results.tables)
    if failed:
        names = ", ".join(f"{each.planned.name} (seed {each.planned.seed})" for each in failed)
        raise PetdataError(f"{len(failed)} failed: {names}; the same command tries them again")


def write_tables(
    matrix: Matrix, states: Sequence[State], results: Results, workspace: Workspace
) -> None:
    """Of each experiment, in four formats."""
    for experiment in matrix.experiments:
        rows = rows_of(experiment, states)
        tables = [
            fill(
                experiment,
                part,
                rows,
                compare_rows(
                    experiment,
                    part,
                    rows,
                    results=results,
                    workspace=workspace,
                    resamples=matrix.evaluate.resamples,
                ),
            )
            for part in parts_of(rows)
        ]
        _write(results, matrix, experiment, tables)


def rows_of(experiment: Experiment, states: Sequence[State]) -> list[Row]:
    rows = []
    for cell in experiment.cells:
        own = [
            state
            for state in states
            if state.planned.experiment == experiment.name and state.planned.cell == cell
        ]
        found = tuple(state.result for state in own if state.result is not None)
        rows.append(Row(cell=cell, results=found, problem="" if found else own[0].in_words))
    return rows


def _write(
    results: Results, matrix: Matrix, experiment: Experiment, tables: Sequence[FilledTable]
) -> None:
    texts = [table.text for table in tables]
    records = [record for table in tables for record in table.records]
    title = f"{matrix.title}: {experiment.title}"
    head = f"## {title}\n\n{matrix.source}\n\n" if matrix.source else f"## {title}\n\n"
    written = {
        "md": head + "\n".join(markdown(text) for text in texts),
        "tex": "\n".join(latex(text) for text in texts),
        "csv": csv_text(record_columns(tables), records),
        "html": html_page(title, texts),
    }
    for ending, content in written.items():
        write_whole(results.tables / f"{experiment.name}.{ending}", content.encode())


def _print_plan(states: Sequence[State], teraflops: float) -> None:
    first = {
        planned.job.key: planned
        for planned, _ in jobs_of([s.planned for s in states])
        if planned.job is not None
    }
    total, runs = 0.0, 0
    for state in states:
        planned, said = state.planned, state.in_words
        job = planned.job
        if job is not None and state.result is None:
            if first[job.key] is planned:
                hours = hours_of(job, teraflops=teraflops)
                total, runs = total + hours, runs + 1
                said += f", {_hours(hours)}"
            else:
                said = f"the same as {first[job.key].name}"
        typer.echo(f"{planned.name}, seed {planned.seed}: {said}")
    typer.echo(
        f"{runs} to run, {_hours(total)} at {teraflops:g} TFLOP/s sustained (--tflops;"
        " an assumption: decoding and start-up are not in it). Weights are looked for when a cell "
        "runs."
    )


def _hours(hours: float) -> str:
    return f"about {hours:,.2f} GPU hours" if hours >= 0.01 else "less than 0.01 GPU hours"


def _summary(states: Sequence[State]) -> str:
    done = sum(state.result is not None for state in states)
    missing = sum(bool(state.missing) for state in states)
    failed = sum(bool(state.failure) for state in states)
    return f"{done} cells done, {missing} miss something, {failed} failed; tables:"


def _say(line: str) -> None:
    typer.echo(line, err=True)
