"""What `petdata stats` prints: tables, JSON or CSV; the page is dataset_builder.stats_page."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dataset_builder.open_release import find_release
from dataset_builder.paper import CITATION, TABLE_2, TOTAL
from dataset_builder.recipe import pixels_note
from dataset_builder.stats import (
    DDOF,
    Line,
    Stats,
    ordered_steps,
    release_stats,
    shard_stats,
    shown_lines,
)
from dataset_builder.stats_beside import Beside, release_beside, shard_beside
from dataset_builder.stats_page import stats_page
from dataset_builder.stats_photos import release_sheets, shard_sheets
from petdata.errors import PetdataError
from petdata.manifest import read_manifest
from petdata.text_repeats import FIGURES
from petdata.workspace import find_workspace, make_folder, write_whole


def stats_and_print(
    release: str | None, *, shards: bool, as_json: bool, as_csv: bool, page: Path | None
) -> None:
    if shards and release is not None:
        raise PetdataError(f"stats of {release} or of the shards (--shards), not both")
    if as_json and as_csv:
        raise PetdataError("--json or --csv, not both")
    workspace = find_workspace()
    folder = None if shards else find_release(workspace, release)
    stats = shard_stats(workspace) if folder is None else release_stats(folder)
    beside = shard_beside(workspace) if folder is None else release_beside(folder, workspace)
    if as_json:
        typer.echo(json.dumps(document(stats, beside), ensure_ascii=False, indent=2))
    elif as_csv:
        write_csv(stats)
    else:
        _print_tables(stats, beside)
    if page is not None:
        sheets = shard_sheets(workspace) if folder is None else release_sheets(folder)
        make_folder(page.parent)
        write_whole(page, stats_page(stats, sheets, beside).encode())
        typer.echo(f"{page} written", err=True)
        if folder is not None and (note := pixels_note(folder, read_manifest(folder))):
            typer.echo(note, err=True)


def document(stats: Stats, beside: Beside) -> dict[str, Any]:
    """Everything, with what the paper says beside it."""
    rows = {name: asdict(count) for name, count in TABLE_2.items()} | {"total": asdict(TOTAL)}
    paper = {"paper": {"citation": CITATION, "table_2": rows}}
    return stats.as_json() | beside.as_json() | paper


def write_csv(stats: Stats) -> None:
    """One line each; an empty source, split or species stands for all of them."""
    names = [column.name for column in fields(Line)]
    header = [f"standard_deviation_ddof{DDOF}" if name == "deviation" else name for name in names]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([getattr(line, name) for name in names] for line in stats.lines)


def _print_tables(stats: Stats, beside: Beside) -> None:
    console = Console(highlight=False)
    console.print(_lines_table(stats))
    console.print(_attrition_table(stats))
    if any(part.validation for part in stats.balance):
        console.print(_balance_table(stats))
    if beside.seen:
        console.print(_seen_table(beside))
    if beside.texts:
        console.print(_repeats_table(beside))
    console.print(_paper_table(stats))
    console.print(CITATION, soft_wrap=True)


def _lines_table(stats: Stats) -> Table:
    table = _table(f"{stats.title}: photos per identity", "source")
    for name in ("photos", "identities", "min", "max", "mean", "median", f"std\nddof {DDOF}"):
        table.add_column(name, justify="right")
    previous: str | None = ""
    for line in shown_lines(stats):
        if line.source != previous:
            if previous != "":
                table.add_section()
            table.add_row(f"[bold]{line.source or 'all sources'}[/]")
            previous = line.source
        table.add_row(
            f"  {line.split or line.stage}{', ' if line.species else ''}{line.species or ''}",
            f"{line.photos:,}",
            f"{line.identities:,}",
            f"{line.minimum:,}",
            f"{line.maximum:,}",
            f"{line.mean:.2f}",
            f"{line.median:g}",
            f"{line.deviation:.2f}",
        )
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    return table


def _attrition_table(stats: Stats) -> Table:
    table = _table("photos, step by step", "step")
    for source in stats.sources:
        table.add_column(source, justify="right")
    for step in ("input", *ordered_steps(stats.attrition), "kept"):
        counts = (steps.get(step, 0) for steps in stats.attrition.values())
        table.add_row(step.replace("_", " "), *(f"{count:,}" for count in counts))
    return table


def _balance_table(stats: Stats) -> Table:
    title = f"identity groups held out for validation: {stats.val_fraction:.1%} asked for"
    table = _table(title, "by")
    table.add_column("")
    for name in ("train", "validation", "share", "99 % by chance"):
        table.add_column(name, justify="right")
    for part in stats.balance:
        low, high = part.expected(stats.val_fraction)
        table.add_row(
            part.by,
            part.value,
            f"{part.train:,}",
            f"{part.validation:,}",
            f"{part.share:.1%}",
            f"{low:.1%} to {high:.1%}",
        )
    return table


def _seen_table(beside: Beside) -> Table:
    table = _table("what the detector saw", "source")
    for name in ("photos", "looked at", "without box", "several animals", "share"):
        table.add_column(name, justify="right")
    for each in beside.seen:
        table.add_row(
            each.source,
            f"{each.photos:,}",
            f"{each.looked_at:,}",
            f"{each.without_box:,}",
            f"{each.several_animals:,}",
            f"{each.share:.1%}",
        )
    return table


def _repeats_table(beside: Beside) -> Table:
    table = _table("photos whose text another photo has", "texts")
    for name in ("photos", "same animal", "nearly", "another", "nearly"):
        table.add_column(name, justify="right")
    for name, found in beside.texts.items():
        shares = (f"{found.share(figure):.1%}" for figure in FIGURES)
        table.add_row(name, f"{found.texts:,}", *shares)
    return table


def _paper_table(stats: Stats) -> Table:
    table = _table("before the build, beside table 2 of the paper", "source")
    for name in ("photos", "paper", "identities", "paper", "mean", "paper"):
        table.add_column(name, justify="right")
    for source, count in [*TABLE_2.items(), (None, TOTAL)]:
        ours = stats.line("before", source)
        table.add_row(
            source or "total",
            f"{ours.photos:,}" if ours else "-",
            f"{count.photos:,}",
            f"{ours.identities:,}" if ours else "-",
            f"{count.identities:,}",
            f"{ours.mean:.2f}" if ours else "-",
            f"{count.mean:.2f}",
        )
    return table
