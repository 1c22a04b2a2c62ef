from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# The parent holds 300 MiB when it starts its children: one that is small, one that takes 200 MiB.
PARENT = """
import subprocess, sys
held = b"x" * (300 * 2**20)
child = "from peak_memory import peak_mebibytes; {}; print(peak_mebibytes())"
for takes in ("pass", "taken = b'x' * (200 * 2**20); del taken"):
    subprocess.run([sys.executable, "-c", child.format(takes)], check=True)
"""


def test_the_peak_is_that_of_the_process_alone() -> None:
    parent = subprocess.run(
        [sys.executable, "-c", PARENT],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    )
    small, large = map(int, parent.stdout.split())
    assert 5 < small < 100
    assert 200 <= large - small < 250
