"""Every photo of a release decoded and hashed, on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from petdata.decoding_pool import prepare_process
from petdata.errors import CorruptFile
from petdata.records import from_row
from petdata.shards import open_shard, photo_problems

_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)
_READ_ROWS: Final = 32  # rows that are Python objects at a time
_ALONE: Final = 4  # with so few row groups, starting processes would take longer


@dataclass(frozen=True, slots=True)
class RowGroup:
    path: Path
    number: int
    first: int  # row of the file


def row_groups(paths: Sequence[Path]) -> list[RowGroup]:
    found = []
    for path in paths:
        metadata = open_shard(path).metadata
        first = 0
        for number in range(metadata.num_row_groups):
            found.append(RowGroup(path, number, first))
            first += metadata.row_group(number).num_rows
    return found


def check_photos(paths: Sequence[Path], *, may_lack_pixels: bool) -> Iterator[str]:
    """What is wrong with the photos, as sentences, in the order of the files."""
    groups = row_groups(paths)
    allowed = [may_lack_pixels] * len(groups)
    if len(groups) < _ALONE:
        for group in groups:
            yield from check_row_group(group, may_lack_pixels)
        return
    workers = min(len(groups), len(os.sched_getaffinity(0)))
    context = multiprocessing.get_context("spawn")  # DuckDB's threads don't survive a fork
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=prepare_process, initargs=(os.getpid(),)
    ) as pool:
        try:
            for problems in pool.map(check_row_group, groups, allowed):
                yield from problems
        except BrokenProcessPool as error:
            raise CorruptFile(
                "a photo has killed the process that decoded it: petdata verify --quick checks "
                "the files' hashes and finds which file is not as it was built"
            ) from error


def check_row_group(group: RowGroup, may_lack_pixels: bool) -> list[str]:
    problems = []
    row = group.first
    try:
        batches = open_shard(group.path).iter_batches(
            _READ_ROWS, row_groups=[group.number], use_threads=False
        )
        for batch in batches:
            for record in batch.to_pylist():
                where = f"{group.path}, row {row} ({record['photo_id']})"
                row += 1
                if record["image"] is None or record["thumbnail"] is None:
                    if not may_lack_pixels:
                        problems.append(f"{where}: image or thumbnail is null")
                    continue
                if record["image"]["path"] != f"{record['photo_id']}.jpg":
                    problems.append(f"{where}: image.path is {record['image']['path']!r}")
                problems += [f"{where}: {problem}" for problem in photo_problems(from_row(record))]
    except CorruptFile as error:
        problems.append(str(error))
    except _UNREADABLE as error:
        problems.append(f"{group.path}, row {row}: {error}")
    return problems
