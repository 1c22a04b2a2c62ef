"""`petdata import`: a data set on this machine into shards, and a report with published counts."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dataset_builder.readers import (
    cat_individual_images,
    dogfacenet,
    dogs_world,
    folder,
    lcw,
    petface,
)
from dataset_builder.reading import Published, Reading
from dataset_builder.verification_pairs import write_pairs
from petdata.bulk_intake import BulkConfig, BulkIntake, Original
from petdata.errors import INTERRUPTED, MissingSetting, PetdataError
from petdata.ledger_imports import import_totals
from petdata.progress_line import ProgressLine, StderrConsole, commonest_reasons
from petdata.records import Species
from petdata.sources import known_sources
from petdata.workspace import Workspace, find_workspace


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one command imports."""

    source: str
    path: Path
    read: Callable[[Reading], Iterator[Original]]
    published: tuple[Published, ...] = ()
    after: Callable[[BulkIntake], None] = lambda intake: None
    workspace: Workspace = field(default_factory=find_workspace)


_READERS: Final = {
    "dogs-world": dogs_world,
    "lcw": lcw,
    "cat-individual-images": cat_individual_images,
    "dogfacenet": dogfacenet,
}


def data_set(name: str, path: Path) -> Job:
    """The import of a public data set by its name on the command line; PetFace has its own."""
    reader = _READERS[name]
    return Job(
        source=name.replace("-", "_"),
        path=path,
        read=lambda reading: reader.read(path, reading),
        published=reader.PUBLISHED,
    )


def petface_families(path: Path, families: Sequence[str]) -> Job:
    opened: list[petface.PetFace] = []

    def read(reading: Reading) -> Iterator[Original]:
        opened.append(petface.PetFace(path, reading, families))
        yield from opened[0].read()

    def after(intake: BulkIntake) -> None:
        write_pairs(intake, opened[0].verification_pairs())

    return Job(source="petface", path=path, read=read, published=petface.PUBLISHED, after=after)


def own_photos(
    path: Path, source: str, *, layout: str, manifest: Path | None, species: str | None
) -> Job:
    """Of a source that petdata.toml declares."""
    workspace = find_workspace()
    declared = known_sources(workspace).get(source)
    if declared is None or declared.kind != "declared":
        raise PetdataError(
            f"petdata.toml does not declare a source {source!r}: say there what it is and who may "
            f'have it, [sources.{source}] with title, role = "train" or "test", licence, '
            "redistributable"
        )
    kind = _species(species)
    if manifest is not None:
        return Job(
            source=source,
            path=path,
            read=lambda reading: folder.read_manifest(path, manifest, reading, kind),
            workspace=workspace,
        )
    if layout == "real-pets":
        return Job(
            source=source,
            path=path,
            read=lambda reading: folder.read_real_pets(path, reading),
            workspace=workspace,
        )
    if layout != "identity-folders":
        raise PetdataError(f"no layout {layout!r}; choose from {', '.join(folder.LAYOUTS)}")
    if kind is None:
        raise MissingSetting("folders do not say what animals they hold: give --species, e.g. cat")
    return Job(
        source=source,
        path=path,
        read=lambda reading: folder.read_identity_folders(path, reading, kind),
        workspace=workspace,
    )


def _species(name: str | None) -> Species | None:
    if name is None:
        return None
    if name not in {species.value for species in Species}:
        raise PetdataError(f"no species {name!r}; choose from {', '.join(Species)}")
    return Species(name)


# One run


