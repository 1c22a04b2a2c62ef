"""What `petdata diff` prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from dataset_builder.diff import KINDS, Difference, compare
from dataset_builder.open_release import find_release
from petdata.workspace import find_workspace

MOST_SHOWN: Final = 20  # revoked photos, one a line


def compare_and_print(before: str, after: str, *, output: Path | None, as_json: bool) -> None:
    workspace = find_workspace()
    found = compare(find_release(workspace, before), find_release(workspace, after), output)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return
    out = Console(highlight=False)
    title = f"from {found.before} to {found.after}"
    for note in found.notes:
        out.print(note, soft_wrap=True)
    if found.is_empty:
        out.print(f"{title}: the same photos, identities, splits and words")
        return
    out.print(_counts(found, title))
    out.print(_reasons(found))
    if found.revoked:
        out.print(f"taken down since {found.before}, {len(found.revoked):,} photos:")
        for photo_id in found.revoked[:MOST_SHOWN]:
            out.print(f"  {photo_id}", soft_wrap=True, markup=False)
        if len(found.revoked) > MOST_SHOWN:
            out.print(f"  and {len(found.revoked) - MOST_SHOWN:,} more (--json has them)")
    if output is not None:
        out.print(f"every photo by itself: {output}", soft_wrap=True)


def _counts(found: Difference, title: str) -> Table:
    table = Table(title=title)
    table.add_column("source")
    table.add_column("of")
    for kind in KINDS:
        table.add_column(kind, justify="right")
    for source in sorted(found.photos.keys() | found.identities.keys()):
        for name, counts in (("photos", found.photos), ("identities", found.identities)):
            of = counts.get(source, dict.fromkeys(KINDS, 0))
            table.add_row(source, name, *(f"{of[kind]:,}" for kind in KINDS))
    return table


def _reasons(found: Difference) -> Table:
    table = Table(title="why, in photos")
    for column in ("source", "kind", "reason"):
        table.add_column(column)
    table.add_column("photos", justify="right")
    for row in found.reasons:
        table.add_row(
            row["source"], row["kind"], row["reason"].replace("_", " "), f"{row['photos']:,}"
        )
    return table
