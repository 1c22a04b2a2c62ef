from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.demo.servers.hub_calls import Account, HubOptions
from petdata.demo.servers.hub_faults import Fault

PETS = "user/pets"
LARGE = bytes(range(256)) * 400  # 102,400 bytes


@pytest.fixture(autouse=True)
def _client_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `environment` sets, for a client in this process, which imported it long ago."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between a client's retries


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def api_of(server: HubServer, token: str | bool = TOKEN) -> HfApi:
    return HfApi(endpoint=server.url, token=token)


def create(server: HubServer, repo_id: str = PETS, *, private: bool = False) -> HfApi:
    api = api_of(server)
    api.create_repo(repo_id, repo_type="dataset", private=private)
    return api


def put(api: HfApi, files: dict[str, bytes], **more: Any) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    commit = api.create_commit(PETS, operations, repo_type="dataset", commit_message="add", **more)
    return str(commit.oid)


def kinds(server: HubServer) -> list[str]:
    return [request.kind for request in server.requests]


# Repositories


def test_create_info_and_delete(hub: HubServer) -> None:
    api = create(hub)
    assert api.whoami()["name"] == "user"
    url = api.create_repo(PETS, repo_type="dataset", exist_ok=True)
    assert url.repo_id == PETS
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(PETS, repo_type="dataset")
    info = api.dataset_info(PETS)
    assert (info.private, info.sha) == (False, hub.repository(PETS).branches["main"])
    assert [file.rfilename for file in info.siblings or ()] == [".gitattributes"]
    api.delete_repo(PETS, repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info(PETS)


def test_private_repository_needs_its_owners_token() -> None:
    accounts = {"a": Account(name="user"), "b": Account(name="other")}
    with HubServer(accounts=accounts) as hub:
        owner = api_of(hub, "a")
        owner.create_repo(PETS, repo_type="dataset", private=True)
        assert owner.dataset_info(PETS).private
        for stranger in (api_of(hub, "b"), api_of(hub, token=False)):
            with pytest.raises(RepositoryNotFoundError):
                stranger.dataset_info(PETS)
            with pytest.raises(RepositoryNotFoundError):
                stranger.hf_hub_download(PETS, ".gitattributes", repo_type="dataset")
        owner.update_repo_settings(PETS, repo_type="dataset", visibility="public")
        assert not api_of(hub, token=False).dataset_info(PETS).private


def test_writing_needs_a_token_that_may(tmp_path: Path) -> None:
    accounts = {
        "a": Account(name="user"),
        "b": Account(name="other"),
        "r": Account(name="user", may_write=False),
    }
    with HubServer(accounts=accounts) as hub:
        api_of(hub, "a").create_repo(PETS, repo_type="dataset")
        for token in ("b", "r"):
            with pytest.raises(HfHubHTTPError, match="403"):
                put(api_of(hub, token), {"a.txt": b"a"})
        with pytest.raises(HfHubHTTPError, match="401"):
            put(api_of(hub, token=False), {"a.txt": b"a"})
        with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
            api_of(hub, "wrong").dataset_info(PETS)
        assert hub.content(PETS).keys() == {".gitattributes"}


def test_state_in_a_folder_outlives_the_server(tmp_path: Path) -> None:
    with HubServer(tmp_path) as hub:
        put(create(hub), {"a.parquet": LARGE, "a.txt": b"a"})
        api_of(hub).create_tag(PETS, tag="v1", repo_type="dataset")
        expected = hub.content(PETS)
    with HubServer(tmp_path) as hub:
        assert hub.content(PETS, "v1") == expected
        put(api_of(hub), {"b.txt": b"b"})
        assert len(api_of(hub).list_repo_commits(PETS, repo_type="dataset")) == 3


# Commits


def test_tree_has_the_hashes_that_git_and_lfs_have(hub: HubServer) -> None:
    api = create(hub)
    put(api, {"README.md": b"# pets\n", "data/a/train.parquet": LARGE})
    tree = {e.path: e for e in api.list_repo_tree(PETS, recursive=True, repo_type="dataset")}
    assert tree.keys() == {
        ".gitattributes",
        "README.md",
        "data",
        "data/a",
        "data/a/train.parquet",
    }
    # `printf '# pets\n' | git hash-object --stdin`
    assert cast(Any, tree["README.md"]).blob_id == "3a8f1eb31a463a6e47b141d9d12cbd32c4503237"
    large = cast(Any, tree["data/a/train.parquet"])
    assert large.lfs.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert (large.lfs.size, large.size) == (len(LARGE), len(LARGE))
    top = [entry.path for entry in api.list_repo_tree(PETS, repo_type="dataset")]
    assert top == [".gitattributes", "README.md", "data"]
    assert api.get_paths_info(PETS, ["data", "none"], repo_type="dataset")[0].path == "data"


def test_long_trees_come_in_pages() -> None:
    with HubServer(options=HubOptions(page_length=4)) as hub:
        files = {f"data/{number:02}.txt": b"%d" % number for number in range(10)}
        api = create(hub)
        put(api, files)
        tree = list(api.list_repo_tree(PETS, "data", repo_type="dataset"))
        assert [entry.path for entry in tree] == sorted(files)
        assert kinds(hub).count("tree") == 3


@pytest.mark.parametrize("part_bytes", [None, 40_000])
def test_large_files_are_sent_once(part_bytes: int | None) -> None:
    with HubServer(options=HubOptions(part_bytes=part_bytes)) as hub:
        api = create(hub)
        put(api, {"a.parquet": LARGE})
        assert hub.content(PETS)["a.parquet"] == LARGE
        parts = [request for request in hub.requests if request.kind in ("lfs_upload", "lfs_part")]
        expected = [len(LARGE)] if part_bytes is None else [40_000, 40_000, 22_400]
        assert [request.received_bytes for request in parts] == expected
        hub.forget_requests()
        put(api, {"b.parquet": LARGE})
        assert not {"lfs_upload", "lfs_part"} & set(kinds(hub))
        assert hub.content(PETS)["b.parquet"] == LARGE


def test_repeated_upload_makes_no_commit(hub: HubServer) -> None:
    api = create(hub)
    first = put(api, {"a.parquet": LARGE, "a.txt": b"a"})
    assert put(api, {"a.parquet": LARGE, "a.txt": b"a"}) == first


def test_commit_on_a_stale_parent_is_refused(hub: HubServer) -> None:
    api = create(hub)
    head = put(api, {"a.txt": b"a"})
    other = hub.commit_by_another(PETS, {"b.txt": b"b"})
    with pytest.raises(HfHubHTTPError, match="412"):
        put(api, {"a.txt": b"c"}, parent_commit=head)
    assert hub.content(PETS)["a.txt"] == b"a"
    put(api, {"a.txt": b"c"}, parent_commit=other)
    assert hub.content(PETS)["a.txt"] == b"c"


def test_delete_and_copy(hub: HubServer) -> None:
    api = create(hub)
    put(api, {"a.parquet": LARGE, "old/b.txt": b"b"})
    operations: list[CommitOperationCopy | CommitOperationDelete] = [
        CommitOperationCopy("a.parquet", "c.parquet"),
        CommitOperationDelete("old/"),
    ]
    api.create_commit(PETS, operations, repo_type="dataset", commit_message="move")
    assert hub.content(PETS).keys() == {".gitattributes", "a.parquet", "c.parquet"}
    with pytest.raises(EntryNotFoundError):
        api.delete_file("old/b.txt", PETS, repo_type="dataset")


def test_tags_branches_and_history(hub: HubServer) -> None:
    api = create(hub)
    first = put(api, {"a.txt": b"1"})
    api.create_tag(PETS, tag="v1.0.0", revision=first, repo_type="dataset")
    second = put(api, {"a.txt": b"2"})
    assert api.dataset_info(PETS, revision="v1.0.0").sha == first
    api.create_tag(PETS, tag="v1.0.0", revision=second, repo_type="dataset", exist_ok=True)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(PETS, tag="v1.0.0", revision=second, repo_type="dataset")
    refs = api.list_repo_refs(PETS, repo_type="dataset")
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1.0.0", first)]
    commits = api.list_repo_commits(PETS, repo_type="dataset")
    assert [commit.commit_id for commit in commits][:2] == [second, first]
    api.create_branch(PETS, branch="next", repo_type="dataset")
    put(api, {"a.txt": b"3"}, revision="next")
    assert hub.content(PETS)["a.txt"] == b"2"
    api.delete_branch(PETS, branch="next", repo_type="dataset")
    api.delete_tag(PETS, tag="v1.0.0", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(PETS, revision="v1.0.0")


def test_squashed_history_is_gone(hub: HubServer) -> None:
    api = create(hub)
    first = put(api, {"a.txt": b"1"})
    put(api, {"a.txt": b"2"})
    api.super_squash_history(PETS, repo_type="dataset")
    assert len(api.list_repo_commits(PETS, repo_type="dataset")) == 1
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(PETS, revision=first)
    assert hub.content(PETS)["a.txt"] == b"2"


# Downloads


@pytest.mark.parametrize("redirects", [False, True])
def test_downloads_and_ranges(redirects: bool, tmp_path: Path) -> None:
    with HubServer(options=HubOptions(redirects_downloads=redirects)) as hub:
        api = create(hub, private=True)
        first = put(api, {"a.parquet": LARGE, "a.txt": b"1"})
        put(api, {"a.txt": b"2"})
        path = api.snapshot_download(PETS, repo_type="dataset", revision=first, cache_dir=tmp_path)
        assert Path(path, "a.parquet").read_bytes() == LARGE
        assert Path(path, "a.txt").read_bytes() == b"1"
        HfFileSystem.clear_instance_cache()
        files = HfFileSystem(endpoint=hub.url, token=TOKEN, skip_instance_cache=True)
        with files.open(f"datasets/{PETS}/a.parquet", "rb", block_size=1_000) as file:
            file.seek(50_000)
            assert file.read(300) == LARGE[50_000:50_300]
        assert any(request.range for request in hub.requests)
        assert files.glob(f"datasets/{PETS}/*.parquet") == [f"datasets/{PETS}/a.parquet"]
        with pytest.raises(EntryNotFoundError):
            api.hf_hub_download(PETS, "b.txt", repo_type="dataset", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-9", 206, LARGE[:10]),
        ("bytes=102390-", 206, LARGE[-10:]),
        ("bytes=-5", 206, LARGE[-5:]),
        ("bytes=102390-999999", 206, LARGE[-10:]),
        ("bytes=102400-", 416, b""),
        ("lines=1-2", 200, LARGE),
    ],
)
def test_range_forms(hub: HubServer, asked: str, status: int, expected: bytes) -> None:
    put(create(hub), {"a.parquet": LARGE})
    url = f"{hub.url}/datasets/{PETS}/resolve/main/a.parquet"
    answer = huggingface_hub.get_session().get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, expected)
    assert answer.headers["X-Repo-Commit"] == hub.repository(PETS).branches["main"]
    assert answer.headers["ETag"] == f'"{hashlib.sha256(LARGE).hexdigest()}"'


