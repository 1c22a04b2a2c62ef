"""How long `petdata --help` takes, beside a bare interpreter and scrapy's own help.

    python benchmarks/startup.py [--quick]

The limit that the project sets itself is 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 0.3


def seconds(command: list[str], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first one warms the page cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    repeats = 5 if parser.parse_args().quick else 25
    scripts = Path(sys.executable).parent
    found = {
        "petdata --help": seconds([str(scripts / "petdata"), "--help"], repeats),
        "scrapy --help": seconds([str(scripts / "scrapy"), "--help"], repeats),
        "python -c pass": seconds([sys.executable, "-c", "pass"], repeats),
    }
    for name, value in found.items():
        print(f"{name:20} {value * 1000:7.1f} ms")
    ours = found["petdata --help"]
    ratios = {"limit": LIMIT_S / ours, "scrapy": found["scrapy --help"] / ours}
    print(json.dumps({"benchmark": "startup", "ratios": ratios, "seconds": found}))


if __name__ == "__main__":
    main()
