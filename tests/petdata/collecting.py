"""Running collect_for_kill_tests.py, and what it asked the imagined site for."""

from __future__ import annotations

import sys
from pathlib import Path

from kill_matrix import Command, assert_whole, durable_addresses

import collect_for_kill_tests


def collection(root: Path) -> Command:
    return Command(
        [sys.executable, collect_for_kill_tests.__file__, str(root), str(site(root))], root
    )


def site(root: Path) -> Path:
    return root.with_name(f"{root.name}.site")


def fetched(root: Path) -> list[str]:
    """The address of every photo that was asked for, in order."""
    log = site(root) / "fetched"
    return log.read_text().splitlines() if log.exists() else []


def go_on(uninterrupted: Path, root: Path) -> None:
    """Run once more: what was durable is not asked for again, and in the end all is there."""
    durable, before = durable_addresses(root), len(fetched(root))
    done = collection(root).run()
    assert done.returncode == 0, f"{root}: {done.stderr}"
    again = durable & set(fetched(root)[before:])
    assert not again, f"{root}: {again} asked for again"
    assert_whole(root, uninterrupted)
