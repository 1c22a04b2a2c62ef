"""Releases that a command was given by their id on the Hub: fetched once, kept in the workspace."""

from __future__ import annotations

import re
from pathlib import Path

from dataset_builder.hub_pull import chosen_revision, parse_reference, pull
from dataset_builder.hub_session import HubSession, Say
from dataset_builder.manifest import MANIFEST
from petdata.workspace import Workspace

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def cached_release(workspace: Workspace, reference: str, say: Say) -> Path:
    """A version or a commit never changes: once it is here the Hub is not asked again."""
    repo_id, revision = parse_reference(reference)
    folder = workspace.root / "cache" / "hub" / repo_id.replace("/", "--")
    exact = _exact(revision)
    if exact is not None and (folder / exact / MANIFEST).is_file():
        return folder / exact
    say(f"{reference} is no folder here: asking the Hub")
    if exact is None:
        session = HubSession(repo_id=repo_id, say=say)
        newest = chosen_revision(session, revision)
        exact = _exact(newest) or str(session.info(newest).sha)
    found = folder / exact
    if not (found / MANIFEST).is_file():
        pull(f"{repo_id}@{exact}", found, say=say)
    return found


def _exact(revision: str | None) -> str | None:
    if revision is None or _COMMIT.fullmatch(revision):
        return revision
    match = _VERSION.fullmatch(revision)
    return match and f"v{match[1]}"
