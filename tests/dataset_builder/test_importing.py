"""`petdata import` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from data_sets import WRITERS

from dataset_builder.verification_pairs import pairs_path
from petdata.workspace import Workspace
from pictures_for_tests import jpeg


def petdata(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "petdata.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=os.environ | {"PETDATA_HOME": str(home), "COLUMNS": "120"},
    )


def test_a_data_set_is_imported_and_looked_at_like_a_collected_one(tmp_path: Path) -> None:
    truth = WRITERS["lcw.zip"](tmp_path / "lcw")
    done = petdata(tmp_path, "import", "lcw", str(tmp_path / "lcw"), "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    photos = sum(len(paths) for paths in truth.photos.values())
    assert report["in_all"] == {
        "photos": photos + 3,
        "kept": photos,
        "dropped": {"duplicate_in_identity": 1, "not_an_image": 1, "truncated": 1},
        "identities": len(truth.photos),
    }
    assert report["published"][0] == {
        "by": "Kudryavtsev et al. 2026",
        "photos": 381_267,
        "identities": 140_732,
    }
    status = json.loads(petdata(tmp_path, "status", "--json").stdout)
    assert status["sources"][0]["current_photos"] == photos
    verified = petdata(tmp_path, "shards", "verify", "lcw")
    assert f"{photos} photos verified" in verified.stdout
    shown = petdata(tmp_path, "shards", "show", "lcw", "-o", "sheet.html")
    assert f"{len(truth.photos)} identities" in shown.stdout


def test_the_table_shows_published_counts_and_reasons(tmp_path: Path) -> None:
    WRITERS["petface.tar.gz"](tmp_path / "petface")
    done = petdata(tmp_path, "import", "petface", str(tmp_path / "petface"), "--workers", "1")
    assert done.returncode == 0, done.stderr
    for words in (
        ["published: listing of the cat archive, cats alone", "643,539", "164,100"],
        ["kept", "24", "8"],
        ["1 cat photos on no list"],
    ):
        assert any(all(word in line for word in words) for line in done.stderr.splitlines()), words
    assert pairs_path(Workspace(root=tmp_path)).exists()


def test_own_photos_need_a_declared_source(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "Tom").mkdir(parents=True)
    (photos / "Tom/1.jpg").write_bytes(jpeg(1))
    command = ("import", "folder", str(photos), "--source", "shelter")
    done = petdata(tmp_path, *command)
    assert done.returncode == 1
    assert "petdata.toml does not declare a source 'shelter'" in done.stderr
    (tmp_path / "petdata.toml").write_text("[sources.shelter]\n")
    done = petdata(tmp_path, *command)
    assert done.returncode == 2
    assert "give --species" in done.stderr
    done = petdata(tmp_path, *command, "--species", "cat", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["in_all"]["kept"] == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["lcw", "nowhere"], "there is no nowhere"),
        (["petface", ".", "--families", "goat"], "no family goat"),
        (["dogs-world", "."], "is it Dogs-World?"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    tmp_path: Path, arguments: list[str], why: str
) -> None:
    done = petdata(tmp_path, "import", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert why in done.stderr.splitlines()[-1]
