"""`petdata forget --purge`: the bytes go, and all hashes but those that keep them from coming back.

In this order, so that after a kill at any moment the same command goes on: what is condemned is
recorded in takedowns.toml and revoked.txt, for later runs find it nowhere else; then ledgers,
segments and shards; then releases; then caches and whatever else mentions it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from dataset_builder.build import read_purged
from dataset_builder.pseudonyms import key_path, pseudonym, read_key
from dataset_builder.purge_leftovers import purge_leftovers
from dataset_builder.verification_pairs import forget_pairs, pairs_path
from dataset_builder.versions import retire_version
from petdata.errors import CorruptFile, StorageFailure
from petdata.inspection import collected_sources
from petdata.ledger import Ledger
from petdata.manifest import read_manifest
from petdata.purging import Condemned, SourcePurge, condemned_photos, purge_source
from petdata.release_folders import releases_of
from petdata.takedowns import Takedown, read_takedowns, record_takedowns
from petdata.workspace import Workspace, sync_folder, write_whole

Say = Callable[[str], None]

_GOING: Final = ".retired"  # a release on its way out


@dataclass(frozen=True, kw_only=True)
class Purged:
    entry: Takedown
    photos: int  # JPEGs that were condemned
    sources: Sequence[SourcePurge]
    retired: Sequence[str]  # "pets 1.0.0"
    removed: Sequence[str]  # caches, pages, lines of logs
    warnings: Sequence[str]


def purge(workspace: Workspace, entry: Takedown, say: Say = lambda line: None) -> Purged:
    """Remove everything that a takedown is about. Run again, it goes on where it was cut off."""
    say("looking for what is to go")
    condemned = condemn(workspace, entry)
    _name_revoked(workspace, condemned)
    sources = []
    for source in collected_sources(workspace):
        say(f"purging the ledger and the shards of {source}")
        sources.append(purge_source(workspace, source, condemned))
    say("retiring releases")
    retired, linked = _retire_releases(workspace, condemned)
    say("purging caches, pages and logs")
    removed, left = purge_leftovers(workspace, condemned, published_names(workspace, condemned))
    if pairs := forget_pairs(workspace, condemned):
        removed.append(f"{pairs_path(workspace)}: {pairs:,} pairs no longer name it")
    return Purged(
        entry=entry,
        photos=sum(size is not None for size in condemned.hashes.values()),
        sources=sources,
        retired=retired,
        removed=removed,
        warnings=[*linked, *left],
    )


# What is condemned


def recorded(workspace: Workspace, entry: Takedown) -> Condemned:
    """What takedowns.toml says of it: all that is left to know once it was purged."""
    entries = [
        other
        for other in read_takedowns(workspace.takedowns).entries
        if other.of == entry.value or (other.kind, other.value) == (entry.kind, entry.value)
    ]
    hashes: dict[str, int | None] = {}
    for other in entries:
        if other.kind == "sha256":
            known = hashes.get(other.value)
            hashes[other.value] = known if other.bytes is None else other.bytes
    return Condemned(
        identities=frozenset(other.value for other in entries if other.kind == "identity"),
        hashes=hashes,
    )


def condemn(workspace: Workspace, entry: Takedown) -> Condemned:
    """Everything that shows what is to be forgotten, in takedowns.toml from now on.

    Its bytes may stand in other identities too, and have arrived in several forms.
    """
    before = recorded(workspace, entry)
    identities = set(before.identities)
    hashes = dict(before.hashes)
    for name, sha256, original, size in _named_photos(workspace, entry):
        identities |= {name} if name else set()
        hashes |= _both(sha256, original, size, hashes)
    while True:
        condemned = Condemned(identities=frozenset(identities), hashes=dict(hashes))
        for sha256, original, size in _photos_of(workspace, condemned):
            hashes |= _both(sha256, original, size, hashes)
        if hashes == condemned.hashes:
            break
    new = [
        Takedown("identity", name, entry.reason, entry.on, of=entry.value)
        for name in sorted(identities)
        if name != entry.value
    ]
    new += [
        Takedown("sha256", sha256, entry.reason, entry.on, of=entry.value, bytes=size)
        for sha256, size in sorted(hashes.items())
        if size is not None or sha256 != entry.value
    ]
    record_takedowns(workspace.takedowns, new)
    return condemned


def _both(
    sha256: str, original: str, size: int | None, known: dict[str, int | None]
) -> dict[str, int | None]:
    """What was kept has a size, 0 where it is not known; what arrived has none."""
    found = {original: known.get(original)} if original else {}
    return found | ({sha256: max(size or 0, known.get(sha256) or 0)} if sha256 else {})


def _named_photos(
    workspace: Workspace, entry: Takedown
) -> Iterator[tuple[str, str, str, int | None]]:
    """(identity that goes as a whole or "", SHA-256, that of what arrived, bytes) by name."""
    if entry.kind == "url":
        for name in _identities_at(workspace, entry.value):
            yield name, "", "", None
    name, _, start = entry.value.rpartition("/")
    for source in collected_sources(workspace):
        where, values = {
            "url": ("address = ?", (entry.value,)),
            "photo": (
                "? || '/' || source_id = ? AND substr(sha256, 1, 12) = ?",
                (source, name, start),
            ),
        }.get(entry.kind, ("FALSE", ()))
        with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
            for row in ledger.query(
                "SELECT coalesce(sha256, '') AS sha256, coalesce(original_sha256, '') AS original, "
                f"bytes FROM photos WHERE {where}",
                *values,
            ):
                yield "", row["sha256"], row["original"], row["bytes"]


def _identities_at(workspace: Workspace, url: str) -> Iterator[str]:
    """Announcements move; rows of their earlier versions say where they stood."""
    for source in collected_sources(workspace):
        with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
            yield from (f"{source}/{source_id}" for source_id in ledger.listings_at(url))
    paths = [str(path) for path in (workspace.root / "shards").glob("*/*.parquet")]
    if not paths:
        return
    with duckdb.connect(":memory:") as database:
        for (name,) in database.execute(
            "SELECT DISTINCT identity_id FROM read_parquet($paths, hive_partitioning = false) "
            "WHERE source_url = $url",
            {"paths": paths, "url": url},
        ).fetchall():
            yield name


def _photos_of(workspace: Workspace, condemned: Condemned) -> Iterator[tuple[str, str, int | None]]:
    for source in collected_sources(workspace):
        with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
            yield from condemned_photos(ledger, condemned)
    for release in releases_of(workspace):
        for _, sha256, original in _in_release(workspace, release, condemned):
            yield sha256, original or "", None


def published_names(workspace: Workspace, condemned: Condemned) -> list[str]:
    """Condemned identities as releases may have them: by their own ids, and by pseudonyms."""
    names = sorted(condemned.identities)
    if names and key_path(workspace).exists():
        key = read_key(workspace, create=False)
        names += [pseudonym(key, name) for name in names]
    return names


def _name_revoked(workspace: Workspace, condemned: Condemned) -> None:
    """JPEGs that were here: further releases name them, so that mirrors can act."""
    known = set(read_purged(workspace))
    jpegs = {sha256 for sha256, size in condemned.hashes.items() if size is not None}
    if not jpegs <= known:
        text = "".join(f"{sha256}\n" for sha256 in sorted(known | jpegs))
        write_whole(workspace.revoked, text.encode())


# Releases


def _in_release(
    workspace: Workspace, release: Path, condemned: Condemned
) -> list[tuple[str, str, str | None]]:
    """(data file, SHA-256, that of what arrived) of a release's photos that are to go."""
    paths = {str(release / path): path for path in _data_files(release)}
    if not paths:
        return []
    try:
        with duckdb.connect(":memory:") as database:
            rows = database.execute(
                "SELECT filename, sha256, original_sha256 FROM read_parquet($paths, "
                "filename = true, hive_partitioning = false) WHERE list_contains($hashes, sha256) "
                "OR list_contains($hashes, original_sha256) OR list_contains($names, identity_id)",
                {
                    "paths": list(paths),
                    "hashes": list(condemned.hashes),
                    "names": published_names(workspace, condemned),
                },
            ).fetchall()
    except duckdb.Error as error:
        raise CorruptFile(
            f"{release}: whether it holds what is to go cannot be told "
            f"({str(error).splitlines()[0]}): restore or delete it, then run this again"
        ) from error
    return [(paths[name], sha256, original) for name, sha256, original in rows]


