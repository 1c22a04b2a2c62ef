"""What a harvest leaves that is killed: at its N-th system call, or at any moment."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from channel_makers import make_channel
from kill_harvests import (
    CHANNEL_ID,
    LEDGER,
    SESSION,
    SMALL,
    SMALL_POSTS,
    Harvests,
    assert_cursor_waits,
    durable_media,
    post_spans,
)
from kill_matrix import (
    DEADLINE_S,
    Moment,
    Uninterrupted,
    at_once,
    kill,
    kinds,
    needs_strace,
    read_content,
    run_uninterrupted,
    sample,
)

SEED = 20261128


@pytest.fixture(scope="module")
def harvests() -> Iterator[Harvests]:
    with Harvests(SMALL, SMALL_POSTS) as harvests:
        yield harvests


@pytest.fixture(scope="module")
def uninterrupted(harvests: Harvests, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("uninterrupted") / "workspace"
    return run_uninterrupted(harvests.command(root))


@needs_strace()
def test_the_uninterrupted_harvest_is_what_these_tests_need(
    harvests: Harvests, uninterrupted: Uninterrupted
) -> None:
    root = uninterrupted.root
    content = read_content(root)
    assert len(content.rows) == len(content.current) == 5
    assert len(list(root.glob("shards/telegram/*.parquet"))) == 2
    assert assert_cursor_waits(root, SMALL_POSTS) == 31
    pictures = {10_001, 10_002, 10_003, 10_004, 10_030}
    assert harvests.servers[root].photo_requests() == dict.fromkeys(pictures, 1)
    assert durable_media(root) == pictures


# There are 271 moments; 60 have each of the 40 kinds, and others.
@needs_strace()
@pytest.mark.parametrize("size", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(
    harvests: Harvests, uninterrupted: Uninterrupted, tmp_path: Path, size: int
) -> None:
    chosen = sample(uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")

    def work(moment: Moment) -> None:
        root = tmp_path / f"{moment.call}-{moment.number}"
        assert kill(harvests.command(root), moment, uninterrupted.paths), moment
        harvests.go_on(uninterrupted.root, root)

    at_once(work, chosen)


@needs_strace()
def test_no_kill_can_cost_the_account(uninterrupted: Uninterrupted) -> None:
    """A harvest reads the session, and writes nothing to it or beside it."""
    touched = [call for call in uninterrupted.calls if call.path.startswith("telegram/")]
    assert {call.path for call in touched} == {SESSION}
    assert {call.name for call in touched} == {"openat"}  # SQLite would make it, were it not there


# The cursor


@needs_strace()
def test_the_cursor_is_committed_after_the_posts_before_it(
    harvests: Harvests, uninterrupted: Uninterrupted, tmp_path: Path
) -> None:
    """In every state of the ledger that a kill can leave: its log has them all, in order."""
    writes = [m for m in uninterrupted.moments if m.call == "pwrite64"]
    last_logged = max(m.place for m in writes if m.file == f"{LEDGER}-wal")
    checkpoint = min((m for m in writes if m.place > last_logged), key=lambda m: m.place)
    assert checkpoint.file == LEDGER
    root = tmp_path / "workspace"
    assert kill(harvests.command(root), checkpoint, uninterrupted.paths)
    harvests.stop(root)
    log = root / f"{LEDGER}-wal"
    logged = log.read_bytes()
    cursors = []
    for end in commits_in(logged):
        log.write_bytes(logged[:end])
        cursors.append(assert_cursor_waits(root, SMALL_POSTS))
    assert cursors == sorted(cursors)
    assert set(cursors) == {0, 1, 30, 31}  # nothing of the album and of what is among its parts
    assert cursors.count(1) > 6  # the posts at 2 and 3 are five commits or more


def commits_in(log: bytes) -> Iterator[int]:
    """Where the transactions of a write-ahead log end (sqlite.org/fileformat2.html, section 4)."""
    frame = 24 + int.from_bytes(log[8:12])  # a head, then a page
    for start in range(32, len(log) - frame + 1, frame):
        if int.from_bytes(log[start + 4 : start + 8]):  # pages of the database, at a commit
            yield start + frame


# Killed from the outside

SHARDS = ("--shard-mb", "0.05")


@dataclass(frozen=True)
class Shot:
    """Kill this long after the server was asked for the N-th time."""

    request: int
    seconds: float


@pytest.mark.parametrize(
    ("messages", "kills"), [(60, 3), pytest.param(150, 12, marks=pytest.mark.slow)]
)
def test_killed_at_any_moment(tmp_path: Path, messages: int, kills: int) -> None:
    channel, posts = make_channel(CHANNEL_ID, "lost_pets", messages, seed=4)
    root = tmp_path / "uninterrupted"
    with Harvests(channel, post_spans(channel, posts), SHARDS) as harvests:
        command = harvests.command(root)
        started = time.monotonic()
        done = command.run()
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        assert {row["identity_id"] for row in read_content(root).rows.values()} == {
            post.identity_id for post in posts
        }
        requests = len(harvests.servers[root].requests)
        shots = random_shots(kills, requests, seconds)
        sys.stdout.write(f"killed in {requests} requests at {shots}\n")
        at_once(partial(shoot_and_go_on, tmp_path, harvests, root), list(enumerate(shots)))


def random_shots(number: int, requests: int, seconds: float) -> list[Shot]:
    """Half of them at a request, the others somewhat later; so early that all of them hit."""
    generator = random.Random(SEED)
    return [
        Shot(
            request=generator.randint(1, requests - 5),
            seconds=generator.uniform(0, 2 * seconds / requests) if index % 2 else 0.0,
        )
        for index in range(number)
    ]


def shoot_and_go_on(
    folder: Path, harvests: Harvests, uninterrupted: Path, task: tuple[int, Shot]
) -> None:
    index, shot = task
    root = folder / f"harvest-{index}"
    process = harvests.command(root).start()
    try:
        deadline = time.monotonic() + DEADLINE_S
        while len(harvests.servers[root].requests) < shot.request:
            assert process.poll() is None, f"{shot}: ended before"
            assert time.monotonic() < deadline, shot
            time.sleep(0.001)
        time.sleep(shot.seconds)
    finally:
        process.kill()
        code = process.wait()
    assert code == -signal.SIGKILL, f"{shot}: {code}"
    harvests.go_on(uninterrupted, root)
