"""`petdata verify --purged`: whether any file of the workspace still has what was purged:
shards, releases, side tables, what was fetched from the Hub into its cache, pages and logs.

Every byte is read: hashes are looked for as text and as 32 bytes, JPEGs by their length and hash
wherever one begins. What Parquet files have compressed is read through Parquet.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import duckdb

from petdata.purging import Condemned
from petdata.side_tables import FOLDER
from petdata.workspace import Workspace

_MAY_NAME_IT: Final = ("takedowns.toml", "revoked.txt")
_START: Final = re.compile(rb"\xff\xd8\xff")
_END: Final = b"\xff\xd9"


def search(workspace: Workspace, condemned: Condemned) -> Iterator[str]:
    """Where something of it is, as sentences; nothing where all is gone."""
    lengths: dict[int, set[str]] = {}
    for sha256, size in condemned.hashes.items():
        if size:
            lengths.setdefault(size, set()).add(sha256)
    texts = re.compile("|".join(sorted(condemned.hashes)).encode(), re.IGNORECASE)
    digests = re.compile(b"|".join(re.escape(bytes.fromhex(h)) for h in sorted(condemned.hashes)))
    for path in sorted(workspace.root.rglob("*")):
        if not path.is_file() or path.is_symlink() or not path.stat().st_size:
            continue
        if path.name not in _MAY_NAME_IT:
            yield from _search_bytes(path, texts, digests, lengths)
        if path.suffix == ".parquet":
            yield from _search_columns(workspace, path, condemned)


def _search_bytes(
    path: Path,
    texts: re.Pattern[bytes],
    digests: re.Pattern[bytes],
    lengths: Mapping[int, set[str]],
) -> Iterator[str]:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        for name, pattern in (("a hash", texts), ("the bytes of a hash", digests)):
            if match := pattern.search(content):
                yield f"{path}: {name} at byte {match.start():,}"
        for start in _START.finditer(content) if lengths else ():
            at = start.start()
            for length, hashes in lengths.items():
                if content[at + length - len(_END) : at + length] != _END:
                    continue
                if hashlib.sha256(content[at : at + length]).hexdigest() in hashes:
                    yield f"{path}: the JPEG, at byte {at:,}"


def _search_columns(workspace: Workspace, path: Path, condemned: Condemned) -> Iterator[str]:
    """Text of any column, lists and structs too; in side tables photo ids as well, which end in
    the first digits of a hash (elsewhere they may be of what a release has dropped)."""
    source = "read_parquet($path, hive_partitioning = false)"
    hashes = sorted(condemned.hashes)
    try:
        with duckdb.connect(":memory:") as database:
            columns = database.execute(
                f"SELECT column_name, column_type FROM (DESCRIBE FROM {source})",
                {"path": str(path)},
            ).fetchall()
            for name, kind in columns:
                if "VARCHAR" not in kind:
                    continue
                quoted = '"' + name.replace('"', '""') + '"'
                test, values = f"list_contains($values, lower({quoted}))", hashes
                if kind != "VARCHAR":
                    test = (
                        f"list_bool_or([contains(lower(CAST({quoted} AS VARCHAR)), h) "
                        "FOR h IN $values])"
                    )
                elif name == "photo_id" and path.is_relative_to(workspace.root / FOLDER):
                    test = f"list_contains($values, right({quoted}, 12))"
                    values = [sha256[:12] for sha256 in hashes]
                found = database.execute(
                    f"SELECT count(*) FROM {source} WHERE {test}",
                    {"path": str(path), "values": values},
                ).fetchall()[0][0]
                if found:
                    what = "a photo id" if len(values[0]) == 12 else "a hash"
                    yield f"{path}: {found:,} rows have {what} in column {name}"
    except duckdb.Error as error:
        yield f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}"
