"""The command petdata; at its end the peak of its memory, in MiB, is in the file $PEAK_FILE."""

from __future__ import annotations

import os
from pathlib import Path

from peak_memory import peak_mebibytes
from petdata.cli import main

if __name__ == "__main__":
    try:
        main()
    finally:
        Path(os.environ["PEAK_FILE"]).write_text(str(peak_mebibytes()))
