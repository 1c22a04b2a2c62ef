"""What `petdata links` prints."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from dataset_builder.decisions import decisions_path
from dataset_builder.links import Decision, PhotoFinder, decide_link, decisions_on, read_links
from dataset_builder.links_page import links_page
from dataset_builder.open_release import find_release
from dataset_builder.recipe import pixels_note
from petdata.manifest import read_manifest
from petdata.workspace import find_workspace, make_folder, write_whole


def show_links(release: str | None, output: Path | None, most: int) -> None:
    workspace = find_workspace()
    folder = find_release(workspace, release)
    manifest = read_manifest(folder)
    links = read_links(folder)
    shown = links[:most]
    title = f"Identity links of {manifest['name']} {manifest['version']}"
    finder = PhotoFinder(workspace, [id for link in shown for id in (link.photo_a, link.photo_b)])
    page = links_page(
        title,
        shown,
        decisions_on(workspace, shown),
        finder.find,
        left_out=len(links) - len(shown),
    )
    path = output or workspace.root / "runs" / f"links-{manifest['name']}.html"
    make_folder(path.parent)
    write_whole(path, page.encode())
    Console(highlight=False).print(
        f"{len(shown):,} of {len(links):,} pairs on {path}", soft_wrap=True
    )
    if finder.absent and (note := pixels_note(folder, manifest)):
        typer.echo(note, err=True)


def decide_and_print(first: str, second: str, decision: Decision) -> None:
    workspace = find_workspace()
    known = decide_link(workspace, first, second, decision)
    Console(highlight=False).print(
        f"{first} and {second}: {decision}; {decisions_path(workspace)} has "
        f"{len(known.accepted):,} accepted and {len(known.rejected):,} rejected pairs, "
        "for the next build",
        soft_wrap=True,
        markup=False,
    )
