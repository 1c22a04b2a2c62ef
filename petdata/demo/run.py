"""The demo: a drawn site and drawn channels, collected for real, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from petdata.demo.servers.site import Site
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel
from petdata.demo.servers.telegram_content import demo_channels
from petdata.errors import PetdataError

CONTACT = "demo@localhost"
# The local Telegram server takes any application and knows its account already.
APPLICATION = {"TELEGRAM_API_ID": "1", "TELEGRAM_API_HASH": "0"}
ENTRY = """[[channel]]
handle = "{handle}"
basis = "own_channel"
asserted_by = "petdata demo"
since = 2026-01-01
evidence = "drawn by the demo, served by this machine"
"""


def run_demo(folder: Path, *, listings: int, seed: int) -> None:
    """Collect drawn pets with the real commands, verify and show the shards."""
    folder = folder.resolve()
    console = Console(highlight=False, soft_wrap=True)
    demo = _Demo(folder, console)
    console.print(f"1. Drawing pets and serving {listings} listings as a local site")
    with Site(seed=seed, listings=listings) as site:
        console.print(f"   {site.url}/catalog")
        demo.run(
            "2. Crawling it",
            *("crawl", "pet911", "--base-url", site.url, "-s", "CONCURRENT_REQUESTS_PER_DOMAIN=8"),
        )
        posts = max(3, listings * 2 // 5)
        channels = demo_channels(seed, posts, site.config).channels
    console.print(f"3. Serving {posts} posts in {len(channels)} channels as a local Telegram")
    console.print("   some of their animals are the site's, reposted: resized, framed, cropped")
    with TelegramServer(channels) as server:
        server.write_session(folder / "telegram" / "account")
        demo.run("4. Harvesting them", "telegram", "harvest", str(_right_of_use(folder, channels)))
    demo.run("5. Checking every photo and both ledgers", "shards", "verify")
    demo.run("6. The workspace", "status")
    demo.run("", "telegram", "channels")
    demo.run("", "shards", "list")
    for source in ("pet911", "telegram"):
        demo.run("", "shards", "show", source)
    console.print(f"Try it yourself: PETDATA_HOME={folder} petdata status")


def _right_of_use(folder: Path, channels: Sequence[StubChannel]) -> Path:
    path = folder / "channels.toml"
    path.write_text("\n".join(ENTRY.format(handle=channel.handle) for channel in channels))
    return path


class _Demo:
    """Runs each command in a process of its own, as a user does."""

    def __init__(self, folder: Path, console: Console) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.console = folder, console
        home = {"PETDATA_HOME": str(folder), "PETDATA_CONTACT": CONTACT}
        self.environment = os.environ | home | APPLICATION

    def run(self, title: str, *arguments: str) -> None:
        command = f"petdata {' '.join(arguments)}"
        self.console.print(f"{title}: {command}" if title else f"   {command}")
        code = subprocess.run(
            [sys.executable, "-m", "petdata.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            check=False,
        ).returncode
        if code != 0:
            raise PetdataError(f"{command} ended with exit code {code}")
