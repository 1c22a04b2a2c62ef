"""What must be forgotten: one file for all sources, obeyed at collection and at build.

    [[takedown]]
    kind = "identity"             # identity, photo, url or sha256
    value = "pet911/rl518787"
    reason = "the owner asked"
    on = 2026-11-24

An entry that `petdata forget --purge` adds says `of` which one, and how many `bytes` a JPEG had.
The file holds no personal data: ids, addresses and hashes only.
"""

from __future__ import annotations

import fcntl
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Literal, get_args

from petdata.errors import CorruptFile, PetdataError, UnknownSource
from petdata.sources import SOURCES
from petdata.workspace import write_whole

Kind = Literal["identity", "photo", "url", "sha256"]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PHOTO: Final = re.compile(r"[a-z0-9_-]+/[^/\s]+/[0-9a-f]{12}")
_IDENTITY: Final = re.compile(r"[a-z0-9_-]+/[^/\s]+")
# pet911 takes its ids in either case; here they are lower case.
_PET911_ID: Final = re.compile(r"r[lf]\d{5,9}", re.IGNORECASE)
_PET911: Final = re.compile(r"pet911/\S+", re.IGNORECASE)
# An announcement moves between addresses; its id does not.
_PET911_URL: Final = re.compile(
    rf"https?://(?:[a-z0-9.-]*\.)?pet911\.ru/(?:.*/)?({_PET911_ID.pattern})/?(?:[?#].*)?",
    re.IGNORECASE,
)
# https://t.me/handle/123, with /s/ or /c/<channel id>/ before, ?single or ?comment=... behind
_TELEGRAM_URL: Final = re.compile(
    r"https?://(?:www\.)?(?:t|telegram)\.me/(?:s/)?(c/\d+|[a-z]\w{3,31})/(\d+)/?(?:[?#].*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Takedown:
    kind: Kind
    value: str
    reason: str
    on: date
    of: str | None = None  # value of the entry that this one was purged with
    bytes: int | None = None  # of the JPEG that has this SHA-256, where one was purged


@dataclass(frozen=True)
class Takedowns:
    """What the file says, for questions while collecting or building."""

    entries: tuple[Takedown, ...] = ()
    _values: Mapping[str, frozenset[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = {
            kind: frozenset(entry.value for entry in self.entries if entry.kind == kind)
            for kind in get_args(Kind)
        }
        object.__setattr__(self, "_values", values)

    def forbids_identity(self, identity_id: str) -> bool:
        return identity_id in self._values["identity"]

    def forbids_url(self, url: str) -> bool:
        return url in self._values["url"]

    def forbids_bytes(self, sha256: str) -> bool:
        """True where a file of this hash, as it arrived or as it was kept, must not be kept."""
        return sha256 in self._values["sha256"]

    def forbids_photo(self, photo_id: str) -> bool:
        return photo_id in self._values["photo"]


def understand(target: str, sources: Collection[str] = SOURCES) -> tuple[Kind, str]:
    """What ID, URL or SHA-256 a user means: its kind and its normal form.

    Raises UnknownSource for an identity or photo of none of `sources`: it would forbid nothing.
    """
    target = target.strip()
    if match := _PET911_URL.fullmatch(target):
        return "identity", f"pet911/{match[1].lower()}"
    if post := telegram_post(target):
        channel, message_id = post
        place = f"c/{channel}" if isinstance(channel, int) else channel
        return "url", f"https://t.me/{place}/{message_id}"
    if target.startswith(("http://", "https://")):
        return "url", target
    if _SHA256.fullmatch(target.lower()):
        return "sha256", target.lower()
    if _PET911_ID.fullmatch(target):
        target = f"pet911/{target}"
    if _PET911.fullmatch(target):
        target = target.lower()
    kind: Kind | None = None
    if _PHOTO.fullmatch(target):
        kind = "photo"
    elif _IDENTITY.fullmatch(target):
        kind = "identity"
    if kind is not None:
        _require_known(target, sources)
        return kind, target
    raise PetdataError(
        f"cannot tell what {target!r} is: give an identity (pet911/rl518787), a photo "
        "(pet911/rl518787/1f3a5c7e9b2d), an address (https://...) or a SHA-256 (64 hex digits)"
    )


def telegram_post(target: str) -> tuple[str | int, int] | None:
    """Channel (its handle in lower case, or its id) and message of a t.me address."""
    match = _TELEGRAM_URL.fullmatch(target.strip())
    if match is None:
        return None
    place = match[1].lower()
    return (int(place[2:]) if place.startswith("c/") else place), int(match[2])


def _require_known(target: str, sources: Collection[str]) -> None:
    source = target.partition("/")[0]
    if source not in sources:
        raise UnknownSource(f"{target}: no source {source!r}; choose from {', '.join(sources)}")


def read_takedowns(path: Path) -> Takedowns:
    """Raise CorruptFile where the file cannot be understood: guessing would collect too much."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = tuple(_entry(table) for table in document.get("takedown", []))
    except FileNotFoundError:
        return Takedowns()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"{path} cannot be read ({error}); mend it before anything is collected or built"
        ) from error
    return Takedowns(entries)


def _entry(table: Mapping[str, object]) -> Takedown:
    value, on = table["value"], table["on"]
    of, size = table.get("of"), table.get("bytes")
    for kind in get_args(Kind):
        if kind == table["kind"] and isinstance(value, str) and isinstance(on, date):
            return Takedown(
                kind,
                value,
                str(table["reason"]),
                on,
                of=str(of) if of is not None else None,
                bytes=size if isinstance(size, int) else None,
            )
    raise TypeError(f"takedown of {value!r}: kind {table['kind']!r}, on {on!r}")


def add_takedown(
    path: Path, target: str, reason: str, on: date, sources: Collection[str] = SOURCES
) -> tuple[Takedown, bool]:
    """Record a takedown. Returns it and whether it is new."""
    entry = Takedown(*understand(target, sources), reason, on)
    for known in read_takedowns(path).entries:
        if (known.kind, known.value) == (entry.kind, entry.value):
            return known, False
    return entry, bool(record_takedowns(path, [entry]))


def record_takedowns(path: Path, entries: Iterable[Takedown]) -> list[Takedown]:
    """Record those that the file does not have, and return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        known = read_takedowns(path).entries
        there = {(entry.kind, entry.value, entry.of) for entry in known}
        there |= {(kind, value, None) for kind, value, _ in there}
        new = {(e.kind, e.value, e.of): e for e in entries}
        added = [entry for key, entry in new.items() if key not in there]
        if added:
            write_whole(path, "\n".join(_as_toml(e) for e in (*known, *added)).encode())
    return added


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two `petdata forget` at once lose neither entry."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _as_toml(entry: Takedown) -> str:
    # A JSON string is a TOML basic string but for DEL, which TOML wants escaped.
    texts = {"kind": entry.kind, "value": entry.value, "reason": entry.reason}
    if entry.of is not None:
        texts["of"] = entry.of
    lines = [
        f"{key} = {json.dumps(text, ensure_ascii=False)}".replace("\x7f", "\\u007f")
        for key, text in texts.items()
    ]
    lines.append(f"on = {entry.on.isoformat()}")
    if entry.bytes is not None:
        lines.append(f"bytes = {entry.bytes}")
    return "\n".join(["[[takedown]]", *lines, ""])
