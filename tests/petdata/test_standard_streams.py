from __future__ import annotations

import subprocess
import sys


def test_a_closed_stream_does_not_lend_its_number_to_the_next_file() -> None:
    code = (
        "import os, sys; from petdata.standard_streams import open_closed_streams;"
        "open_closed_streams(); print('unseen', file=sys.stderr);"
        "print(os.open(os.devnull, os.O_RDONLY) > 2, sys.stderr.fileno())"
    )
    done = subprocess.run(
        ["bash", "-c", f'exec {sys.executable} -c "{code}" 2>&-'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "2"]
