"""The leak gate once more, from a release's files alone, through the same matcher as the build."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.inputs import InputFile, Rows
from dataset_builder.options import Level
from dataset_builder.plan import Matcher
from dataset_builder.scratch import scratch_folder
from petdata.sources import Source
from petdata.workspace import Workspace

MakeMatcher = Callable[[Rows, Path], Matcher]  # rows, a folder for what it must keep meanwhile
MOST_NAMED = 20

_COLUMNS = (
    *("photo_id", "identity_id", "source", "source_split", "species", "sha256", "phash"),
    *("width", "height"),
)


def near_leaks(
    workspace: Workspace,
    release: Path,
    paths: Sequence[str],
    *,
    bits: int,
    make_matcher: MakeMatcher,
) -> Iterator[str]:
    """Training photos that nearly show a test photo, as sentences."""
    if not any("/test-" in path for path in paths):
        return
    rows = release_rows(release, paths)
    test = rows.is_test()
    cache = workspace.root / "cache"
    with scratch_folder(
        cache if cache.is_dir() else Path(tempfile.gettempdir()), "petdata-verify-"
    ) as scratch:
        matches = make_matcher(rows, scratch)(np.flatnonzero(~test), np.flatnonzero(test), bits)
        pairs = list(zip(matches.first.tolist(), matches.second.tolist(), strict=True))
    for first, second in pairs[:MOST_NAMED]:
        train, shown = (first, second) if test[second] else (second, first)
        yield (
            f"leak: training photo {rows.photo_ids[train]} nearly shows test photo "
            f"{rows.photo_ids[shown]}"
        )
    if len(pairs) > MOST_NAMED:
        yield f"leak: {len(pairs) - MOST_NAMED:,} further pairs of training and test photos"


def release_rows(release: Path, paths: Sequence[str]) -> Rows:
    """A release's rows as a build would have them; those without a thumbnail are left out.

    What a file's name says counts: rows of `test-*` are test photos, whatever their source is.
    """
    tables = [_read(release / path) for path in paths]
    counts = [table.num_rows for table in tables]
    table = pa.concat_tables(tables).combine_chunks()
    there = np.asarray(table["has_thumbnail"])
    table = table.filter(table["has_thumbnail"]).combine_chunks()
    identities = table["identity_id"].combine_chunks().dictionary_encode()
    pictures = table["sha256"].combine_chunks().dictionary_encode()
    is_test = ["/test-" in path for path in paths]
    levels = [Level(_stand_in("train"), ""), Level(_stand_in("test"), "")]
    count = table.num_rows
    return Rows(
        files=[
            InputFile(
                path=release / path,
                level_source="",
                rows=number,
                fingerprint="",
                bytes=np.zeros(number, np.int64),
                is_current=np.ones(number, np.bool_),
            )
            for path, number in zip(paths, counts, strict=True)
        ],
        levels=levels,
        level=np.repeat(np.array(is_test, np.int16), counts)[there],
        file=np.repeat(np.arange(len(paths), dtype=np.int32), counts)[there],
        row=np.concatenate([np.arange(number) for number in counts])[there],
        identity=np.asarray(identities.indices.to_numpy(), np.int32),
        picture=np.asarray(pictures.indices.to_numpy(), np.int32),
        arrival=np.zeros(count, np.int64),
        phash=np.asarray(table["phash"].to_numpy(), np.uint64),
        bytes=np.zeros(count, np.int64),
        pixels=np.asarray(
            pa.compute.multiply(
                table["width"].cast(pa.int64()), table["height"].cast(pa.int64())
            ).fill_null(0)
        ),
        species=table["species"].combine_chunks().dictionary_encode(),
        source_split=table["source_split"].combine_chunks().fill_null("").dictionary_encode(),
        content=np.zeros(count, "S32"),
        is_current=np.ones(count, np.bool_),
        is_taken_down=np.zeros(count, np.bool_),
        is_multi_animal=np.zeros(count, np.bool_),
        identities=identities.dictionary.to_pylist(),
        photo_ids=table["photo_id"].combine_chunks(),
        sha256=table["sha256"].combine_chunks(),
    )


def _read(path: Path) -> pa.Table:
    table = pq.read_table(path, columns=[*_COLUMNS, "thumbnail"], partitioning=None)
    has = pa.compute.is_valid(table["thumbnail"])
    return table.drop_columns("thumbnail").append_column("has_thumbnail", has)


def _stand_in(role: Any) -> Source:
    return Source(
        name=role,
        title="",
        kind="public",
        role=role,
        rank=0,
        licence=None,
        terms="",
        redistributable=False,
    )


def exact_leaks(database: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Training photos of the view `photos` that are a test photo, byte for byte."""
    for train, shown in database.execute(
        "SELECT a.photo_id, b.photo_id FROM photos a JOIN photos b USING (sha256) "
        "WHERE a.split != 'test' AND b.split = 'test' ORDER BY ALL"
    ).fetchall():
        yield f"leak: training photo {train} has the bytes of test photo {shown}"
