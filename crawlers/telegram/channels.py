"""channels.toml: which channels to read, and by what right.

    [[channel]]
    handle = "lost_pets_example"      # or id = 1234567890 for one without a handle
    basis = "own_channel"             # own_channel, consent_of_authors or other_legal_basis
    asserted_by = "Shelter X, data officer"
    since = 2026-01-15
    evidence = "we run the channel; posts by staff only; rules of 2025-12-01"

Nothing is collected without it. It is what the operator asserts, not a permission that petdata
could give; only `basis` leaves this file, into every row.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from petdata.errors import MissingSetting, PetdataError

# Section 1.5 of the terms for users of Telegram's interface, in their own words.
TERMS_URL: Final = "https://core.telegram.org/api/terms"
WHY: Final = (
    "Telegram's terms (section 1.5) forbid to use data from the platform to train or validate "
    "machine learning models, except where all relevant users individually gave explicit, "
    f"informed and continued consent ({TERMS_URL}); other laws may ask for more. So each channel "
    "needs the right of use that you assert: basis, asserted_by, since and evidence"
)
_HANDLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,31}")
_LINK: Final = re.compile(r"(?:https?://)?(?:t\.me|telegram\.me)/(?:s/)?([A-Za-z]\w{3,31})/?")
_FIELDS: Final = frozenset({"handle", "id", "basis", "asserted_by", "since", "evidence"})


class Basis(StrEnum):
    OWN_CHANNEL = "own_channel"
    CONSENT_OF_AUTHORS = "consent_of_authors"
    OTHER_LEGAL_BASIS = "other_legal_basis"


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A channel that may be read, and why."""

    handle: str | None  # lower case
    channel_id: int | None
    basis: Basis
    asserted_by: str
    since: date
    evidence: str

    @property
    def name(self) -> str:
        return f"@{self.handle}" if self.handle is not None else f"channel {self.channel_id}"


def read_channels(path: Path) -> tuple[Channel, ...]:
    """Raises PetdataError, for a channel without a basis MissingSetting."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PetdataError(f"{path} cannot be read: {error}") from error
    tables = document.get("channel")
    if not isinstance(tables, list) or not tables or document.keys() != {"channel"}:
        raise PetdataError(f"{path}: expected [[channel]] tables and nothing else")
    channels = tuple(
        _channel(table, f"{path}, channel {number}") for number, table in enumerate(tables, 1)
    )
    for kind in ("handle", "channel_id"):
        given = [value for value in (getattr(c, kind) for c in channels) if value is not None]
        if twice := sorted({str(value) for value in given if given.count(value) > 1}):
            raise PetdataError(f"{path}: {', '.join(twice)} stands there twice")
    return channels


def _channel(table: Any, where: str) -> Channel:
    if not isinstance(table, Mapping):
        raise PetdataError(f"{where}: expected a [[channel]] table")
    if unknown := sorted(table.keys() - _FIELDS):
        raise PetdataError(f"{where}: unknown key {', '.join(unknown)}; known: {sorted(_FIELDS)}")
    handle, channel_id = _handle(table.get("handle"), where), _id(table.get("id"), where)
    if handle is None and channel_id is None:
        raise PetdataError(f"{where}: give its handle, or its id")
    where = f"{where} ({handle or channel_id})"
    if absent := [
        name for name in ("basis", "asserted_by", "since", "evidence") if not table.get(name)
    ]:
        raise MissingSetting(f"{where}: no {', '.join(absent)}. {WHY}")
    if table["basis"] not in set(Basis):
        raise PetdataError(f"{where}: basis is {table['basis']!r}; choose from {', '.join(Basis)}")
    since = table["since"]
    if type(since) is not date:
        raise PetdataError(f"{where}: since must be a date as 2026-01-15, without quotes")
    if since > date.today():
        raise PetdataError(f"{where}: since is {since}, in the future")
    for name in ("asserted_by", "evidence"):
        if not isinstance(table[name], str) or not table[name].strip():
            raise PetdataError(f"{where}: {name} must be a text")
    return Channel(
        handle=handle,
        channel_id=channel_id,
        basis=Basis(table["basis"]),
        asserted_by=table["asserted_by"],
        since=since,
        evidence=table["evidence"],
    )


def _handle(value: Any, where: str) -> str | None:
    if value is None:
        return None
    text = str(value).strip().removeprefix("@")
    if match := _LINK.fullmatch(text):
        text = match[1]
    if not _HANDLE.fullmatch(text):
        raise PetdataError(
            f"{where}: handle {value!r} is none: letters, digits and _, or a t.me/... address. "
            "Invitation links are not followed; give the id of a private channel"
        )
    return text.lower()


def _id(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise PetdataError(f"{where}: id must be a number")
    text = str(value).removeprefix("-100") if value < 0 else str(value)  # as bots write it
    if not text.isdecimal() or int(text) <= 0:
        raise PetdataError(f"{where}: id {value} is none of a channel")
    return int(text)
