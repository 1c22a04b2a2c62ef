"""The demo: drawn sites, channels and data sets, collected and built for real, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from petdata.demo.datasets import (
    write_cat_individual_images,
    write_dogfacenet,
    write_dogs_world,
    write_lcw,
    write_petface,
)
from petdata.demo.drawn_boxes import write_drawn_boxes
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.site import Site
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel
from petdata.demo.servers.telegram_content import demo_channels
from petdata.errors import PetdataError

CONTACT = "demo@localhost"
# The local Telegram server takes any application and knows its account already.
APPLICATION = {"TELEGRAM_API_ID": "1", "TELEGRAM_API_HASH": "0"}
FAST = ("-s", "CONCURRENT_REQUESTS_PER_DOMAIN=8")
ENTRY = """[[channel]]
handle = "{handle}"
basis = "own_channel"
asserted_by = "petdata demo"
since = 2026-01-01
evidence = "drawn by the demo, served by this machine"
"""


def run_demo(folder: Path, *, listings: int, seed: int) -> None:
    """From drawn pets to a release, with the real commands."""
    folder = folder.resolve()
    demo = _Demo(folder, Console(highlight=False, soft_wrap=True))
    demo.say(f"1. Drawing pets and serving {listings} listings as a local site")
    with Site(seed=seed, listings=listings) as site:
        demo.say(f"   {site.url}/catalog")
        crawl = ("crawl", "pet911", "--base-url", site.url, *FAST)
        demo.run("2. Crawling it", *crawl)
        _write_boxes(demo, site)
        _collect_from_telegram(demo, site, seed, posts=max(3, listings * 2 // 5))
        _import(demo, seed)
        demo.run("7. Checking every photo and every ledger", "shards", "verify")
        demo.run("8. The workspace", "status")
        for source in ("pet911", "telegram"):
            demo.run("", "shards", "show", source)
        demo.run("9. A first release", "build")
        added = site.add_listings(max(2, listings // 20))
        demo.run(f"10. {len(added)} listings are new on the site", *crawl)
        _write_boxes(demo, site)
        demo.run("11. A second release, and what differs", "build")
    demo.run("", "diff", "pets@1.0.0", "pets")
    demo.run("12. Looking at it", "verify", "pets")
    demo.run("", "stats", "pets", "--html", str(folder / "runs" / "pets.html"))
    _publish(demo)
    _train_and_compare(demo)
    demo.say(f"Try it yourself: PETDATA_HOME={folder} petdata status")


def _write_boxes(demo: _Demo, site: Site) -> None:
    """What petdata detect would make, without a detector to download."""
    shards = sorted((demo.folder / "shards" / "pet911").glob("part-*.parquet"))
    found = write_drawn_boxes(demo.folder, shards, site.photos.sent)
    demo.say(f"   {found} photos have a box: the drawing knows where its animals are")


def _collect_from_telegram(demo: _Demo, site: Site, seed: int, posts: int) -> None:
    channels = demo_channels(seed, posts, site.config).channels
    demo.say(f"3. Serving {posts} posts in {len(channels)} channels as a local Telegram;")
    demo.say("   some of their animals are the site's, reposted: resized, framed, cropped")
    with TelegramServer(channels) as server:
        server.write_session(demo.folder / "telegram" / "account")
        rights = _right_of_use(demo.folder, channels)
        demo.run("4. Harvesting them", "telegram", "harvest", str(rights))
    demo.run("", "telegram", "channels")


def _import(demo: _Demo, seed: int) -> None:
    """The public data sets in small, as their archives unpack; two test cats are also in LCW."""
    demo.say("5. Drawing the five public data sets in their own formats")
    drawn = demo.folder / "drawn"
    write_dogs_world(drawn / "dogs-world", seed, 12)
    write_lcw(drawn / "lcw", seed, 16, first_pet=20_000)
    write_petface(drawn / "petface", seed, 8)
    write_cat_individual_images(drawn / "cat-individual-images", seed, 6, first_pet=20_014)
    write_dogfacenet(drawn / "dogfacenet", seed, 6)
    title = "6. Importing them"
    for name in ("dogs-world", "lcw", "petface", "cat-individual-images", "dogfacenet"):
        demo.run(title, "import", name, str(drawn / name))
        title = ""


LOAD: Final = """
from datasets import disable_progress_bars, load_dataset
disable_progress_bars()
photos = load_dataset("user/pets", "dogs_world", split="train", revision="v1.1.0")
print(f"   {len(photos)} photos; the first one:", photos[0]["identity_id"], photos[0]["image"].size)
"""


def _publish(demo: _Demo) -> None:
    """To a Hub on this machine; what must not be redistributed goes without pixels."""
    with HubServer() as hub:
        demo.environment |= hub.environment(demo.folder / "cache" / "huggingface")
        demo.environment["HF_TOKEN"] = TOKEN
        demo.run("13. Publishing it on a local Hub", "push", "pets", "user/pets")
        demo.say('   load_dataset("user/pets", "dogs_world", split="train", revision="v1.1.0")')
        words = [sys.executable, "-c", LOAD]
        subprocess.run(words, env=demo.environment, cwd=demo.folder, check=True)


TINY: Final = ("--encoder", "clip-vit-base", "--tiny", "--trainable-blocks", "-1")
SHORT: Final = ("--identities", "16", "--max-steps", "40", "--learning-rate", "1e-3")


def _train_and_compare(demo: _Demo) -> None:
    """Two networks of a few thousand parameters: what they find says little, that it runs much."""
    demo.say(
        "14. Training two tiny networks of random weights, and evaluating them on the test sets"
    )
    for loss in ("triplet", "arcface"):
        named = ("--loss", loss, "--name", loss)
        demo.run("", "train", "pets", *TINY, *SHORT, *named, "--device", "cpu")
        demo.run_quietly("evaluate", loss, "pets", "--name", f"{loss}-tested", "--device", "cpu")
    demo.run("15. What can be concluded", "compare", "triplet-tested", "arcface-tested")
    tiny = ("reproduce", "pets", "--matrix", "tiny", "--only", "loss")
    demo.run("16. A part of the matrix of experiments", *tiny)
    page = str(demo.folder / "runs" / "report.html")
    demo.run("17. The report", "report", "triplet-tested", "--into", page)


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

    def say(self, line: str) -> None:
        self.console.print(line)

    def run(self, title: str, *arguments: str) -> None:
        self._run(title, arguments, output=None)

    def run_quietly(self, *arguments: str) -> None:
        """For what prints more than a demo wants; progress and errors are seen all the same."""
        self._run("", arguments, output=subprocess.DEVNULL)

    def _run(self, title: str, arguments: Sequence[str], output: int | None) -> None:
        command = f"petdata {' '.join(arguments)}"
        self.console.print(f"{title}: {command}" if title else f"   {command}")
        code = subprocess.run(
            [sys.executable, "-m", "petdata.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=output,
            check=False,
        ).returncode
        if code != 0:
            raise PetdataError(f"{command} ended with exit code {code}")
