"""Shards and ledger that contradict each other: `verify_source` says where."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petdata.inspection import verify_source
from petdata.intake import Intake
from petdata.records import Species
from petdata.shards import read_photos, write_shard
from petdata.workspace import Workspace
from pictures_for_tests import jpeg
from test_intake import make_listing


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One listing of three photos, in one shard."""
    workspace = Workspace(root=tmp_path / "home")
    with Intake(workspace, "pet911") as intake:
        for n, photo in enumerate(intake.take_listing(make_listing())):
            intake.keep_photo(photo.key, intake.examine(jpeg(n)))
    assert list(verify_source(workspace, "pet911")) == []
    return workspace


def the_shard(workspace: Workspace) -> Path:
    [shard] = workspace.shards("pet911").glob("part-*.parquet")
    return shard


def in_ledger(workspace: Workspace, sql: str) -> None:
    database = sqlite3.connect(workspace.ledger("pet911"))
    with database:
        database.execute(sql)
    database.close()


@pytest.mark.parametrize("changes", [{"title": "Пропал кот"}, {"species": Species.BIRD}])
def test_a_shard_whose_texts_were_changed_is_reported(
    workspace: Workspace, changes: dict[str, Any]
) -> None:
    shard = the_shard(workspace)
    first, *rest = read_photos([shard])
    write_shard(shard, [replace(first, **changes), *rest])
    problems = list(verify_source(workspace, "pet911"))
    assert [p for p in problems if "the rows are not those that were written" in p]
    assert all(problem.startswith(f"{shard}: ") for problem in problems)


def test_rows_in_another_order_are_named_one_by_one(workspace: Workspace) -> None:
    shard = the_shard(workspace)
    first, second, third = read_photos([shard])
    write_shard(shard, [second, first, third])
    problems = "\n".join(verify_source(workspace, "pet911"))
    assert f"{shard}, row 0: ('{second.photo_id}'" in problems
    assert f"{shard}, row 1: ('{first.photo_id}'" in problems
    assert f"{shard}, row 2" not in problems


def test_a_row_that_is_gone_is_named(workspace: Workspace) -> None:
    shard = the_shard(workspace)
    *kept, last = read_photos([shard])
    write_shard(shard, kept)
    problems = list(verify_source(workspace, "pet911"))
    assert f"{shard}: 2 rows, 3 were written" in problems
    assert f"{shard}: row 2 is absent, the ledger has {last.photo_id} there" in problems


def test_a_shard_that_cannot_be_read_is_one_problem(workspace: Workspace) -> None:
    shard = the_shard(workspace)
    shard.write_bytes(shard.read_bytes()[:-100])
    [problem] = verify_source(workspace, "pet911")
    assert problem.startswith(f"{shard} cannot be read as Parquet")


@pytest.mark.parametrize("shard_id", ["17", "NULL"])
def test_a_kept_photo_in_no_shard_of_the_ledger_is_named(
    workspace: Workspace, shard_id: str
) -> None:
    in_ledger(workspace, f"UPDATE photos SET shard_id = {shard_id} WHERE position = 1")
    problems = list(verify_source(workspace, "pet911"))
    stated = "None" if shard_id == "NULL" else shard_id
    assert (
        f"pet911/rl100001, version 1, photo 1: kept in shard {stated}, "
        "which the ledger does not know" in problems
    )
