from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from worlds import Animal, add, photo

from dataset_builder import matching
from dataset_builder.build import read_inputs
from dataset_builder.hash_cache import NAME, read_hashes
from dataset_builder.matching import ThumbnailMatcher
from dataset_builder.options import BuildOptions
from petdata.workspace import Workspace, make_folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(root=tmp_path)
    pets = [Animal("lcw/1", [photo(1), photo(2)]), Animal("dogs_world/2", [photo(1, quality=60)])]
    add(made, pets)
    return made


def pairs(workspace: Workspace, cache: Path | None) -> list[tuple[str, str]]:
    rows = read_inputs(workspace, BuildOptions())
    scratch = workspace.root / "scratch"
    make_folder(scratch)
    found = ThumbnailMatcher(rows, scratch, cache)(np.arange(len(rows)), None, 4)
    ids = rows.photo_ids.to_pylist()
    return [(ids[a], ids[b]) for a, b in zip(found.first, found.second, strict=True)]


def refuse(*arguments: object) -> None:
    raise AssertionError("hashes are computed again")


def test_hashes_of_known_shards_are_not_computed_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = workspace.root / "cache"
    make_folder(cache)
    expected = pairs(workspace, None)
    assert len(expected) == 1
    assert pairs(workspace, cache) == expected
    with monkeypatch.context() as patched:
        patched.setattr(matching, "hash_variants", refuse)
        assert pairs(workspace, cache) == expected
    add(workspace, [Animal("lcw/3", [photo(2, quality=60)])])
    assert sorted(pairs(workspace, cache)) == sorted(pairs(workspace, None)) != expected
    assert len(read_hashes(cache)) == 3  # shards


@pytest.mark.parametrize("broken", [b"", b"PK\x03\x04", b"no archive"])
def test_a_broken_cache_is_made_anew(workspace: Workspace, broken: bytes) -> None:
    cache = workspace.root / "cache"
    make_folder(cache)
    pairs(workspace, cache)
    whole = (cache / NAME).read_bytes()
    for content in (broken, whole[:-100]):
        (cache / NAME).write_bytes(content)
        assert pairs(workspace, cache) == pairs(workspace, None)
        assert len(read_hashes(cache)) == 2
