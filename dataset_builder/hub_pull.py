"""A release from the Hub: whole, every hash compared, or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.hf_api import RepoFile

from dataset_builder.hub_files import LocalFile, hashed, is_inside, local_files
from dataset_builder.scratch import scratch_folder
from petdata.errors import CorruptFile, PetdataError, StorageFailure, TryLater
from petdata.hub_session import DATASET, HubSession, Patience, Say, chosen_revision, parse_reference
from petdata.manifest import MANIFEST, read_manifest
from petdata.workspace import make_folder, sync_folder


@dataclass(frozen=True, kw_only=True)
class Pulled:
    folder: Path
    commit: str
    manifest: dict[str, Any]
    is_new: bool  # False: it was there already


def pull(
    reference: str,
    into: Path,
    *,
    token: str | None = None,
    endpoint: str | None = None,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    say: Say = lambda line: None,
) -> Pulled:
    """Fetch a whole release into a folder that does not exist yet; without a revision the newest.

    It is fetched beside and moved there once every hash is right; killed or failed it can be run
    again and goes on. Raises PetdataError, and TryLater where waiting helps.
    """
    repo_id, revision = parse_reference(reference)
    session = HubSession(
        repo_id=repo_id, token=token, endpoint=endpoint, patience=patience, say=say
    )
    commit = str(session.info(chosen_revision(session, revision)).sha)
    tree = session.tree(commit)
    if MANIFEST not in tree:
        raise PetdataError(f"{reference} has no {MANIFEST}: it is no release of petdata")
    if into.exists():
        if not (into / MANIFEST).is_file() or not _is_it(session, commit, tree, into):
            raise PetdataError(f"{into} exists already and is not {reference}: name another folder")
        manifest = read_manifest(into)
        local_files(into, manifest)
        return Pulled(folder=into, commit=commit, manifest=manifest, is_new=False)
    beside = into.with_name(f".{into.name}.{commit[:12]}.partial")
    make_folder(beside)
    manifest = _fetch(session, commit, tree, beside)
    _put_in_place(beside, [*manifest["files"], MANIFEST], into)
    return Pulled(folder=into, commit=commit, manifest=manifest, is_new=True)


def _is_it(session: HubSession, commit: str, tree: Mapping[str, RepoFile], folder: Path) -> bool:
    """Whether this is the release there, or what rehydrating it has made of it."""
    if hashed(folder / MANIFEST).is_at(tree[MANIFEST]):
        return True
    here = read_manifest(folder)
    if here["variant"] != "full":
        return False
    with scratch_folder(folder.parent, f".{folder.name}.manifest-") as beside:
        _download(session, commit, beside, [MANIFEST], lambda f: f.is_at(tree[MANIFEST]))
        there = read_manifest(beside)
    return there["variant"] != "full" and all(
        here[key] == there[key] for key in ("version", "build_hash")
    )


def _fetch(
    session: HubSession, commit: str, tree: Mapping[str, RepoFile], beside: Path
) -> dict[str, Any]:
    """All files of the manifest, each with its hash. What arrives damaged is fetched again."""
    _download(session, commit, beside, [MANIFEST], lambda file: file.is_at(tree[MANIFEST]))
    manifest = read_manifest(beside)
    if missing := sorted(path for path in manifest["files"] if path not in tree):
        raise CorruptFile(f"{session.repo_id} at {commit[:12]} lacks {missing[0]}: it is not whole")
    entries = manifest["files"]
    if bad := [path for path in entries if not is_inside(path)]:
        raise CorruptFile(f"{session.repo_id}: {bad[0]!r} is no path inside a release")
    total = sum(entry["bytes"] for entry in entries.values())
    session.say(f"fetching {len(entries):,} files, {total / 1e6:,.1f} MB")
    expected = {
        (beside / path): (entry["sha256"], entry["bytes"]) for path, entry in entries.items()
    }
    _download(
        session,
        commit,
        beside,
        list(entries),
        lambda file: (file.sha256, file.bytes) == expected[file.path],
    )
    return manifest


def _download(
    session: HubSession,
    commit: str,
    beside: Path,
    paths: list[str],
    is_right: Callable[[LocalFile], bool],
) -> None:
    """Until all are there and right, as often as patience allows."""
    missing = paths

    def download() -> None:
        snapshot_download(
            session.repo_id,
            repo_type=DATASET,
            revision=commit,
            local_dir=beside,
            allow_patterns=[glob.escape(path) for path in missing],
            token=session.token,
            endpoint=session.endpoint,
        )

    def at(path: str) -> LocalFile:
        return hashed(beside / path)

    absent: list[str] = []
    for _ in range(session.patience.attempts):
        session.ask("fetching files", download)
        # huggingface_hub may take what is here for enough when the Hub does not answer.
        absent = [path for path in missing if not (beside / path).is_file()]
        damaged = [path for path in missing if path not in absent and not is_right(at(path))]
        for path in damaged:
            (beside / path).unlink()
        if not absent and not damaged:
            return
        session.say(f"{[*damaged, *absent][0]} did not arrive as it is there; fetching it again")
        missing = [*damaged, *absent]
    if absent:
        raise TryLater(f"{session.repo_id}: {absent[0]} does not arrive; start again later")
    raise CorruptFile(
        f"{session.repo_id} at {commit[:12]}: {missing[0]} arrives with another hash than "
        f"{MANIFEST} names; tell whoever published it"
    )


def _put_in_place(beside: Path, paths: list[str], into: Path) -> None:
    try:
        shutil.rmtree(beside / ".cache", ignore_errors=True)  # huggingface_hub's notes
        for path in paths:
            with (beside / path).open("rb") as file:
                os.fsync(file.fileno())
            if path.startswith("data/"):
                (beside / path).chmod(0o444)  # as in a release that was built: they may be linked
        for folder in {(beside / path).parent for path in paths}:
            sync_folder(folder)
        beside.rename(into)
        sync_folder(into.parent)
        for other in into.parent.glob(f".{glob.escape(into.name)}.*.partial"):
            shutil.rmtree(other)  # of a revision that somebody began to fetch before
    except OSError as error:
        raise StorageFailure(f"cannot write {into}: {error.strerror}") from error
