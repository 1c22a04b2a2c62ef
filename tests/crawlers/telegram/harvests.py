"""Running the real harvest against a local Telegram server, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kill_matrix import HIDE_PANDAS

from crawling import environment
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel
from petdata.inspection import verify_source
from petdata.presentation import current_photos
from petdata.records import Photo
from petdata.workspace import Workspace

API = {"TELEGRAM_API_ID": "12345", "TELEGRAM_API_HASH": "0123456789abcdef"}
ENTRY = """
[[channel]]
{name}
basis = "own_channel"
asserted_by = "the tests"
since = 2026-01-15
evidence = "drawn for the tests"
"""


@dataclass(frozen=True)
class Harvest:
    code: int
    stderr: str
    report: dict[str, Any] = field(default_factory=dict)


def prepare(root: Path, server: TelegramServer, channels: Iterable[StubChannel]) -> None:
    """An account that is logged in at the server, and the right to use these channels."""
    root.mkdir(parents=True, exist_ok=True)
    server.write_session(root / "telegram" / "account")
    write_channels(root, [f'handle = "{channel.handle}"' for channel in channels])


def write_channels(root: Path, names: Iterable[str]) -> Path:
    path = root.with_name(f"{root.name}.channels.toml")
    path.write_text("".join(ENTRY.format(name=name) for name in names))
    return path


def command(root: Path, *options: str) -> list[str]:
    channels = root.with_name(f"{root.name}.channels.toml")
    words = [sys.executable, "-m", "petdata.cli", "telegram", "harvest", str(channels), "--json"]
    return [*words, *options]


def variables(root: Path) -> dict[str, str]:
    return environment(root, **API, PYTHONPATH=HIDE_PANDAS)


def harvest(root: Path, *options: str) -> Harvest:
    return run(root, command(root, *options))


def run(root: Path, words: list[str]) -> Harvest:
    done = subprocess.run(
        words,
        env=variables(root),
        cwd=root.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Harvest(done.returncode, done.stderr, json.loads(done.stdout or "{}"))


def harvest_well(root: Path, *options: str) -> dict[str, Any]:
    done = harvest(root, *options)
    assert done.code == 0, done.stderr
    assert not list(verify_source(Workspace(root=root), "telegram"))
    return done.report


def photos_of(root: Path) -> dict[str, list[Photo]]:
    """Identity -> its current photos in order."""
    found: dict[str, list[Photo]] = {}
    for photo in current_photos(Workspace(root=root), "telegram"):
        found.setdefault(photo.identity_id, []).append(photo)
    return {
        identity: sorted(photos, key=lambda photo: photo.position or 0)
        for identity, photos in found.items()
    }