# Faults


def test_refusals_and_lost_connections_are_retried_by_the_client(
    hub: HubServer, tmp_path: Path
) -> None:
    api = create(hub)
    hub.fail("lfs_batch", Fault(status=429, retry_after_s=2))
    hub.fail("preupload", Fault(status=503))
    hub.fail("lfs_upload", Fault(drop_request_at=1_000))
    hub.fail("lfs_upload", Fault(status=500), at=2)
    put(api, {"a.parquet": LARGE})
    assert hub.content(PETS)["a.parquet"] == LARGE
    uploads = [request.status for request in hub.requests if request.kind == "lfs_upload"]
    assert uploads == [None, 500, 200]
    hub.fail("resolve", Fault(drop_answer_at=30_000), at=2)
    path = api.hf_hub_download(PETS, "a.parquet", repo_type="dataset", local_dir=tmp_path)
    assert Path(path).read_bytes() == LARGE
    downloads = [request.status for request in hub.requests if request.kind == "resolve"]
    assert downloads == [200, None, 200]  # HEAD, broken off, whole


def test_lost_answer_to_a_commit_leaves_the_commit(hub: HubServer) -> None:
    api = create(hub)
    hub.fail("commit", Fault(drop_answer_at=0))
    with pytest.raises(Exception, match=r"disconnected|reset|peer"):
        put(api, {"a.txt": b"a"})
    assert hub.content(PETS)["a.txt"] == b"a"


