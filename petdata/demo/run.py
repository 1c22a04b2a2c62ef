"""The demo: a drawn site, crawled for real, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from petdata.demo.servers.site import Site
from petdata.errors import PetdataError

CONTACT = "demo@localhost"


def run_demo(folder: Path, *, listings: int, seed: int) -> None:
    """Serve a site of drawn pets, crawl it with the real spider, verify and show the shards."""
    console = Console(highlight=False, soft_wrap=True)
    environment = os.environ | {"PETDATA_HOME": str(folder.resolve()), "PETDATA_CONTACT": CONTACT}
    console.print(f"1. Drawing pets and serving {listings} listings as a local site")
    with Site(seed=seed, listings=listings) as site:
        console.print(f"   {site.url}/catalog")
        console.print("2. Crawling it: petdata crawl pet911 --base-url", site.url)
        crawl = [
            "crawl",
            "pet911",
            "--base-url",
            site.url,
            "-s",
            "CONCURRENT_REQUESTS_PER_DOMAIN=8",
        ]
        _petdata(crawl, environment, folder)
    console.print("3. Checking every photo and the ledger: petdata shards verify")
    _petdata(["shards", "verify"], environment, folder)
    console.print("4. The workspace: petdata status, petdata shards list, petdata shards show")
    _petdata(["status"], environment, folder)
    _petdata(["shards", "list"], environment, folder)
    _petdata(["shards", "show", "pet911"], environment, folder)
    console.print(f"Try it yourself: PETDATA_HOME={folder} petdata status")


def _petdata(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    """Each command in a process of its own, as a user runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "petdata.cli", *arguments]
    code = subprocess.run(command, env=environment, cwd=folder, check=False).returncode
    if code != 0:
        raise PetdataError(f"petdata {' '.join(arguments)} ended with exit code {code}")
