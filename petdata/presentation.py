"""What the commands print. Tables go to standard output, JSON instead where asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from petdata.contact_sheet import write_contact_sheet
from petdata.errors import PetdataError
from petdata.inspection import (
    SourceStatus,
    channels_status,
    collected_sources,
    current_rows,
    identity_at,
    list_shards,
    require_collected,
    source_status,
    verify_source,
)
from petdata.records import Photo
from petdata.shards import read_photos
from petdata.sheet_boxes import read_sheet_boxes
from petdata.sources import known_sources
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace


def print_status(workspace: Workspace, *, as_json: bool) -> None:
    found = [source_status(workspace, source) for source in collected_sources(workspace)]
    if as_json:
        sources = [asdict(status) for status in found]
        document = {"workspace": str(workspace.root), "sources": sources}
        typer.echo(json.dumps(document, default=str, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"workspace {workspace.root}", soft_wrap=True)
    if not found:
        console.print("nothing collected yet: start with petdata crawl pet911")
        return
    console.print(_status_table(found))
    for status in found:
        for line in _run_lines(status):
            console.print(line, soft_wrap=True, markup=False)


def _status_table(found: list[SourceStatus]) -> Table:
    table = Table()
    for column in ("source", "identities", "photos", "shards", "MB", "pending", "dropped", "gone"):
        table.add_column(column, justify="left" if column == "source" else "right")
    for status in found:
        numbers = (
            status.identities,
            status.current_photos,
            status.shards,
            round(status.shard_bytes / 1e6, 1),
            status.listings.get("pending", 0),
            status.listings.get("dropped", 0),
            status.listings.get("gone", 0),
        )
        table.add_row(status.source, *(f"{number:,}" for number in numbers))
    return table


def _run_lines(status: SourceStatus) -> Iterator[str]:
    if status.dropped:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in status.dropped.items())
        yield f"{status.source}: photos dropped: {reasons}"
    if status.running is not None:
        yield f"{status.source}: running: {status.running}"
    elif status.last_run is not None:
        run = status.last_run
        ended = run["outcome"] or "cut off; the next run goes on from there"
        yield f"{status.source}: last run {run['started_at']:%Y-%m-%d %H:%M} UTC: {ended}"


def print_shards(workspace: Workspace, source: str | None, *, as_json: bool) -> None:
    found = {name: list_shards(workspace, name) for name in require_collected(workspace, source)}
    if as_json:
        document = {
            name: [
                asdict(shard) | {"path": str(workspace.shards(name) / shard.name)} for shard in s
            ]
            for name, s in found.items()
        }
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table()
    for column in ("source", "shard", "rows", "MB", "fingerprint"):
        table.add_column(column, justify="right" if column in ("rows", "MB") else "left")
    for name, shards in found.items():
        for shard in shards:
            size = f"{shard.bytes / 1e6:,.1f}"
            table.add_row(name, shard.name, f"{shard.rows:,}", size, shard.fingerprint[:16])
    console = Console(highlight=False)
    console.print(table)
    for name in found:
        console.print(f"{name}: {workspace.shards(name)}", soft_wrap=True)


def print_channels(workspace: Workspace, *, as_json: bool) -> None:
    found = channels_status(workspace)
    if as_json:
        document = [asdict(channel) for channel in found]
        typer.echo(json.dumps(document, default=str, ensure_ascii=False, indent=2))
        return
    table = Table()
    table.add_column("channel", no_wrap=True)
    for column in ("id", "cursor", "read", "posts", "photos", "pending", "gone"):
        table.add_column(column, justify="right")
    for channel in found:
        numbers = (
            channel.messages,
            channel.listings.get("kept", 0),
            channel.current_photos,
            channel.listings.get("pending", 0),
            channel.listings.get("gone", 0),
        )
        table.add_row(
            f"@{channel.handle}" if channel.handle else "(from an export)",
            str(channel.channel_id),
            str(channel.cursor),
            *(f"{number:,}" for number in numbers),
        )
    Console(highlight=False).print(table)


def print_verification(workspace: Workspace, source: str | None) -> None:
    """Raises PetdataError, after naming every problem, where there is one."""
    problems = 0
    sources = require_collected(workspace, source)
    console = Console(highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for name in sources:
            progress.add_task(f"verifying {name}")
            for problem in verify_source(workspace, name):
                problems += 1
                console.print(problem, soft_wrap=True, markup=False)
    if problems:
        raise PetdataError(f"{problems} problems in the shards of {', '.join(sources)}")
    rows = sum(shard.rows for name in sources for shard in list_shards(workspace, name))
    console.print(f"{rows:,} photos verified: every one decodes, hashes and ledger agree")


def print_contact_sheet(
    workspace: Workspace, source: str, output: Path | None, identities: int
) -> None:
    status = source_status(workspace, source)
    path = output or workspace.root / "runs" / f"contact-sheet-{source}.html"
    shown = write_contact_sheet(
        path,
        _first_identities(current_photos(workspace, source), identities),
        title=f"petdata: {source}",
        summary=(
            f"{status.current_photos:,} photos of {status.identities:,} identities; "
            f"the first {min(identities, status.identities):,} identities are shown"
        ),
        boxes=read_sheet_boxes(workspace.root),
    )
    Console(highlight=False).print(f"{shown} identities on {path}", soft_wrap=True)


def current_photos(workspace: Workspace, source: str) -> Iterator[Photo]:
    rows = current_rows(workspace, source)
    for name in sorted(rows):
        for number, photo in zip(count(), read_photos([workspace.shards(source) / name])):
            if number in rows[name]:
                yield photo


def _first_identities(photos: Iterator[Photo], most: int) -> Iterator[Photo]:
    seen: set[str] = set()
    for photo in photos:
        seen.add(photo.identity_id)
        if len(seen) > most:
            return
        yield photo


def print_takedown(workspace: Workspace, target: str, reason: str) -> None:
    target = identity_at(workspace, target) or target
    entry, is_new = add_takedown(
        workspace.takedowns,
        target,
        reason,
        datetime.now(UTC).date(),
        sources=known_sources(workspace),
    )
    console = Console(highlight=False)
    verb = "recorded" if is_new else "was recorded already"
    console.print(
        f"{entry.kind} {entry.value} {verb} in {workspace.takedowns}: it is not collected any more "
        "and left out of every build from now on",
        soft_wrap=True,
        markup=False,
    )
