"""What a local Hub answers to those who read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from petdata.demo.servers.hub_calls import (
    Answer,
    Call,
    FileSlice,
    HubState,
    Ticket,
    find_repository,
    find_ticket,
    issue_ticket,
    refused,
)
from petdata.demo.servers.hub_repos import (
    Commit,
    HubRefusal,
    StoredFile,
    git_blob_id,
    large_file,
    pointer,
)


def repo_info(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call)
    commit = repository.find_commit(call.route.revision)
    siblings: list[dict[str, Any]] = []
    for path, file in sorted(commit.files.items()):
        sibling: dict[str, Any] = {"rfilename": path}
        if call.route.query.get("blobs", "").lower() in ("true", "1"):
            sibling |= {"size": file.size, "blobId": file.blob_id}
            if file.is_lfs:
                sibling["lfs"] = _pointer(file) | {"sha256": file.sha256}
        siblings.append(sibling)
    value = {
        "_id": "0" * 24,
        "id": repository.name,
        "author": repository.name.partition("/")[0],
        "sha": commit.oid,
        "private": repository.is_private,
        "gated": False,
        "disabled": False,
        "createdAt": repository.created_at,
        "lastModified": commit.date,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
    }
    return Answer(value=value)


def _pointer(file: StoredFile) -> dict[str, Any]:
    return {"size": file.size, "pointerSize": len(pointer(file.sha256, file.size))}


def _entry(commit: Commit, path: str, *, with_commit: bool) -> dict[str, Any] | None:
    """A file or a folder of a commit as the tree shows it."""
    file = commit.files.get(path)
    last = {"id": commit.oid, "title": commit.title, "date": commit.date} if with_commit else None
    if file is not None:
        entry = {"type": "file", "path": path, "oid": file.blob_id, "size": file.size}
        if file.is_lfs:
            entry["lfs"] = _pointer(file) | {"oid": file.sha256}
    elif any(name.startswith(f"{path}/") for name in commit.files):
        entry = {"type": "directory", "path": path, "size": 0}
        entry["oid"] = git_blob_id(f"{commit.oid} {path}".encode())
    else:
        return None
    return entry | {"lastCommit": last} if with_commit else entry


def _asks(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def tree(state: HubState, call: Call) -> Answer:
    repository, route = find_repository(state, call), call.route
    commit = repository.find_commit(route.revision)
    start = f"{route.path}/" if route.path else ""
    found: set[str] = set()
    for path in commit.files:
        if path.startswith(start):
            steps = path.removeprefix(start).split("/")
            deepest = len(steps) if _asks(route.query, "recursive") else 1
            found.update(start + "/".join(steps[: depth + 1]) for depth in range(deepest))
    if route.path and not found:
        raise HubRefusal(404, f"{route.path} does not exist on {route.revision}", "EntryNotFound")
    position = int(route.query.get("cursor", "0"))
    end = position + state.options.page_length
    page = sorted(found)[position:end]
    expand = _asks(route.query, "expand")
    value = [_entry(commit, path, with_commit=expand) for path in page]
    headers: tuple[tuple[str, str], ...] = ()
    if end < len(found):
        rest = urlencode({**route.query, "cursor": str(end)})
        address = f"{state.url}/api/{route.type}/{route.repository}/tree/{commit.oid}"
        address += f"/{quote(route.path)}" if route.path else ""
        headers = (("Link", f'<{address}?{rest}>; rel="next"'),)
    return Answer(value=value, headers=headers)


def paths_info(state: HubState, call: Call) -> Answer:
    commit = find_repository(state, call).find_commit(call.route.revision)
    asked = parse_qs(call.body.decode())
    expand = _asks({"expand": asked.get("expand", [""])[-1]}, "expand")
    entries = [_entry(commit, path, with_commit=expand) for path in asked.get("paths", [])]
    return Answer(value=[entry for entry in entries if entry is not None])


def refs(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call)

    def listed(kind: str, named: Mapping[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
            for name, oid in named.items()
        ]

    value: dict[str, Any] = {"branches": listed("heads", repository.branches), "converts": []}
    value |= {"tags": listed("tags", repository.tags), "pullRequests": []}
    return Answer(value=value)


def commits(state: HubState, call: Call) -> Answer:
    history = find_repository(state, call).history(call.route.revision)
    value = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": "",
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in history
    ]
    return Answer(value=value)


def resolve(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call)
    commit = repository.find_commit(call.route.revision)
    file = commit.files.get(call.route.path)
    headers: tuple[tuple[str, str], ...] = (("X-Repo-Commit", commit.oid),)
    if file is None:
        error = HubRefusal(404, "Entry not found", "EntryNotFound")
        return refused(error, headers)
    headers += (("X-Linked-Size", str(file.size)), ("X-Linked-Etag", f'"{file.etag}"'))
    if file.is_lfs and state.options.redirects_downloads:
        key = repository.kind, repository.name
        ticket = issue_ticket(state, Ticket(key, file.sha256, file.size))
        elsewhere = state.url.replace("127.0.0.1", "localhost")
        headers += (("Location", f"{elsewhere}/storage/{ticket}"),)
        return Answer(status=302, headers=headers)
    return _content(state, call, file, headers)


def lfs_download(state: HubState, call: Call) -> Answer:
    ticket = find_ticket(state, call)
    return _content(state, call, large_file(ticket.sha256, ticket.size), ())


def _content(
    state: HubState, call: Call, file: StoredFile, headers: tuple[tuple[str, str], ...]
) -> Answer:
    headers += (("ETag", f'"{file.etag}"'), ("Accept-Ranges", "bytes"))
    path = state.store.path_of(file.sha256)
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.range or "")
    if asked is None or asked.groups() == ("", ""):
        return Answer(content=FileSlice(path, 0, file.size), headers=headers)
    first, last = asked.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else file.size, file.size)
    else:
        start, end = max(file.size - int(last), 0), file.size
    if start >= end:
        return Answer(status=416, headers=(*headers, ("Content-Range", f"bytes */{file.size}")))
    headers += (("Content-Range", f"bytes {start}-{end - 1}/{file.size}"),)
    return Answer(status=206, content=FileSlice(path, start, end - start), headers=headers)
