"""The settings as the two commands load them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scrapy.core.downloader import Slot

from crawlers.run import project_settings
from crawling import ROOT, environment


def run_beside_invalid_toml(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder whose petdata.toml cannot be read."""
    (folder / "petdata.toml").write_text("contact = \n")
    (folder / "scrapy.cfg").write_bytes((ROOT / "scrapy.cfg").read_bytes())
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [("petdata.cli", "crawl", "pet911"), ("scrapy", "crawl", "pet911")]
)
def test_an_invalid_petdata_toml_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run_beside_invalid_toml(tmp_path, *command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{tmp_path / 'petdata.toml'} is not valid TOML" in done.stderr.splitlines()[-1]


def test_spiders_are_listed_beside_an_invalid_petdata_toml(tmp_path: Path) -> None:
    done = run_beside_invalid_toml(tmp_path, "scrapy", "list")
    assert (done.returncode, done.stdout) == (0, "pet911\n"), done.stderr


def test_no_wait_is_shorter_than_the_download_delay() -> None:
    """Scrapy's own jitter would wait 1 to 3 s for a delay of 2 s."""
    settings = project_settings()
    slot = Slot(1, settings.getfloat("DOWNLOAD_DELAY"), settings.getfloat("DOWNLOAD_DELAY_JITTER"))
    assert min(slot.download_delay() for _ in range(100)) >= 2.0
