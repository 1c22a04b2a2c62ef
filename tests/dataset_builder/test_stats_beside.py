"""Texts that repeat, in statistics of shards and of a release: by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from worlds import Animal, add, build_release, photo, sha256

from petdata.cli import app
from petdata.side_table_kinds import DESCRIPTIONS, Producer
from petdata.side_tables import append_rows, table_folder
from petdata.workspace import Workspace

CATS = [photo(n) for n in range(30, 35)]
LOST = "Пропал рыжий кот у метро"
ANIMALS = [
    Animal("pet911/rl610001", CATS[:2], title=LOST),
    Animal("pet911/rl610002", CATS[2:3], title=LOST + " Сокол"),
    Animal("pet911/rl610003", CATS[3:], title="Кошка"),
]
# Of the second cat's photos nothing is said, of the third one's the same.
SAID = {0: "red cat, white chest, long tail", 1: "grey", 3: "black cat", 4: "black cat"}


def said(n: int, text: str) -> dict[str, str]:
    made = {"language": "en", "model": "m", "prompt_version": "1"}
    return {"sha256": sha256(CATS[n]), "text": text} | made


def repeats(*command: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["stats", *command, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["text_repeats"]
    return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    workspace = Workspace(root=tmp_path)
    add(workspace, ANIMALS)
    rows = [said(n, text) for n, text in SAID.items()]
    append_rows(table_folder(tmp_path, "said"), DESCRIPTIONS, Producer(model="m"), rows)
    return workspace


def test_of_shards_and_of_a_release_with_texts(workspace: Workspace) -> None:
    build_release(workspace, keep_text=True)
    for found in (repeats("--shards"), repeats("pets")):
        assert found["owner"] == {
            **{"photos": 5, "texts": 5, "with_siblings": 4},
            **{"identical_within": 4, "near_within": 4},
            **{"identical_across": 0, "near_across": 3},  # one word more
            **{"share_identical_within": 1.0, "share_near_within": 1.0},
            **{"share_identical_across": 0.0, "share_near_across": 0.6},
        }
        assert found["said"]["texts"] == 4
        assert found["said"]["share_identical_within"] == 0.5


def test_a_release_without_texts_has_none_of_owners(workspace: Workspace) -> None:
    build_release(workspace)
    assert set(repeats("pets")) == {"said"}


def test_a_table_made_after_the_release_is_that_of_the_workspace(workspace: Workspace) -> None:
    build_release(workspace)
    rows = [said(0, "later")]
    append_rows(table_folder(workspace.root, "later"), DESCRIPTIONS, Producer(model="n"), rows)
    assert repeats("pets")["later"]["texts"] == 1


def test_they_stand_in_the_table_and_on_the_page(workspace: Workspace) -> None:
    build_release(workspace, keep_text=True)
    page = workspace.root / "pets.html"
    printed = CliRunner().invoke(app, ["stats", "pets", "--html", str(page)]).stdout
    assert "whose text another photo has" in printed
    assert "Texts that repeat" in page.read_text()
    assert "60.0%" in page.read_text()
