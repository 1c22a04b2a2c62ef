"""petdata search: the index against a sorted list of products, then the command on a release."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scattered import scattered
from training import tiny, training_workspace
from typer.testing import CliRunner, Result
from worlds import photo

from evaluation.embed_flags import EmbedFlags
from evaluation.embeddings import Embeddings
from evaluation.opened import open_both
from evaluation.search import (
    build_index,
    embed_photo,
    nearest_identities,
    open_index,
    read_photo,
)
from petdata.cli import app
from petdata.errors import PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.data import open_photos
from trainer.train import train

QUICK = ("--split", "validation", "--workers", "0", "--device", "cpu")
FLAGS = EmbedFlags(split="validation", workers=0, device="cpu")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = training_workspace(tmp_path_factory.mktemp("search") / "home")
    train(tiny(name="cats", max_steps=1), workspace)
    train(tiny(name="cut", max_steps=1, crop="boxes"), workspace)
    both = {"text_encoder": "e5-small-v2", "fusion": "concat", "text_from": "owner"}
    train(tiny(name="read", max_steps=1, **both), workspace)
    return workspace


@pytest.fixture(autouse=True)
def _here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)


@pytest.fixture
def its_photo(workspace: Workspace, tmp_path: Path) -> tuple[Path, str, str]:
    """A photo of the release as a file, its id and its identity."""
    photos = open_photos(open_release("pets", workspace=workspace), "validation")
    row = len(photos) // 2
    (tmp_path / "photo.jpg").write_bytes(photos.read_one(row))
    identity = photos.groups[int(photos.labels[row])].as_py()
    return tmp_path / "photo.jpg", photos.photo_ids[row].as_py(), identity


def petdata(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def searched(*arguments: str) -> dict[str, Any]:
    result = petdata("search", *arguments, *QUICK, "--json")
    assert result.exit_code == 0
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize("top", [1, 3, 25, 100])
def test_identities_stand_where_their_best_photos_do(top: int) -> None:
    photos = scattered(1.0)
    vector = scattered(1.0, seed=5).vectors[0]
    scores = photos.vectors @ vector
    order: dict[str, list[int]] = {}
    for row in np.argsort(-scores).tolist():
        order.setdefault(photos.identity_ids[row].as_py(), []).append(row)
    found = nearest_identities(build_index(photos.vectors), photos, vector, top=top)
    assert [each.identity_id for each in found] == list(order)[:top]
    for each in found:
        rows = order[each.identity_id]
        assert each.similarity == pytest.approx(scores[rows[0]], abs=1e-6)
        shown = [one.photo_id for one in each.photos]
        assert shown == photos.photo_ids.take(rows).to_pylist()[: len(shown)]
        assert each.species == photos.species[rows[0]].as_py()


def test_one_identity_may_have_all_near_photos() -> None:
    """More photos are asked for until there are as many identities as wanted."""
    near, far = scattered(0.01, identities=1, photos=90), scattered(0.5, identities=30, seed=1)
    both = Embeddings(
        vectors=np.concatenate([near.vectors, far.vectors]),
        identity_ids=pa.array(["near"] * 90 + far.identity_ids.to_pylist()),
        photo_ids=pa.array([f"photo {n}" for n in range(90 + len(far))]),
    )
    found = nearest_identities(build_index(both.vectors), both, near.vectors[0], top=5)
    assert len({each.identity_id for each in found}) == 5
    assert found[0].identity_id == "near"


def test_the_graph_finds_nearly_the_same_and_is_kept(tmp_path: Path) -> None:
    photos = scattered(1.0, identities=400)
    exact, graph = build_index(photos.vectors), open_index(tmp_path, photos.vectors, "hnsw")
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    again = open_index(tmp_path, photos.vectors, "hnsw")
    assert kept.stat().st_mtime_ns == before
    right = 0
    for vector in photos.vectors[:50]:
        first, second, third = (
            [each.identity_id for each in nearest_identities(index, photos, vector, top=5)]
            for index in (exact, graph, again)
        )
        assert second == third
        right += len(set(first) & set(second))
    assert right >= 0.95 * 250
    fewer = photos.vectors[:100]
    assert open_index(tmp_path, fewer, "hnsw").ntotal == 100  # of other photos it is made anew


@pytest.mark.parametrize("model", ["cats", "cut", "read"])
@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_a_photo_of_the_release_finds_its_animal(
    its_photo: tuple[Path, str, str], model: str, index: str
) -> None:
    file, photo_id, identity = its_photo
    told = searched(model, "pets", str(file), "--index", index, "--top", "2")
    assert len(told["found"]) == 2
    first = told["found"][0]
    assert first["identity_id"] == identity
    assert first["similarity"] == pytest.approx(1, abs=1e-5)
    best = first["photos"][0]
    assert best == {"photo_id": photo_id, "similarity": first["similarity"], "is_the_photo": True}
    assert not any(
        each["is_the_photo"] for each in (*first["photos"][1:], *told["found"][1]["photos"])
    )


def test_a_stranger_is_compared_too(tmp_path: Path) -> None:
    (tmp_path / "new.jpg").write_bytes(photo(777))
    told = searched("cats", "pets", str(tmp_path / "new.jpg"))
    similarities = [each["similarity"] for each in told["found"]]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] < 1
    assert not any(one["is_the_photo"] for each in told["found"] for one in each["photos"])


def test_what_is_said_counts(workspace: Workspace, its_photo: tuple[Path, str, str]) -> None:
    opened = open_both("read", "pets", FLAGS, workspace)
    asked = read_photo(its_photo[0])
    own, other = (embed_photo(opened, asked, text=text) for text in (None, "a black dog"))
    assert float(own @ other) < 0.999
    with pytest.raises(PetdataError, match="cats reads no texts"):
        embed_photo(open_both("cats", "pets", FLAGS, workspace), asked, text="red")


def test_people_see_a_table_and_a_page(its_photo: tuple[Path, str, str], tmp_path: Path) -> None:
    file, photo_id, identity = its_photo
    page = tmp_path / "sub" / "found.html"
    result = petdata("search", "cats", "pets", str(file), *QUICK, "--html", str(page))
    assert result.exit_code == 0
    first, second, *_ = result.stdout.splitlines()
    assert first == f"  1  1.0000  {identity}, cat"
    assert second == f"       1.0000  {photo_id} (this photo)"
    assert result.stdout.splitlines()[-1] == str(page)
    written = page.read_text()
    assert written.count("src='data:image/jpeg;base64,") == 1 + 3 * 3  # three animals of three
    assert f"<h3>1. {identity}</h3>" in written
    assert not re.search(r"https?:|<script", written)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<svg onload='x'/>", "is no photo to search with: not_an_image"),
        (b"\xff\xd8\xff\xe0", "is no photo to search with: "),
        (b"", "is no photo to search with: "),
    ],
)
def test_a_hostile_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "evil.jpg").write_bytes(content)
    with pytest.raises(PetdataError, match=said) as caught:
        petdata("search", "cats", "pets", str(tmp_path / "evil.jpg"), *QUICK)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_is_said(tmp_path: Path, its_photo: tuple[Path, str, str]) -> None:
    with pytest.raises(PetdataError, match="is no file"):
        petdata("search", "cats", "pets", str(tmp_path), *QUICK)
    file = str(its_photo[0])
    with pytest.raises(PetdataError, match="ask for one identity or more"):
        petdata("search", "cats", "pets", file, *QUICK, "--top", "0")
    with pytest.raises(PetdataError, match="index 'ivf': choose from exact, hnsw"):
        petdata("search", "cats", "pets", file, *QUICK, "--index", "ivf")
