"""Training from a Hub: no pixels at first, then photos by ranges, whatever goes wrong."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub import get_session as session_of_the_client
from PIL import Image
from small_release import small_release

from dataset_builder.hub import PushOptions, push
from dataset_builder.hub_pull import pull
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.hub_calls import HubOptions
from petdata.demo.servers.hub_faults import Fault
from petdata.errors import CorruptFile, PetdataError, TryLater
from petdata.hub_session import HubFailure
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.data import PhotoLoader
from trainer.photo_set import PhotoSet, open_photos

REPO = "user/pets"
VERSION = f"{REPO}@v1.0.0"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("hub_photos") / "workspace")


def point_client_at(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does before huggingface_hub is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture(params=[False, True], ids=["direct", "redirected"])
def hub(
    request: pytest.FixtureRequest, release: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    """The Hub sends whoever wants a large file to another host."""
    with HubServer(options=HubOptions(redirects_downloads=request.param)) as server:
        point_client_at(server, monkeypatch)
        push(release, REPO, PushOptions(private=True, include_restricted=True))
        server.forget_requests()
        yield server


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path / "elsewhere")


def local(release: Path, split: str = "train", **more: Any) -> PhotoSet:
    return open_photos(open_release(release), split, **more)


def remote(workspace: Workspace, split: str = "train", reference: str = VERSION) -> PhotoSet:
    return open_photos(open_release(reference, workspace=workspace), split)


def received(hub: HubServer, name: str) -> list[str | None]:
    """Ranges of data files that were asked for since."""
    del name
    found = [r.range for r in hub.requests if r.kind in ("resolve", "lfs_download")]
    return [text for text in found if text is not None]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_same_photos_as_from_the_folder(
    hub: HubServer, release: Path, workspace: Workspace, split: str
) -> None:
    here, there = local(release, split), remote(workspace, split)
    assert (there.are_remote, here.are_remote) == (True, False)
    assert there.photo_ids == here.photo_ids
    assert there.sha256 == here.sha256
    assert there.groups == here.groups
    assert there.labels.tolist() == here.labels.tolist()
    assert there.sources.to_pylist() == here.sources.to_pylist()
    assert there.species.to_pylist() == here.species.to_pylist()
    assert there.dataset_hash == here.dataset_hash
    assert there.release.revision == hub.repository(REPO).tags["v1.0.0"]
    order = np.random.default_rng(1).permutation(len(here))
    assert there.read(order) == here.read(order)


def test_opening_fetches_no_pixels(hub: HubServer, release: Path, workspace: Workspace) -> None:
    photos = remote(workspace)
    at_first = sum(path.stat().st_size for path in cached(workspace))
    jpegs = photos.read(np.arange(len(photos)))
    content = b"".join(path.read_bytes() for path in cached(workspace) if path.suffix != ".photos")
    assert not any(jpeg[100:400] in content for jpeg in jpegs)
    assert at_first < sum(map(len, jpegs)) / 2


def cached(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.root / "cache").rglob("*") if path.is_file()]


def test_photos_and_tables_are_fetched_once(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    rows = np.arange(len(photos))
    first = photos.read(rows)
    hub.forget_requests()
    assert photos.read(rows) == first
    again = remote(workspace)  # as by another process
    assert again.read(rows) == first
    assert hub.requests == ()


def test_neighbours_come_in_one_range(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    hub.forget_requests()
    photos.read(np.arange(len(photos)))
    files = len(set(photos.release.files("train")))
    assert len(received(hub, "data")) == files  # their photos lie side by side
    assert len(photos) > files


def test_a_new_commit_changes_nothing_of_a_version(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    hub.commit_by_another(REPO, {path: b"gone" for path in photos.release.files("train")})
    assert len(photos.read(np.arange(3))) == 3
    assert remote(workspace, reference=REPO).release.version == "1.0.0"  # the newest version


def test_what_a_version_keeps_is_not_fetched_for_the_next(
    hub: HubServer, release: Path, workspace: Workspace
) -> None:
    photos = remote(workspace)
    photos.read(np.arange(len(photos)))
    hub.commit_by_another(REPO, {"LICENSE": b"mine"})
    later = hub.repository(REPO).find_commit("main").oid
    hub.forget_requests()
    again = remote(workspace, reference=f"{REPO}@{later}")
    again.read(np.arange(len(again)))
    assert received(hub, "data") == []


def test_a_whole_copy_that_is_here_is_used(
    hub: HubServer, release: Path, workspace: Workspace
) -> None:
    pull(VERSION, workspace.root / "cache" / "hub" / "user--pets" / "v1.0.0")
    hub.forget_requests()
    photos = remote(workspace)
    assert (photos.are_remote, photos.release.revision) == (False, "v1.0.0")
    assert photos.dataset_hash == local(release).dataset_hash
    assert hub.requests == ()


# What goes wrong


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, retry_after_s=1),
        Fault(status=503),
        Fault(drop_answer_at=0),
        Fault(drop_answer_at=2_000),
        Fault(corrupt=True),
    ],
    ids=["429", "503", "no answer", "half an answer", "garbled"],
)
def test_setbacks_are_survived(
    fault: Fault, hub: HubServer, release: Path, workspace: Workspace
) -> None:
    kind = "lfs_download" if hub.state.options.redirects_downloads else "resolve"
    hub.fail(kind, fault, at=1, times=3)
    hub.fail(kind, fault, at=7, times=2)
    photos = remote(workspace)
    hub.fail(kind, fault, at=1, times=4)
    rows = np.arange(len(photos))
    assert photos.read(rows) == local(release).read(rows)


def test_patience_ends_naming_file_and_photo(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    hub.fail("any", Fault(status=503, message=f"tired of {TOKEN}"), times=1_000)
    row = int(np.flatnonzero(np.array(photos.sources.to_pylist()) == "telegram")[0])
    expected = (
        rf"data/telegram/train-00000\.parquet, photo {photos.photo_ids[row]}.*tired of \*\*\*"
    )
    with pytest.raises(TryLater, match=expected):
        photos.read(np.array([row]))
    hub.heal()
    assert len(photos.read(np.array([row]))) == 1


def test_what_always_comes_garbled_is_an_error(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    hub.fail("any", Fault(corrupt=True), times=1_000)
    with pytest.raises(CorruptFile, match=rf"photo {photos.photo_ids[0]} came with another SHA"):
        photos.read(np.array([0]))


def test_another_file_under_its_name_is_an_error(
    release: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit whose data is not what its manifest says."""
    with HubServer() as hub:
        point_client_at(hub, monkeypatch)
        push(release, REPO, PushOptions(private=True, include_restricted=True))
        path = "data/telegram/train-00000.parquet"
        content = bytearray(hub.content(REPO)[path])
        table = pq.read_table(release / "metadata" / "byte_index.parquet").to_pylist()
        photo = next(row for row in table if row["path"] == path)
        content[photo["offset"] + 1_000] ^= 1
        hub.commit_by_another(REPO, {path: bytes(content)})
        photos = remote(workspace, reference=f"{REPO}@main")
        row = int(np.flatnonzero(np.array(photos.sources.to_pylist()) == "telegram")[0])
        with pytest.raises(CorruptFile, match="another SHA-256"):
            photos.read(np.array([row]))


