"""An exported folder to the Hub, in one commit that is looked at again afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationDelete
from huggingface_hub.hf_api import RepoFile

from petdata.errors import CorruptFile, PetdataError
from petdata.hub_local import LocalFile, hashed, is_inside
from petdata.hub_session import HubFailure, HubSession, Patience, Say
from trainer.open_model import EXPORTED, read_exported

MODEL: Final = "model"
# Of a repository these are an export's: what is there and not in it goes. All else is left alone.
OWN_FOLDERS: Final = ("vision", "text", "onnx")
OWN_FILES: Final = re.compile(r"README\.md|[^/]+\.(json|safetensors)|vocab\.txt|merges\.txt")


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    private: bool = False  # of a repository that does not exist yet
    token: str | None = field(default=None, repr=False)  # None: HF_TOKEN, or who is logged in
    endpoint: str | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, kw_only=True)
class PushedModel:
    repo_id: str
    commit: str
    sent: int  # files
    is_new: bool  # False: main was this export already


def check_model_id(repo_id: str) -> None:
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repo_id):
        raise PetdataError(f"{repo_id!r} is no model of the Hub: write it as user/name")


def push_model(
    folder: Path,
    repo_id: str,
    options: PushOptions = PushOptions(),
    *,
    say: Say = lambda line: None,
) -> PushedModel:
    """main of a model repository, made where there is none, becomes this export.

    Failed or killed it can be run again and sends only what is missing; main then shows what it
    showed before or all of this. Raises PetdataError, and TryLater where waiting helps.
    """
    check_model_id(repo_id)
    files = _files(folder)
    session = HubSession(
        repo_id=repo_id,
        token=options.token,
        endpoint=options.endpoint,
        patience=options.patience,
        say=say,
    )
    _make_repository(session, options)
    sent = 0

    def bring_main_up() -> str:
        """Asked again after any failure it looks first: a commit whose answer was lost is there."""
        nonlocal sent
        head, tree = _main(session)
        wrong, extra = _differences(files, tree)
        if not wrong and not extra:
            return head
        sent = len(wrong)
        additions = [files[path].addition(path) for path in wrong]
        size = sum(files[path].bytes for path in wrong)
        say(f"sending {sent:,} files, {size / 1e6:,.1f} MB, as far as they are not there")
        session.api.preupload_lfs_files(repo_id, additions, repo_type=MODEL)
        made = session.api.create_commit(
            repo_id,
            [*additions, *(CommitOperationDelete(path) for path in extra)],
            commit_message=f"Export of {read_exported(folder)['run']}",
            repo_type=MODEL,
            parent_commit=head,
        )
        return str(made.oid)

    commit = session.ask("committing", bring_main_up)
    tree = session.ask("listing files", lambda: _tree(session, commit))
    wrong, extra = _differences(files, tree)
    if wrong or extra:
        raise HubFailure(
            f"{repo_id} at {commit[:12]} has another {[*wrong, *extra][0]} than was sent: look at "
            "who else commits there, then start again"
        )
    return PushedModel(repo_id=repo_id, commit=commit, sent=sent, is_new=sent > 0)


def _files(folder: Path) -> dict[str, LocalFile]:
    """All files of an export, each found to be what petdata.json says. Raises CorruptFile."""
    found = {}
    for path, entry in read_exported(folder)["files"].items():
        if not is_inside(path):
            raise CorruptFile(f"{folder / EXPORTED}: {path!r} is no path inside an export")
        file = hashed(folder / path)
        if (file.sha256, file.bytes) != (entry["sha256"], entry["bytes"]):
            raise CorruptFile(f"{folder / path} is not what was exported: export it again")
        found[path] = file
    return found | {EXPORTED: hashed(folder / EXPORTED)}


def _make_repository(session: HubSession, options: PushOptions) -> None:
    session.ask(
        "making the repository",
        lambda: session.api.create_repo(
            session.repo_id, repo_type=MODEL, private=options.private, exist_ok=True
        ),
    )
    info = session.ask("looking at the repository", lambda: session.api.model_info(session.repo_id))
    if options.private and not info.private:
        raise PetdataError(f"{session.repo_id} is there already and public: choose another name")
    names = {each.rfilename for each in info.siblings or ()}
    if "config.json" in names and EXPORTED not in names:
        raise PetdataError(
            f"{session.repo_id} holds a model that petdata did not export: choose another name"
        )


def _main(session: HubSession) -> tuple[str, dict[str, RepoFile]]:
    head = str(session.api.model_info(session.repo_id).sha)
    return head, _tree(session, head)


def _tree(session: HubSession, commit: str) -> dict[str, RepoFile]:
    entries = session.api.list_repo_tree(
        session.repo_id, recursive=True, revision=commit, repo_type=MODEL
    )
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _differences(
    files: Mapping[str, LocalFile], tree: Mapping[str, RepoFile]
) -> tuple[list[str], list[str]]:
    """Files that the Hub lacks or has otherwise, and an earlier export's that this one has not."""
    wrong = [path for path, file in sorted(files.items()) if not file.is_at(tree.get(path))]
    extra = [
        path
        for path in sorted(tree)
        if path not in files
        and (path.split("/")[0] in OWN_FOLDERS or OWN_FILES.fullmatch(path) is not None)
    ]
    return wrong, extra
