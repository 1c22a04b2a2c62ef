from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from petdata.intake import Intake
from petdata.workspace import Workspace
from pictures_for_tests import jpeg
from test_intake import make_listing


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with one listing of three photos."""
    with Intake(Workspace(root=tmp_path / "home"), "pet911") as intake:
        for n, photo in enumerate(intake.take_listing(make_listing())):
            intake.keep_photo(photo.key, intake.examine(jpeg(n)))
    return tmp_path / "home"


def petdata(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PETDATA_CONTACT"}
    return subprocess.run(
        [sys.executable, "-m", "petdata.cli", *arguments],
        env=clean | {"PETDATA_HOME": str(home), "COLUMNS": "200"} | environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom petdata.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'datasets', 'scrapy', 'transformers', 'pyarrow', 'numpy', 'duckdb'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_status_says_what_is_there(home: Path) -> None:
    text = petdata(home, "status").stdout
    assert str(home) in text
    assert "pet911" in text
    document = json.loads(petdata(home, "status", "--json").stdout)
    [source] = document["sources"]
    assert (source["identities"], source["current_photos"], source["shards"]) == (1, 3, 1)


def test_status_of_an_empty_workspace_says_how_to_start(tmp_path: Path) -> None:
    done = petdata(tmp_path / "none", "status")
    assert done.returncode == 0
    assert "petdata crawl pet911" in done.stdout
    assert not (tmp_path / "none").exists()


def test_shards_are_listed_verified_and_shown(home: Path) -> None:
    [shard] = json.loads(petdata(home, "shards", "list", "--json").stdout)["pet911"]
    assert shard["rows"] == 3
    assert Path(shard["path"]).exists()
    assert "3 photos verified" in petdata(home, "shards", "verify").stdout
    assert petdata(home, "shards", "show", "pet911").returncode == 0
    page = (home / "runs" / "contact-sheet-pet911.html").read_text()
    assert page.count("<img ") == 3
    assert "pet911/rl100001" in page


def test_a_damaged_photo_is_found_and_named(home: Path) -> None:
    [shard] = (home / "shards" / "pet911").iterdir()
    content = bytearray(shard.read_bytes())
    at = content.find(b"\xff\xd8\xff") + 2000
    content[at] ^= 0x55
    shard.write_bytes(content)
    done = petdata(home, "shards", "verify", "pet911")
    assert done.returncode == 1
    assert shard.name in done.stdout
    assert "Traceback" not in done.stderr


def test_a_missing_shard_is_found(home: Path) -> None:
    [shard] = (home / "shards" / "pet911").iterdir()
    shard.unlink()
    done = petdata(home, "shards", "verify")
    assert done.returncode == 1
    assert shard.name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["crawl", "pet911"], 2, "PETDATA_CONTACT"),
        (["crawl", "pet911", "--species", "cat,unicorn"], 1, "unicorn"),
        (["crawl", "pet911", "--min-photos", "9"], 1, "min_photos"),
        (["crawl", "pet911", "--city", "Москва"], 1, "city=moskva"),
        (["shards", "list", "telegram"], 1, "telegram"),
        (["forget", "murka", "--reason", "x"], 1, "murka"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(
    home: Path, arguments: list[str], code: int, said: str
) -> None:
    done = petdata(home, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_forget_writes_the_takedown(home: Path) -> None:
    done = petdata(home, "forget", "https://pet911.ru/lost/cat/rl100001", "--reason", "asked")
    assert done.returncode == 0
    assert "pet911/rl100001" in (home / "takedowns.toml").read_text()


def test_forget_knows_the_sources_that_the_workspace_declares(home: Path) -> None:
    declared = 'home = "home"\n[sources.my-shelter]\ntitle = "Mine"\n'
    (home.parent / "petdata.toml").write_text(declared)
    assert petdata(home, "forget", "my-shelter/7", "--reason", "asked").returncode == 0
    refused = petdata(home, "forget", "my-shelters/7", "--reason", "asked")
    assert refused.returncode == 1
    assert "my-shelter," in refused.stderr
    assert (home / "takedowns.toml").read_text().count("[[takedown]]") == 1


def test_a_missing_extra_names_itself(home: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "scrapy.py").write_text("raise ModuleNotFoundError('no', name='scrapy')")
    done = petdata(
        home, "crawl", "pet911", PETDATA_CONTACT="me@example.org", PYTHONPATH=str(blocked)
    )
    assert done.returncode == 2
    assert "pip install -e '.[crawl]'" in done.stderr
