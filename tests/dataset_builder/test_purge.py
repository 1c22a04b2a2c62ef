"""What was purged is nowhere: every file of the workspace is searched, byte by byte."""

from __future__ import annotations

import inspect
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import purge_for_kill_tests
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from worlds import Animal, add, build_release, listing, photo, release_rows, sha256

from dataset_builder.forgetting import hub_commands, meant_by
from dataset_builder.manifest import read_revoked
from dataset_builder.plan import no_matcher
from dataset_builder.pseudonyms import pseudonym, read_key
from dataset_builder.purge import Purged, purge, recorded
from dataset_builder.purge_search import search
from dataset_builder.verification_pairs import SCHEMA as PAIRS_SCHEMA
from dataset_builder.verification_pairs import pairs_path
from dataset_builder.verify import Verification
from dataset_builder.versions import check_version
from petdata.errors import PetdataError, TryLater
from petdata.inspection import collected_sources, verify_source
from petdata.intake import Intake, IntakeConfig
from petdata.ledger import Ledger
from petdata.presentation import print_contact_sheet
from petdata.shards import read_photos
from petdata.side_table_kinds import VALUES, Producer
from petdata.side_tables import append_rows, read_side_table, table_folder
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

DAY = date(2026, 3, 1)
MAY_NAME_IT = ("takedowns.toml", "revoked.txt")
A, B, C, D, E, F = (photo(number) for number in range(1, 7))
ONE = Animal("pet911/rl500001", [A, B])
TWO = Animal("pet911/rl500002", [C, A])
REPOST = Animal("telegram/77-1", [A])
SEVEN = Animal("lcw/7", [D])
HALF = Animal("pet911/rl500005", [A, E, F])  # its last photo is not fetched yet


def arrived(content: bytes) -> bytes:
    """As it came: with a tail that is not kept, so that it has another hash."""
    return content + b"a trailer"


def as_arrived(animal: Animal) -> Animal:
    return Animal(animal.identity, [arrived(content) for content in animal.photos], animal.title)


