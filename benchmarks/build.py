"""Planning and writing releases: the plan of 2,000,000 rows, 5 GB written, what a change costs.

    python benchmarks/build.py [--quick] [--folder FOLDER]

Rows and pixels are generated; nothing is decoded by a build, so what the pixels show does not
matter. Beside us, in the same run: `cp` with fsync, `datasets` (concatenate_datasets, to_parquet)
and DuckDB's COPY of the same shards, every file fsynced. Near duplicates have a benchmark of their
own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from generated_world import Part, write_part, write_world

from dataset_builder.build import Built, build
from dataset_builder.options import BuildOptions
from petdata.workspace import Workspace

PLAN = """
import sys, time, resource
from pathlib import Path
from dataset_builder.build import read_inputs
from dataset_builder.layout import plan_files
from dataset_builder.options import BuildOptions
from dataset_builder.plan import make_plan
from dataset_builder.pseudonyms import published_ids
from petdata.workspace import Workspace
start = time.perf_counter()
options = BuildOptions()
rows = read_inputs(Workspace(root=Path(sys.argv[1])), options)
plan = make_plan(rows, options)
files = plan_files(plan, published_ids(b"k" * 32, rows.identities, ["pet911", "telegram"]))
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1e6
print(len(rows), len(files), time.perf_counter() - start, time.process_time(), peak)
"""


@dataclass(frozen=True)
class Measured:
    wall_s: float
    cpu_s: float


def measure(work: Callable[[], object]) -> Measured:
    def cpu() -> float:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    started, used = time.perf_counter(), cpu()
    work()
    return Measured(time.perf_counter() - started, cpu() - used)


def sync(paths: Iterable[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def plan(folder: Path, rows: int) -> dict[str, float]:
    root = folder / "planned"
    write_world(root, rows)
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(root)], capture_output=True, text=True, check=True
    )
    count, files, wall, cpu, peak = (float(word) for word in done.stdout.split())
    shutil.rmtree(root)
    print(
        f"plan of {count:,.0f} rows: {wall:.1f} s, {cpu:.1f} s CPU, {peak:.2f} GB at most, "
        f"{files:,.0f} files (bar: 60 s and 4 GB for 2,000,000 rows)"
    )
    return {"plan_rows": count, "plan_s": wall, "plan_cpu_s": cpu, "plan_peak_gb": peak}


def contenders(root: Path, target: Path) -> dict[str, Measured]:
    """The same pixels through others' ways of making one data set of many files."""
    shards = sorted(root.glob("shards/*/*.parquet"))
    target.mkdir()

    def copy() -> None:
        for number, shard in enumerate(shards):
            subprocess.run(["cp", str(shard), str(target / f"cp-{number}")], check=True)
        sync(target.glob("cp-*"))

    def duck() -> None:
        import duckdb

        duckdb.sql("SET memory_limit = '4GB'")
        duckdb.sql(
            f"COPY (SELECT * FROM read_parquet({[str(s) for s in shards]!r})) TO "
            f"'{target / 'duckdb'}' (FORMAT parquet, FILE_SIZE_BYTES '64MB', "
            "ROW_GROUP_SIZE 2048, COMPRESSION uncompressed)"
        )
        sync(target.glob("duckdb/*"))

    def hugging_face() -> None:
        import datasets

        datasets.disable_progress_bars()
        parts = [
            datasets.Dataset.from_parquet(str(shard), cache_dir=str(target / "cache"))
            for shard in shards
        ]
        datasets.concatenate_datasets(parts).to_parquet(str(target / "datasets.parquet"))
        sync([target / "datasets.parquet"])

    found = {}
    for name, work in (("cp", copy), ("duckdb_copy", duck), ("datasets", hugging_face)):
        found[name] = measure(work)
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def write(folder: Path, gigabytes: float) -> dict[str, object]:
    root = folder / "written"
    write_world(root, int(gigabytes * 1e9 / 40_000), photo_bytes=40_000)
    size = sum(path.stat().st_size for path in root.glob("shards/*/*.parquet"))
    sync(root.glob("shards/*/*.parquet"))
    workspace = Workspace(root=root)
    made: list[Built] = []
    ours = measure(lambda: made.append(build(workspace, BuildOptions())))
    others = contenders(root, folder / "others")
    for name, result in {"petdata build": ours, **others}.items():
        speed = size / 1e6 / result.wall_s
        print(f"{name:15} {result.wall_s:7.1f} s, {speed:7.0f} MB/s, {result.cpu_s:7.1f} s CPU")
    better = min(others["duckdb_copy"].cpu_s, others["datasets"].cpu_s)
    ratios = {
        "cp": others["cp"].wall_s / ours.wall_s,
        "better_of_datasets_and_duckdb_cpu": better / ours.cpu_s,
    }
    return {"written_gb": size / 1e9, "ratios": ratios, **changes(workspace, made[0])}


def changes(workspace: Workspace, first: Built) -> dict[str, float]:
    """What 1 % new identities at the end of a source cost, and leaving out PetFace."""
    root = workspace.root
    photos = sum(1 for _ in root.glob("shards/lcw/*.parquet"))
    before = sum(e["bytes"] for p, e in first.manifest["files"].items() if p.startswith("data/"))
    total = sum(e.get("rows", 0) for e in first.manifest["files"].values())
    write_part(
        root,
        Part(
            source="lcw",
            photos=max(1, total // 100),
            photo_bytes=40_000,
            per_shard=1_600,
            seed=9,
            first_identity=10_000_000,
            first_shard=photos,
        ),
    )
    known = {e["fingerprint"] for e in first.manifest["files"].values() if "fingerprint" in e}
    made: list[Built] = []
    delta = measure(lambda: made.append(build(workspace, BuildOptions())))
    fresh = _fresh_bytes(made[0], known)
    known |= {e["fingerprint"] for e in made[0].manifest["files"].values() if "fingerprint" in e}
    without = build(workspace, BuildOptions(exclude=frozenset({"petface"})), name="no-petface")
    excluded = _fresh_bytes(without, known)
    print(f"1 % new identities: {fresh / before:.1%} of the bytes written again (bar: 8 %)")
    print(f"--exclude petface after it: {excluded / before:.1%} written (bar: 2 %)")
    return {
        "delta_bytes_share": fresh / before,
        "delta_s": delta.wall_s,
        "exclude_petface_bytes_share": excluded / before,
    }


def _fresh_bytes(built: Built, known: set[str]) -> int:
    return sum(
        entry["bytes"]
        for entry in built.manifest["files"].values()
        if "fingerprint" in entry and entry["fingerprint"] not in known
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="50,000 rows and 0.2 GB")
    parser.add_argument("--folder", type=Path, help="where to write (some 25 GB)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="petdata-build-") as folder:
        figures = plan(Path(folder), 50_000 if chosen.quick else 2_000_000)
        figures |= write(Path(folder), 0.2 if chosen.quick else 5.0)
    print(json.dumps({"benchmark": "build", **figures}))


if __name__ == "__main__":
    main()
