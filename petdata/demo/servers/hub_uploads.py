"""How large files arrive on a local Hub: in one piece or in parts, before any commit names them."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from petdata.demo.servers.hub_calls import (
    Answer,
    Call,
    HubOptions,
    HubState,
    Ticket,
    find_repository,
    find_ticket,
    issue_ticket,
)
from petdata.demo.servers.hub_repos import HubRefusal


def preupload(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    commit = repository.find_commit(call.route.revision)
    files = []
    for asked in call.json()["files"]:
        path, size = asked["path"], asked["size"]
        is_binary = b"\0" in base64.b64decode(asked["sample"])
        is_large = is_binary or state.store.is_large(repository, commit.oid, path, size)
        present = commit.files.get(path)
        entry = {"path": path, "uploadMode": "lfs" if is_large else "regular"}
        files.append(
            entry | {"shouldIgnore": False, "oid": present.etag if present is not None else None}
        )
    return Answer(value={"files": files})


def lfs_batch(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    prefix = "" if repository.kind == "models" else f"{repository.kind}/"
    verify = f"{state.url}/{prefix}{repository.name}.git/info/lfs/verify"
    objects = []
    for asked in call.json()["objects"]:
        sha256, size = asked["oid"], asked["size"]
        entry: dict[str, Any] = {"oid": sha256, "size": size}
        if sha256 not in repository.received:
            ticket = issue_ticket(state, Ticket((repository.kind, repository.name), sha256, size))
            upload = _upload_action(f"{state.url}/storage/{ticket}", size, state.options)
            entry["actions"] = {"upload": upload, "verify": {"href": verify}}
        objects.append(entry)
    transfer = "multipart" if state.options.part_bytes is not None else "basic"
    return Answer(value={"transfer": transfer, "objects": objects})


def _upload_action(address: str, size: int, options: HubOptions) -> dict[str, Any]:
    if options.part_bytes is None or size < options.part_bytes:
        return {"href": address}
    header: dict[str, Any] = {"chunk_size": str(options.part_bytes)}
    for part in range(1, -(-size // options.part_bytes) + 1):
        header[f"{part:05}"] = f"{address}/{part}"
    return {"href": address, "header": header}


def lfs_upload(state: HubState, call: Call) -> Answer:
    ticket = find_ticket(state, call)
    assert call.upload is not None
    _receive(state, ticket, call.upload.path)
    return Answer(headers=(("ETag", f'"{call.upload.sha256}"'),))


def lfs_part(state: HubState, call: Call) -> Answer:
    ticket = find_ticket(state, call)
    assert call.upload is not None
    ticket.parts[call.route.part] = call.upload.path
    return Answer(headers=(("ETag", f'"{call.upload.sha256}"'),))


def lfs_complete(state: HubState, call: Call) -> Answer:
    ticket = find_ticket(state, call)
    numbers = [part["partNumber"] for part in call.json()["parts"]]
    if numbers != sorted(ticket.parts):
        raise HubRefusal(400, f"Parts {numbers} are named, {sorted(ticket.parts)} have arrived")
    whole = state.store.temporary(call.route.ticket)
    with whole.open("wb") as target:
        for number in numbers:
            part = ticket.parts.pop(number)
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.unlink()
    _receive(state, ticket, whole)
    return Answer(value={})


def lfs_verify(state: HubState, call: Call) -> Answer:
    repository = find_repository(state, call, to_write=True)
    if (sha256 := call.json()["oid"]) not in repository.received:
        raise HubRefusal(422, f"What was uploaded has not the SHA-256 {sha256}")
    return Answer(value={})


def _receive(state: HubState, ticket: Ticket, path: Path) -> None:
    """As storage does it takes anything; what is not what it should be then fails `lfs_verify`."""
    if state.store.keep(path, ticket.sha256, ticket.size):
        state.store.repositories[ticket.repository].received.add(ticket.sha256)
        state.store.save()
