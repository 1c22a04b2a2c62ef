"""How repositories of a local Hub come, change and go."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from petdata.demo.servers.hub_calls import (
    Account,
    Answer,
    Call,
    HubState,
    check_writer,
    find_repository,
)
from petdata.demo.servers.hub_repos import (
    MAIN,
    HubRefusal,
    HubStore,
    Repository,
    StoredFile,
    large_file,
)


def whoami(state: HubState, call: Call) -> Answer:
    if call.user is None:
        raise HubRefusal(401, "Invalid username or password.")
    role = "write" if call.user.may_write else "read"
    organizations = [{"type": "org", "name": name} for name in call.user.organizations]
    token = {"accessToken": {"displayName": "token", "role": role}}
    value = {"type": "user", "name": call.user.name, "orgs": organizations, "auth": token}
    return Answer(value=value)


def _named(call: Call) -> tuple[str, str, Account]:
    """The repository that the body names: its type, its full name, and who asks."""
    asked = call.json()
    if call.user is None:
        raise HubRefusal(401, "Invalid username or password.")
    namespace = asked.get("organization") or call.user.name
    account = check_writer(call, namespace)
    return f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}", account


def create_repo(state: HubState, call: Call) -> Answer:
    kind, name, account = _named(call)
    prefix = "" if kind == "models" else f"{kind}/"
    value = {"url": f"{state.url}/{prefix}{name}", "name": name, "id": secrets.token_hex(12)}
    if (kind, name) in state.store.repositories:
        taken = {"error": "You already created this dataset repo"}
        return Answer(status=409, value=value | taken)
    is_private = call.json().get("visibility") == "private"
    state.store.create(kind, name, is_private=is_private, author=account.name)
    state.store.save()
    return Answer(value=value)


def delete_repo(state: HubState, call: Call) -> Answer:
    kind, name, _ = _named(call)
    if state.store.repositories.pop((kind, name), None) is None:
        raise HubRefusal(404, "Repository not found", "RepoNotFound")
    state.store.save()
    return Answer(value={})


def settings(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    if "visibility" in (asked := call.json()):
        repository.is_private = asked["visibility"] == "private"
    state.store.save()
    return Answer(value={})


def validate_yaml(state: HubState, call: Call) -> Answer:
    return Answer(value={"errors": [], "warnings": []})  # the standard library reads no YAML


def xet_token(state: HubState, call: Call) -> Answer:
    raise HubRefusal(404, "This Hub offers no Xet storage: set HF_HUB_DISABLE_XET=1")


def commit(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    lines = [json.loads(line) for line in call.body.splitlines() if line]
    header = next(line["value"] for line in lines if line["key"] == "header")
    branch = call.route.revision
    if branch not in repository.branches:
        raise HubRefusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    head = repository.branches[branch]
    if header.get("parentCommit") not in (None, head):
        raise HubRefusal(412, "A commit has happened since. Please refresh and try again.")
    files = dict(repository.commits[head].files)
    for line in lines:
        if line["key"] != "header":
            _apply(state, repository, files, line)
    if call.is_corrupted:
        _corrupt_regular_file(state.store, lines, files)
    author = call.user.name if call.user is not None else ""
    commit = repository.add_commit(branch, files, title=header["summary"], author=author)
    state.store.save()
    prefix = "" if repository.kind == "models" else f"{repository.kind}/"
    address = f"{state.url}/{prefix}{repository.name}/commit/{commit.oid}"
    return Answer(
        value={"success": True, "commitOid": commit.oid, "commitUrl": address, "hookOutput": ""}
    )


def _apply(
    state: HubState,
    repository: Repository,
    files: dict[str, StoredFile],
    line: Mapping[str, Any],
) -> None:
    key, value, path = line["key"], line["value"], line["value"]["path"]
    if key == "file":
        content = base64.b64decode(value["content"])
        files[path] = state.store.add_content(content, is_lfs=False)
    elif key == "lfsFile":
        if value["oid"] not in repository.received:
            raise HubRefusal(
                400, f"Your push was rejected: {path} points to a file that does not exist"
            )
        size = state.store.path_of(value["oid"]).stat().st_size
        files[path] = large_file(value["oid"], size)
    elif key in ("deletedFile", "deletedFolder"):
        prefix = f"{path.rstrip('/')}/"
        gone = [name for name in files if name == path or name.startswith(prefix)]
        if not gone or (key == "deletedFile" and path not in files):
            raise HubRefusal(404, "A file with this name doesn't exist", "EntryNotFound")
        for name in gone:
            del files[name]
    else:
        raise HubRefusal(400, f"Unknown operation {key!r}")


def _corrupt_regular_file(
    store: HubStore, lines: list[dict[str, Any]], files: dict[str, StoredFile]
) -> None:
    path = next((line["value"]["path"] for line in lines if line["key"] == "file"), None)
    if path is not None:
        content = bytearray(store.read(files[path]))
        content[0] ^= 1
        files[path] = store.add_content(bytes(content), is_lfs=False)


def tag(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    commit, name = repository.find_commit(call.route.revision), call.json()["tag"]
    if name in repository.tags:
        raise HubRefusal(409, f"Tag reference exists already: {name}")
    repository.tags[name] = commit.oid
    state.store.save()
    return Answer(status=201, value={})


def delete_tag(state: HubState, call: Call) -> Answer:
    return _forget_name(state, call, find_repository(state, call, to_write=True).tags)


def branch(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    commit = repository.find_commit(call.json().get("startingPoint", MAIN))
    if call.route.revision in repository.branches:
        raise HubRefusal(409, f"Reference already exists: {call.route.revision}")
    repository.branches[call.route.revision] = commit.oid
    state.store.save()
    return Answer(status=201, value={})


def delete_branch(state: HubState, call: Call) -> Answer:
    return _forget_name(state, call, find_repository(state, call, to_write=True).branches)


def _forget_name(state: HubState, call: Call, named: dict[str, str]) -> Answer:
    if named.pop(call.route.revision, None) is None:
        raise HubRefusal(404, f"Invalid rev id: {call.route.revision}", "RevisionNotFound")
    state.store.save()
    return Answer(value={})


def squash(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    author = call.user.name if call.user is not None else ""
    repository.squash(call.route.revision, title=call.json()["message"], author=author)
    state.store.save()
    return Answer(value={})
