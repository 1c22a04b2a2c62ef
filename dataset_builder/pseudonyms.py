"""Published ids of collected identities: a number that leads to an owner's phone stays at home."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from petdata.errors import CorruptFile
from petdata.ledger import Ledger
from petdata.sources import known_sources
from petdata.workspace import Workspace, make_folder, write_whole

KEY_BYTES: Final = 32
DIGITS: Final = 16  # hex digits of a pseudonym: 64 bits
_PSEUDONYM: Final = re.compile(rf"[a-z0-9_-]+/[0-9a-f]{{{DIGITS}}}")


def read_key(workspace: Workspace, *, create: bool = True) -> bytes:
    """The workspace's key, made at the first build; whoever has it can undo the pseudonyms."""
    path = key_path(workspace)
    if not path.exists() and create:
        make_folder(path.parent)
        before = os.umask(0o077)
        try:
            write_whole(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
        finally:
            os.umask(before)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read as a key ({error}): restore it") from error
    if len(key) != KEY_BYTES:
        raise CorruptFile(f"{path} holds {len(key)} bytes, not {KEY_BYTES}: restore it")
    if path.stat().st_mode & 0o077:
        raise CorruptFile(f"{path} may be read by others: chmod 600 {path}")
    return key


def key_path(workspace: Workspace) -> Path:
    return workspace.root / "secret.key"


def pseudonym(key: bytes, identity_id: str) -> str:
    """`pet911/rl518787` -> `pet911/` and 16 hex digits of an HMAC-SHA256."""
    source = identity_id.partition("/")[0]
    digest = hmac.new(key, identity_id.encode(), hashlib.sha256).hexdigest()
    return f"{source}/{digest[:DIGITS]}"


def published_ids(key: bytes, identities: Sequence[str], private: Iterable[str]) -> list[str]:
    """What a release calls each identity; `private` are the sources whose ids stay at home."""
    hidden = frozenset(private)
    return [
        pseudonym(key, name) if name.partition("/")[0] in hidden else name for name in identities
    ]


def real_id(workspace: Workspace, published: str) -> str | None:
    """The identity here that a release calls so: under its own id, or by its pseudonym."""
    source, _, source_id = published.partition("/")
    path = workspace.ledger(source)
    if source not in known_sources(workspace) or not path.exists():
        return None
    with Ledger(path, source=source, read_only=True) as ledger:
        if ledger.listing_state(source_id) is not None:
            return published
        if not _PSEUDONYM.fullmatch(published) or not key_path(workspace).exists():
            return None
        key = read_key(workspace, create=False)
        for row in ledger.query("SELECT source_id FROM listings"):
            name = f"{source}/{row['source_id']}"
            if pseudonym(key, name) == published:
                return name
    return None
