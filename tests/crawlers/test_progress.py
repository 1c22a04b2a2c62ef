"""The progress line and the table on hand-made states, and crawls whose stderr nobody reads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from crawlers.options import CrawlOptions
from crawlers.progress import progress_line
from crawlers.report import StderrConsole, print_report
from crawlers.state import CrawlState
from crawling import ROOT, assert_verified, collected, environment
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import plain_config
from petdata.intake import Intake
from petdata.workspace import Workspace

COUNTS = {
    "listing/kept": 1_200,
    "photo/stored": 5_000,
    "photo/kept": 4_990,
    "photo/postponed": 77,
    "photo/truncated": 3,
    "photo/not_found": 41,
    "photo/unreachable": 2,
    "photo/corrupt": 9,
    "bytes": 1_234_567_890,
}


def state(
    tmp_path: Path, *, read: int, seconds: float, goal: int | None, counts: dict[str, int]
) -> CrawlState:
    return CrawlState(
        options=CrawlOptions(max_listings=goal),
        workspace=Workspace(root=tmp_path),
        command="crawl",
        opened_intake=cast(Intake, SimpleNamespace(counts=Counter(counts))),
        counts=Counter(listing=read),
        started=time.monotonic() - seconds,
    )


def test_the_line_has_counts_the_commonest_reasons_the_rate_and_the_time_left(
    tmp_path: Path,
) -> None:
    line = progress_line(state(tmp_path, read=2_000, seconds=4_000.0, goal=4_000, counts=COUNTS))
    assert line.split(" | ")[:4] == [
        "2,000 listings read, 1,200 kept",
        "5,000 photos, 1,234.6 MB",
        "dropped: not_found 41, corrupt 9, truncated 3",
        "0.50 listings/s",
    ]
    assert line.split(" | ")[4].startswith("about 1:06:4")  # 2,000 at 0.5/s: 4,000 s


@pytest.mark.parametrize(("read", "goal"), [(10, None), (0, 10), (10, 10), (11, 10)])
def test_no_time_left_is_invented(tmp_path: Path, read: int, goal: int | None) -> None:
    line = progress_line(state(tmp_path, read=read, seconds=10.0, goal=goal, counts={}))
    assert "left" not in line
    assert "dropped" not in line


def test_there_is_a_line_before_the_intake_is_open() -> None:
    early = CrawlState(options=CrawlOptions(), workspace=Workspace(root=Path()), command="crawl")
    assert progress_line(early) == ("0 listings read, 0 kept | 0 photos, 0.0 MB | 0.00 listings/s")


REPORT: dict[str, Any] = {
    "source": "pet911",
    "outcome": "finished",
    "listings": {"found": 1_300, "kept": 1_200, "too_few_photos": 100},
    "photos": {"stored": 5_000, "kept": 4_990, "not_found": 41},
    "bytes": 1_234_567_890,
    "shards": 19,
    "requests": 6_543,
    "catalogue_total": None,
    "walked": None,
    "seconds": 12.34,
    "warnings": [],
}


def printed(report: dict[str, Any], *, terminal: bool) -> str:
    output = io.StringIO()
    print_report(Console(file=output, force_terminal=terminal, width=80, highlight=False), report)
    return output.getvalue()


def table_rows(text: str) -> dict[str, str]:
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in text.splitlines()]
    return {row[0]: row[1] for row in cells if len(row) == 2}


def test_the_table_has_every_count_once() -> None:
    text = printed(REPORT, terminal=False)
    assert text.splitlines()[0].rstrip() == "pet911: finished"
    assert "\x1b" not in text
    assert table_rows(text) == {
        "listings: kept": "1,200",
        "listings: too few photos": "100",
        "photos: kept": "4,990",
        "photos: not found": "41",
        "JPEG fetched and kept": "1,234.6 MB",
        "shards written": "19",
        "requests": "6,543",
        "time": "12.3 s",
    }


def test_a_walk_to_the_end_is_compared_and_warnings_stand_out_on_a_terminal() -> None:
    warning = "the catalogue [says] it has 2,000 listings, the walk met 1,300"
    report = REPORT | {"catalogue_total": 2_000, "walked": 1_300, "warnings": [warning]}
    plain = printed(report, terminal=False)
    assert table_rows(plain)["listings in the catalogue, as it says"] == "2,000"
    assert table_rows(plain)["listings met walking it to its end"] == "1,300"
    assert plain.endswith(f"look at this: {warning}\n")
    assert f"\x1b[33mlook at this: {warning}\x1b[0m\n" in printed(report, terminal=True)


def test_who_writes_to_a_pipe_that_nobody_reads_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich's own console raises SystemExit."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        console = StderrConsole()
        console.print("nobody reads this")
        console.print("nor this")
    assert console.quiet


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-", "2> >(exec true)"])
@pytest.mark.parametrize(
    "command",
    ["petdata.cli crawl pet911 --json --base-url", "scrapy crawl pet911 -a base_url="],
)
def test_a_crawl_needs_no_stderr(tmp_path: Path, command: str, redirection: str) -> None:
    home = tmp_path / "home"
    with Site(plain_config(8, seed=3, photo_pool=24)) as site:
        url = site.url if command.endswith("=") else f" {site.url}"
        done = subprocess.run(
            ["bash", "-c", f"exec {sys.executable} -m {command}{url} {redirection}"],
            env=environment(home),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=False,
        )
    assert done.returncode == 0
    assert_verified(home)
    assert collected(home)
