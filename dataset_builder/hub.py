"""A release to the Hub and back, so that nobody ever sees half of one.

Publishing sends all files first, makes them visible by one commit on top of the one that was looked
at, compares every file's hash there, and only then gives the commit its tag.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, snapshot_download
from huggingface_hub.hf_api import RepoFile

from dataset_builder.hub_session import (
    DATASET,
    FAILURES,
    TAKEN,
    HubFailure,
    HubSession,
    Patience,
    Say,
)
from dataset_builder.manifest import MANIFEST, read_manifest
from dataset_builder.recipe import restricted_sources, write_recipe
from petdata.errors import CorruptFile, PetdataError, StorageFailure, TryLater
from petdata.sources import SOURCES, Source
from petdata.workspace import make_folder, sync_folder

# Of a repository these are the release's: what is there and not in it goes. All else is left alone.
OWN_FOLDERS: Final = ("data", "metadata")
OWN_FILES: Final = (MANIFEST, "README.md", "croissant.json")
_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")


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


@dataclass(frozen=True, kw_only=True)
class Pulled:
    folder: Path
    commit: str
    manifest: dict[str, Any]
    is_new: bool  # False: it was there already


@dataclass(frozen=True, slots=True)
class LocalFile:
    path: Path
    sha256: str
    bytes: int

    def is_at(self, entry: RepoFile | None) -> bool:
        """Whether the Hub has this very file: by SHA-256, or by git's id of a small one."""
        if entry is None or entry.size != self.bytes:
            return False
        if entry.lfs is not None:
            return entry.lfs.sha256 == self.sha256
        content = self.path.read_bytes()
        return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


# Out


def push(
    release: Path,
    repo_id: str,
    options: PushOptions = PushOptions(),
    *,
    sources: Mapping[str, Source] = SOURCES,
    say: Say = lambda line: None,
) -> Pushed:
    """Publish a release as `vX.Y.Z` of a dataset repository, which is made where there is none.

    Killed or failed it can be run again and sends only what is missing. Raises PetdataError, and
    TryLater where waiting helps; main then shows the former release or this one, never a mixture.
    """
    check_repo_id(repo_id)
    manifest = read_manifest(release)
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
    with _variant(release, manifest, withheld, sources) as (folder, published):
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


def check_repo_id(repo_id: str) -> None:
    if not _ID.fullmatch(repo_id):
        raise PetdataError(f"{repo_id!r} is no dataset of the Hub: write it as user/name")


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
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if not withheld:
        yield release, manifest
        return
    with tempfile.TemporaryDirectory(prefix="petdata-recipe-") as name:
        yield Path(name), write_recipe(release, manifest, withheld, sources, Path(name))


def local_files(folder: Path, manifest: Mapping[str, Any]) -> dict[str, LocalFile]:
    """All files of a release, each found to be what the manifest says. Raises CorruptFile."""
    found = {}
    for path, entry in manifest["files"].items():
        if not _is_inside(path):
            raise CorruptFile(f"{folder / MANIFEST}: {path!r} is no path inside a release")
        file = _hashed(folder / path)
        if (file.sha256, file.bytes) != (entry["sha256"], entry["bytes"]):
            raise CorruptFile(
                f"{folder / path} is not the file that {MANIFEST} names: pull or build it again"
            )
        found[path] = file
    found[MANIFEST] = _hashed(folder / MANIFEST)
    return found


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and not any(part.startswith(".") for part in parts)


def _hashed(path: Path) -> LocalFile:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return LocalFile(path, sha256, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read ({error.strerror}): build it again") from error


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
    additions = [_addition(path, files[path]) for path in wrong]
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


def _addition(path: str, file: LocalFile) -> CommitOperationAdd:
    addition = CommitOperationAdd(path, str(file.path))
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # else it would be read once more
    return addition


# Back


def parse_reference(text: str) -> tuple[str, str | None]:
    """ "user/name@v1.0.0" -> the repository and the revision, None where none is named."""
    repo_id, _, revision = text.partition("@")
    check_repo_id(repo_id)
    return repo_id, revision or None


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
    commit = str(session.info(_chosen(session, revision)).sha)
    tree = session.tree(commit)
    if MANIFEST not in tree:
        raise PetdataError(f"{reference} has no {MANIFEST}: it is no release of petdata")
    if into.exists():
        if not (into / MANIFEST).is_file() or not _hashed(into / MANIFEST).is_at(tree[MANIFEST]):
            raise PetdataError(f"{into} exists already and is not {reference}: name another folder")
        manifest = read_manifest(into)
        local_files(into, manifest)
        return Pulled(folder=into, commit=commit, manifest=manifest, is_new=False)
    beside = into.with_name(f".{into.name}.{commit[:12]}.partial")
    make_folder(beside)
    manifest = _fetch(session, commit, tree, beside)
    _put_in_place(beside, [*manifest["files"], MANIFEST], into)
    return Pulled(folder=into, commit=commit, manifest=manifest, is_new=True)


def _chosen(session: HubSession, revision: str | None) -> str | None:
    """The revision that is asked for, "1.0.0" being "v1.0.0"; else the newest version."""
    if revision is not None and not re.fullmatch(r"\d+\.\d+\.\d+", revision):
        return revision
    if revision is not None:
        return f"v{revision}"
    versions = [
        (tuple(map(int, match.groups())), tag)
        for tag in session.tags()
        if (match := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", tag))
    ]
    return max(versions)[1] if versions else None


def _fetch(
    session: HubSession, commit: str, tree: Mapping[str, RepoFile], beside: Path
) -> dict[str, Any]:
    """All files of the manifest, each with its hash. What arrives damaged is fetched again."""
    _download(session, commit, beside, [MANIFEST], lambda file: file.is_at(tree[MANIFEST]))
    manifest = read_manifest(beside)
    if missing := sorted(path for path in manifest["files"] if path not in tree):
        raise CorruptFile(f"{session.repo_id} at {commit[:12]} lacks {missing[0]}: it is not whole")
    entries = manifest["files"]
    if bad := [path for path in entries if not _is_inside(path)]:
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
        return _hashed(beside / path)

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
