"""What detect and describe print while they work, and at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import typer

from petdata.progress_line import ProgressLine, StderrConsole
from trainer.unseen_photos import UnseenPhotos

PROBLEMS_SHOWN: Final = 20


class Counts(Protocol):
    problems: int
    unreadable: int


C = TypeVar("C", bound=Counts)


def print_photos(photos: UnseenPhotos) -> None:
    for problem in photos.unreadable_files:
        typer.echo(f"skipped: {problem}", err=True)
    down = f", {photos.taken_down:,} taken down" if photos.taken_down else ""
    typer.echo(f"{len(photos):,} photos to look at, {photos.seen:,} have a row{down}", err=True)


def with_progress(
    work: Callable[[Callable[[C, str | None], None]], C], start: C, line: Callable[[C], str]
) -> None:
    """`work` is given what to tell counts and problems to. The last line is there always."""
    console = StderrConsole(soft_wrap=True)
    latest = start

    def tell(counts: C, problem: str | None) -> None:
        nonlocal latest
        latest = counts
        if problem and counts.problems + counts.unreadable <= PROBLEMS_SHOWN:
            console.print(problem, markup=False)
        progress.tick()

    try:
        with ProgressLine(console, lambda: line(latest)) as progress:
            latest = work(tell)
    finally:
        typer.echo(line(latest), err=True)


def told(counts: Counts, *names: str) -> list[str]:
    """Those of the counts that are not 0."""
    return [
        f"{getattr(counts, name):,} {name.replace('_', ' ')}"
        for name in names
        if getattr(counts, name)
    ]
