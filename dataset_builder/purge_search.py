"""`petdata verify --purged`: whether any file of the workspace still has what was purged.

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
            yield from _search_columns(path, condemned)


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


def _search_columns(path: Path, condemned: Condemned) -> Iterator[str]:
    source = "read_parquet($path, hive_partitioning = false)"
    try:
        with duckdb.connect(":memory:") as database:
            columns = database.execute(
                f"SELECT column_name FROM (DESCRIBE FROM {source}) WHERE column_type = 'VARCHAR'",
                {"path": str(path)},
            ).fetchall()
            for (name,) in columns:
                quoted = name.replace('"', '""')
                found = database.execute(
                    f"SELECT count(*) FROM {source} "
                    f'WHERE list_contains($hashes, lower("{quoted}"))',
                    {"path": str(path), "hashes": list(condemned.hashes)},
                ).fetchall()[0][0]
                if found:
                    yield f"{path}: {found:,} rows have a hash in column {name}"
    except duckdb.Error as error:
        yield f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}"
