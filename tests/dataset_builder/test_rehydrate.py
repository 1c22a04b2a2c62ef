"""A release by its id on the Hub, and recipes that get their pixels back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from small_release import PETS, small_release
from typer.testing import CliRunner, Result
from worlds import add, photo

from dataset_builder.open_release import find_release
from dataset_builder.rehydrate import rehydrate
from dataset_builder.verify import Verification
from petdata.cli import app
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.errors import CorruptFile, PetdataError
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

REPO = "user/pets"
PHOTOS_WITHHELD = 17  # of pet911, telegram and petface; one of PETS' 18 repeats another


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("published") / "workspace")


@pytest.fixture(scope="module")
def hub(release: Path) -> Iterator[HubServer]:
    """With a recipe of the release on it, pushed by the command."""
    with HubServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        address = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + address)
        patch.setattr(constants, "ENDPOINT", server.url)  # all as HF_ENDPOINT does it
        patch.setenv("HF_TOKEN", TOKEN)
        done = petdata(release.parents[2], "push", "pets", REPO)
        assert done.exception is None, done.output
        assert f"{REPO}@v1.0.0 is there" in done.output
        assert "pixels of pet911, petface, telegram stayed here" in done.output
        yield server


@pytest.fixture(scope="module")
def recipe(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe") / "release"
    done = petdata(folder.parent, "pull", f"{REPO}@v1.0.0", "--into", str(folder))
    assert done.exception is None, done.output
    assert f"petdata rehydrate {folder}" in done.output
    return folder


@pytest.fixture(scope="module")
def others_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's workspace, who has collected and imported the same, in another order."""
    root = tmp_path_factory.mktemp("others")
    add(Workspace(root=root), sorted(PETS, key=lambda pet: pet.identity, reverse=True))
    return root


@pytest.fixture
def workspace(recipe: Path, others_shards: Path, tmp_path: Path) -> Workspace:
    """With those shards, and with the recipe as pets@1.0.0."""
    shutil.copytree(others_shards, tmp_path / "own")
    shutil.copytree(recipe, tmp_path / "own" / "releases" / "pets" / "1.0.0")
    return Workspace(root=tmp_path / "own")


def petdata(root: Path, *command: str) -> Result:
    return CliRunner().invoke(app, command, env={"PETDATA_HOME": str(root), "COLUMNS": "200"})


def content_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def recipe_of(workspace: Workspace) -> Path:
    return workspace.root / "releases" / "pets" / "1.0.0"


def test_a_recipe_becomes_the_release_that_was_published(
    workspace: Workspace, release: Path
) -> None:
    done = petdata(workspace.root, "rehydrate", "pets@1.0.0")
    assert done.exception is None, done.output
    assert f"{PHOTOS_WITHHELD} photos filled in" in done.output
    assert content_of(recipe_of(workspace)) == content_of(release)
    assert [path.name for path in recipe_of(workspace).parent.iterdir()] == ["1.0.0"]
    scrutiny = Verification(workspace=workspace, release=recipe_of(workspace))
    assert list(scrutiny.problems()) == []
    assert not scrutiny.not_repeated
    assert "has all its pixels already" in petdata(workspace.root, "rehydrate", "pets").output
    assert "is user/pets already" in petdata(workspace.root, "pull", REPO).output


def test_photos_that_are_not_here_are_counted_and_nothing_changes(workspace: Workspace) -> None:
    shutil.rmtree(workspace.shards("petface"))
    workspace.ledger("petface").unlink()
    add_takedown(workspace.takedowns, PETS[0].identity, "asked", date(2026, 1, 1))
    before = content_of(recipe_of(workspace))
    done = petdata(workspace.root, "rehydrate", "pets@1.0.0")
    assert isinstance(done.exception, PetdataError)
    assert done.exception.exit_code == 1
    assert "2 of pet911, 3 of petface" in str(done.exception)
    assert content_of(recipe_of(workspace)) == before


def test_a_run_that_was_cut_off_while_moving_is_ended(
    workspace: Workspace, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    replace = Path.replace

    def stop_at_the_second(path: Path, target: Path) -> Path:
        if ".rehydrated" in str(path) and not path.name.endswith(".tmp"):
            if len(moved) == 2:
                raise KeyboardInterrupt
            moved.append(path)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            rehydrate(workspace, recipe_of(workspace))
    assert rehydrate(workspace, recipe_of(workspace)).is_full
    assert content_of(recipe_of(workspace)) == content_of(release)


def test_other_pixels_are_refused_by_the_name_of_their_shard(workspace: Workspace) -> None:
    [shard] = workspace.shards("telegram").iterdir()
    jpeg = photo(10)
    damaged = shard.read_bytes().replace(jpeg, jpeg[:-3] + b"\0" + jpeg[-2:])
    shard.chmod(0o644)
    shard.write_bytes(damaged)
    with pytest.raises(CorruptFile, match=rf"{shard}, row \d+: the photo is not the one"):
        rehydrate(workspace, recipe_of(workspace))


def test_other_rows_are_refused_though_their_photos_are_here(workspace: Workspace) -> None:
    path = next(recipe_of(workspace).glob("data/petface/*/*.parquet"))
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("species")
    dogs = pa.array(["dog"] * len(table), table.schema.field(place).type)
    table = table.set_column(place, table.schema.field(place), dogs)
    path.chmod(0o644)
    pq.write_table(table, path)
    with pytest.raises(CorruptFile, match="not those that were published"):
        rehydrate(workspace, recipe_of(workspace))


# By its id on the Hub


def test_pulled_releases_are_found_by_name(hub: HubServer, recipe: Path, tmp_path: Path) -> None:
    done = petdata(tmp_path, "pull", REPO)
    assert done.exception is None, done.output
    assert "petdata rehydrate pets@1.0.0" in done.output
    found = find_release(Workspace(root=tmp_path), "pets@1.0.0")
    assert content_of(found) == content_of(recipe)
    branch = petdata(tmp_path, "pull", f"{REPO}@main")
    assert "name a folder with --into" in str(branch.exception)
    retired = tmp_path / "releases" / "pets" / "retired.json"
    retired.write_text(json.dumps({"1.0.0": {}}))
    shutil.rmtree(found)
    assert "was retired here" in str(petdata(tmp_path, "pull", REPO).exception)


def test_a_command_takes_a_hub_id(hub: HubServer, recipe: Path, tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    done = petdata(tmp_path, "verify", REPO, "--quick")
    assert done.exception is None, done.output
    found = find_release(workspace, REPO)
    assert found.is_relative_to(tmp_path / "cache" / "hub")
    assert content_of(found) == content_of(recipe)
    hub.forget_requests()
    assert find_release(workspace, f"{REPO}@v1.0.0") == found
    assert find_release(workspace, f"{REPO}@1.0.0") == found
    assert not hub.requests
    assert find_release(workspace, f"{REPO}@main").name == hub.repository(REPO).tags["v1.0.0"]
    with pytest.raises(PetdataError, match="404"):
        find_release(workspace, f"{REPO}@v9.0.0")


def test_commands_that_show_photos_say_that_a_recipe_has_none(recipe: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    for command in (["stats", str(recipe), "--html"], ["links", "show", str(recipe), "-o"]):
        done = petdata(tmp_path, *command, str(page))
        assert done.exception is None, done.output
        assert f"petdata rehydrate {recipe}" in done.output
