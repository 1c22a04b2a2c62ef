"""Planning and writing releases: the plan of 2,000,000 rows, 5 GB written, what a change costs.

    python benchmarks/build.py [--quick] [--folder FOLDER]

Rows and pixels are generated; nothing is decoded by a build, so what the pixels show does not
matter. Beside us, in the same run: `cp` with fsync (before and after us: disks have moods),
`datasets` (concatenate_datasets, to_parquet) and DuckDB's COPY of the same shards, every file
fsynced. Near duplicates are matched in the second plan, and in a third one that
remembers it and has 1 % more rows; they have a benchmark of their own.
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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generated_world import Part, write_part, write_world

from dataset_builder.build import Built, build
from dataset_builder.options import BuildOptions
from petdata.workspace import Workspace

PLAN = """
import sys, tempfile, time
from pathlib import Path
from dataset_builder.build import read_inputs
from dataset_builder.layout import plan_files
from dataset_builder.match_memory import RememberingMatcher
from dataset_builder.matching import ThumbnailMatcher
from dataset_builder.options import BuildOptions
from dataset_builder.plan import make_plan, no_matcher
from dataset_builder.pseudonyms import published_ids
from petdata.workspace import Workspace
start = time.perf_counter()
options = BuildOptions()
rows = read_inputs(Workspace(root=Path(sys.argv[1])), options)
cache, matched = Path(sys.argv[1]) / "cache", [0.0, 0.0]
cache.mkdir(exist_ok=True)
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as scratch:
    matcher = RememberingMatcher(rows, ThumbnailMatcher(rows, Path(scratch), cache), cache)
    def timed(*asked):
        wall, cpu = time.perf_counter(), time.process_time()
        found = matcher(*asked)
        matched[0] += time.perf_counter() - wall
        matched[1] += time.process_time() - cpu
        return found
    plan = make_plan(rows, options, no_matcher if sys.argv[2] == "no matching" else timed)
