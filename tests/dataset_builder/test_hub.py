"""Releases to a Hub and back, through unmodified huggingface_hub, with all that can go wrong."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants
from kill_matrix import HIDE_PANDAS
from small_release import PETS, small_release
from worlds import Animal, add, build_release, photo, release_rows

from dataset_builder.hub import Pushed, PushOptions, push
from dataset_builder.hub_pull import Pulled, pull
from dataset_builder.metadata import byte_index_table
from dataset_builder.verify import Verification
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.hub_calls import HubOptions
from petdata.demo.servers.hub_faults import Fault
from petdata.errors import CorruptFile, PetdataError, TryLater
from petdata.hub_session import HubFailure, Patience
from petdata.manifest import read_manifest
from petdata.side_table_kinds import BOXES, Producer
from petdata.side_tables import append_rows, read_side_table, table_folder
from petdata.takedowns import add_takedown
from petdata.workspace import Workspace

REPO = "user/pets"
AT_ONCE = Patience(first_wait_s=0.0)
WITHHELD = ("pet911", "petface", "telegram")


@pytest.fixture(autouse=True)
def _client_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's own tries


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """1.0.0 and 1.1.0, which has one dog more."""
    root = tmp_path_factory.mktemp("releases") / "workspace"
    first = small_release(root)
    workspace = Workspace(root=root)
    add(workspace, [Animal("lcw/99", [photo(30), photo(31)])])
    second = build_release(workspace, val_fraction=0.33, keep_source_ids=False)
    assert (first.name, second.name) == ("1.0.0", "1.1.0")
    assert len(PETS) == 13
    return first, second


@pytest.fixture
def release(releases: tuple[Path, Path]) -> Path:
    return releases[0]


def send(hub: HubServer, release: Path, **options: Any) -> Pushed:
    settings: dict[str, Any] = {"token": TOKEN, "endpoint": hub.url, "patience": AT_ONCE, **options}
    return push(release, REPO, PushOptions(**settings))


def send_all(hub: HubServer, release: Path, **options: Any) -> Pushed:
    return send(hub, release, private=True, include_restricted=True, **options)


def fetch(hub: HubServer, into: Path, reference: str = f"{REPO}@v1.0.0") -> Pulled:
    return pull(reference, into, token=TOKEN, endpoint=hub.url, patience=AT_ONCE)


def content_of(release: Path) -> dict[str, bytes]:
    paths = [path for path in release.rglob("*") if path.is_file()]
    return {str(path.relative_to(release)): path.read_bytes() for path in paths}


def on_the_hub(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    found = hub.content(REPO, revision)
    del found[".gitattributes"]
    return found


def kinds(hub: HubServer) -> set[str]:
    return {request.kind for request in hub.requests}


def uploads(hub: HubServer) -> list[str]:
    """SHA-256 of what arrived whole, as often as it did."""
    return [
        str(request.oid)
        for request in hub.requests
        if request.kind == "lfs_upload" and request.status == 200
    ]


# Out


def test_everything_goes_to_a_private_repository(hub: HubServer, release: Path) -> None:
    pushed = send_all(hub, release)
    assert on_the_hub(hub) == on_the_hub(hub, "v1.0.0") == content_of(release)
    assert hub.repository(REPO).is_private
    assert hub.repository(REPO).tags == {"v1.0.0": pushed.commit}
    assert (pushed.variant, pushed.withheld, pushed.is_new) == ("full", (), True)
    assert len(hub.repository(REPO).commits) == 2  # with the one that made the repository


def test_files_go_up_before_the_commit_and_the_tag_comes_last(
    hub: HubServer, release: Path
) -> None:
    send_all(hub, release)
    order = [request.kind for request in hub.requests]
    assert max(n for n, kind in enumerate(order) if kind == "lfs_verify") < order.index("commit")
    assert order.index("commit") < len(order) - 1 - order[::-1].index("tree") < order.index("tag")
    assert order.count("commit") == order.count("tag") == 1


@pytest.mark.parametrize("private", [False, True])
def test_restricted_sources_go_up_without_pixels(
    hub: HubServer, release: Path, tmp_path: Path, private: bool
) -> None:
    pushed = send(hub, release, private=private)
    assert (pushed.variant, pushed.withheld) == ("recipe", WITHHELD)
    pulled = fetch(hub, tmp_path / "pulled")
    before, after = read_manifest(release), pulled.manifest
    assert (after["variant"], after["build_hash"]) == ("recipe", before["build_hash"])
    assert after["withheld"]["sources"] == list(WITHHELD)
    for path in sorted(before["files"]):
        if not path.startswith("data/"):
            continue
        old = pq.read_table(release / path, partitioning=None)
        new = pq.read_table(pulled.folder / path, partitioning=None)
        assert new.schema.equals(old.schema, check_metadata=True)
        if path.split("/")[1] in WITHHELD:
            assert new["image"].null_count == new["thumbnail"].null_count == len(old) > 0
            assert after["withheld"]["files"][path] == before["files"][path]
            assert after["files"][path]["fingerprint"] != before["files"][path]["fingerprint"]
            assert new.drop(["image", "thumbnail"]) == old.drop(["image", "thumbnail"])
        else:
            assert (pulled.folder / path).read_bytes() == (release / path).read_bytes()
    assert "recipe" in (pulled.folder / "README.md").read_text()


def test_no_withheld_photo_is_anywhere_on_the_hub(hub: HubServer, release: Path) -> None:
    send(hub, release)
    pixels = [
        row
        for path in release.glob("data/**/*.parquet")
        if path.relative_to(release).parts[1] in WITHHELD
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]
    objects = b"".join(path.read_bytes() for path in hub.state.store.path_of("").iterdir())
    assert len(pixels) == 17
    assert not any(row["image"]["bytes"] in objects for row in pixels)
    assert not any(row["thumbnail"] in objects for row in pixels)


def test_byte_index_of_a_recipe_is_that_of_its_files(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    send(hub, release)
    folder = fetch(hub, tmp_path / "pulled").folder
    table = pq.read_table(folder / "metadata" / "byte_index.parquet")
    paths = list(dict.fromkeys(table["path"].to_pylist()))
    assert table.to_pylist() == byte_index_table(folder, paths).to_pylist()


def test_croissant_of_a_recipe_names_the_files_that_are_there(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    send(hub, release)
    there = fetch(hub, tmp_path / "pulled")
    described = json.loads((there.folder / "croissant.json").read_text())["distribution"]
    files = {entry["@id"]: entry for entry in described if "sha256" in entry}
    assert "data/pet911/train-00000.parquet" in files
    for path, entry in files.items():
        assert entry["sha256"] == there.manifest["files"][path]["sha256"]


def test_verify_finds_nothing_wrong_with_a_recipe(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    send(hub, release)
    workspace = Workspace(root=release.parents[2])
    scrutiny = Verification(workspace=workspace, release=fetch(hub, tmp_path / "pulled").folder)
    assert list(scrutiny.problems()) == []
    assert "have no pixels here" in scrutiny.not_repeated[0]


def test_recipe_of_a_recipe_is_the_same(hub: HubServer, release: Path, tmp_path: Path) -> None:
    send(hub, release)
    pulled = fetch(hub, tmp_path / "pulled").folder
    expected = on_the_hub(hub)
    again = send(hub, pulled)
    assert (again.is_new, again.withheld, on_the_hub(hub)) == (False, (), expected)


def test_unchanged_files_send_nothing(hub: HubServer, releases: tuple[Path, Path]) -> None:
    for release in releases:
        send(hub, release)
        first_time = uploads(hub)
        assert len(first_time) == len(set(first_time)) > 0
        commits, sent = len(hub.repository(REPO).commits), len(hub.requests)
        again = send(hub, release)
        assert (again.is_new, again.sent) == (False, ())
        later = {request.kind for request in hub.requests[sent:]}
        assert not later & {"preupload", "lfs_batch", "lfs_upload", "commit", "tag"}
        assert len(hub.repository(REPO).commits) == commits
    assert len(uploads(hub)) == len(set(uploads(hub)))


def test_next_version_sends_what_changed(hub: HubServer, releases: tuple[Path, Path]) -> None:
    first, second = releases
    send_all(hub, first)
    hub.forget_requests()
    pushed = send_all(hub, second)
    old, new = content_of(first), content_of(second)
    assert set(pushed.sent) == {path for path in new if new[path] != old.get(path)}
    assert sum(path.startswith("data/") for path in pushed.sent) == 1
    assert pushed.unchanged == len(new) - len(pushed.sent)
    assert on_the_hub(hub, "v1.0.0") == content_of(first)
    assert on_the_hub(hub) == content_of(second)


def test_files_of_others_stay_and_old_data_goes(hub: HubServer, release: Path) -> None:
    HfApi(endpoint=hub.url, token=TOKEN).create_repo(REPO, repo_type="dataset", private=True)
    hub.commit_by_another(REPO, {"LICENSE": b"mine", "data/old/train-00000.parquet": b"old"})
    send_all(hub, release)
    assert on_the_hub(hub) == content_of(release) | {"LICENSE": b"mine"}


def test_a_published_version_never_changes(hub: HubServer, releases: tuple[Path, Path]) -> None:
    send_all(hub, releases[0])
    expected = on_the_hub(hub, "v1.0.0")
    api = HfApi(endpoint=hub.url, token=TOKEN)
    api.create_tag(REPO, tag="v1.1.0", repo_type="dataset")
    with pytest.raises(PetdataError, match=r"has a v1\.1\.0 already, with another"):
        send_all(hub, releases[1])
    assert on_the_hub(hub) == expected


def test_what_may_not_go_public_is_refused(hub: HubServer, release: Path, tmp_path: Path) -> None:
    with pytest.raises(PetdataError, match=r"public: pixels of restricted sources"):
        send(hub, release, include_restricted=True)
    with pytest.raises(PetdataError, match="there already and public"):
        send(hub, release, private=True)
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["options"]["keep_source_ids"] = True
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PetdataError, match="--keep-source-ids"):
        send(hub, copy)
    assert not {"preupload", "commit"} & kinds(hub)


def test_repository_that_turns_public_gets_no_restricted_pixels(
    hub: HubServer, release: Path
) -> None:
    def publish() -> None:
        hub.repository(REPO).is_private = False

    hub.fail("refs", Fault(after=publish))
    with pytest.raises(PetdataError, match="no longer private"):
        send_all(hub, release)
    assert not {"lfs_upload", "commit"} & kinds(hub)


def test_damaged_release_is_not_published(hub: HubServer, release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    path = copy / "metadata" / "leakage.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CorruptFile, match=r"leakage\.json is not the file"):
        send_all(hub, copy)
    assert not {"preupload", "commit"} & kinds(hub)


# What goes wrong on the way out


FAULTS: dict[str, list[tuple[str, Fault]]] = {
    "asked to wait": [
        (kind, Fault(status=429, retry_after_s=1))
        for kind in ("create_repo", "repo_info", "tree", "lfs_batch", "lfs_upload", "commit", "tag")
    ],
    "out of order": [
        (kind, Fault(status=503))
        for kind in ("create_repo", "preupload", "lfs_verify", "validate_yaml", "commit", "refs")
    ],
    "dropped": [
        (kind, Fault(drop_request_at=30))
        for kind in ("create_repo", "preupload", "lfs_upload", "commit", "tag")
    ],
    "answer lost": [
        (kind, Fault(drop_answer_at=0))
        for kind in ("create_repo", "lfs_batch", "lfs_upload", "commit", "tag", "tree")
    ],
    "damaged on the way": [("lfs_upload", Fault(corrupt=True)), ("commit", Fault(corrupt=True))],
}


@pytest.mark.parametrize("part_bytes", [None, 4_000])
@pytest.mark.parametrize("case", FAULTS)
def test_setbacks_are_survived(case: str, part_bytes: int | None, release: Path) -> None:
    with HubServer(options=HubOptions(part_bytes=part_bytes)) as hub:
        for kind, fault in FAULTS[case]:
            hub.fail("lfs_part" if part_bytes and kind == "lfs_upload" else kind, fault)
        pushed = send_all(hub, release)
        assert on_the_hub(hub, "v1.0.0") == on_the_hub(hub) == content_of(release)
        assert hub.repository(REPO).tags == {"v1.0.0": pushed.commit}


def test_commit_whose_answer_is_lost_is_not_made_twice(hub: HubServer, release: Path) -> None:
    hub.fail("commit", Fault(drop_answer_at=0))
    send_all(hub, release)
    assert len(hub.repository(REPO).commits) == 2
    assert len(uploads(hub)) == len(set(uploads(hub)))


def test_stale_parent_is_looked_at_again(hub: HubServer, release: Path) -> None:
    def commit() -> None:
        hub.commit_by_another(REPO, {"LICENSE": b"mine"})

    hub.fail("commit", Fault(before=commit), times=2)
    send_all(hub, release)
    statuses = [request.status for request in hub.requests if request.kind == "commit"]
    assert statuses == [412, 412, 200]
    assert on_the_hub(hub, "v1.0.0") == content_of(release) | {"LICENSE": b"mine"}
    assert len(uploads(hub)) == len(set(uploads(hub)))


def test_patience_ends(hub: HubServer, release: Path) -> None:
    hub.fail("commit", Fault(status=503), times=1_000)
    with pytest.raises(TryLater, match="committing failed: 503"):
        send_all(hub, release)
    assert sum(request.kind == "commit" for request in hub.requests) == AT_ONCE.attempts
    assert not hub.repository(REPO).tags
    assert not on_the_hub(hub)
    hub.heal()
    hub.forget_requests()
    send_all(hub, release)
    assert uploads(hub) == []
    assert on_the_hub(hub, "v1.0.0") == content_of(release)


def test_who_asks_for_hours_is_left_alone(hub: HubServer, release: Path) -> None:
    hub.fail("commit", Fault(status=429, retry_after_s=7_200), times=1_000)
    with pytest.raises(TryLater, match="asks to wait 7200 s"):
        send_all(hub, release)
    assert sum(request.kind == "commit" for request in hub.requests) == 1


@pytest.mark.parametrize("kind", ["lfs_upload", "commit"])
def test_what_always_arrives_damaged_is_never_tagged(
    hub: HubServer, release: Path, kind: str
) -> None:
    hub.fail(kind, Fault(corrupt=True), times=1_000)
    with pytest.raises(PetdataError, match=r"SHA-256|than was sent"):
        send_all(hub, release)
    assert hub.repository(REPO).tags == {}


def test_other_hashes_in_the_tree_mean_no_tag(hub: HubServer, release: Path) -> None:
    def alter(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in entries:
            if "lfs" in entry:
                entry["lfs"] |= {"oid": "0" * 64}
        return entries

    hub.fail("tree", Fault(alter=alter), times=1_000)
    with pytest.raises(HubFailure, match="was not tagged"):
        send_all(hub, release)
    assert hub.repository(REPO).tags == {}


def test_refusals_say_what_to_do(hub: HubServer, release: Path) -> None:
    with pytest.raises(HubFailure, match=r"403.*must be one that may write"):
        push(release, "other/pets", PushOptions(token=TOKEN, endpoint=hub.url, patience=AT_ONCE))
    with pytest.raises(HubFailure, match=r"401.*log in"):
        send(hub, release, token="hf_wrong")
    with pytest.raises(PetdataError, match="write it as user/name"):
        push(release, "pets", PushOptions(token=TOKEN, endpoint=hub.url))


def test_the_token_is_told_to_nobody(
    hub: HubServer, release: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.fail("commit", Fault(status=503), times=2)
    hub.fail("lfs_upload", Fault(drop_request_at=10))
    send_all(hub, release)
    logged, captured = caplog.text, capfd.readouterr()
    assert "/commit/main" in logged
    assert not any(TOKEN in text for text in (logged, captured.out, captured.err))
    assert TOKEN not in repr(hub.requests)


def test_a_token_that_the_hub_repeats_is_not_repeated(hub: HubServer, release: Path) -> None:
    said: list[str] = []
    options = PushOptions(token=TOKEN, endpoint=hub.url, patience=AT_ONCE)
    hub.fail("commit", Fault(status=503, message=f"{TOKEN} is tired"))
    hub.fail("tag", Fault(status=400, message=f"what is {TOKEN}"))
    with pytest.raises(HubFailure, match=r"what is \*\*\*") as raised:
        push(release, REPO, options, say=said.append)
    assert any("*** is tired" in line for line in said)
    assert not any(TOKEN in text for text in (str(raised.value), *said))
    assert TOKEN not in repr(options)


def test_hub_without_xet_says_what_to_set(hub: HubServer, release: Path, tmp_path: Path) -> None:
    """hf_xet uploads through Xet unasked; huggingface_hub reads the setting when imported."""
    client = start(hub, release, tmp_path, HF_HUB_DISABLE_XET="0")
    _, said = client.communicate(timeout=120)
    assert "a Hub without Xet storage needs HF_HUB_DISABLE_XET=1" in said.decode()
    assert not hub.repository(REPO).tags


# Killed

PUSH = """
import sys
from pathlib import Path
from dataset_builder.hub import PushOptions, push
from petdata.hub_session import Patience
release, repo = sys.argv[1:]
push(Path(release), repo, PushOptions(patience=Patience(first_wait_s=0.1)))
"""


def start(hub: HubServer, release: Path, home: Path, **variables: str) -> subprocess.Popen[bytes]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    variables = {"HF_TOKEN": TOKEN, "TMPDIR": str(home), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", PUSH, str(release), REPO],
        env={**inherited, **hub.environment(home), "PYTHONPATH": HIDE_PANDAS, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_at(moment: tuple[str, int, bool], releases: tuple[Path, Path], home: Path) -> None:
    """1.0.0 is published; publishing 1.1.0 is killed at a request, and run again."""
    kind, number, is_carried_out = moment
    with HubServer() as hub:
        send(hub, releases[0])
        old = on_the_hub(hub)
        hub.forget_requests()
        killed: list[subprocess.Popen[bytes]] = []

        def kill() -> None:
            killed[0].send_signal(signal.SIGKILL)
            killed[0].wait()

        hub.fail(kind, Fault(after=kill) if is_carried_out else Fault(before=kill), at=number)
        killed.append(start(hub, releases[1], home))
        killed[0].communicate(timeout=120)
        assert killed[0].returncode == -signal.SIGKILL
        seen, tags = on_the_hub(hub), dict(hub.repository(REPO).tags)
        assert on_the_hub(hub, "v1.0.0") == old
        sent_at_first = uploads(hub)
        send(hub, releases[1])
        new = on_the_hub(hub)
        assert seen in (old, new), "main showed a mixture"
        if "v1.1.0" in tags:
            assert seen == new
        assert on_the_hub(hub, "v1.1.0") == new
        assert json.loads(new["manifest.json"])["version"] == "1.1.0"
        assert len(uploads(hub)) == len(set(uploads(hub))) >= len(sent_at_first)


def all_moments(releases: tuple[Path, Path]) -> list[tuple[str, int, bool]]:
    """Every request of an undisturbed push of 1.1.0, before and after it is carried out."""
    with HubServer() as hub:
        send(hub, releases[0])
        hub.forget_requests()
        send(hub, releases[1])
        seen: dict[str, int] = {}
        moments = []
        for request in hub.requests:
            seen[request.kind] = seen.get(request.kind, 0) + 1
            moments += [(request.kind, seen[request.kind], done) for done in (False, True)]
        return moments


def test_killed_at_some_request_and_run_again(releases: tuple[Path, Path], tmp_path: Path) -> None:
    generator = random.Random(4)
    chosen = generator.choice(all_moments(releases))
    for moment in [("lfs_upload", 2, False), ("commit", 1, True), chosen]:
        kill_at(moment, releases, tmp_path)


@pytest.mark.slow
def test_killed_at_every_request_and_run_again(releases: tuple[Path, Path], tmp_path: Path) -> None:
    for moment in all_moments(releases):
        kill_at(moment, releases, tmp_path)


# Back


def test_there_and_back(hub: HubServer, release: Path, tmp_path: Path) -> None:
    pushed = send_all(hub, release)
    pulled = fetch(hub, tmp_path / "pulled")
    assert content_of(pulled.folder) == content_of(release)
    assert (pulled.commit, pulled.manifest) == (pushed.commit, read_manifest(release))
    assert [path.name for path in tmp_path.iterdir()] == ["pulled"]
    hub.forget_requests()
    again = fetch(hub, tmp_path / "pulled")
    assert not again.is_new
    assert "resolve" not in kinds(hub)


def test_which_version(hub: HubServer, releases: tuple[Path, Path], tmp_path: Path) -> None:
    for release in releases:
        send_all(hub, release)
    hub.commit_by_another(REPO, {"manifest.json": b"{}"})
    for reference, expected in (
        (REPO, "1.1.0"),
        (f"{REPO}@1.0.0", "1.0.0"),
        (f"{REPO}@v1.0.0", "1.0.0"),
        (f"{REPO}@{hub.repository(REPO).tags['v1.1.0']}", "1.1.0"),
    ):
        folder = tmp_path / reference.replace("/", "-")
        assert fetch(hub, folder, reference).manifest["version"] == expected
    with pytest.raises(HubFailure, match="404"):
        fetch(hub, tmp_path / "none", f"{REPO}@v9.0.0")


@pytest.mark.parametrize(
    ("fault", "redirects"),
    [
        (Fault(drop_answer_at=2_000), False),
        (Fault(corrupt=True), False),
        (Fault(status=429, retry_after_s=1), False),
        (Fault(status=503), False),
        (Fault(), True),
    ],
)
def test_downloads_survive(fault: Fault, redirects: bool, release: Path, tmp_path: Path) -> None:
    with HubServer(options=HubOptions(redirects_downloads=redirects)) as hub:
        send_all(hub, release)
        for at in (2, 4, 9):
            hub.fail("resolve", fault, at=at)
        assert content_of(fetch(hub, tmp_path / "pulled").folder) == content_of(release)


def test_a_whole_release_or_none(hub: HubServer, release: Path, tmp_path: Path) -> None:
    send_all(hub, release)
    hub.fail("resolve", Fault(corrupt=True), at=10, times=10_000)
    with pytest.raises(CorruptFile, match="arrives with another hash"):
        fetch(hub, tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()
    hub.heal()
    assert content_of(fetch(hub, tmp_path / "pulled").folder) == content_of(release)
    assert [path.name for path in tmp_path.iterdir()] == ["pulled"]


def test_what_has_been_fetched_is_not_fetched_again(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    send_all(hub, release)
    hub.fail("resolve", Fault(status=403, message="no"), at=15, times=10_000)
    with pytest.raises(HubFailure, match="403"):
        fetch(hub, tmp_path / "pulled")
    done = {
        r.target for r in hub.requests if (r.method, r.kind, r.status) == ("GET", "resolve", 200)
    }
    assert done
    hub.heal()
    hub.forget_requests()
    fetch(hub, tmp_path / "pulled")
    assert not done & {request.target for request in hub.requests if request.method == "GET"}


def spoil(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def spoilt(manifest: bytes) -> bytes:
        value = json.loads(manifest)
        change(value)
        return json.dumps(value).encode()

    return spoilt


def climb(manifest: dict[str, Any]) -> None:
    manifest["files"]["../escaped.txt"] = manifest["files"]["README.md"]


def lack(manifest: dict[str, Any]) -> None:
    manifest["files"]["data/none.parquet"] = manifest["files"]["README.md"]


def lie(manifest: dict[str, Any]) -> None:
    manifest["files"]["README.md"]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "message"),
    [(climb, "no path inside|lacks"), (lack, "lacks"), (lie, "arrives with another hash")],
)
def test_manifests_that_cannot_be_trusted(
    change: Callable[[dict[str, Any]], None],
    message: str,
    hub: HubServer,
    release: Path,
    tmp_path: Path,
) -> None:
    send_all(hub, release)
    hub.commit_by_another(REPO, {"manifest.json": spoil(change)(on_the_hub(hub)["manifest.json"])})
    with pytest.raises(CorruptFile, match=message):
        fetch(hub, tmp_path / "into" / "pulled", f"{REPO}@main")
    assert not (tmp_path / "into" / "pulled").exists()
    assert not (tmp_path / "into" / "escaped.txt").exists()


def test_other_folders_are_not_touched(hub: HubServer, release: Path, tmp_path: Path) -> None:
    send_all(hub, release)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(PetdataError, match="name another folder"):
        fetch(hub, tmp_path / "mine")
    assert content_of(tmp_path / "mine") == {"notes.txt": b"mine"}


def test_a_private_release_needs_the_token(hub: HubServer, release: Path, tmp_path: Path) -> None:
    send_all(hub, release)
    with pytest.raises(HubFailure, match="401 Invalid credentials"):
        pull(REPO, tmp_path / "pulled", token="hf_wrong", endpoint=hub.url, patience=AT_ONCE)


LOAD = f"""
import json
from datasets import load_dataset
dogs = load_dataset("{REPO}", "dogfacenet", revision="v1.0.0", split="test")
pet911 = load_dataset("{REPO}", "pet911", revision="v1.0.0", streaming=True)
rows = [row for split in pet911.values() for row in split]
print(json.dumps([dogs[0]["image"].size, [row["image"] for row in rows]]))
"""


def test_load_dataset_by_id(hub: HubServer, release: Path, tmp_path: Path) -> None:
    send(hub, release)
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=os.environ | hub.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    size, pixels = json.loads(done.stdout.splitlines()[-1])
    assert min(size) > 100
    assert set(pixels) == {None}


# Taken down, and beside the photos


def test_a_release_with_photos_that_were_taken_down_is_not_pushed(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    home = Workspace(root=shutil.copytree(release.parents[2], tmp_path / "workspace"))
    folder = home.root / "releases" / "pets" / "1.0.0"
    settings = PushOptions(token=TOKEN, endpoint=hub.url, patience=AT_ONCE, private=True)
    add_takedown(home.takedowns, "pet911/rl509999", "asked", date(2026, 3, 1))  # nobody here
    assert push(folder, REPO, settings, workspace=home).is_new
    sent = len(hub.requests)
    add_takedown(home.takedowns, "pet911/rl500001", "asked", date(2026, 3, 1))
    with pytest.raises(PetdataError, match="holds 2 photos that were taken down since"):
        push(folder, REPO, settings, workspace=home)
    assert len(hub.requests) == sent
    (home.root / "secret.key").unlink()  # a pulled release of somebody else's
    said: list[str] = []
    assert not push(folder, REPO, settings, workspace=home, say=said.append).is_new
    assert any("not checked: its pseudonyms" in line for line in said)


def test_side_tables_go_to_the_hub_and_come_back(
    hub: HubServer, release: Path, tmp_path: Path
) -> None:
    home = Workspace(root=shutil.copytree(release.parents[2], tmp_path / "workspace"))
    names = [row["sha256"] for row in release_rows(release)]
    for table in ("boxes", "others"):
        rows = [{"sha256": name, "boxes": []} for name in names]
        append_rows(table_folder(home.root, table), BOXES, Producer(model="m"), rows)
    first = build_release(home, val_fraction=0.33, keep_source_ids=False)
    assert send(hub, first, private=True).variant == "recipe"
    pulled = fetch(hub, tmp_path / "pulled", f"{REPO}@v{first.name}").folder
    for table in ("boxes", "others"):
        found = read_side_table(table_folder(pulled, table))
        assert sorted(found.rows["sha256"].to_pylist()) == sorted(names)
    verification = Verification(workspace=home, release=pulled, quick=True)
    assert list(verification.problems()) == []
    # A table that the next release lacks is not left behind.
    shutil.rmtree(table_folder(home.root, "others"))
    second = build_release(home, val_fraction=0.33, keep_source_ids=False)
    send(hub, second)
    there = {path.split("/")[1] for path in on_the_hub(hub) if path.startswith("side_tables/")}
    assert there == {"boxes"}
