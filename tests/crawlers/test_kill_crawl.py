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
    assert len(list(root.glob("shards/pet911/*.parquet"))) >= 2
    requests = asked(site, root, again=False)
    durable = durable_addresses(root)
    assert len(durable) == 3 + 9
    assert durable < set(requests)
    assert len(requests) == len(set(requests))


# All of nearly 300 moments take 10 minutes of two cores; 100 have each kind and some of the rest.
@needs_strace()
@pytest.mark.parametrize("size", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(
    site: Site, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    chosen = sample(uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")

    def work(moment: Moment) -> bool:
        root = tmp_path / f"{moment.call}-{moment.number}"
        killed = kill(crawl(root, site, *SMALL_SHARDS), moment, uninterrupted.paths)
        go_on(uninterrupted.root, site, SMALL_SHARDS, root)
        return killed

    # Photos are examined in threads, so that no two crawls make exactly as many calls.
    missed = at_once(work, chosen).count(False)
    assert missed <= 1 + size // 20, f"{missed} of {size} ended before they were to be killed"


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
    executioner, uninterrupted = Executioner(), tmp_path / "uninterrupted"
    with Site(plain_config(listings, photo_pool=16)) as site:
        site.server.before_request = executioner
        started = time.monotonic()
        done = crawl(uninterrupted, site, *OPTIONS).run()
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        requests = len(asked(site, uninterrupted, again=False))
        shots = random_shots(kills, requests, seconds)
        sys.stdout.write(f"killed in {requests} requests at {shots}\n")
        work = partial(kill_and_go_on, tmp_path, site, executioner, uninterrupted)
        at_once(work, list(enumerate(shots)))


def random_shots(number: int, requests: int, seconds: float) -> list[Shot]:
    """Every other one at a request, the others somewhat later; so early that all of them hit."""
    generator = random.Random(SEED)
    return [
        Shot(
            request=generator.randint(1, requests - 5),
            seconds=generator.uniform(0, 5 * seconds / requests) if index % 2 else 0.0,
        )
        for index in range(number)
    ]


def kill_and_go_on(
    folder: Path,
    site: Site,
    executioner: Executioner,
    uninterrupted: Path,
    task: tuple[int, Shot],
) -> None:
    index, shot = task
    root = folder / f"crawl-{index}"
    process = executioner.start(root, site, OPTIONS, shot)
    try:
        code = process.wait(DEADLINE_S)
    finally:
        process.kill()
    assert code == -signal.SIGKILL, f"{shot}: {code}"
    go_on(uninterrupted, site, OPTIONS, root)
