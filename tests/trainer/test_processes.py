"""Two processes on one machine give the losses of one; a killed run ends as if it had not been."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training import training_workspace

from petdata.workspace import Workspace
from trainer.metrics_log import read_metrics

STEPS = 20
COMMON = shlex.split(
    "train pets --tiny --encoder siglip2-base --trainable-blocks 2 --identities 5 "
    "--epochs 100 --learning-rate 0.001 --device cpu --workers 1 --log-every 1 --no-validate"
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("processes") / "home")


def environment(workspace: Workspace) -> dict[str, str]:
    return os.environ | {"PETDATA_HOME": str(workspace.root), "OMP_NUM_THREADS": "1"}


def command(name: str, *more: str) -> list[str]:
    return ["-m", "petdata", *COMMON, "--name", name, *more]


def losses(workspace: Workspace, name: str) -> list[float]:
    lines = read_metrics(workspace.root / "runs" / name)
    return [line["loss"] for line in lines if "loss" in line]


def weights(workspace: Workspace, name: str) -> Path:
    return workspace.root / "runs" / name / "model" / "vision" / "model.safetensors"


def test_two_processes_give_the_losses_of_one(workspace: Workspace) -> None:
    """Relative 1e-4 over 20 steps; shares are uneven, 3 and 2 identities."""
    steps = ("--max-steps", str(STEPS))
    one = [sys.executable, *command("one", *steps)]
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    two += ["--standalone", *command("two", *steps)]
    for line in (one, two):
        done = subprocess.run(line, env=environment(workspace), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(losses(workspace, "one")) == STEPS
    assert losses(workspace, "two") == pytest.approx(losses(workspace, "one"), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_it_ends_with_the_same_weights(
    workspace: Workspace, seed: int
) -> None:
    chance = random.Random(seed)
    steps = ("--max-steps", "12", "--save-every", "1")
    subprocess.run(
        [sys.executable, *command(f"whole-{seed}", *steps)], env=environment(workspace), check=True
    )
    name = f"killed-{seed}"
    checkpoints = workspace.root / "runs" / name / "checkpoints"
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, *command(name, *steps)],
            env=environment(workspace),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        before = set(checkpoints.glob("*"))
        while process.poll() is None and set(checkpoints.glob("*")) == before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        if process.poll() is None and kills < 3:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills == 3
    ours, theirs = (
        load_file(weights(workspace, name)),
        load_file(weights(workspace, f"whole-{seed}")),
    )
    assert all((ours[key] == theirs[key]).all() for key in theirs)
    assert losses(workspace, name) == losses(workspace, f"whole-{seed}")
