"""A release to the Hub, so that nobody ever sees half of one.

Publishing sends all files first, makes them visible by one commit on top of the one that was looked
at, compares every file's hash there, and only then gives the commit its tag.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from huggingface_hub import CommitOperationDelete
from huggingface_hub.hf_api import RepoFile

from dataset_builder.hub_files import LocalFile, local_files
from dataset_builder.recipe import restricted_sources, write_recipe
from dataset_builder.scratch import scratch_folder
from dataset_builder.verify_takedowns import refuse_taken_down
from petdata.errors import PetdataError
from petdata.hub_session import (
    DATASET,
    FAILURES,
    TAKEN,
    HubFailure,
    HubSession,
    Patience,
    Say,
    check_repo_id,
)
from petdata.manifest import MANIFEST, read_manifest
from petdata.side_tables import FOLDER as SIDE_TABLES
from petdata.sources import SOURCES, Source
from petdata.workspace import Workspace

# Of a repository these are the release's: what is there and not in it goes. All else is left alone.
OWN_FOLDERS: Final = ("data", "metadata", SIDE_TABLES)
OWN_FILES: Final = (MANIFEST, "README.md", "croissant.json")


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    private: bool = False  # of a repository that does not exist yet
    include_restricted: bool = False  # pixels of sources that may not be redistributed
    token: str | None = field(default=None, repr=False)  # None: HF_TOKEN, or who is logged in
    endpoint: str | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, kw_only=True)
class Pushed:
    repo_id: str
    tag: str
    commit: str
    variant: str
    withheld: tuple[str, ...]  # sources whose pixels stayed here
    sent: tuple[str, ...]  # files that this run committed
    unchanged: int
    is_new: bool  # False: this version was there already, file by file


def push(
    release: Path,
    repo_id: str,
    options: PushOptions = PushOptions(),
    *,
    sources: Mapping[str, Source] = SOURCES,
    workspace: Workspace | None = None,
    say: Say = lambda line: None,
) -> Pushed:
    """Publish a release as `vX.Y.Z` of a dataset repository, which is made where there is none.

    Killed or failed it can be run again and sends only what is missing. Raises PetdataError, and
    TryLater where waiting helps; main then shows the former release or this one, never a mixture.
    A release with photos that `workspace` has taken down since is refused.
    """
    check_repo_id(repo_id)
    manifest = read_manifest(release)
    if workspace is not None:
        for line in refuse_taken_down(workspace, release, manifest):
            say(f"not checked: {line}")
    session = HubSession(
        repo_id=repo_id,
        token=options.token,
        endpoint=options.endpoint,
        patience=options.patience,
        say=say,
    )
    is_private = _make_repository(session, options)
    if manifest["options"].get("keep_source_ids") and not is_private:
        raise PetdataError(
            f"{release} was built with --keep-source-ids, whose numbers lead to owners' phones: it "
            f"may go to private repositories only, and {repo_id} is public"
        )
    restricted = restricted_sources(manifest, sources)
    withheld = () if options.include_restricted else restricted
    scratch = workspace.root / "cache" if workspace else Path(tempfile.gettempdir())
    with _variant(release, manifest, withheld, sources, scratch) as (folder, published):
        files = local_files(folder, published)
        tag = f"v{published['version']}"
        must_be_private = bool(restricted) and options.include_restricted
        commit, sent, is_new = _publish(session, files, tag, must_be_private=must_be_private)
    return Pushed(
        repo_id=repo_id,
        tag=tag,
        commit=commit,
        variant=published["variant"],
        withheld=withheld,
        sent=tuple(sorted(sent)),
        unchanged=len(files) - len(sent),
        is_new=is_new,
    )


def _make_repository(session: HubSession, options: PushOptions) -> bool:
    """Whether it is private, which it may have been before."""
    session.ask(
        "making the repository",
        lambda: session.api.create_repo(
            session.repo_id, repo_type=DATASET, private=options.private, exist_ok=True
        ),
    )
    is_private = bool(session.info().private)
    if options.private and not is_private:
        raise PetdataError(f"{session.repo_id} is there already and public: choose another name")
    if options.include_restricted and not is_private:
        raise PetdataError(
            f"{session.repo_id} is public: pixels of restricted sources may go to private "
            "repositories only; leave --include-restricted out, or name a private one"
        )
    return is_private


@contextmanager
def _variant(
    release: Path,
    manifest: Mapping[str, Any],
    withheld: tuple[str, ...],
    sources: Mapping[str, Source],
    scratch: Path,
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if not withheld:
        yield release, manifest
        return
    with scratch_folder(scratch, "petdata-recipe-") as folder:
        yield folder, write_recipe(release, manifest, withheld, sources, folder)


def _publish(
    session: HubSession, files: Mapping[str, LocalFile], tag: str, *, must_be_private: bool
) -> tuple[str, set[str], bool]:
    """The commit that bears the tag, the files that were sent, and whether the tag is new."""
    if (published := session.tags().get(tag)) is not None:
        _check_published(session, files, tag, published)
        return published, set(), False
    commit, sent = _commit(session, files, must_be_private=must_be_private)
    session.say(f"every file at {commit[:12]} has the hash that it has here; tagging it {tag}")

    def set_tag() -> None:
        try:
            session.api.create_tag(session.repo_id, tag=tag, revision=commit, repo_type=DATASET)
        except FAILURES as error:  # 409: ours, whose answer was lost, or somebody else's
            if session.setback(error).status != TAKEN:
                raise

    session.ask(f"tagging {tag}", set_tag)
    if (published := session.tags().get(tag)) != commit:
        _check_published(session, files, tag, str(published))
    return commit, sent, True


def _check_published(
    session: HubSession, files: Mapping[str, LocalFile], tag: str, commit: str
) -> None:
    wrong, extra = differences(files, session.tree(commit))
    if wrong or extra:
        raise PetdataError(
            f"{session.repo_id} has a {tag} already, with another {[*wrong, *extra][0]}: a "
            "published version never changes; build the next one"
        )


def _commit(
    session: HubSession, files: Mapping[str, LocalFile], *, must_be_private: bool
) -> tuple[str, set[str]]:
    """A commit of main whose files are these; none is made where main is it already.

    A commit's answer may be lost, or somebody else may have committed: either way main is looked at
    again, and only what is then still different is committed.
    """
    sent: set[str] = set()
    waits = session.patience.waits()
    while True:
        info = session.info()
        if must_be_private and not info.private:
            raise PetdataError(f"{session.repo_id} is no longer private: nothing more was sent")
        head = str(info.sha)
        wrong, extra = differences(files, session.tree(head))
        if not wrong and not extra:
            return head, sent
        changed = [*wrong, *extra]
        if sent.intersection(changed):
            session.say(f"{changed[0]} is not there as it was sent")
            if next(waits, None) is None:
                raise HubFailure(
                    f"{session.repo_id}: main at {head[:12]} has another {changed[0]} than was "
                    "sent, and was not tagged; look at who else commits there, then start again"
                )
        sent.update(changed)
        try:
            _send(session, files, wrong, extra, parent=head)
        except FAILURES as error:
            sent.difference_update(changed)
            if (wait := next(waits, None)) is None:
                raise session.giving_up("committing", session.setback(error)) from error
            session.endure("committing", error, wait)


def differences(
    files: Mapping[str, LocalFile], tree: Mapping[str, RepoFile]
) -> tuple[list[str], list[str]]:
    """Files that the Hub lacks or has otherwise, and files there that are not the release's."""
    wrong = [path for path, file in sorted(files.items()) if not file.is_at(tree.get(path))]
    folders = {*OWN_FOLDERS, *(path.split("/")[0] for path in files if "/" in path)}
    extra = [
        path
        for path in sorted(tree)
        if path not in files and (path in OWN_FILES or path.split("/")[0] in folders)
    ]
    return wrong, extra


def _send(
    session: HubSession,
    files: Mapping[str, LocalFile],
    wrong: list[str],
    extra: list[str],
    *,
    parent: str,
) -> None:
    additions = [files[path].addition(path) for path in wrong]
    size = sum(files[path].bytes for path in wrong)
    session.say(f"sending {len(wrong):,} files, {size / 1e6:,.1f} MB, as far as they are not there")

    def send_large_files() -> None:
        session.api.preupload_lfs_files(session.repo_id, additions, repo_type=DATASET)

    session.ask("sending files", send_large_files)
    session.api.create_commit(
        session.repo_id,
        [*additions, *(CommitOperationDelete(path) for path in extra)],
        commit_message=f"Release of {len(files):,} files",
        repo_type=DATASET,
        parent_commit=parent,
    )
