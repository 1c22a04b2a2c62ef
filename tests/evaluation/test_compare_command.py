"""petdata compare on stored evaluations of drawn embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scattered import scattered
from statsmodels.stats.contingency_tables import mcnemar
from typer.testing import CliRunner, Result

from evaluation.embeddings import PART_SCHEMA, Embeddings, finish, write_part
from evaluation.evaluate import EvaluateOptions, evaluate
from evaluation.stored import store
from evaluation.validation import rank_species
from petdata.cli import app
from petdata.errors import PetdataError

NOISE = {"old": 1.6, "new": 0.6, "newer": 0.5}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("compare")
    for name, noise in NOISE.items():
        keep(home, name, scattered(noise, identities=40))
    keep(home, "fewer", scattered(0.6, identities=30))
    return home


def keep(home: Path, name: str, embeddings: Embeddings) -> None:
    folder = home / "cache" / "embeddings" / f"key-of-{name}"
    folder.mkdir(parents=True)
    columns = ("photo_ids", "identity_ids", "sources", "species", "sha256")
    table = pa.table([getattr(embeddings, each) for each in columns], schema=PART_SCHEMA)
    write_part(folder, 0, embeddings.vectors, table)
    hashes = {"model_hash": name, "dataset_hash": "drawn"}
    finish(folder, parts=1, offered=len(embeddings), about=hashes)
    found = evaluate(embeddings, EvaluateOptions(resamples=100))
    about = {"model": name, "embeddings": folder.name}
    store(home / "evaluations" / name, about, embeddings, found, {})


@pytest.fixture(autouse=True)
def _here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(home))
    monkeypatch.chdir(home)


def compare(*names: str) -> Result:
    arguments = ["compare", *names, "--resamples", "200"]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def hits(noise: float) -> Any:
    return rank_species(scattered(noise, identities=40)).hits(1)


def test_what_can_be_concluded_is_said() -> None:
    said = compare("old", "new", "newer").stdout
    assert "new finds the right animal first more often than old: +" in said
    assert "newer finds the right animal first more often than old: +" in said
    assert "after Holm for 2 comparisons" in said


def test_both_tests_are_printed() -> None:
    old, new = hits(NOISE["old"]), hits(NOISE["new"])
    both = [[np.sum(o & n) for n in (new, ~new)] for o in (old, ~old)]
    exact, corrected = (mcnemar(both, exact=kind) for kind in (True, False))
    line = compare("old", "new").stdout.splitlines()[3]
    assert f"{both[0][1]} only the first, {both[1][0]} only the second" in line
    assert f"exact p = {exact.pvalue:.2g}," in line
    assert f"corrected chi-squared {corrected.statistic:.2f}, p = {corrected.pvalue:.2g};" in line


def test_json_has_the_words_too() -> None:
    (told,) = json.loads(compare("old", "new", "--json").stdout)
    assert told["in_words"][0].startswith("new finds the right animal first more often than old")
    assert told["top_1"]["low"] > 0
    assert (told["first"], told["second"]) == ("old", "new")


def test_what_cannot_be_compared_is_said(home: Path) -> None:
    for names, said in (
        (("old", "other"), "no evaluation 'other'; here are fewer, new, newer, old"),
        (("old", "old"), "named twice"),
        (("old",), "two models or more"),
        (("old", "fewer"), "embed different photos"),
    ):
        with pytest.raises(PetdataError, match=said):
            compare(*names)
    keep(home, "cleared", scattered(0.6, identities=40))
    (home / "cache" / "embeddings" / "key-of-cleared" / "embeddings.json").unlink()
    with pytest.raises(PetdataError, match="evaluate cleared again"):
        compare("old", "cleared")