@pytest.fixture(scope="module")
def whole_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases, photos in segments, a page, a log, a side table, a cache."""
    root = tmp_path_factory.mktemp("world") / "workspace"
    workspace = Workspace(root=root)
    add(workspace, map(as_arrived, [ONE, TWO, REPOST, SEVEN]), shard_bytes=len(A) + 1)
    build_release(workspace, keep_source_ids=False)
    again = Animal(ONE.identity, ONE.photos, title="Найдена кошка")
    add(workspace, map(as_arrived, [again]))
    build_release(workspace, keep_source_ids=False)
    with Intake(workspace, "pet911", IntakeConfig(min_photos=1)) as intake:
        for wanted in intake.take_listing(listing(HALF))[:2]:
            content = HALF.photos[wanted.key.position]
            intake.keep_photo(wanted.key, intake.examine(arrived(content)))
    print_contact_sheet(workspace, "pet911", None, 60)
    log = workspace.root / "runs" / "crawl.log"
    log.write_text(f"kept {ONE.identity}/{sha256(A)[:12]}\nkept pet911/rl5000012\n")
    rows = [{"sha256": sha256(jpeg), "left": n} for n, jpeg in enumerate((A, C), 1)]
    folder = table_folder(workspace.root, "edges")
    append_rows(folder, VALUES, Producer(model="hand"), rows, [pa.field("left", pa.int32())])
    (workspace.root / "cache" / "thumbnails").write_bytes(A)
    return root


@pytest.fixture
def workspace(whole_world: Path, tmp_path: Path) -> Workspace:
    return Workspace(root=copy_of(whole_world, tmp_path / "workspace"))


def copy_of(root: Path, target: Path) -> Path:
    """With its hard links: a release shares files with the one before."""
    subprocess.run(["cp", "-a", str(root), str(target)], check=True)
    return target


def purge_target(workspace: Workspace, target: str) -> Purged:
    entry, _ = add_takedown(workspace.takedowns, meant_by(workspace, target), "asked", DAY)
    return purge(workspace, entry)


def places(root: Path, contents: Iterable[bytes]) -> Iterator[str]:
    """Files with any 4 KiB of these JPEGs (each such window has a whole 2 KiB piece in it), with
    their hashes or those of what arrived, as text or binary; Parquet is unpacked."""
    needles = []
    for content in contents:
        needles += [content[at : at + 2048] for at in range(0, len(content) - 2047, 2048)]
        for digest in (sha256(content), sha256(arrived(content))):
            needles += [digest.encode(), bytes.fromhex(digest)]
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name in MAY_NAME_IT:
            continue
        stored = path.read_bytes()
        if path.suffix == ".parquet":
            rows = pq.read_table(path, partitioning=None).to_pylist()
            stored += "".join(str(v) for row in rows for v in row.values()).encode()
        if any(needle in stored for needle in needles):
            yield str(path.relative_to(root))


def held(workspace: Workspace) -> dict[str, list[bytes]]:
    """Source -> JPEGs of its shards."""
    found: dict[str, list[bytes]] = {}
    for source in collected_sources(workspace):
        paths = sorted(workspace.shards(source).glob("*.parquet"))
        found[source] = [p.image for p in read_photos(paths) if p.image is not None]
    return found


def assert_consistent(workspace: Workspace) -> None:
    for source in collected_sources(workspace):
        assert list(verify_source(workspace, source)) == []
    assert not list(workspace.root.rglob("*.tmp"))
    assert not list(workspace.root.rglob(".part-*"))


def test_the_world_holds_what_is_to_go_in_many_places(workspace: Workspace) -> None:
    found = list(places(workspace.root, [A, B]))
    kinds = {re.sub(r"\d+", "N", place) for place in found}
    assert kinds >= {
        "cache/thumbnails",
        "ledgers/petN.sqlite",
        "ledgers/petN.segments/N.segment",
        "ledgers/telegram.sqlite",
        "releases/pets/N.N.N/data/petN/train-N.parquet",
        "shards/petN/part-N.parquet",
        "shards/telegram/part-N.parquet",
        "side_tables/edges/part-N.parquet",
    }
    assert (workspace.root / "runs" / "contact-sheet-pet911.html").exists()
    assert_consistent(workspace)


def test_an_identity_is_nowhere_afterwards_and_all_else_is_there(workspace: Workspace) -> None:
    purged = purge_target(workspace, ONE.identity)
    assert list(places(workspace.root, [A, B])) == []
    assert list(search(workspace, recorded(workspace, purged.entry))) == []
    assert_consistent(workspace)
    assert held(workspace) == {"pet911": [C], "telegram": [], "lcw": [D]}
    assert purged.photos == 2
    assert purged.retired == ["pets 1.0.0", "pets 1.0.1"]
    assert {s.source: s.photos for s in purged.sources} == {"pet911": 6, "telegram": 1, "lcw": 0}
    assert (workspace.root / "runs" / "crawl.log").read_text() == "kept pet911/rl5000012\n"
    assert not (workspace.root / "runs" / "contact-sheet-pet911.html").exists()
    edges = read_side_table(table_folder(workspace.root, "edges")).rows.to_pylist()
    assert edges == [{"sha256": sha256(C), "photo_id": None, "left": 2}]


def test_the_next_release_is_whole_new_in_number_and_names_what_was_revoked(
    workspace: Workspace,
) -> None:
    purge_target(workspace, ONE.identity)
    release = build_release(workspace, keep_source_ids=False)
    assert release.name == "2.0.0"
    assert {row["sha256"] for row in release_rows(release)} == {sha256(C), sha256(D)}
    assert read_revoked(release) == sorted([sha256(A), sha256(B)])
    verification = Verification(
        workspace=workspace, release=release, make_matcher=lambda rows, scratch: no_matcher
    )
    assert list(verification.problems()) == []
    with pytest.raises(PetdataError, match="was retired"):
        check_version(release.parent, "1.0.0")


def test_what_was_purged_does_not_come_back(workspace: Workspace) -> None:
    purge_target(workspace, ONE.identity)
    before = held(workspace)
    stranger = Animal("pet911/rl500009", [A, B])
    add(workspace, map(as_arrived, [ONE, stranger, Animal("lcw/8", [A])]))
    assert held(workspace) == before
    assert list(places(workspace.root, [A, B])) == []


def test_a_second_purge_finds_nothing_to_do(workspace: Workspace) -> None:
    purge_target(workspace, ONE.identity)
    files = {path: path.read_bytes() for path in workspace.root.rglob("*.parquet")}
    again = purge_target(workspace, ONE.identity)
    assert again.retired == again.removed == again.warnings == []
    assert [(s.photos, s.shards) for s in again.sources] == [(0, ())] * 3
    assert {path: path.read_bytes() for path in workspace.root.rglob("*.parquet")} == files


@pytest.mark.parametrize(
    ("target", "gone", "stays"),
    [
        (f"{TWO.identity}/{sha256(C)[:12]}", [C], [A, B, D]),
        (sha256(C), [C], [A, B, D]),
        (sha256(arrived(C)), [C], [A, B, D]),
        (ONE.url, [A, B], [C, D]),
        (HALF.identity, [A, E], [B, C, D]),
    ],
)
def test_any_way_of_naming_it_will_do(
    workspace: Workspace, target: str, gone: list[bytes], stays: list[bytes]
) -> None:
    purge_target(workspace, target)
    assert list(places(workspace.root, gone)) == []
    assert {jpeg for jpegs in held(workspace).values() for jpeg in jpegs} == set(stays)
    assert_consistent(workspace)


def test_a_pseudonym_will_do_before_and_after(workspace: Workspace) -> None:
    name = pseudonym(read_key(workspace), ONE.identity)
    assert meant_by(workspace, f"{name}/{sha256(A)[:12]}") == f"{ONE.identity}/{sha256(A)[:12]}"
    purge_target(workspace, name)
    assert list(places(workspace.root, [A, B])) == []
    assert meant_by(workspace, name) == ONE.identity


def test_photos_that_stay_in_segments_are_drained_later(workspace: Workspace) -> None:
    purge_target(workspace, sha256(A))
    with Intake(workspace, "pet911", IntakeConfig(min_photos=1)) as intake:
        (wanted,) = intake.wanted(HALF.source_id)
        intake.keep_photo(wanted.key, intake.examine(arrived(F)))
    assert held(workspace)["pet911"][-2:] == [E, F]
    assert_consistent(workspace)


def test_a_source_that_is_being_collected_is_not_touched(workspace: Workspace) -> None:
    with (
        Ledger(workspace.ledger("telegram"), source="telegram"),
        pytest.raises(TryLater, match="telegram is being collected"),
    ):
        purge_target(workspace, ONE.identity)
    purge_target(workspace, ONE.identity)
    assert list(places(workspace.root, [A, B])) == []


def test_other_names_of_a_released_file_are_pointed_at(
    workspace: Workspace, tmp_path: Path
) -> None:
    released = workspace.root / "releases" / "pets" / "1.0.0" / "data" / "pet911"
    (tmp_path / "mine.parquet").hardlink_to(released / "train-00000.parquet")
    warnings = purge_target(workspace, ONE.identity).warnings
    assert len(warnings) == 1
    assert "has 1 more names outside the workspace" in warnings[0]


def test_the_search_finds_every_form(workspace: Workspace) -> None:
    condemned = recorded(workspace, purge_target(workspace, ONE.identity).entry)
    folder = workspace.root / "runs"
    (folder / "odd.bin").write_bytes(b"xyz" + A + b"more")
    (folder / "text").write_text(f"see {sha256(arrived(B)).upper()}")
    (folder / "digest").write_bytes(b"\0" + bytes.fromhex(sha256(B)))
    table = pa.table({"x": [sha256(A)] * 50})
    pq.write_table(table, folder / "t.parquet", compression="zstd", use_dictionary=False)
    found = sorted(place.removeprefix(f"{folder}/") for place in search(workspace, condemned))
    assert [place for place in found if "t.parquet: a hash" not in place] == [
        "digest: the bytes of a hash at byte 1",
        "odd.bin: the JPEG, at byte 3",
        "t.parquet: 50 rows have a hash in column x",
        "text: a hash at byte 4",
    ]


def test_the_search_sees_side_tables_and_what_the_hub_has_sent(workspace: Workspace) -> None:
    pulled = workspace.root / "cache" / "hub" / "user--pets" / "v1.0.0"
    shutil.copytree(workspace.root / "releases" / "pets" / "1.0.0", pulled)
    kept = {path: path.read_bytes() for path in pulled.rglob("*.parquet")}
    condemned = recorded(workspace, purge_target(workspace, ONE.identity).entry)
    assert list(search(workspace, condemned)) == []
    assert not pulled.exists()
    for path, content in kept.items():  # somebody has copied it back
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    note = [pa.field("seen_with", pa.list_(pa.struct([("other", pa.string())])))]
    rows = [
        {"sha256": "0" * 64, "seen_with": [{"other": "x"}, {"other": f"see {sha256(A)}"}]},
        {"sha256": sha256(B), "photo_id": f"{ONE.identity}/{sha256(B)[:12]}"},
    ]
    part = append_rows(
        table_folder(workspace.root, "notes"), VALUES, Producer(model="hand"), rows, note
    )
    found = list(search(workspace, condemned))
    for column, what in (("sha256", "a hash"), ("photo_id", "a photo id"), ("seen_with", "a hash")):
        assert f"{part}: 1 rows have {what} in column {column}" in found
    assert any(
        place.startswith(f"{pulled}/data/pet911/") and "the JPEG" in place for place in found
    )


def test_verification_pairs_no_longer_name_a_purged_photo(workspace: Workspace) -> None:
    path = pairs_path(workspace)
    path.parent.mkdir(parents=True)
    ids = [f"{ONE.identity}/{sha256(A)[:12]}", f"petface/cat-1/{sha256(C)[:12]}", None]
    rows = [
        {"path_1": "x", "path_2": "y", "photo_id_1": a, "photo_id_2": b, "is_same": True}
        for a in ids
        for b in ids
    ]
    pq.write_table(pa.Table.from_pylist(rows, PAIRS_SCHEMA), path)
    purged = purge_target(workspace, ONE.identity)
    assert f"{path}: 5 pairs no longer name it" in purged.removed
    left = pq.read_table(path, partitioning=None)
    assert left.schema == PAIRS_SCHEMA
    expected = [
        row | {k: None for k in ("photo_id_1", "photo_id_2") if row[k] == ids[0]} for row in rows
    ]
    assert left.to_pylist() == expected
    assert purge_target(workspace, ONE.identity).removed == []


def test_the_commands_for_the_hub_fit_its_client(workspace: Workspace) -> None:
    purge_target(workspace, ONE.identity)
    lines = list(hub_commands(workspace))
    assert "  hf repos tag delete USER/NAME v1.0.1 --type dataset -y" in lines
    (code,) = re.findall(r"python -c '(.*)'$", "\n".join(lines).replace("'\"'\"'", '"'), re.M)
    compile(code, "printed", "exec")
    inspect.signature(HfApi.super_squash_history).bind(None, repo_id="", repo_type="dataset")
    inspect.signature(HfApi.list_lfs_files).bind(None, repo_id="", repo_type="dataset")
    inspect.signature(HfApi.permanently_delete_lfs_files).bind(
        None, lfs_files=[], repo_id="", repo_type="dataset"
    )


# Killed


def run(root: Path, moment: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, purge_for_kill_tests.__file__, str(root), ONE.identity, str(moment)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("size", [8, pytest.param(10**6, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_same_command_goes_on(
    whole_world: Path, tmp_path: Path, size: int
) -> None:
    whole = run(copy_of(whole_world, tmp_path / "whole"), 0)
    moments = range(1, int(whole.stdout) + 1)
    assert len(moments) > 80
    chosen = sorted(random.Random(5).sample(moments, min(size, len(moments))))

    def kill_and_go_on(moment: int) -> None:
        root = copy_of(whole_world, tmp_path / str(moment))
        assert run(root, moment).returncode == -signal.SIGKILL, moment
        workspace = Workspace(root=root)
        if moment % 2:  # somebody collects before the purge is ended
            for source in ("pet911", "telegram"):
                Intake(workspace, source, IntakeConfig(min_photos=1)).close()
                assert list(verify_source(workspace, source)) == [], moment
        purge_target(workspace, ONE.identity)
        assert list(places(root, [A, B])) == [], moment
        assert held(workspace) == {"pet911": [C], "telegram": [], "lcw": [D]}, moment
        assert_consistent(workspace)
        shutil.rmtree(root)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(kill_and_go_on, chosen))
