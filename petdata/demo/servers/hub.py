"""A Hub on 127.0.0.1 for unmodified `huggingface_hub` and `datasets` clients.

Repositories with branches, tags and history, large files by the LFS protocol (in one piece or in
parts), private repositories with tokens, range requests, Parquet that streams: what a release
needs on its way out and back. Clients find it by HF_ENDPOINT, and need HF_HUB_DISABLE_XET=1: with
hf_xet installed huggingface_hub uploads through Xet without asking whether a Hub has it. Both are
read when huggingface_hub is imported; `environment` has them.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from petdata.demo.servers import hub_changes, hub_reading, hub_uploads
from petdata.demo.servers.hub_calls import Account, Answer, Call, HubOptions, HubState, refused
from petdata.demo.servers.hub_connection import HubListener
from petdata.demo.servers.hub_faults import Fault, FaultPlan, LoggedRequest
from petdata.demo.servers.hub_repos import MAIN, HubRefusal, HubStore, Repository

_ANSWERS: Final[Mapping[str, Callable[[HubState, Call], Answer]]] = {
    "whoami": hub_changes.whoami,
    "create_repo": hub_changes.create_repo,
    "delete_repo": hub_changes.delete_repo,
    "validate_yaml": hub_changes.validate_yaml,
    "settings": hub_changes.settings,
    "xet_token": hub_changes.xet_token,
    "repo_info": hub_reading.repo_info,
    "tree": hub_reading.tree,
    "paths_info": hub_reading.paths_info,
    "refs": hub_reading.refs,
    "commits": hub_reading.commits,
    "resolve": hub_reading.resolve,
    "preupload": hub_uploads.preupload,
    "lfs_batch": hub_uploads.lfs_batch,
    "lfs_upload": hub_uploads.lfs_upload,
    "lfs_part": hub_uploads.lfs_part,
    "lfs_complete": hub_uploads.lfs_complete,
    "lfs_verify": hub_uploads.lfs_verify,
    "lfs_download": hub_reading.lfs_download,
    "commit": hub_changes.commit,
    "tag": hub_changes.tag,
    "delete_tag": hub_changes.delete_tag,
    "branch": hub_changes.branch,
    "delete_branch": hub_changes.delete_branch,
    "squash": hub_changes.squash,
}

TOKEN: Final = "hf_of_a_local_user"
NO_ACCOUNTS: Final[Mapping[str, Account]] = MappingProxyType({})
DEFAULT_OPTIONS: Final = HubOptions()


class HubServer:
    """Use it as a context manager; `url` is valid from its creation on.

    `accounts` are found by their tokens; without any, TOKEN is that of "user". With a `folder` the
    repositories are there again when another server is given it.
    """

    def __init__(
        self,
        folder: Path | None = None,
        accounts: Mapping[str, Account] = NO_ACCOUNTS,
        options: HubOptions = DEFAULT_OPTIONS,
        port: int = 0,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        self._accounts = dict(accounts) or {TOKEN: Account(name="user")}
        self._requests: list[LoggedRequest] = []
        self._lock = threading.Lock()
        self.faults = FaultPlan()
        self.stopping = threading.Event()
        self._listener = HubListener(port)
        self._listener.owner = self
        self.url = self._listener.url
        store = HubStore(folder or Path(self._temporary.name if self._temporary else "."))
        self.state = HubState(store, options, self.url)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._listener.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def environment(self, home: Path) -> dict[str, str]:
        """Variables for a client's process; `home` keeps its cache apart from every other."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def fail(self, kind: str, fault: Fault, *, at: int = 1, times: int = 1) -> None:
        """Spoil the `at`-th to the (`at + times - 1`)-th request of a kind from now on.

        Kinds have the names in `hub_routes.KINDS`; "any" counts all requests.
        """
        if kind not in (*_ANSWERS, "any"):
            raise ValueError(f"no requests are {kind!r}; there are {', '.join(_ANSWERS)}, any")
        self.faults.add(kind, fault, at, times)

    def heal(self) -> None:
        """No more faults."""
        self.faults.clear()

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """In the order in which they ended."""
        with self._lock:
            return tuple(self._requests)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    # What is there, without a client

    def repository(self, name: str, kind: str = "datasets") -> Repository:
        return self.state.store.repositories[kind, name]

    def content(self, name: str, revision: str = MAIN) -> dict[str, bytes]:
        """All files at a revision."""
        store = self.state.store
        with store.lock:
            files = self.repository(name).find_commit(revision).files
            return {path: store.read(file) for path, file in files.items()}

    def commit_by_another(self, name: str, changes: Mapping[str, bytes | None]) -> str:
        """Somebody else commits to main; None deletes a file. Returns the commit."""
        store, repository = self.state.store, self.repository(name)
        with store.lock:
            head = repository.find_commit(MAIN)
            files = dict(head.files)
            for path, content in changes.items():
                if content is None:
                    del files[path]
                    continue
                is_lfs = store.is_large(repository, head.oid, path, len(content))
                files[path] = store.add_content(content, is_lfs=is_lfs)
            return repository.add_commit(MAIN, files, title="by another", author="another").oid

    # For connections

    def account(self, token: str) -> Account | None:
        return self._accounts.get(token)

    def answer(self, call: Call) -> Answer:
        """Carries requests out one at a time, each as a whole or not at all."""
        with self.state.store.lock:
            try:
                if call.has_bad_token:
                    raise HubRefusal(401, "Invalid credentials in Authorization header")
                if call.route.kind not in _ANSWERS:
                    raise HubRefusal(404, "Sorry, we can't find the page you are looking for.")
                return _ANSWERS[call.route.kind](self.state, call)
            except HubRefusal as error:
                return refused(error)

    def log(self, request: LoggedRequest) -> None:
        with self._lock:
            self._requests.append(request)
