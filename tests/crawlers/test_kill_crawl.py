"""What a crawl leaves that is killed: at its N-th system call, or at any moment."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from threading import Lock, Timer

import pytest
from kill_matrix import (
    DEADLINE_S,
    Moment,
    Uninterrupted,
    at_once,
    durable_addresses,
    kill,
    kinds,
    needs_strace,
    read_content,
    run_uninterrupted,
    sample,
)

from crawling import FAST
from kill_crawls import SMALL_SHARDS, SMALL_SITE, asked, contact, crawl, go_on
from petdata.demo.servers.local_server import Request
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import plain_config

SEED = 20261124


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(SMALL_SITE) as site:
        yield site


@pytest.fixture(scope="module")
def uninterrupted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(crawl(root, site, *SMALL_SHARDS))


@needs_strace()
def test_the_uninterrupted_crawl_is_what_these_tests_need(
    site: Site, uninterrupted: Uninterrupted
) -> None:
    root = uninterrupted.root
    assert len(read_content(root).rows) == len(read_content(root).current) == 9
    assert len(list(root.glob("shards/pet911/*.parquet"))) == 2
    requests = asked(site, root, again=False)
    durable = durable_addresses(root)
    assert len(durable) == 3 + 9
    assert durable < set(requests)
    assert len(requests) == len(set(requests))


# 42 kinds; with 140 of nearly 300 moments it takes about 8 minutes of two cores
@needs_strace()
@pytest.mark.parametrize("size", [6, pytest.param(140, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(
    site: Site, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    chosen = sample(uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")

    def work(moment: Moment) -> None:
        root = tmp_path / f"{moment.call}-{moment.number}"
        kill(crawl(root, site, *SMALL_SHARDS), moment, uninterrupted.paths)
        go_on(uninterrupted.root, site, SMALL_SHARDS, root)

    at_once(work, chosen)


# Killed from the outside


@dataclass(frozen=True)
class Shot:
    """Kill this long after the site was asked for the N-th time."""

    request: int
    seconds: float


@dataclass
class Executioner:
    """Counts the requests of the crawls that are to be killed, as the site gets them."""

    lock: Lock = field(default_factory=Lock)
    crawls: dict[str, tuple[Popen[bytes], Shot]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def start(self, root: Path, site: Site, options: tuple[str, ...], shot: Shot) -> Popen[bytes]:
        with self.lock:  # no request of the crawl is looked at before it is known here
            process = crawl(root, site, *options).start()
            self.crawls[contact(root, again=False)] = process, shot
        return process

    def __call__(self, request: Request) -> None:
        name = request.user_agent.rpartition("+")[2].removesuffix(")")
        with self.lock:
            if name not in self.crawls:
                return
            process, shot = self.crawls[name]
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.counts[name] != shot.request:
                return
        if shot.seconds:
            Timer(shot.seconds, process.kill).start()
        else:
            process.kill()


OPTIONS = (*FAST, "--set", f"PETDATA_SHARD_BYTES={3 * 2**20}")


@pytest.mark.parametrize(
    ("listings", "kills"), [(30, 3), pytest.param(200, 20, marks=pytest.mark.slow)]
)
def test_killed_at_any_moment(tmp_path: Path, listings: int, kills: int) -> None:
    """Half of the kills at a request, half at a time."""
    executioner, uninterrupted = Executioner(), tmp_path / "uninterrupted"
    with Site(plain_config(listings, photo_pool=16)) as site:
        site.server.before_request = executioner
        seconds = crawl_once(uninterrupted, site)
        requests = len(asked(site, uninterrupted, again=False))
        killed = at_once(
            partial(kill_and_go_on, tmp_path, site, executioner, uninterrupted),
            random_shots(kills, requests, seconds),
        )
    sys.stdout.write(f"{sum(killed)} of {kills} killed, in {requests} requests, {seconds:.1f} s\n")
    assert sum(killed) >= kills // 2  # at a time a crawl may have been faster than the first


def crawl_once(root: Path, site: Site) -> float:
    """Seconds that it took."""
    started = time.monotonic()
    done = crawl(root, site, *OPTIONS).run()
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


def random_shots(number: int, requests: int, seconds: float) -> list[tuple[int, Shot]]:
    generator = random.Random(SEED)
    shots = [
        Shot(1, generator.uniform(0, seconds))
        if index % 2
        else Shot(generator.randint(2, requests), 0)
        for index in range(number)
    ]
    return list(enumerate(shots))


def kill_and_go_on(
    folder: Path,
    site: Site,
    executioner: Executioner,
    uninterrupted: Path,
    task: tuple[int, Shot],
) -> bool:
    """Whether the crawl was killed; it may have come to its end before."""
    index, shot = task
    root = folder / f"crawl-{index}"
    process = executioner.start(root, site, OPTIONS, shot)
    try:
        code = process.wait(DEADLINE_S)
    finally:
        process.kill()
    assert code in (0, -signal.SIGKILL), f"{shot}: {code}"
    assert code != 0 or shot.seconds, f"{shot} missed"
    go_on(uninterrupted, site, OPTIONS, root)
    return code != 0
