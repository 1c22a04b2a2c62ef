"""Requests and answers of a local Hub, and who may see and change what."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petdata.demo.servers.hub_repos import HubRefusal, HubStore, Repository
from petdata.demo.servers.hub_routes import Route


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    name: str
    organizations: tuple[str, ...] = ()
    may_write: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class HubOptions:
    # Files of at least so many bytes are uploaded in parts of so many; None: in one piece.
    part_bytes: int | None = None
    # The Hub sends downloads of large files to another host; here it is "localhost".
    redirects_downloads: bool = False
    page_length: int = 1_000  # entries of a tree in one answer


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that went to a file instead of memory."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    route: Route
    method: str
    user: Account | None
    has_bad_token: bool
    body: bytes = b""
    upload: Upload | None = None
    range: str | None = None
    is_corrupted: bool = False

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class FileSlice:
    path: Path
    start: int
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int = 200
    value: Any = None  # sent as JSON, unless there is content
    content: FileSlice | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to send or fetch one large file without a token; its address must not be guessed."""

    repository: tuple[str, str]
    sha256: str
    size: int
    parts: dict[int, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HubState:
    store: HubStore
    options: HubOptions
    url: str
    tickets: dict[str, Ticket] = field(default_factory=dict)


# Who may what


def find_repository(state: HubState, call: Call, *, to_write: bool = False) -> Repository:
    key = call.route.type, call.route.repository
    found = state.store.repositories.get(key)
    namespace = call.route.repository.partition("/")[0]
    belongs = call.user is not None and namespace in (call.user.name, *call.user.organizations)
    if found is None or (found.is_private and not belongs):
        # As the Hub does, which tells nobody what exists.
        raise HubRefusal(401 if call.user is None else 404, "Repository not found", "RepoNotFound")
    if to_write:
        check_writer(call, namespace)
    return found


def check_writer(call: Call, namespace: str) -> Account:
    if call.user is None:
        raise HubRefusal(401, "Invalid username or password.")
    if not call.user.may_write or namespace not in (call.user.name, *call.user.organizations):
        raise HubRefusal(403, f"You don't have the rights to write to the namespace {namespace!r}")
    return call.user


def issue_ticket(state: HubState, ticket: Ticket) -> str:
    name = secrets.token_urlsafe(16)
    state.tickets[name] = ticket
    return name


def find_ticket(state: HubState, call: Call) -> Ticket:
    if call.route.ticket not in state.tickets:
        raise HubRefusal(403, "This address has expired or never was one")
    return state.tickets[call.route.ticket]


def refused(error: HubRefusal, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    headers += (("X-Error-Message", error.message),)
    if error.code is not None:
        headers += (("X-Error-Code", error.code),)
    return Answer(status=error.status, value={"error": error.message}, headers=headers)


def pieces(content: FileSlice, *, corrupt: bool) -> Iterator[bytes]:
    left = content.length
    with content.path.open("rb") as file:
        file.seek(content.start)
        while left > 0 and (piece := file.read(min(left, 2**20))):
            left -= len(piece)
            if corrupt:
                piece, corrupt = bytes([piece[0] ^ 1]) + piece[1:], False
            yield piece
