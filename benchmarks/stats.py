"""Statistics of a release with two million rows, beside the same numbers by pandas.

    python benchmarks/stats.py [--rows 2000000] [--folder DIR]

Rows are drawn: 2.9 photos an identity, five sources, some identities joined in pairs, one row in
ten dropped. Seconds are of the wall and of the CPU, reading the Parquet file included; the peak is
that of a process of its own. The mean photos per identity of both ways must agree.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.stats import attrition_stats

SOURCES = ["pet911", "telegram", "lcw", "dogs_world", "petface"]
REASONS = ["", "duplicate_photo", "near_duplicate", "superseded"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where the table goes (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "attrition.parquet"
        write_table(path, options.rows)
        ours = measured(ours_of, path)
        theirs = measured(pandas_of, path)
    assert ours.pop("means") == theirs.pop("means")
    found = {"rows": options.rows, "petdata": ours, "pandas": theirs}
    print(json.dumps({"benchmark": "stats", **found}, indent=2))


def write_table(path: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    identities = int(rows / 2.9)
    identity = np.sort(generator.integers(0, identities, rows))
    reason = generator.choice(4, rows, p=[0.9, 0.04, 0.04, 0.02])
    names = [f"{SOURCES[n % 5]}/{n:016x}" for n in range(identities)]
    columns = {
        "identity_id": column(identity, names),
        "identity_group": column(np.where(identity % 10 == 1, identity - 1, identity), names),
        "source": column(identity % 5, SOURCES),
        "species": column(identity // 10 % 2, ["cat", "dog"]),
        "split": column(
            (identity // 10 % 20 == 0).astype(int), ["train", "validation"], reason > 0
        ),
        "reason": column(reason, REASONS, reason == 0),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def column(numbers: Any, values: list[str], null: Any = None) -> pa.Array:
    indices = pa.array(numbers.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values))


def ours_of(path: Path) -> list[float]:
    stats = attrition_stats(path, title="drawn", val_fraction=0.05)
    return [line.mean for line in stats.lines if line.source and line.split and line.species]


def pandas_of(path: Path) -> list[float]:
    """Only by source, split and species after the build: a small part of what petdata says."""
    kept = pq.read_table(path).to_pandas(strings_to_categorical=True)
    kept = kept[kept["reason"].isna()]
    sizes = kept.groupby(["source", "split", "species", "identity_group"], observed=True).size()
    grouped = sizes.groupby(["source", "split", "species"], observed=True)
    described = grouped.agg(["sum", "count", "min", "max", "mean", "median", "std"])
    return list(described.sort_index()["mean"])


def measured(work: Callable[[Path], list[float]], path: Path) -> dict[str, Any]:
    """In a fresh process, so that the peak is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (work, path))


def _measure(work: Callable[[Path], list[float]], path: Path) -> dict[str, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    means = work(path)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_mib": round(peak),
        "means": sorted(round(mean, 9) for mean in means),
    }


if __name__ == "__main__":
    main()
