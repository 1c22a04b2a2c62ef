"""What `petdata describe` does and prints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import typer

from petdata.errors import MissingSetting
from petdata.progress_line import ProgressLine, StderrConsole
from petdata.side_tables import table_folder
from petdata.workspace import find_workspace
from trainer.describe import DescribeConfig, DescribeCounts, describe_photos
from trainer.describe_backends import API_KEY, Backend, OpenAICompatible, Transformers
from trainer.enrich_flags import DescribeFlags
from trainer.unseen_photos import UnseenPhotos, unseen_photos

PROBLEMS_SHOWN = 20


def describe_and_print(reference: str, given: Mapping[str, Any]) -> None:
    flags = DescribeFlags(**given)
    workspace = find_workspace()
    folder = table_folder(workspace.root, flags.table)
    config = DescribeConfig(
        language=flags.language,
        prompt_version=flags.prompt_version,
        concurrency=flags.concurrency,
    )
    photos = unseen_photos(reference, folder, workspace, limit=flags.limit)
    print_photos(photos)
    if not len(photos):
        return
    console = StderrConsole(soft_wrap=True)
    latest = DescribeCounts()

    def line() -> str:
        return _line(latest, len(photos), flags)

    def tell(counts: DescribeCounts, problem: str | None) -> None:
        nonlocal latest
        latest = counts
        if problem and counts.problems + counts.unreadable <= PROBLEMS_SHOWN:
            console.print(problem, markup=False)
        progress.tick()

    try:
        with closing(_backend(flags)) as backend, ProgressLine(console, line) as progress:
            latest = describe_photos(photos, folder, backend, config, tell=tell)
    finally:
        typer.echo(line(), err=True)
    typer.echo(folder)


def print_photos(photos: UnseenPhotos) -> None:
    for problem in photos.unreadable_files:
        typer.echo(f"skipped: {problem}", err=True)
    down = f", {photos.taken_down:,} taken down" if photos.taken_down else ""
    typer.echo(f"{len(photos):,} photos to look at, {photos.seen:,} have a row{down}", err=True)


def _backend(flags: DescribeFlags) -> Backend:
    if flags.backend == "transformers":
        return Transformers(flags.model, flags.device)
    if flags.base_url is None:
        raise MissingSetting("--backend openai-compatible needs --base-url, as https://host/v1")
    return OpenAICompatible(
        flags.base_url, flags.model, key=os.environ.get(API_KEY), timeout_s=flags.timeout
    )


def _line(counts: DescribeCounts, total: int, flags: DescribeFlags) -> str:
    parts = [
        f"{counts.described:,} of {total:,} described",
        f"{counts.problems:,} with a problem",
        f"{counts.bad_answers:,} answers refused",
        f"{counts.per_second:.2f} photos/s",
        f"{counts.prompt_tokens:,} + {counts.answer_tokens:,} tokens",
    ]
    if flags.price_in is not None or flags.price_out is not None:
        cost = counts.prompt_tokens * (flags.price_in or 0)
        cost += counts.answer_tokens * (flags.price_out or 0)
        parts.append(f"cost {cost / 1e6:.4f}")
    for name in ("unreadable", "without_pixels"):
        if getattr(counts, name):
            parts.append(f"{getattr(counts, name):,} {name.replace('_', ' ')}")
    return ", ".join(parts)
