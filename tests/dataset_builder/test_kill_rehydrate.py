"""What filling a recipe leaves that is killed at its N-th system call, or whose disk fails."""

from __future__ import annotations

import hashlib
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from disk_faults import CALLS, CAUSES, everything_fails_from
from kill_matrix import (
    CHANGING,
    READING,
    WRITING,
    Command,
    Moment,
    Uninterrupted,
    at_once,
    kill,
    kinds,
    needs_strace,
    sample,
)
from test_kill_build import FOR_DELETING, contents
from worlds import Animal, add, build_release, photo

from dataset_builder.recipe import write_recipe
from dataset_builder.rehydrate import rehydrate
from petdata.manifest import read_manifest
from petdata.sources import SOURCES
from petdata.workspace import Workspace

pytestmark = needs_strace()

SEED = 20261128
EVERY = 10**6
RELEASE = "releases/pets/1.0.0"
PETS = [
    Animal("pet911/rl500001", [photo(1), photo(1, 1)]),
    Animal("telegram/1000-5", [photo(2)]),
    Animal("lcw/17", [photo(3)]),
]


@dataclass(frozen=True)
class World:
    published: Path  # the workspace whose release is full
    before: Path  # the same shards, and the recipe
    uninterrupted: Uninterrupted


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    published = tmp_path_factory.mktemp("published") / "workspace"
    published.mkdir()
    add(Workspace(root=published), PETS)
    release = build_release(Workspace(root=published))
    recipe = tmp_path_factory.mktemp("recipe")
    write_recipe(release, read_manifest(release), ["pet911", "telegram"], SOURCES, recipe)
    before = tmp_path_factory.mktemp("before") / "workspace"
    shutil.copytree(published, before, ignore=shutil.ignore_patterns("releases"))
    shutil.copytree(recipe, before / RELEASE)  # links become files
    command = rehydrating(before, tmp_path_factory.mktemp("uninterrupted") / "workspace")
    done, calls = command.trace((*CHANGING, *READING))
    assert done.returncode == 0, done.stderr
    made = [call for call in calls if call.path.startswith("releases") and call.changes]
    assert len({call.thread for call in made}) == 1
    own = [
        call for call in calls if call.path.startswith("releases") and call.thread == made[0].thread
    ]
    uninterrupted = Uninterrupted(command.root, own, frozenset(call.path for call in own))
    return World(published, before, uninterrupted)


def rehydrating(before: Path, root: Path) -> Command:
    if not root.exists():
        shutil.copytree(before, root)
    words = [sys.executable, "-m", "petdata.cli", "rehydrate", "pets@1.0.0"]
    return Command(words, root, {"PETDATA_HOME": str(root)})


def go_on(world: World, root: Path) -> None:
    """Once more: the very release that was published, and nothing else is there."""
    if read_manifest(root / RELEASE)["variant"] == "full":
        assert_whole(root / RELEASE)
    rehydrate(Workspace(root=root), root / RELEASE)
    assert contents(root, "releases") == contents(world.published, "releases")


def assert_whole(release: Path) -> None:
    for path, entry in read_manifest(release)["files"].items():
        assert hashlib.sha256((release / path).read_bytes()).hexdigest() == entry["sha256"], path


def test_the_uninterrupted_run_is_what_these_tests_need(world: World) -> None:
    variants = [
        read_manifest(root / RELEASE)["variant"] for root in (world.before, world.published)
    ]
    assert variants == ["recipe", "full"]
    go_on(world, world.uninterrupted.root)
    moved = [m.file for m in world.uninterrupted.moments if m.call.startswith("rename")]
    assert moved[-1] == f"{RELEASE}/manifest.json"  # it says that all is there
    assert f"{RELEASE}/data/telegram/train-N.parquet" in moved


@pytest.mark.parametrize("size", [4, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_at_a_system_call(world: World, tmp_path: Path, size: int) -> None:
    chosen = sample(world.uninterrupted.moments, size, SEED)
    sys.stdout.write(f"killed at\n{kinds(chosen)}")
    kill_and_go_on(world, chosen, tmp_path, torn=False)


@pytest.mark.parametrize("size", [1, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_a_write(world: World, tmp_path: Path, size: int) -> None:
    writes = [moment for moment in world.uninterrupted.moments if moment.call in WRITING]
    kill_and_go_on(world, sample(writes, size, SEED), tmp_path, torn=True)


def kill_and_go_on(world: World, chosen: list[Moment], folder: Path, *, torn: bool) -> None:
    def work(moment: Moment) -> None:
        root = folder / f"{moment.call}-{moment.number}"
        command = rehydrating(world.before, root)
        assert kill(command, moment, world.uninterrupted.paths, torn=torn), moment
        go_on(world, root)

    at_once(work, chosen)


@pytest.mark.parametrize("size", [2, pytest.param(16, marks=pytest.mark.slow)])
def test_the_disk_fails_for_good(world: World, tmp_path: Path, size: int) -> None:
    able = [m for m in world.uninterrupted.moments if m.call not in FOR_DELETING]
    chosen = random.Random(SEED).sample(able, size)

    def work(task: tuple[Moment, str]) -> None:
        moment, error = task
        root = tmp_path / f"{moment.call}-{moment.number}"
        fault = everything_fails_from(moment, error, world.uninterrupted)
        paths = world.uninterrupted.paths
        done, _ = rehydrating(world.before, root).trace(CALLS, paths=paths, inject=fault.injections)
        said = f"{fault}: {done.returncode} {done.stderr}"
        assert done.returncode == 1, said
        assert "Traceback" not in done.stderr, said
        last = done.stderr.splitlines()[-1]
        assert str(root) in last, said
        assert any(cause in last for cause in CAUSES), said
        go_on(world, root)

    at_once(work, list(zip(chosen, ["ENOSPC", "EIO"] * (size // 2), strict=True)))