def test_dropped_commit_changes_nothing(hub: HubServer) -> None:
    api = create(hub)
    hub.fail("commit", Fault(drop_request_at=20))
    with pytest.raises(Exception, match=r"disconnected|reset|peer"):
        put(api, {"a.txt": b"a"})
    assert hub.content(PETS).keys() == {".gitattributes"}


@pytest.mark.parametrize(("part_bytes", "kind"), [(None, "lfs_upload"), (40_000, "lfs_part")])
def test_upload_that_changed_on_its_way_is_not_taken(part_bytes: int | None, kind: str) -> None:
    with HubServer(options=HubOptions(part_bytes=part_bytes)) as hub:
        api = create(hub)
        hub.fail(kind, Fault(corrupt=True))
        with pytest.raises(RuntimeError) as raised:
            put(api, {"a.parquet": LARGE})
        assert "422" in str(raised.value.__cause__)
        put(api, {"a.parquet": LARGE})
        assert hub.content(PETS)["a.parquet"] == LARGE


def test_regular_file_that_changed_on_its_way_has_another_blob_id(hub: HubServer) -> None:
    api = create(hub)
    hub.fail("commit", Fault(corrupt=True))
    put(api, {"a.txt": b"abc"})
    assert hub.content(PETS)["a.txt"] == b"`bc"
    (file,) = api.get_paths_info(PETS, "a.txt", repo_type="dataset")
    assert cast(Any, file).blob_id == hashlib.sha1(b"blob 3\0`bc").hexdigest()


