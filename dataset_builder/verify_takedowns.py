"""Whether what was taken down is in a release: it may have been built before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb

from dataset_builder.database import open_database
from dataset_builder.pseudonyms import key_path, pseudonym, read_key
from petdata.errors import CorruptFile, PetdataError
from petdata.ledger import Ledger
from petdata.sources import SOURCES
from petdata.takedowns import Takedown, read_takedowns
from petdata.workspace import Workspace

_NAMED_BY: Final = (
    *(("identity", "identity_id"), ("photo", "photo_id"), ("url", "source_url")),
    *(("sha256", "sha256"), ("sha256", "original_sha256")),
)


def refuse_taken_down(
    workspace: Workspace, release: Path, manifest: Mapping[str, Any]
) -> list[str]:
    """Raise PetdataError where a release has photos that this workspace has taken down since.

    Returns what could not be looked at, as sentences.
    """
    paths = [path for path in manifest["files"] if path.startswith("data/")]
    not_looked_at: list[str] = []
    if not paths or not read_takedowns(workspace.takedowns).entries:
        return not_looked_at
    with open_database() as database:
        try:
            database.execute(
                "CREATE TABLE photos AS SELECT photo_id, identity_id, source_url, sha256, "
                "original_sha256, filename AS path FROM read_parquet($paths, filename = true, "
                "hive_partitioning = false)",
                {"paths": [str(release / path) for path in paths]},
            )
        except duckdb.Error as error:
            raise CorruptFile(
                f"{release}: its rows cannot be read: {str(error).splitlines()[0]}"
            ) from error
        found = _taken_down(database, workspace, manifest, not_looked_at)
    if photos := {photo_id for photo_id, _, _ in found}:
        raise PetdataError(
            f"{release} holds {len(photos):,} photos that were taken down since it was built, "
            f"{min(photos)} among them: petdata build makes a release without them; push that one"
        )
    return not_looked_at


def takedown_problems(
    database: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    manifest: Mapping[str, Any],
    not_repeated: list[str],
) -> Iterator[str]:
    """What of the table `photos` this workspace has taken down."""
    for photo_id, path, said in _taken_down(database, workspace, manifest, not_repeated):
        yield f"{path}: {photo_id} was taken down ({said}): build a new release, retire this one"


def _taken_down(
    database: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    manifest: Mapping[str, Any],
    not_repeated: list[str],
) -> list[tuple[str, str, str]]:
    """(photo id, path, what was said)."""
    entries = read_takedowns(workspace.takedowns).entries
    if not entries:
        return []
    key = None
    if not manifest["options"]["keep_source_ids"]:
        key = _key_of(workspace, manifest)
        if key is None:
            not_repeated.append(
                "its pseudonyms are not made with this workspace's key: takedowns of collected "
                "identities and addresses"
            )
    database.execute("CREATE TABLE taken_down (name VARCHAR, value VARCHAR, said VARCHAR)")
    rows = [row for entry in entries for row in _forbidden(workspace, entry, key)]
    database.executemany("INSERT INTO taken_down VALUES (?, ?, ?)", rows)
    return database.execute(
        " UNION ".join(
            f"SELECT photo_id, path, said FROM photos JOIN taken_down "
            f"ON name = '{name}' AND value = {column}"
            for name, column in _NAMED_BY
        )
        + " ORDER BY ALL"
    ).fetchall()


def _key_of(workspace: Workspace, manifest: Mapping[str, Any]) -> bytes | None:
    if not key_path(workspace).exists():
        return None
    key = read_key(workspace, create=False)
    stated = manifest.get("inputs", {}).get("pseudonym_key")
    return key if hashlib.sha256(b"petdata key " + key).hexdigest() == stated else None


def _forbidden(
    workspace: Workspace, entry: Takedown, key: bytes | None
) -> Iterator[tuple[str, str, str]]:
    """(kind, value as a release has it, what was said)."""
    said = f"{entry.kind} {entry.value}, {entry.on}"
    yield entry.kind, entry.value, said
    if entry.kind == "url":
        for identity in _identities_at(workspace, entry.value):
            yield "identity", pseudonym(key, identity) if key else identity, said
    source, _, rest = entry.value.partition("/")
    if key is None or source not in SOURCES or SOURCES[source].kind != "collected":
        return
    if entry.kind == "identity":
        yield "identity", pseudonym(key, entry.value), said
    elif entry.kind == "photo":
        source_id, _, start = rest.partition("/")
        yield "photo", f"{pseudonym(key, f'{source}/{source_id}')}/{start}", said


def _identities_at(workspace: Workspace, url: str) -> Iterator[str]:
    for source in SOURCES.values():
        path = workspace.ledger(source.name)
        if source.kind == "collected" and path.exists():
            with Ledger(path, source=source.name, read_only=True) as ledger:
                for source_id in ledger.listings_at(url):
                    yield f"{source.name}/{source_id}"