def test_refusals_say_what_to_do(
    hub: HubServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubFailure, match="404"):
        open_release(f"{REPO}@v9.0.0", workspace=workspace)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubFailure, match=r"401.*log in"):
        open_release(VERSION, workspace=workspace)


def test_a_recipe_says_pull_and_rehydrate(
    release: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as hub:
        point_client_at(hub, monkeypatch)
        push(release, REPO)
        with pytest.raises(PetdataError, match=r"recipe: .*petdata pull .* petdata rehydrate pets"):
            remote(workspace)
        free = open_photos(open_release(VERSION, config="lcw", workspace=workspace), "validation")
        assert len(free.read(np.arange(len(free)))) == len(free) > 0


def test_the_token_is_told_to_nobody(
    hub: HubServer, workspace: Workspace, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.fail("any", Fault(status=503), at=4, times=2)
    photos = remote(workspace)
    photos.read(np.arange(3))
    captured = capfd.readouterr()
    assert "resolve" in caplog.text
    assert not any(TOKEN in text for text in (caplog.text, captured.out, captured.err))
    files = [path.read_bytes() for path in cached(workspace)]
    assert not any(TOKEN.encode() in content for content in files)
    assert TOKEN not in repr(photos) + repr(photos.release) + repr(photos.release.hub)


# What lies here


def test_damage_to_the_copy_is_mended(hub: HubServer, release: Path, workspace: Workspace) -> None:
    photos = remote(workspace)
    rows = np.arange(len(photos))
    expected = photos.read(rows)
    for path in cached(workspace):
        if path.suffix == ".photos":
            content = bytearray(path.read_bytes())
            content[::1000] = bytes(len(content[::1000]))  # a hole here and there
            path.write_bytes(content[: len(content) // 2])
    assert remote(workspace).read(rows) == expected == local(release).read(rows)


def test_the_copy_takes_only_what_was_read(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    photos.read(np.array([0]))
    sparse = [path for path in cached(workspace) if path.suffix == ".photos"]
    assert len(sparse) == 1
    entry = photos.release.manifest["files"][photos.release.files("train")[0]]
    assert sparse[0].name == f"{entry['sha256']}.photos"
    assert sparse[0].stat().st_size == entry["bytes"]


# Batches


def small(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.resize((16, 16)))).permute(2, 0, 1).float()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_folder(
    hub: HubServer, release: Path, workspace: Workspace, workers: int
) -> None:
    session_of_the_client()  # a connection pool that forked processes must not share
    batches = [np.array([4, 2, 9]), np.array([0, 1]), np.array([9, 8, 7, 6])]
    here = list(PhotoLoader(local(release), small, batches, workers=0))
    there = list(PhotoLoader(remote(workspace), small, batches, workers=workers))
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.pixel_values, other.pixel_values)
        assert one.photo_ids == other.photo_ids


def test_a_hub_that_is_gone_ends_the_loader(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    hub.fail("any", Fault(status=503), times=1_000)
    with pytest.raises(TryLater, match=r"reading data/.*, photo "):
        list(PhotoLoader(photos, small, [np.arange(5)], workers=1))


def test_a_cache_that_cannot_be_written_says_so(hub: HubServer, workspace: Workspace) -> None:
    photos = remote(workspace)
    shutil.rmtree(workspace.root / "cache" / "hub-ranges" / "photos", ignore_errors=True)
    (workspace.root / "cache" / "hub-ranges" / "photos").write_text("a file")
    with pytest.raises(PetdataError, match=r"cannot (write|make) "):
        photos.read(np.array([0]))
    assert os.path.isfile(workspace.root / "cache" / "hub-ranges" / "photos")  # noqa: PTH113
