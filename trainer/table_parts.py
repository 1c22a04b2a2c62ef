"""Rows of a side table, stored part by part while they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from petdata.errors import PetdataError
from petdata.side_table_kinds import Kind, Producer
from petdata.side_tables import append_rows, part_files, read_kind

EVERY: Final = 200  # rows of a part: what a kill loses at most


class TableParts:
    """A context manager. What was added is stored at the end, of an interrupted run too."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        producer: Producer,
        *,
        extra: Sequence[pa.Field] = (),
        every: int = EVERY,
    ) -> None:
        self._made = (folder, kind, producer)
        self._extra = tuple(extra)
        self._every = every
        self._rows: list[Mapping[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.store()

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= self._every:
            self.store()

    def drop(self) -> None:
        """Forget what is not stored yet."""
        self._rows = []

    def store(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            append_rows(*self._made, rows, self._extra)


def require_producer(folder: Path, kind: Kind, producer: Producer) -> None:
    """Raise before any work is done where the table is not this producer's: append_rows would."""
    parts = part_files(folder)
    if not parts:
        return
    found = read_kind(parts[-1])
    if found != (kind, producer):
        raise PetdataError(
            f"{folder} holds {found[0].name} of {found[1].model} with other settings or another "
            "prompt: name another table with --table, or delete the folder"
        )
