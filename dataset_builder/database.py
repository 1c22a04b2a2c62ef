"""DuckDB in memory, as every stage here opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from petdata.errors import StorageFailure

MEMORY_LIMIT: Final = "2GB"  # it goes to disk beyond


@contextmanager
def open_database(scratch: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """`scratch` is where it goes when memory is short; without it DuckDB chooses a place."""
    settings: dict[str, str | bool | int | float | list[str]] = {"memory_limit": MEMORY_LIMIT}
    if scratch is not None:
        settings["temp_directory"] = str(scratch)
    with duckdb.connect(":memory:", config=settings) as database:
        # The bar of a slow query would stand between the JSON on standard output.
        database.execute("SET enable_progress_bar = false")
        try:
            yield database
        except duckdb.IOException as error:  # where nobody knew better what it means
            raise StorageFailure(
                f"{str(error).splitlines()[0]}: make room or check the disk, then start again"
            ) from error
