"""PetFace's verification pairs from its lists into a release, photo by photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_sets import WRITERS, ledger
from worlds import Animal, add, build_release

from dataset_builder.plan import no_matcher
from dataset_builder.readers.petface import PetFace
from dataset_builder.reading import Reading
from dataset_builder.recipe import write_recipe
from dataset_builder.released_pairs import PAIRS
from dataset_builder.verification_pairs import pairs_path, write_pairs
from dataset_builder.verify import Verification
from petdata.bulk_intake import BulkConfig, BulkIntake
from petdata.errors import CorruptFile
from petdata.manifest import read_manifest
from petdata.records import Species
from petdata.shards import read_photos
from petdata.sources import SOURCES
from petdata.workspace import Workspace

# Individuals of each species: 3 and 18 train, 8 is for val, 13 for test.
LISTED = [
    ("cat/000013/00.png", "cat/000013/01.png", True),
    ("cat/000013/00.png", "cat/000013/02.png", True),
    ("cat/000013/01.png", "cat/000008/01.png", False),  # lcw has the first, a test set the second
    ("cat/000013/02.png", "cat/000003/01.png", False),
    ("cat/000013/00.png", "cat/000099/00.png", False),  # nowhere
    ("cat/000008/01.png", "cat/000099/00.png", False),
]
DOGS = [("dog/000013/00.png", "dog/000013/01.png", True)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("pairs")
    WRITERS["petface"](folder / "petface")
    (tree,) = (folder / "petface").glob("PetFace")
    for species, pairs in (("cat", LISTED), ("dog", DOGS)):
        lines = [f"{first},{second},{int(same)}\n" for first, second, same in pairs]
        (tree / f"split/{species}/verification.csv").write_text(
            "filename1,filename2,label\n" + "".join(lines)
        )
    workspace = Workspace(root=folder / "workspace")
    workspace.root.mkdir()
    with BulkIntake(workspace, "petface", BulkConfig(workers=0)) as intake:
        opened = PetFace(tree, Reading())
        intake.take(opened.read())
        write_pairs(intake, opened.verification_pairs())
    jpegs = {
        photo.sha256: photo.image
        for photo in read_photos(sorted(workspace.shards("petface").glob("*.parquet")))
    }
    sha256 = addresses(workspace)

    def jpeg(address: str) -> bytes:
        content = jpegs[sha256[address]]
        assert content is not None
        return content

    add(workspace, [Animal("lcw/1", [jpeg("cat/000013/01.png")])])
    add(workspace, [Animal("dogfacenet/1", [jpeg("cat/000008/00.png")], species=Species.DOG)])
    return workspace


def addresses(workspace: Workspace) -> dict[str, str]:
    """Path in PetFace -> SHA-256 of what was kept."""
    with ledger(workspace.root, "petface") as opened:
        rows = opened.query("SELECT address, sha256 FROM photos WHERE outcome = 'kept'")
        return {row["address"]: row["sha256"] for row in rows}


def rows_of(release: Path) -> list[tuple[str, str, bool, str]]:
    return [tuple(row.values()) for row in pq.read_table(release / PAIRS).to_pylist()]


def problems(workspace: Workspace, release: Path) -> list[str]:
    verification = Verification(
        workspace=workspace, release=release, make_matcher=lambda rows, scratch: no_matcher
    )
    return list(verification.problems())


def test_pairs_name_the_photos_that_are_kept_and_the_rest_is_counted(workspace: Workspace) -> None:
    release = build_release(workspace)
    sha256 = addresses(workspace)

    def photo(identity: str, address: str) -> str:
        return f"{identity}/{sha256[address][:12]}"

    first = photo("petface/cat-000013", "cat/000013/00.png")
    second = photo("lcw/1", "cat/000013/01.png")
    third = photo("petface/cat-000013", "cat/000013/02.png")
    trained = photo("petface/cat-000003", "cat/000003/01.png")
    dogs = [photo("petface/dog-000013", f"dog/000013/0{n}.png") for n in (0, 1)]
    assert rows_of(release) == sorted(
        [
            (first, second, True, "cat"),
            (first, third, True, "cat"),
            (third, trained, False, "cat"),
            (dogs[0], dogs[1], True, "dog"),
        ]
    )
    assert read_manifest(release)["verification_pairs"] == {
        "listed": 7,
        "kept": 4,
        # The last pair of the list counts once, by its first photo.
        "dropped": {"leak:dogfacenet": 2, "not_imported": 1},
    }
    assert problems(workspace, release) == []
    card = (release / "README.md").read_text()
    assert "4 of the 7 that its lists name" in card
    assert "leak:dogfacenet 2, not_imported 1." in card


def test_without_petface_or_its_list_there_are_none(workspace: Workspace) -> None:
    without = build_release(workspace, exclude=frozenset({"petface"}))
    assert not (without / PAIRS).exists()
    assert read_manifest(without)["verification_pairs"] is None
    assert problems(workspace, without) == []


def test_what_a_build_leaves_out_is_counted(workspace: Workspace) -> None:
    release = build_release(workspace, petface="train")
    assert rows_of(release) == []
    # lcw has the picture of one photo, no other than the training list's is there.
    assert read_manifest(release)["verification_pairs"]["dropped"] == {"not_in_build": 7}
    assert problems(workspace, release) == []


def test_the_pairs_are_in_the_build_hash(workspace: Workspace) -> None:
    before = read_manifest(build_release(workspace))
    path = pairs_path(workspace)
    kept = path.read_bytes()
    table = pq.read_table(path)
    try:
        pq.write_table(table.take(pa.array(range(table.num_rows - 1, -1, -1))), path)
        assert read_manifest(build_release(workspace))["build_hash"] == before["build_hash"]
        pq.write_table(table.slice(1), path)
        assert read_manifest(build_release(workspace))["build_hash"] != before["build_hash"]
        path.write_bytes(b"PAR1")
        with pytest.raises(CorruptFile, match="import PetFace again"):
            build_release(workspace)
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda t: t.set_column(0, t.schema.field(0), pa.array(["x/y/z"] * len(t))),
            "x/y/z is no photo of the release",
        ),
        (lambda t: t.slice(1), "3 pairs, the manifest says 4"),
        (lambda t: t.drop_columns(["list"]), "columns are not those of verification pairs"),
    ],
)
def test_verify_names_pairs_that_are_not_right(
    workspace: Workspace, tmp_path: Path, change: Callable[[pa.Table], pa.Table], why: str
) -> None:
    release = tmp_path / "release"
    source = build_release(workspace)
    write_recipe(source, read_manifest(source), (), SOURCES, _made(release))
    table = pq.read_table(release / PAIRS)
    (release / PAIRS).unlink()
    pq.write_table(change(table), release / PAIRS)
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["variant"] = "full"
    (release / "manifest.json").unlink()
    (release / "manifest.json").write_text(json.dumps(manifest))
    found = [problem for problem in problems(workspace, release) if PAIRS in problem]
    assert any(why in problem for problem in found), found


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
