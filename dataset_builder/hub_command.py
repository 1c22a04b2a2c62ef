"""What `petdata push` and `petdata pull` do and print."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from dataset_builder.hub import Pushed, PushOptions, push
from dataset_builder.hub_pull import pull
from dataset_builder.open_release import find_release
from dataset_builder.versions import check_name, retired_versions
from petdata.errors import PetdataError
from petdata.hub_session import HubSession, chosen_revision, parse_reference
from petdata.manifest import RECIPE
from petdata.sources import known_sources
from petdata.workspace import Workspace, find_workspace


def push_and_print(release: str, repo_id: str, options: PushOptions) -> None:
    workspace = find_workspace()
    pushed = push(
        find_release(workspace, release),
        repo_id,
        options,
        sources=known_sources(workspace),
        workspace=workspace,
        say=_console(stderr=True).print,
    )
    out = _console()
    for line in _lines(pushed):
        out.print(line)


def _lines(pushed: Pushed) -> list[str]:
    place = f"{pushed.repo_id}@{pushed.tag}"
    lines = [
        f"{place} is there, commit {pushed.commit[:12]}: {len(pushed.sent):,} files sent, "
        f"{pushed.unchanged:,} unchanged"
        if pushed.is_new
        else f"{place} was there already, file by file; nothing was sent"
    ]
    if pushed.withheld:
        lines.append(
            f"pixels of {', '.join(pushed.withheld)} stayed here, since they may not be passed on: "
            f"petdata pull {place}, then petdata rehydrate, where their originals are"
        )
    return lines


def pull_and_print(reference: str, into: Path | None) -> None:
    workspace = find_workspace()
    target = into or place_of(workspace, reference)
    pulled = pull(reference, target, say=_console(stderr=True).print)
    out = _console()
    out.print(
        f"{target}: {len(pulled.manifest['files']):,} files, commit {pulled.commit[:12]}"
        if pulled.is_new
        else f"{target} is {reference} already"
    )
    if pulled.manifest["variant"] == RECIPE:
        sources = ", ".join(pulled.manifest["withheld"]["sources"])
        name = target if into else f"{target.parent.name}@{target.name}"
        out.print(f"photos of {sources} have no pixels: petdata rehydrate {name} fills them in")


def place_of(workspace: Workspace, reference: str) -> Path:
    """Where other commands find it as NAME@VERSION. Raises PetdataError for what is no version."""
    repo_id, revision = parse_reference(reference)
    chosen = chosen_revision(HubSession(repo_id=repo_id), revision)
    if chosen is None or not re.fullmatch(r"v\d+\.\d+\.\d+", chosen):
        raise PetdataError(f"{reference} is no version such as v1.0.0: name a folder with --into")
    folder = workspace.root / "releases" / check_name(repo_id.partition("/")[2])
    version = chosen.removeprefix("v")
    if version in retired_versions(folder):
        raise PetdataError(f"{folder / version} was retired here, by petdata forget --purge")
    return folder / version


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)
