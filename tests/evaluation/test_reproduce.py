"""petdata reproduce, tiny: what is done stays, what fails is told, what was killed goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reproducing import inputs_of, reproduce_workspace, small_matrix
from typer.testing import CliRunner

from evaluation.embeddings import read_embeddings
from evaluation.evaluate import EvaluateOptions, evaluate
from evaluation.reproduce_store import Results
from evaluation.validation import top_1_difference
from petdata.cli import app
from petdata.errors import CorruptFile, PetdataError, TryLater
from petdata.workspace import Workspace

LOSSES = {"cosine": "", "arcface": "train = { loss = 'arcface' }"}
DIVERGES = "train = { learning_rate = 1e30 }"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return reproduce_workspace(tmp_path_factory.mktemp("reproduce") / "home")


@pytest.fixture(autouse=True)
def _here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)


def reproduced(workspace: Workspace, name: str, *flags: str, **cells: str) -> str:
    """What it said on stderr."""
    file = workspace.root / f"{name}.toml"
    file.write_text(small_matrix(**cells))
    result = CliRunner().invoke(
        app, ["reproduce", "pets", "--matrix", str(file), *flags], catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.stderr


def results_of(workspace: Workspace, name: str) -> Results:
    return Results(workspace, name, inputs_of(workspace).release)


def table(workspace: Workspace, name: str) -> dict[str, dict[str, str]]:
    text = (results_of(workspace, name).tables / "loss.csv").read_text()
    return {
        line["cell"]: line for line in csv.DictReader(text.splitlines()) if line["part"] == "all"
    }


def cells_on_disk(workspace: Workspace, name: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Configuration's loss -> when it was written, and what."""
    found = {}
    for path in results_of(workspace, name).cells.glob("*.json"):
        told = json.loads(path.read_text())
        if "error" not in told:
            found[told["config"]["loss"]] = (path.stat().st_mtime_ns, told)
    return found


def test_cells_are_trained_evaluated_and_compared(workspace: Workspace) -> None:
    said = reproduced(workspace, "small", **LOSSES)
    assert "[1/2] loss/cosine, seed 0: done" in said
    assert "2 cells done, 0 miss something, 0 failed" in said
    found, stored = table(workspace, "small"), cells_on_disk(workspace, "small")
    embeddings = {}
    for cell, loss in (("cosine", "triplet"), ("arcface", "arcface")):
        told = stored[loss][1]
        folder = workspace.root / "cache" / "embeddings" / told["embeddings"]
        embeddings[cell] = read_embeddings(folder)
        top_1 = (
            evaluate(embeddings[cell], EvaluateOptions(resamples=100))
            .part()
            .figures["top_1_accuracy"]
        )
        assert float(found[cell]["top_1_accuracy"]) == top_1.estimate
        assert float(found[cell]["top_1_accuracy_low"]) == top_1.low
        assert (workspace.root / "runs" / told["run"] / "model").is_dir()
        assert (workspace.root / "evaluations" / told["evaluation"] / "about.json").is_file()
    gain = top_1_difference(embeddings["arcface"], embeddings["cosine"], resamples=100)
    assert float(found["arcface"]["top_1_difference"]) == gain.estimate
    assert float(found["arcface"]["top_1_difference_low"]) == gain.low
    endings = sorted(path.suffix for path in results_of(workspace, "small").tables.iterdir())
    assert endings == [".csv", ".html", ".md", ".tex"]


def test_what_is_done_is_not_done_again(workspace: Workspace) -> None:
    reproduced(workspace, "small", **LOSSES)
    before = cells_on_disk(workspace, "small")
    said = reproduced(workspace, "small", **LOSSES, euclidean="train = { distance='euclidean' }")
    assert "[1/1] loss/euclidean, seed 0: done" in said
    after = cells_on_disk(workspace, "small")
    assert after["arcface"] == before["arcface"]
    assert set(table(workspace, "small")) == {"cosine", "arcface", "euclidean"}


def test_what_is_missing_or_fails_does_not_stop_the_rest(workspace: Workspace) -> None:
    cells = {
        "cosine": "",
        "diverges": DIVERGES,
        "boxes": "train = { crop = 'boxes' }",
        "published": "train = { tiny = false, weights = 'no/such' }",
        "arcface": "train = { loss = 'arcface' }",
    }
    with pytest.raises(PetdataError, match=r"1 failed: loss/diverges \(seed 0\)") as error:
        reproduced(workspace, "failing", **cells)
    assert error.value.exit_code == 1
    problems = {name: line["problem"] for name, line in table(workspace, "failing").items()}
    assert problems["cosine"] == problems["arcface"] == ""
    assert problems["diverges"].startswith("failed: the loss is")
    assert problems["boxes"].startswith("missing: no photo in test of pets@1.1.0 has a box")
    assert problems["published"].startswith("missing: weights of clip-vit-base: no/such")


def test_seeds_are_runs_of_their_own(workspace: Workspace) -> None:
    frozen = "frozen = true\ntrain = { encoder = 'dinov2-small' }"
    reproduced(workspace, "seeds", "--seeds", "2", trained="", frozen=frozen)
    found = table(workspace, "seeds")
    assert (found["trained"]["seeds"], found["frozen"]["seeds"]) == ("2", "1")
    told = [
        json.loads(path.read_text()) for path in results_of(workspace, "seeds").cells.glob("*.json")
    ]
    values = [
        each["parts"]["all"]["top_1_accuracy"]["estimate"] for each in told if not each["frozen"]
    ]
    assert float(found["trained"]["top_1_accuracy_seed_mean"]) == pytest.approx(sum(values) / 2)
    spread = abs(values[0] - values[1]) / 2**0.5
    assert float(found["trained"]["top_1_accuracy_seed_sd"]) == pytest.approx(spread)