def test_another_commit_comes_in_between(hub: HubServer) -> None:
    api = create(hub)
    head = put(api, {"a.txt": b"a"})

    def commit() -> None:
        hub.commit_by_another(PETS, {"b.txt": b"b"})

    hub.fail("commit", Fault(before=commit))
    with pytest.raises(HfHubHTTPError, match="412"):
        put(api, {"a.txt": b"c"}, parent_commit=head)


def test_altered_answer(hub: HubServer) -> None:
    api = create(hub)
    hub.fail("repo_info", Fault(alter=lambda value: value | {"private": True}))
    assert api.dataset_info(PETS).private
    assert not api.dataset_info(PETS).private


def test_log_lets_nobody_in(hub: HubServer) -> None:
    put(create(hub), {"a.parquet": LARGE})
    log = repr(hub.requests)
    assert "user='user'" in log
    assert TOKEN not in log
    for ticket in hub.state.tickets:
        assert ticket not in log
    assert {"create_repo", "preupload", "lfs_batch", "lfs_upload", "commit"} <= set(kinds(hub))
    (upload,) = [request for request in hub.requests if request.kind == "lfs_upload"]
    assert upload.oid == hashlib.sha256(LARGE).hexdigest()


def test_unknown_kind_of_fault_is_refused(hub: HubServer) -> None:
    with pytest.raises(ValueError, match="no requests are 'comit'"):
        hub.fail("comit", Fault())


# datasets, and hf_xet, which read their settings when they are imported

