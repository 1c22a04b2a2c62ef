"""What the documentation shows is true: README's examples run, docs/cli.md is what --help says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from petdata.cli import app
from petdata.intake import Intake
from petdata.workspace import Workspace
from pictures_for_tests import jpeg
from test_intake import make_listing

ROOT = Path(__file__).parent.parent


def python_examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def folder_with_shards(tmp_path: Path) -> Path:
    with Intake(Workspace(root=tmp_path / "demo-data"), "pet911") as intake:
        for n, photo in enumerate(intake.take_listing(make_listing())):
            intake.keep_photo(photo.key, intake.examine(jpeg(n)))
    return tmp_path


@pytest.mark.parametrize("example", python_examples())
def test_an_example_of_the_readme_runs_as_written(folder_with_shards: Path, example: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=folder_with_shards,
        env=os.environ | {"HF_HOME": str(folder_with_shards / "hf"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = "cat" if "duckdb" in example else "pet911/rl100001 (320, 240)"
    assert expected in done.stdout


def test_every_page_that_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def commands() -> Iterator[list[str]]:
    """The words of every command, the program itself first."""

    def walk(command: object, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, child in sorted(getattr(command, "commands", {}).items()):
            yield from walk(child, [*words, name])

    yield from walk(typer.main.get_command(app), [])


def help_pages() -> str:
    """docs/cli.md as the commands themselves would write it."""
    parts = ["# Commands\n\nAs `--help` prints them.\n"]
    for words in commands():
        result = CliRunner().invoke(
            app, [*words, "--help"], prog_name="petdata", terminal_width=100
        )
        assert result.exit_code == 0
        page = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        parts.append(f"## {' '.join(['petdata', *words])}\n\n```\n{page}\n```\n")
    return "\n".join(parts)


def test_the_page_of_commands_is_what_help_says() -> None:
    """After a change of options: UPDATE_DOCS=1 pytest tests/test_docs.py"""
    page = ROOT / "docs" / "cli.md"
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(help_pages())
    assert page.read_text() == help_pages()