@dataclass
class _Run:
    job: Job
    intake: BulkIntake
    reading: Reading
    started: float = field(default_factory=time.monotonic)
    failure: PetdataError | None = None

    def work(self) -> str:
        """Import all. Returns the outcome; a failure is kept for after the report."""
        try:
            with _terminable(), ProgressLine(StderrConsole(), self.progress) as line:
                self.intake.on_progress = line.tick
                self.intake.take(self.job.read(self.reading))
                self.job.after(self.intake)
        except PetdataError as error:
            self.failure = error
            return type(error).__name__
        except KeyboardInterrupt:
            return "interrupted"
        return "finished"

    def progress(self) -> str:
        counts = self.intake.counts
        seconds = max(time.monotonic() - self.started, 0.001)
        kept = counts["photo/kept"]
        parts = [f"{self.job.source}: {kept:,} photos, {counts['bytes'] / 1e6:,.1f} MB"]
        if dropped := commonest_reasons(counts):
            parts.append("dropped: " + ", ".join(f"{name} {n:,}" for name, n in dropped))
        if counts["known"]:
            parts.append(f"{counts['known']:,} were there")
        return " | ".join([*parts, f"{kept / seconds:,.0f} photos/s"])

    def close(self, outcome: str) -> dict[str, Any]:
        report: dict[str, Any] = {"source": self.job.source, "outcome": outcome}
        try:
            report |= self._report()
            self.intake.close(outcome, json.dumps(report))
        except PetdataError as error:
            self.intake.ledger.close()
            self.failure = self.failure or error
        return report

    def _report(self) -> dict[str, Any]:
        counts = self.intake.counts
        totals = import_totals(self.intake.ledger)
        return {
            "this_run": {
                "kept": counts["photo/kept"],
                "known_before": counts["known"],
                "dropped": {
                    name.removeprefix("photo/"): count
                    for name, count in sorted(counts.items())
                    if name.startswith("photo/") and name != "photo/kept"
                },
                "bytes": counts["bytes"],
                "shards": counts["shards"],
                "seconds": round(time.monotonic() - self.started, 1),
            },
            "in_all": asdict(totals),
            "published": [asdict(published) for published in self.job.published],
            "notes": {name: count for name, count in self.reading.counts.items() if count},
            "warnings": self.reading.warnings,
        }


def import_and_print(job: Job, *, workers: int | None, shard_mb: float, as_json: bool) -> None:
    """Raises the PetdataError that ended the run early, after printing what was imported."""
    if not job.path.exists():
        raise PetdataError(f"there is no {job.path}")
    config = BulkConfig(workers=workers, shard_bytes=int(shard_mb * 2**20))
    reading = Reading(limits=config.limits)
    intake = BulkIntake(job.workspace, job.source, config, command=f"import {job.source}")
    run = _Run(job, intake, reading)
    outcome = "failed"
    try:
        outcome = run.work()
    finally:
        report = run.close(outcome)
    if as_json:
        Console(highlight=False).print_json(data=report)
    elif "in_all" in report:
        print_report(StderrConsole(), report)
    if run.failure is not None:
        raise run.failure
    if outcome == "interrupted":
        sys.exit(INTERRUPTED)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the run in order, as Ctrl-C does: what is in a shard stays."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """Counts beside the published ones; what differs is explained, nothing is demanded."""
    table = Table(title=f"{report['source']}: {report['outcome']}", title_justify="left")
    table.add_column("")
    table.add_column("photos", justify="right")
    table.add_column("identities", justify="right")
    totals, run = report["in_all"], report["this_run"]
    for published in report["published"]:
        numbers = (f"{published[name]:,}" for name in ("photos", "identities"))
        table.add_row(f"published: {published['by']}", *numbers)
    if report["published"]:
        table.add_section()
    table.add_row("met here", f"{totals['photos']:,}", "")
    for reason, count in totals["dropped"].items():
        table.add_row(f"dropped: {reason.replace('_', ' ')}", f"{count:,}", "")
    table.add_row("kept", f"{totals['kept']:,}", f"{totals['identities']:,}")
    table.add_section()
    if run["known_before"]:
        table.add_row("known before this run", f"{run['known_before']:,}", "")
    table.add_row("kept in this run", f"{run['kept']:,}", "")
    console.print(table)
    console.print(
        f"{run['bytes'] / 1e6:,.1f} MB of JPEG in {run['shards']:,} new shards, "
        f"{run['seconds']:,.1f} s, {run['kept'] / max(run['seconds'], 0.1):,.0f} photos/s"
    )
    for name, count in report["notes"].items():
        console.print(f"{count:,} {name}", markup=False, soft_wrap=True)
    for warning in report["warnings"]:
        console.print(f"look at this: {warning}", style="yellow", markup=False, soft_wrap=True)