def test_a_cell_is_what_its_file_trains(workspace: Workspace) -> None:
    texts = "train = { text_encoder = 'bert', text_from = 'owner', fusion = 'weighted' }"
    reproduced(workspace, "texts", texts=texts)
    (file,) = results_of(workspace, "texts").cells.glob("*.toml")
    run = CliRunner().invoke(app, ["train", "--config", str(file)], catch_exceptions=False)
    assert "is finished" in run.stderr
    assert Path(run.stdout.strip()).name == table(workspace, "texts")["texts"]["run"]


@pytest.mark.slow
def test_the_tiny_matrix_runs_whole(workspace: Workspace) -> None:
    words = ["reproduce", "pets", "--matrix", "tiny"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    tables = results_of(workspace, "tiny").tables
    assert len(list(tables.iterdir())) == 7 * 4
    problems = {
        line["problem"]
        for file in tables.glob("*.csv")
        for line in csv.DictReader(file.read_text().splitlines())
        if line["problem"]
    }
    assert {problem.partition(" ")[0] for problem in problems} == {"missing:"}
    assert len(problems) == 3  # no boxes of the test cats, no PetFace, no build without Pet911


def test_a_dry_run_runs_nothing(workspace: Workspace) -> None:
    file = workspace.root / "dry.toml"
    file.write_text(small_matrix(**LOSSES, same="", boxes="train = { crop = 'boxes' }"))
    words = ["reproduce", "pets", "--matrix", str(file), "--dry-run", "--tflops", "5"]
    lines = CliRunner().invoke(app, words, catch_exceptions=False).stdout.splitlines()
    assert lines[0] == "loss/cosine, seed 0: to run, less than 0.01 GPU hours"
    assert lines[2] == "loss/same, seed 0: the same as loss/cosine"
    assert lines[3].startswith("loss/boxes, seed 0: missing: ")
    assert lines[4].startswith("2 to run, less than 0.01 GPU hours at 5 TFLOP/s sustained")
    assert not results_of(workspace, "dry").folder.exists()


def test_one_works_in_a_folder_at_a_time(workspace: Workspace) -> None:
    results = results_of(workspace, "locked")
    with (
        results.alone(),
        pytest.raises(TryLater, match="another petdata reproduce works"),
        results_of(workspace, "locked").alone(),
    ):
        pass


def test_a_damaged_result_is_named(workspace: Workspace) -> None:
    results = results_of(workspace, "damaged")
    with results.alone():
        (results.cells / f"{'k' * 24}.json").write_text('{"format": 1, "key": "k"}')
        with pytest.raises(CorruptFile, match=r"kkk\.json is damaged"):
            results.result("k" * 64)


# Kills: three cells, the last one long


LONG = {**LOSSES, "long": "train = { distance = 'euclidean', max_steps = 4000, save_every = 5 }"}


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def begin(name: str, **cells: str) -> subprocess.Popen[str]:
        file = workspace.root / f"{name}.toml"
        file.write_text(small_matrix(**cells))
        words = [sys.executable, "-m", "petdata", "reproduce", "pets", "--matrix", str(file)]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def checkpoints(workspace: Workspace, name: str) -> list[Path]:
    """Of the run of the long cell, once the others are done."""
    if len(cells_on_disk(workspace, name)) < 2:
        return []
    runs = [
        path.parent
        for path in (workspace.root / "runs").glob("reproduce-*/config.toml")
        if "max_steps = 4000" in path.read_text()
    ]
    return [path for run in runs for path in run.glob("checkpoints/[!.]*")]


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_killed_matrix_goes_on(
    workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("killed", **LONG)
    wait_for(lambda: checkpoints(workspace, "killed"))
    below = descendants(process.pid)
    assert below
    process.kill()
    wait_for(lambda: not any(runs(pid) for pid in below))  # nobody goes on alone
    before = cells_on_disk(workspace, "killed")
    assert before.keys() == {"triplet", "arcface"}
    said = reproduced(workspace, "killed", **LOSSES)
    assert "done in" not in said
    assert cells_on_disk(workspace, "killed") == before


def test_an_interrupted_matrix_says_how_to_go_on(
    workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("interrupted", **LONG)
    wait_for(lambda: checkpoints(workspace, "interrupted"))
    below = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    wait_for(lambda: not any(runs(pid) for pid in below))
    assert len(cells_on_disk(workspace, "interrupted")) == 2


def test_a_cell_that_is_killed_does_not_stop_the_rest(
    workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """As by the kernel where memory runs out: the cell is a child of multiprocessing's server."""
    process = start("one", long=LONG["long"], arcface=LONG["arcface"])

    def cells() -> list[int]:
        return [below for pid in children(process.pid) for below in children(pid)]

    logs = workspace.root / "runs" / "reproduce" / "one"
    wait_for(lambda: any(log.stat().st_size for log in logs.glob("*/cells/*.log")))
    for pid in cells():
        os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "loss/long, seed 0: failed: killed by signal 9; out of memory?" in said
    assert "loss/arcface, seed 0: done" in said
    assert table(workspace, "one")["long"]["problem"].startswith("failed: killed by signal 9")
