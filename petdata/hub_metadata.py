"""A release on the Hub whose photos stay there: its tables, and the columns of its data files.

All of it is kept in the workspace's cache: tables by repository and revision, columns and photos by
the SHA-256 of their data file, so that what a later version still has is not fetched again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from huggingface_hub import hf_hub_download
from huggingface_hub.hf_api import RepoFile

from petdata.byte_index import ByteIndex
from petdata.errors import CorruptFile, PetdataError
from petdata.hub_columns import read_columns
from petdata.hub_local import hashed, is_inside
from petdata.hub_photos import HubPhotos
from petdata.hub_ranges import HubFile, HubRanges
from petdata.hub_session import (
    DATASET,
    HubSession,
    chosen_revision,
    exact_revision,
    parse_reference,
)
from petdata.manifest import MANIFEST, read_manifest
from petdata.shards import storing
from petdata.side_tables import FOLDER as SIDE_TABLES
from petdata.workspace import Workspace, make_folder, write_whole

TABLES: Final = ("metadata/identity_groups.parquet", "metadata/byte_index.parquet")
_COMMIT: Final = "commit.json"
_FILES_AT_ONCE: Final = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class HubRelease:
    folder: Path  # of the manifest and the tables, here
    cache: Path
    commit: str
    ranges: HubRanges = field(repr=False)
    files: Mapping[str, HubFile] = field(repr=False)

    def column_files(self, paths: Sequence[str], names: Sequence[str]) -> list[Path]:
        """For each data file a small one here, which has these of its columns."""
        key = hashlib.sha256(",".join(names).encode()).hexdigest()[:12]
        folder = self.cache / "columns"
        targets = [folder / f"{self.files[path].sha256}-{key}.parquet" for path in paths]
        missing = [pair for pair in zip(paths, targets, strict=True) if not pair[1].is_file()]
        if missing:
            self.ranges.session.say(
                f"fetching columns of {len(missing):,} files; photos come when they are needed"
            )
            make_folder(folder)

            def fetch(pair: tuple[str, Path]) -> None:
                _write(pair[1], read_columns(self.ranges, self.files[pair[0]], names))

            with ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
                for _ in threads.map(fetch, missing):
                    pass
        return targets

    def photos(
        self,
        paths: Sequence[str],
        indexes: Sequence[ByteIndex | None],
        names: tuple[pa.StringArray, pa.StringArray],
    ) -> HubPhotos:
        for path, index in zip(paths, indexes, strict=True):
            if index is None:
                raise PetdataError(
                    f"{path} has its photos compressed, so that they cannot be read one by one: "
                    "petdata pull the release first"
                )
        known = [index for index in indexes if index is not None]
        files = [self.files[path] for path in paths]
        return HubPhotos(self.ranges, files, known, names, self.cache / "photos")

    def fetch_side_table(self, name: str) -> None:
        """Where the release has it."""
        start = f"{SIDE_TABLES}/{name}/"
        _download(
            self.ranges.session,
            self.commit,
            self.folder,
            [file for path, file in self.files.items() if path.startswith(start)],
        )


def open_on_the_hub(
    reference: str,
    revision: str | None,
    workspace: Workspace,
    say: Callable[[str], None] = lambda line: typer.echo(line, err=True),
) -> HubRelease:
    """A version or a commit never changes: once its tables are here they are not asked for again.

    Raises PetdataError, and TryLater where waiting helps.
    """
    repo_id, written = parse_reference(reference)
    if written and revision and written != revision:
        raise PetdataError(f"{reference} and revision {revision}: name one of them")
    session = HubSession(repo_id=repo_id, say=say)
    cache = workspace.root / "cache" / "hub-ranges"
    exact = exact_revision(revision or written)
    tables = cache / "tables" / repo_id.replace("/", "--")
    if exact is None or not (tables / exact / MANIFEST).is_file():
        say(f"{reference} is no folder here: asking the Hub")
        chosen = exact or chosen_revision(session, revision or written)
        commit = str(session.info(chosen).sha)
        exact = exact_revision(chosen) or commit
        _fetch_tables(session, commit, tables / exact)
    folder = tables / exact
    commit = str(json.loads((folder / _COMMIT).read_text())["commit"])
    files = _files(read_manifest(folder))
    return HubRelease(
        folder=folder,
        cache=cache,
        commit=commit,
        ranges=HubRanges(session, commit),
        files=files,
    )


def pulled_folder(reference: str, revision: str | None, workspace: Workspace) -> Path | None:
    """Where a version that was fetched as a whole stands in the cache."""
    repo_id, written = parse_reference(reference)
    exact = exact_revision(revision or written)
    if exact is None:
        return None
    folder = workspace.root / "cache" / "hub" / repo_id.replace("/", "--") / exact
    return folder if (folder / MANIFEST).is_file() else None


# Tables


def _fetch_tables(session: HubSession, commit: str, folder: Path) -> None:
    """All but the manifest first: with it they count as whole."""
    make_folder(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".manifest-") as name:
        beside = Path(name)
        _arrived(session, commit, MANIFEST, beside, _manifest_check(session, commit))
        files = _files(read_manifest(beside))
        if lacking := [path for path in TABLES if path not in files]:
            raise PetdataError(
                f"{session.repo_id} has no {lacking[0]}: petdata pull it, or publish it anew"
            )
        _download(session, commit, folder, [files[path] for path in TABLES])
        write_whole(folder / _COMMIT, json.dumps({"commit": commit}).encode())
        _move(beside / MANIFEST, folder / MANIFEST)


def _files(manifest: Mapping[str, Any]) -> dict[str, HubFile]:
    found = {}
    for path, entry in manifest["files"].items():
        if not is_inside(path):
            raise CorruptFile(f"{MANIFEST}: {path!r} is no path inside a release")
        found[path] = HubFile(
            path=path,
            bytes=int(entry["bytes"]),
            sha256=str(entry["sha256"]),
            rows=entry.get("rows"),
        )
    return found


def _download(session: HubSession, commit: str, folder: Path, files: Sequence[HubFile]) -> None:
    """Whole files, each with the hash that the manifest names; those that are here stay."""
    for file in files:
        target = folder / file.path
        if target.is_file() and hashed(target).sha256 == file.sha256:
            continue
        make_folder(target.parent)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as name:

            def is_right(found: Path, sha256: str = file.sha256) -> bool:
                return hashed(found).sha256 == sha256

            _move(_arrived(session, commit, file.path, Path(name), is_right), target)


def _manifest_check(session: HubSession, commit: str) -> Callable[[Path], bool]:
    """Nothing but the Hub names its hash."""

    def question() -> list[RepoFile]:
        entries = session.api.get_paths_info(
            session.repo_id, [MANIFEST], revision=commit, repo_type=DATASET
        )
        return [entry for entry in entries if isinstance(entry, RepoFile)]

    found = session.ask(f"looking for {MANIFEST}", question)
    if not found:
        raise PetdataError(f"{session.repo_id} has no {MANIFEST}: it is no release of petdata")
    return lambda path: hashed(path).is_at(found[0])


def _arrived(
    session: HubSession, commit: str, path: str, into: Path, is_right: Callable[[Path], bool]
) -> Path:
    for _ in range(session.patience.attempts):
        found = _fetch(session, commit, path, into)
        if is_right(found):
            return found
        session.say(f"{path} did not arrive as it is there; fetching it again")
        found.unlink()
    raise CorruptFile(
        f"{session.repo_id} at {commit[:12]}: {path} arrives with another hash than it has there; "
        "tell whoever published it"
    )


def _fetch(session: HubSession, commit: str, path: str, into: Path) -> Path:
    def question() -> str:
        return hf_hub_download(
            session.repo_id,
            path,
            repo_type=DATASET,
            revision=commit,
            local_dir=into,
            token=session.token,
            endpoint=session.endpoint,
        )

    return Path(session.ask(f"fetching {path}", question))


def _move(source: Path, target: Path) -> None:
    with storing(target):
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(target)


def _write(path: Path, table: pa.Table) -> None:
    """Whole or not at all, whoever else is writing it at the same time."""
    with storing(path), tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
