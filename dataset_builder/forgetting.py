"""`petdata forget` and `petdata verify --purged`: what a user means, and what is printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console

from dataset_builder.pseudonyms import real_id
from dataset_builder.purge import Purged, purge, recorded
from dataset_builder.purge_search import search
from dataset_builder.versions import retired_versions
from petdata.errors import PetdataError
from petdata.inspection import identity_at
from petdata.presentation import print_takedown
from petdata.sources import known_sources
from petdata.takedowns import Takedown, add_takedown, read_takedowns, understand
from petdata.workspace import Workspace, find_workspace

_REPOSITORY = "USER/NAME"


def forget_and_print(target: str, reason: str, *, purge_too: bool) -> None:
    workspace = find_workspace()
    meant = meant_by(workspace, target)
    print_takedown(workspace, meant, reason)
    if purge_too:
        today = datetime.now(UTC).date()
        sources = known_sources(workspace)
        entry, _ = add_takedown(workspace.takedowns, meant, reason, today, sources=sources)
        err = Console(stderr=True, highlight=False, soft_wrap=True)
        _print_purged(workspace, purge(workspace, entry, say=err.print))


def search_and_print(target: str) -> None:
    """Raises PetdataError, after naming every place, where something is left."""
    workspace = find_workspace()
    entry = _recorded_entry(workspace, target)
    condemned = recorded(workspace, entry)
    if not condemned.hashes:
        raise PetdataError(
            f"takedowns.toml has no hash of {entry.value}: it was not purged, or nothing of it was "
            "ever here"
        )
    out = Console(highlight=False)
    places = 0
    for place in search(workspace, condemned):
        places += 1
        out.print(place, soft_wrap=True, markup=False)
    if places:
        raise PetdataError(f"{entry.value} is still in {places} places")
    out.print(
        f"nothing of {entry.value} is left in {workspace.root}: {len(condemned.hashes):,} hashes "
        "looked for in every file",
        soft_wrap=True,
    )


def meant_by(workspace: Workspace, target: str) -> str:
    """The same thing by its name in the workspace: pseudonyms lead back where its key is."""
    target = target.strip()
    post = identity_at(workspace, target)
    if post is not None:
        return post
    identity = real_id(workspace, target)
    if identity is not None:
        return identity
    owner, _, start = target.rpartition("/")
    owner_here = real_id(workspace, owner)
    return f"{owner_here}/{start}" if owner_here is not None else target


def _recorded_entry(workspace: Workspace, target: str) -> Takedown:
    kind, value = understand(meant_by(workspace, target), known_sources(workspace))
    for entry in read_takedowns(workspace.takedowns).entries:
        if (entry.kind, entry.value) == (kind, value):
            return entry
    raise PetdataError(f"{value} is not in {workspace.takedowns}: petdata forget records it")


def _print_purged(workspace: Workspace, purged: Purged) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print(f"{purged.entry.value}: {purged.photos:,} photos are purged")
    for source in purged.sources:
        if source.photos:
            shards = ", ".join(source.shards) or "none"
            out.print(f"  {source.source}: {source.photos:,} rows; shards written again: {shards}")
    for release in purged.retired:
        out.print(f"  release {release}: deleted, with all files that it shared")
    for line in purged.removed:
        out.print(f"  {line}")
    for line in purged.warnings:
        out.print(f"  look at this: {line}")
    out.print("petdata verify --purged searches the whole workspace for what may be left.")
    for line in hub_commands(workspace):
        out.print(line)


def hub_commands(workspace: Workspace) -> Iterator[str]:
    """Shell commands that take retired releases out of a repository and its history."""
    for folder in sorted((workspace.root / "releases").glob("*/")):
        retired = retired_versions(folder)
        if not retired:
            continue
        oids = sorted({sha256 for files in retired.values() for sha256 in files.values()})
        paths = sorted({path for files in retired.values() for path in files})
        yield ""
        yield f"Was {folder.name} pushed? Then, for each repository (in place of {_REPOSITORY}):"
        yield f"  petdata build --name {folder.name}"
        yield f"  petdata push {folder.name} {_REPOSITORY}"
        yield "or, without a new release, take the files away:"
        names = " ".join(shlex.quote(path) for path in paths)
        yield f"  hf repos delete-files {_REPOSITORY} {names} --type dataset"
        yield "and after either of them, for the history:"
        for version in retired:
            yield f"  hf repos tag delete {_REPOSITORY} v{version} --type dataset -y"
        code = (
            "from huggingface_hub import HfApi; api = HfApi(); "
            f"repo = dict(repo_id={_REPOSITORY!r}, repo_type='dataset'); "
            f"oids = {oids!r}; "
            "api.super_squash_history(**repo); "
            "api.permanently_delete_lfs_files(lfs_files=[f for f in api.list_lfs_files(**repo) "
            "if f.file_oid in oids], **repo)"
        )
        yield f"  python -c {shlex.quote(code)}"
        yield (
            "Pull requests and branches keep what they have: close and delete them. Who has loaded "
            f"it has a cache: hf cache rm dataset/{_REPOSITORY}"
        )