files = plan_files(plan, published_ids(b"k" * 32, rows.identities, ["pet911", "telegram"]))
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1e6
near = sum(link.kind == "near" for link in plan.links)
print(
    len(rows), len(files), near, time.perf_counter() - start, time.process_time(), peak, *matched
)
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
    found: dict[str, float] = {}
    kinds = {"no matching": "plan", "matching": "plan_matched", "1 % more": "plan_1_percent_more"}
    for matching, kind in kinds.items():
        if matching == "1 % more":
            new = Part(source="lcw", photos=rows // 100, seed=9, first_identity=10_000_000)
            write_part(root, replace(new, first_shard=10_000))
        command = [sys.executable, "-c", PLAN, str(root), matching]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, files, near, wall, cpu, peak, *spent = map(float, done.stdout.split())
        print(
            f"plan of {count:,.0f} rows, {matching}: {wall:.1f} s, {cpu:.1f} s CPU, {peak:.2f} GB "
            f"at most, {files:,.0f} files, {near:,.0f} near links, matching {spent[0]:.1f} s, "
            f"{spent[1]:.1f} s CPU (bar: 60 s, 4 GB, 2,000,000 rows)"
        )
        found |= {f"{kind}_s": wall, f"{kind}_cpu_s": cpu, f"{kind}_peak_gb": peak}
        found |= {f"{kind}_matching_s": spent[0], f"{kind}_matching_cpu_s": spent[1]}
    share = found["plan_1_percent_more_matching_cpu_s"] / found["plan_matched_matching_cpu_s"]
    print(f"1 % more costs {share:.1%} of the matching's CPU")
    found["matching_1_percent_more_cpu_share"] = share
    shutil.rmtree(root)
    return {"plan_rows": rows, **found}


class Phases:
    """What a build says, with the wall and CPU seconds until it says the next."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float, float]] = []

    def say(self, line: str) -> None:
        self.begun.append((line.split()[0] + line.partition("metadata")[1], *now()))

    def spent(self) -> dict[str, Measured]:
        """By the first word: reading, planning, measuring, writing, writingmetadata."""
        ends = [*self.begun[1:], ("", *now())]
        return {
            name: Measured(end - start, cpu_end - cpu)
            for (name, start, cpu), (_, end, cpu_end) in zip(self.begun, ends, strict=True)
        }


def now() -> tuple[float, float]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), own.ru_utime + own.ru_stime


def built(
    workspace: Workspace, options: BuildOptions, name: str = "pets"
) -> tuple[Built, dict[str, Measured]]:
    phases = Phases()
    made = build(workspace, options, name=name, say=phases.say)
    return made, phases.spent()


def contenders(root: Path, target: Path, only: Sequence[str] = ()) -> dict[str, Measured]:
    """The same pixels through others' ways of making one data set of many files."""
    shards = sorted(root.glob("shards/*/*.parquet"))
    target.mkdir(exist_ok=True)

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
    chosen = {"cp": copy, "duckdb_copy": duck, "datasets": hugging_face}
    for name in only or chosen:
        found[name] = measure(chosen[name])
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def write(folder: Path, gigabytes: float) -> dict[str, object]:
    root = folder / "written"
    write_world(root, int(gigabytes * 1e9 / 40_000), photo_bytes=40_000)
    size = sum(path.stat().st_size for path in root.glob("shards/*/*.parquet"))
    sync(root.glob("shards/*/*.parquet"))
    workspace = Workspace(root=root)
    cp = contenders(root, folder / "others", ["cp"])["cp"]
    made, phases = built(workspace, BuildOptions())
    writing = phases["writing"]
    whole = _sum(phases.values())
    others = contenders(root, folder / "others")
    shown = {"cp before": cp, "our writing": writing, "whole build": whole, **others}
    for name, result in {**shown, **{f"- {name}": phase for name, phase in phases.items()}}.items():
        speed = size / 1e6 / result.wall_s
        print(f"{name:18} {result.wall_s:7.1f} s, {speed:7.0f} MB/s, {result.cpu_s:7.1f} s CPU")
    copied = (cp.wall_s + others["cp"].wall_s) / 2
    better = min(others["duckdb_copy"].cpu_s, others["datasets"].cpu_s)
    ratios = {
        "cp, writing": copied / writing.wall_s,
        "cp, whole build": copied / whole.wall_s,
        "better_of_datasets_and_duckdb_cpu, writing": better / writing.cpu_s,
        "better_of_datasets_and_duckdb_cpu, whole build": better / whole.cpu_s,
    }
    print({name: round(ratio, 2) for name, ratio in ratios.items()})
    return {"written_gb": size / 1e9, "ratios": ratios, **changes(workspace, made, phases)}


def _sum(phases: Iterable[Measured]) -> Measured:
    listed = list(phases)
    return Measured(sum(p.wall_s for p in listed), sum(p.cpu_s for p in listed))


def _after_planning(phases: dict[str, Measured]) -> Measured:
    return _sum(phase for name, phase in phases.items() if name.startswith("writing"))


def changes(workspace: Workspace, first: Built, phases: dict[str, Measured]) -> dict[str, float]:
    """What 1 % new identities cost at the end of a source, 1 % new photos anywhere, no PetFace."""
    before = sum(e["bytes"] for p, e in first.manifest["files"].items() if p.startswith("data/"))
    total = sum(e.get("rows", 0) for e in first.manifest["files"].values())
    full = _after_planning(phases)
    known = _fingerprints(first)
    figures = {}
    for name, first_identity in (("delta", 10_000_000), ("scattered", 0)):
        more = Part(
            source="lcw",
            photos=max(1, total // 100),
            photo_bytes=40_000,
            seed=9 + first_identity,
            first_identity=first_identity,
            first_shard=sum(1 for _ in workspace.root.glob("shards/lcw/*.parquet")),
        )
        write_part(workspace.root, more)
        made, spent = built(workspace, BuildOptions())
        share = _fresh_bytes(made, known) / before
        known |= _fingerprints(made)
        later = _after_planning(spent)
        print(
            f"1 % more, {name}: {share:.1%} of the bytes; without planning {later.wall_s:.1f} of "
            f"{full.wall_s:.1f} s, {later.cpu_s:.1f} of {full.cpu_s:.1f} s CPU; "
            + ", ".join(f"{key} {value.cpu_s:.1f}" for key, value in spent.items())
        )
        figures |= {
            f"{name}_bytes_share": share,
            f"{name}_wall_share": later.wall_s / full.wall_s,
            f"{name}_cpu_share": later.cpu_s / full.cpu_s,
        }
    without, _ = built(workspace, BuildOptions(exclude=frozenset({"petface"})), "no-petface")
    excluded = _fresh_bytes(without, known)
    print(f"--exclude petface after it: {excluded / before:.1%} written (bar: 2 %)")
    return {**figures, "exclude_petface_bytes_share": excluded / before}


def _fingerprints(made: Built) -> set[str]:
    return {e["fingerprint"] for e in made.manifest["files"].values() if "fingerprint" in e}


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
    parser.add_argument("--only", choices=("plan", "write"), help="one half")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="petdata-build-") as folder:
        figures: dict[str, object] = {}
        if chosen.only != "write":
            figures |= plan(Path(folder), 50_000 if chosen.quick else 2_000_000)
        if chosen.only != "plan":
            figures |= write(Path(folder), 0.2 if chosen.quick else 5.0)
    print(json.dumps({"benchmark": "build", **figures}))


if __name__ == "__main__":
    main()
