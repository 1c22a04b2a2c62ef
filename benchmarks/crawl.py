"""Listings per second of a whole crawl of the local site, politeness off, and its memory.

    python benchmarks/crawl.py [--quick] [--listings 1000 20000]

The site is a process of its own, without faults and with a pool of photos drawn beforehand, so that
it costs little. Beside us: the same site through Scrapy's stock ImagesPipeline
(benchmarks/peers/stock_spider.py), which keeps no ledger and encodes every photo again. Memory is
the largest resident set of the crawling process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAST = ["-s", "CONCURRENT_REQUESTS=16", "-s", "CONCURRENT_REQUESTS_PER_DOMAIN=16"]


@dataclass(frozen=True)
class Measured:
    listings: int
    wall_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return (
            f"{self.listings / self.wall_s:7.1f} listings/s, "
            f"{1000 * self.cpu_s / self.listings:6.1f} ms CPU a listing, "
            f"{self.peak_mb:5.0f} MB at most"
        )


@contextmanager
def site(listings: int) -> Iterator[str]:
    command = [sys.executable, "-m", "petdata.demo.servers.site", "--plain"]
    process = subprocess.Popen(
        [*command, "--listings", str(listings)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def measure(command: Sequence[str], listings: int, environment: dict[str, str]) -> Measured:
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    wall_s = time.perf_counter() - start
    return Measured(listings, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def ours(url: str, listings: int, home: Path) -> Measured:
    environment = dict(os.environ) | {"PETDATA_HOME": str(home), "PETDATA_CONTACT": "benchmark"}
    crawl = [sys.executable, "-m", "petdata.cli", "crawl", "pet911", "--base-url", url]
    return measure([*crawl, *FAST], listings, environment)


def stock(url: str, listings: int, home: Path) -> Measured:
    spider = str(ROOT / "benchmarks" / "peers" / "stock_spider.py")
    environment = {k: v for k, v in os.environ.items() if k != "SCRAPY_PROJECT"}
    environment["SCRAPY_SETTINGS_MODULE"] = ""
    command = [sys.executable, "-m", "scrapy", "runspider", spider, "-a", f"base_url={url}"]
    settings = ["-s", f"IMAGES_STORE={home}", "-o", f"{home}/items.jsonl"]
    return measure([*command, *settings], listings, environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 listings only")
    parser.add_argument("--listings", type=int, nargs="+", default=[1_000, 20_000])
    options = parser.parse_args()
    sizes = [300] if options.quick else options.listings
    found: dict[int, Measured] = {}
    for listings in sizes:
        with site(listings) as url:
            home = Path(tempfile.mkdtemp(prefix="petdata-crawl-"))
            try:
                found[listings] = ours(url, listings, home)
                print(f"petdata, {listings:6,} listings:         {found[listings]}", flush=True)
                if listings == sizes[0]:
                    peer = stock(url, listings, home / "stock")
                    print(f"ImagesPipeline, {listings:6,} listings:  {peer}", flush=True)
            finally:
                shutil.rmtree(home)
    first, last = found[sizes[0]], found[sizes[-1]]
    ratios = {
        "images_pipeline_wall": peer.wall_s / first.wall_s,
        "images_pipeline_cpu": peer.cpu_s / first.cpu_s,
        "memory_growth": first.peak_mb / last.peak_mb,
    }
    figures = {str(size): vars(measured) for size, measured in found.items()}
    print(json.dumps({"benchmark": "crawl", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
