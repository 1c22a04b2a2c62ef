"""Running collect_for_kill_tests.py, and what it asked the imagined site for."""

from __future__ import annotations

import sys
from pathlib import Path

from kill_matrix import Command

import collect_for_kill_tests


def collection(root: Path) -> Command:
    return Command(
        [sys.executable, collect_for_kill_tests.__file__, str(root), str(site(root))], root
    )


def site(root: Path) -> Path:
    return root.with_name(f"{root.name}.site")


def fetched(root: Path) -> list[tuple[str, str]]:
    """(listing, address) of every photo that was asked for, in order."""
    log = site(root) / "fetched"
    lines = log.read_text().splitlines() if log.exists() else []
    return [(source_id, address) for source_id, address in map(str.split, lines)]
