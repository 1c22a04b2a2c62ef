"""docs/api.md runs as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from training import training_workspace

from petdata.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return training_workspace(tmp_path_factory.mktemp("api") / "home")


@pytest.mark.parametrize(("number", "says"), [(0, "epoch 2: top_1_accuracy"), (1, "8 pet911/")])
def test_the_example_runs(workspace: Workspace, number: int, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES[number]],
        env=os.environ | {"PETDATA_HOME": str(workspace.root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
