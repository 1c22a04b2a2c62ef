"""The experiments of a matrix on a release: what is done stays, what can be run is, the rest is
told with its reason.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

from evaluation.reproduce_cell import run_cell
from evaluation.reproduce_inputs import InputMissing, require_weights
from evaluation.reproduce_plan import Job, Planned, jobs_of
from evaluation.reproduce_store import CellResult, Results
from petdata.progress_line import ProgressLine, StderrConsole
from petdata.workspace import Workspace

Say = Callable[[str], None]

_TICK_S = 0.25
_PATIENCE_S = 10.0  # until a process that was told to end is ended


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a planned cell stands."""

    planned: Planned
    result: CellResult | None = None
    missing: str = ""
    failure: str = ""

    @property
    def in_words(self) -> str:
        if self.result is not None:
            return "done"
        if self.missing:
            return f"missing: {self.missing}"
        return f"failed: {self.failure}" if self.failure else "to run"


def states_of(plan: list[Planned], results: Results) -> list[State]:
    """By what is on disk."""
    return [_state(planned, results) for planned in plan]


def run_plan(plan: list[Planned], results: Results, workspace: Workspace, say: Say) -> list[State]:
    """Each cell that has no result yet, one after the other, in a process of its own.

    A cell that fails or misses something is recorded and does not stop the others. What was cut
    off goes on where it stopped. Raises KeyboardInterrupt with everything in that state.
    """
    jobs = [pair for pair in jobs_of(plan) if results.result(pair[1].key) is None]
    for _, job in jobs:
        if not job.frozen:
            results.write_config(job.key, job.config)
    without_weights: dict[str, str] = {}
    for number, (planned, job) in enumerate(jobs, 1):
        where = f"[{number}/{len(jobs)}] {planned.name}, seed {planned.seed}"
        try:
            require_weights(job.config)
        except InputMissing as missing:
            without_weights[job.key] = str(missing)
            say(f"{where}: missing: {missing}")
            continue
        began = time.monotonic()
        failure = _run(job, results, workspace, where)
        if failure is not None:
            results.write_failure(job.key, failure)
            say(f"{where}: failed: {failure} (see {results.log(job.key)})")
        else:
            say(f"{where}: done in {time.monotonic() - began:,.0f} s")
    return [_state(planned, results, without_weights) for planned in plan]


def _state(
    planned: Planned, results: Results, without_weights: dict[str, str] | None = None
) -> State:
    job = planned.job
    if job is None:
        return State(planned=planned, missing=planned.missing)
    result = results.result(job.key)
    if result is not None:
        return State(planned=planned, result=result)
    missing = (without_weights or {}).get(job.key, "")
    failure = "" if missing else results.failure(job.key) or ""
    return State(planned=planned, missing=missing, failure=failure)


def _run(job: Job, results: Results, workspace: Workspace, where: str) -> str | None:
    """What it failed of, or None."""
    context = multiprocessing.get_context("forkserver")
    if job.config.device == "cpu":
        # Forked with libraries loaded, which on the CPU is safe: a GPU does not survive a fork.
        context.set_forkserver_preload(["evaluation.reproduce_cell"])
    results.log(job.key).unlink(missing_ok=True)
    process = context.Process(target=run_cell, args=(job, results, workspace))
    console = StderrConsole()
    process.start()
    try:
        with ProgressLine(console, lambda: f"{where}: {_last_line(results, job)}") as line:
            while process.is_alive():
                process.join(_TICK_S)
                line.tick()
    except BaseException:
        _end(process)
        raise
    if process.exitcode == 0 and results.result(job.key) is not None:
        return None
    if process.exitcode is not None and process.exitcode < 0:
        return f"killed by signal {-process.exitcode}; out of memory?"
    return _last_line(results, job).removeprefix("petdata: ") or f"exit code {process.exitcode}"


def _end(process: ForkServerProcess) -> None:
    process.terminate()
    process.join(_PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _last_line(results: Results, job: Job) -> str:
    try:
        text = results.log(job.key).read_bytes()[-4000:].decode(errors="replace")
    except OSError:
        return "starting"
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else "starting"