def _data_files(release: Path) -> Iterable[str]:
    return [path for path in read_manifest(release)["files"] if path.startswith("data/")]


def _retire_releases(workspace: Workspace, condemned: Condemned) -> tuple[list[str], list[str]]:
    """Delete every release that holds any of it; first of all its version is never used again."""
    going: dict[Path, dict[str, str]] = {}  # the data files that hold it: path -> SHA-256
    for release in releases_of(workspace):
        if found := _in_release(workspace, release, condemned):
            entries = read_manifest(release)["files"]
            going[release] = {path: entries[path]["sha256"] for path, _, _ in found}
    warnings = list(_linked_elsewhere(workspace, list(going)))
    for release, files in going.items():
        retire_version(release.parent, release.name, files)
        release.rename(release.with_name(f".{release.name}{_GOING}"))
        sync_folder(release.parent)
    root = workspace.root / "releases"
    for folder in sorted(root.glob("*")) if root.is_dir() else ():
        # Half-built ones may link the same files; so may those that a kill left on their way out.
        for leftover in [*folder.glob(".*.tmp"), *folder.glob(f".*{_GOING}")]:
            _remove_tree(leftover)
    return [f"{release.parent.name} {release.name}" for release in going], warnings


def _linked_elsewhere(workspace: Workspace, going: Sequence[Path]) -> Iterator[str]:
    names: Counter[tuple[int, int]] = Counter()
    for path in (workspace.root / "releases").rglob("*.parquet"):
        status = path.stat()
        names[status.st_dev, status.st_ino] += 1
    for release in going:
        for name in _data_files(release):
            path = release / name
            if not path.exists():
                continue
            status = path.stat()
            if others := status.st_nlink - names[status.st_dev, status.st_ino]:
                yield f"{path} has {others} more names outside the workspace: delete those yourself"


def _remove_tree(path: Path) -> None:
    def refused(function: Any, name: str, info: Any) -> None:
        raise StorageFailure(f"cannot delete {name}: {info[1]}")

    if path.is_dir():
        shutil.rmtree(path, onerror=refused)
    else:
        path.unlink(missing_ok=True)
