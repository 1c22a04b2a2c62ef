"""What else of a workspace may show or name a purged photo: caches, pages, logs, side tables."""

from __future__ import annotations

import mmap
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from petdata.errors import CorruptFile, StorageFailure
from petdata.purging import Condemned
from petdata.shards import storing, whole_file
from petdata.workspace import Workspace, write_whole

_OWN: Final = ("runs", "side_tables")  # folders that petdata writes, and nobody edits
_LINES: Final = frozenset({".log", ".txt", ".csv", ".jsonl"})  # a line goes, the rest stays
_PAGES: Final = frozenset({".html"})  # they have reduced pictures
_KEYS: Final = ("sha256", "photo_id", "identity_id")


def purge_leftovers(
    workspace: Workspace, condemned: Condemned, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """What was removed, and what should be looked at, as sentences.

    `names`: the identities, as any file may have them.
    """
    removed, left = [], []
    cache = workspace.root / "cache"
    if cache.is_dir() and any(cache.iterdir()):
        for path in sorted(cache.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        removed.append(f"{cache}: emptied")
    spoken_of = mentions(condemned, names)
    for path in _own_files(workspace):
        try:
            if path.suffix == ".parquet":
                removed += _purge_table(path, condemned, names)
            elif path.suffix in _LINES:
                removed += _purge_lines(path, spoken_of)
            elif is_mentioned(path, spoken_of):
                if path.suffix in _PAGES:
                    path.unlink()
                    removed.append(f"{path}: deleted")
                else:
                    left.append(f"{path} mentions it: look whether it may stay")
        except OSError as error:
            raise StorageFailure(f"cannot purge {path}: {error.strerror}") from error
    return removed, left


def mentions(condemned: Condemned, names: Sequence[str]) -> re.Pattern[bytes]:
    """Finds what speaks of it: ids, and the first 12 digits of a hash, in which photo ids end."""
    ids = [re.escape(name) + r"(?![\w-])" for name in names]
    starts = [sha256[:12] for sha256 in condemned.hashes]
    return re.compile("|".join([*ids, *starts] or [r"(?!)"]).encode())


def is_mentioned(path: Path, spoken_of: re.Pattern[bytes]) -> bool:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return spoken_of.search(content) is not None


def _own_files(workspace: Workspace) -> Iterator[Path]:
    for folder in _OWN:
        for path in sorted((workspace.root / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _purge_lines(path: Path, spoken_of: re.Pattern[bytes]) -> list[str]:
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not spoken_of.search(line)]
    if len(kept) == len(lines):
        return []
    write_whole(path, b"".join(kept))
    return [f"{path}: {len(lines) - len(kept):,} lines"]


def _purge_table(path: Path, condemned: Condemned, names: Sequence[str]) -> list[str]:
    try:
        table = pq.read_table(path, partitioning=None)
    except pa.ArrowException as error:
        raise CorruptFile(
            f"{path}: whether it names what is to go cannot be told ({error}): mend or delete it"
        ) from error
    own = pa.array(list(names), pa.string())
    going = pa.array(np.zeros(len(table), np.bool_))
    for name in set(_KEYS) & set(table.column_names):
        column = table[name].combine_chunks().cast(pa.string())
        if name == "sha256":
            hit = pc.is_in(column, pa.array(list(condemned.hashes), pa.string()))
        elif name == "identity_id":
            hit = pc.is_in(column, own)
        else:
            starts = pa.array([sha256[:12] for sha256 in condemned.hashes], pa.string())
            hit = pc.or_(
                pc.is_in(pc.utf8_slice_codeunits(column, -12), starts),
                pc.is_in(pc.replace_substring_regex(column, "/[^/]*$", ""), own),
            )
        going = pc.or_(going, hit.fill_null(False))
    count = pc.sum(going).as_py() or 0
    if not count:
        return []
    mode = path.stat().st_mode
    with whole_file(path) as file, storing(path):
        pq.write_table(
            table.filter(pc.invert(going)), file, compression="zstd", write_page_checksum=True
        )
    path.chmod(mode)
    return [f"{path}: {count:,} rows"]
