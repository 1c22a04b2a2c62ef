"""Running the real crawl against a local site, as a process of its own, and reading what came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petdata.inspection import verify_source
from petdata.presentation import current_photos
from petdata.records import Photo
from petdata.workspace import Workspace

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-m", "petdata.cli", "crawl", "pet911", "--json")
FAST = ("-s", "CONCURRENT_REQUESTS_PER_DOMAIN=4", "-s", "RETRY_TIMES=1")


@dataclass(frozen=True)
class Crawl:
    code: int
    stderr: str
    report: dict[str, Any] = field(default_factory=dict)


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PETDATA_")}
    return kept | {"PETDATA_HOME": str(home), "PETDATA_CONTACT": "me@example.org"} | more


def crawl(home: Path, url: str, *options: str, timeout: float = 120) -> Crawl:
    """`petdata crawl pet911` against the site at `url`."""
    done = subprocess.run(
        [*COMMAND, "--base-url", url, *FAST, *options],
        env=environment(home),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Crawl(done.returncode, done.stderr, json.loads(done.stdout or "{}"))


def crawl_well(home: Path, url: str, *options: str) -> dict[str, Any]:
    done = crawl(home, url, *options)
    assert done.code == 0, done.stderr
    assert_verified(home)
    assert_log_has_no_errors(home)
    return done.report


def assert_log_has_no_errors(home: Path) -> None:
    log = (home / "runs" / "crawl-pet911.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


def assert_verified(home: Path) -> None:
    assert list(verify_source(Workspace(root=home), "pet911")) == []


def collected(home: Path) -> dict[str, list[Photo]]:
    """The current photos by identity, in order."""
    photos: dict[str, list[Photo]] = {}
    for photo in current_photos(Workspace(root=home), "pet911"):
        photos.setdefault(photo.identity_id.removeprefix("pet911/"), []).append(photo)
    return photos
