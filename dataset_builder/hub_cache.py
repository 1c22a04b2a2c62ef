"""Releases that a command was given by their id on the Hub: fetched once, kept in the workspace."""

from __future__ import annotations

from pathlib import Path

from dataset_builder.hub_pull import pull
from petdata.hub_session import HubSession, Say, chosen_revision, exact_revision, parse_reference
from petdata.manifest import MANIFEST
from petdata.workspace import Workspace


def cached_release(workspace: Workspace, reference: str, say: Say) -> Path:
    """A version or a commit never changes: once it is here the Hub is not asked again."""
    repo_id, revision = parse_reference(reference)
    folder = workspace.root / "cache" / "hub" / repo_id.replace("/", "--")
    exact = exact_revision(revision)
    if exact is not None and (folder / exact / MANIFEST).is_file():
        return folder / exact
    say(f"{reference} is no folder here: asking the Hub")
    if exact is None:
        session = HubSession(repo_id=repo_id, say=say)
        newest = chosen_revision(session, revision)
        exact = exact_revision(newest) or str(session.info(newest).sha)
    found = folder / exact
    if not (found / MANIFEST).is_file():
        pull(f"{repo_id}@{exact}", found, say=say)
    return found
