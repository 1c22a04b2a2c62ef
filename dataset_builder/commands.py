"""What `petdata build` and its neighbours print."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from dataset_builder.build import Built, build
from dataset_builder.options import BuildOptions
from petdata.workspace import find_workspace


def build_and_print(
    options: BuildOptions, *, name: str, version: str | None, as_json: bool
) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    built = build(find_workspace(), options, name=name, version=version, say=console.print)
    if as_json:
        typer.echo(json.dumps(_summary(built), ensure_ascii=False, indent=2))
        return
    out = Console(highlight=False)
    if not built.is_new:
        out.print(f"nothing has changed: {built.folder} is this build", soft_wrap=True)
        return
    out.print(_attrition_table(built))
    out.print(
        f"{built.folder}: {built.written:,} files written, {built.linked:,} linked from earlier "
        f"releases; build hash {built.manifest['build_hash'][:16]}",
        soft_wrap=True,
    )


def _summary(built: Built) -> dict[str, object]:
    return {
        "folder": str(built.folder),
        "version": built.manifest["version"],
        "build_hash": built.manifest["build_hash"],
        "is_new": built.is_new,
        "written": built.written,
        "linked": built.linked,
        "attrition": built.manifest["attrition"],
    }


def _attrition_table(built: Built) -> Table:
    """How each source shrank."""
    table = Table()
    for name in ("source", "photos", "kept", "dropped"):
        table.add_column(name, justify="left" if name in ("source", "dropped") else "right")
    for source, steps in built.manifest["attrition"].items():
        dropped = ", ".join(
            f"{reason.replace('_', ' ')} {count:,}"
            for reason, count in steps.items()
            if reason not in ("input", "kept")
        )
        table.add_row(source, f"{steps['input']:,}", f"{steps['kept']:,}", dropped)
    return table
