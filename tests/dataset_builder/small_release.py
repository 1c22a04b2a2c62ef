"""A release of five sources with all three splits, and pictures of two rows of each identity."""

from __future__ import annotations

import shutil
from pathlib import Path

from worlds import Animal, add, build_release, photo

from petdata.records import Species
from petdata.workspace import Workspace

PETS = [
    *(Animal(f"pet911/rl50{n:04}", [photo(n), photo(n, 1)]) for n in range(1, 7)),
    Animal("telegram/1000-5", [photo(2), photo(2, 2)]),  # the cat of rl500002
    Animal("telegram/1000-9", [photo(10)], species=Species.DOG),
    Animal("dogfacenet/1", [photo(11), photo(11, 1), photo(11, 2)], species=Species.DOG),
    Animal("lcw/17", [photo(12), photo(12, 1)]),
    Animal("lcw/18", [photo(11), photo(13)]),  # leaks
    Animal("petface/cat-000001", [photo(14), photo(14, 1)], source_split="train"),
    Animal("petface/cat-000002", [photo(15)], source_split="val"),
]


def small_release(root: Path) -> Path:
    """Of pets 1.0.0; a third of its identity groups is asked for in validation."""
    root.mkdir(exist_ok=True)
    (root / "secret.key").write_text("07" * 32)
    (root / "secret.key").chmod(0o600)
    workspace = Workspace(root=root)
    add(workspace, PETS)
    return build_release(workspace, val_fraction=0.33, keep_source_ids=False)


def copy_to_spoil(release: Path, root: Path) -> Path:
    """The release in a copy of its workspace, whose files may be written to."""
    shutil.copytree(release.parents[2], root)
    for path in root.rglob("*.parquet"):
        path.chmod(0o644)
    return root / release.relative_to(release.parents[2])