CARD = b"""---
configs:
- config_name: all
  default: true
  data_files:
  - split: train
    path: data/*/train-*.parquet
  - split: test
    path: data/cats/test-*.parquet
- config_name: dogs
  data_files:
  - split: train
    path: data/dogs/train-*.parquet
---
# pets
"""


def parquet(*names: str) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"name": list(names)}), sink)
    return cast(bytes, sink.getvalue().to_pybytes())


def run_client(server: HubServer, home: Path, program: str, **variables: str) -> Any:
    """What a Python program in a process of its own prints as JSON on its last line."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, **server.environment(home), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_load_dataset(tmp_path: Path) -> None:
    with HubServer(options=HubOptions(redirects_downloads=True)) as hub:
        api = create(hub, private=True)
        files = {"README.md": CARD, "data/cats/test-00000.parquet": parquet("Tom")}
        files |= {"data/cats/train-00000.parquet": parquet("Kit", "Puss")}
        files |= {"data/dogs/train-00000.parquet": parquet("Rex")}
        put(api, files)
        api.create_tag(PETS, tag="v1.0.0", repo_type="dataset")
        put(api, {"data/dogs/train-00000.parquet": parquet("Rex", "Bim")})
        seen = run_client(
            hub,
            tmp_path,
            f"""
import json
from datasets import get_dataset_config_names, load_dataset
seen = {{"configs": get_dataset_config_names("{PETS}")}}
seen["all"] = {{k: v["name"] for k, v in load_dataset("{PETS}").items()}}
seen["v1"] = load_dataset("{PETS}", "dogs", revision="v1.0.0", split="train")["name"]
stream = load_dataset("{PETS}", "dogs", split="train", streaming=True)
seen["stream"] = [row["name"] for row in stream]
print(json.dumps(seen, default=list))
""",
            HF_TOKEN=TOKEN,
        )
    assert sorted(seen["configs"]) == ["all", "dogs"]
    assert seen["all"] == {"train": ["Kit", "Puss", "Rex", "Bim"], "test": ["Tom"]}
    assert seen["v1"] == ["Rex"]
    assert seen["stream"] == ["Rex", "Bim"]


def test_push_to_hub_and_load_back(hub: HubServer, tmp_path: Path) -> None:
    names = run_client(
        hub,
        tmp_path,
        f"""
import json
from datasets import Dataset, load_dataset
pets = Dataset.from_dict({{"name": ["Kit", "Puss", "Rex", "Bim"]}})
pets.push_to_hub("{PETS}", num_shards=2)
print(json.dumps(list(load_dataset("{PETS}", split="train")["name"])))
""",
        HF_TOKEN=TOKEN,
    )
    assert names == ["Kit", "Puss", "Rex", "Bim"]
    assert sum(path.endswith(".parquet") for path in hub.content(PETS)) == 2


UPLOAD: Callable[..., str] = """
import json
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("user/pets", repo_type="dataset")
try:
    content = bytes(range(256)) * 400
    api.upload_file(path_or_fileobj=content, path_in_repo="a.parquet",
                    repo_id="user/pets", repo_type="dataset")
    error = None
except Exception as caught:
    error = f"{{type(caught).__name__}}: {{caught}}"
print(json.dumps(error))
""".format


def test_without_xet_the_client_uploads_by_lfs(hub: HubServer, tmp_path: Path) -> None:
    assert run_client(hub, tmp_path, UPLOAD(), HF_TOKEN=TOKEN) is None
    assert hub.content(PETS)["a.parquet"] == LARGE


def test_client_with_xet_asks_for_it_and_fails(hub: HubServer, tmp_path: Path) -> None:
    """It does not fall back to LFS: why `environment` sets HF_HUB_DISABLE_XET."""
    error = run_client(hub, tmp_path, UPLOAD(), HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="0")
    assert error is not None
    assert "xet_token" in kinds(hub)
    assert "a.parquet" not in hub.content(PETS)
