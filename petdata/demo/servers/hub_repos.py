"""What a local Hub stores: repositories as chains of commits, and the content of their files.

Content lies in a folder under its SHA-256; a commit is a table of paths. Nothing here knows HTTP.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# What the Hub puts into a new dataset repository, as far as this project needs it.
_ATTRIBUTES: Final = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n"
    for suffix in ("parquet", "arrow", "bin", "zip", "gz", "tar", "jpg", "png", "safetensors")
).encode()
LARGE_BYTES: Final = 10 * 2**20  # the Hub takes nothing larger as a regular file
MAIN: Final = "main"


class HubRefusal(Exception):
    """An answer that is an error: `code` is what clients tell cases apart by."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class StoredFile:
    sha256: str
    size: int
    blob_id: str  # git's: of the content, or of the pointer to a large file
    is_lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.blob_id


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    author: str
    date: str
    files: Mapping[str, StoredFile]


@dataclass(slots=True)
class Repository:
    kind: str  # "datasets", "models"
    name: str  # "user/name"
    is_private: bool
    created_at: str
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    received: set[str] = field(default_factory=set)  # SHA-256 of the large files that have arrived

    def find_commit(self, revision: str) -> Commit:
        """Of a branch, a tag or a commit, under its short or its full name."""
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        oid = self.branches.get(short) or self.tags.get(short) or revision
        if oid not in self.commits:
            raise HubRefusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str) -> Iterator[Commit]:
        commit: Commit | None = self.find_commit(revision)
        while commit is not None:
            yield commit
            commit = self.commits[commit.parent] if commit.parent is not None else None

    def add_commit(
        self, branch: str, files: Mapping[str, StoredFile], *, title: str, author: str
    ) -> Commit:
        parent = self.branches.get(branch)
        return self._append(branch, files, parent, title=title, author=author)

    def squash(self, branch: str, *, title: str, author: str) -> None:
        """One commit takes the place of the branch's history; tags keep what they name."""
        files = self.find_commit(branch).files
        self._append(branch, files, None, title=title, author=author)
        named = {*self.branches.values(), *self.tags.values()}
        reachable = {commit.oid for oid in named for commit in self.history(oid)}
        self.commits = {oid: commit for oid, commit in self.commits.items() if oid in reachable}

    def _append(
        self,
        branch: str,
        files: Mapping[str, StoredFile],
        parent: str | None,
        *,
        title: str,
        author: str,
    ) -> Commit:
        date = now()
        content: list[object] = [parent, title, author, date, len(self.commits)]
        content += [(path, file.etag) for path, file in sorted(files.items())]
        oid = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, author, date, dict(files))
        self.branches[branch] = oid
        return self.commits[oid]


class HubStore:
    """All repositories; they are there again when the next store opens the folder."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self._objects = folder / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._state = folder / "repositories.json"
        self.repositories: dict[tuple[str, str], Repository] = {}
        if self._state.exists():
            for saved in json.loads(self._state.read_text()):
                repository = _load(saved)
                self.repositories[repository.kind, repository.name] = repository

    def save(self) -> None:
        with self.lock:
            saved = [
                asdict(repository) | {"received": sorted(repository.received)}
                for repository in self.repositories.values()
            ]
            temporary = self._state.with_suffix(".tmp")
            temporary.write_text(json.dumps(saved))
            temporary.replace(self._state)

    # Content

    def path_of(self, sha256: str) -> Path:
        return self._objects / sha256

    def read(self, file: StoredFile) -> bytes:
        return self.path_of(file.sha256).read_bytes()

    def keep(self, received: Path, sha256: str, size: int) -> bool:
        """False, and not kept, where it is not what it was announced as."""
        with received.open("rb") as file:
            is_sound = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        if is_sound and received.stat().st_size == size:
            received.replace(self.path_of(sha256))
            return True
        received.unlink()
        return False

    def temporary(self, name: str) -> Path:
        return self._objects / f"{name}.part"

    def add_content(self, content: bytes, *, is_lfs: bool) -> StoredFile:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.path_of(sha256).exists():
            self.path_of(sha256).write_bytes(content)
        if is_lfs:
            return large_file(sha256, len(content))
        return StoredFile(sha256, len(content), git_blob_id(content), is_lfs=False)

    # Repositories

    def create(self, kind: str, name: str, *, is_private: bool, author: str) -> Repository:
        repository = Repository(kind, name, is_private, now())
        files = {".gitattributes": self.add_content(_ATTRIBUTES, is_lfs=False)}
        repository.add_commit(MAIN, files, title="initial commit", author=author)
        self.repositories[kind, name] = repository
        return repository

    def is_large(self, repository: Repository, revision: str, path: str, size: int) -> bool:
        """Whether .gitattributes or the size makes a large file of it."""
        attributes = repository.find_commit(revision).files.get(".gitattributes")
        lines = self.read(attributes).decode().splitlines() if attributes is not None else []
        patterns = [line.split()[0] for line in lines if "filter=lfs" in line]
        name = path.rpartition("/")[2]
        named = any(
            fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, pattern) for pattern in patterns
        )
        return named or size > LARGE_BYTES


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git itself stores of a large file."""
    version = "https://git-lfs.github.com/spec/v1"
    return f"version {version}\noid sha256:{sha256}\nsize {size}\n".encode()


def large_file(sha256: str, size: int) -> StoredFile:
    return StoredFile(sha256, size, git_blob_id(pointer(sha256, size)), is_lfs=True)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _load(saved: dict[str, object]) -> Repository:
    values = dict(saved)
    commits = values.pop("commits")
    received = values.pop("received")
    assert isinstance(commits, dict)
    assert isinstance(received, list)
    repository = Repository(**values, received=set(received))  # type: ignore[arg-type]
    for oid, commit in commits.items():
        files = {path: StoredFile(**file) for path, file in commit.pop("files").items()}
        repository.commits[oid] = Commit(**commit, files=files)
    return repository
