"""Where everything lies: one folder with ledgers, shards, releases, decisions and runs.

It is the folder of `petdata.toml` (in the current folder or a parent; its key `home` may point
elsewhere), else PETDATA_HOME, else ./petdata-data.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from petdata.errors import MissingSetting, PetdataError, StorageFailure

CONFIG_NAME: Final = "petdata.toml"
DEFAULT_HOME: Final = "petdata-data"
_KNOWN_KEYS: Final = frozenset({"home", "contact", "sources"})


@dataclass(frozen=True, kw_only=True)
class Workspace:
    root: Path
    contact: str | None = None  # who answers for a crawl: goes into the user agent
    declared_sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ledgers(self) -> Path:
        return self.root / "ledgers"

    def ledger(self, source: str) -> Path:
        return self.ledgers / f"{source}.sqlite"

    def segments(self, source: str) -> Path:
        """Bytes that are kept but not in a shard yet."""
        return self.ledgers / f"{source}.segments"

    def shards(self, source: str) -> Path:
        return self.root / "shards" / source

    @property
    def takedowns(self) -> Path:
        return self.root / "takedowns.toml"

    @property
    def revoked(self) -> Path:
        """SHA-256 of JPEGs that were purged here, so that every further release can name them."""
        return self.root / "revoked.txt"

    def require_contact(self) -> str:
        """Raise MissingSetting unless a site can reach whoever crawls it."""
        if self.contact is None:
            raise MissingSetting(
                "PETDATA_CONTACT is not set: give an e-mail or a page where the crawled site "
                "can reach you, e.g. PETDATA_CONTACT=you@example.org "
                f'(or contact = "..." in {CONFIG_NAME})'
            )
        if not self.contact.isprintable():
            raise PetdataError("PETDATA_CONTACT must be one printable line: it goes into a header")
        return self.contact


def find_workspace(
    start: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Workspace:
    """The workspace seen from folder `start` (default: the current one). Creates nothing."""
    start = (start or Path.cwd()).resolve()
    contact = environment.get("PETDATA_CONTACT", "").strip() or None
    for folder in (start, *start.parents):
        config_file = folder / CONFIG_NAME
        if config_file.is_file():
            config = _read_config(config_file)
            return Workspace(
                root=(folder / Path(config.get("home", ".")).expanduser()).resolve(),
                contact=contact or config.get("contact"),
                declared_sources=config.get("sources", {}),
            )
    home = environment.get("PETDATA_HOME", "").strip()
    root = Path(home).expanduser() if home else start / DEFAULT_HOME
    return Workspace(root=root.resolve(), contact=contact)


def _read_config(config_file: Path) -> dict[str, Any]:
    try:
        config = tomllib.loads(config_file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PetdataError(f"{config_file} is not valid TOML: {error}") from error
    if unknown := sorted(config.keys() - _KNOWN_KEYS):
        raise PetdataError(
            f"{config_file}: unknown key {', '.join(unknown)}; "
            f"known are {', '.join(sorted(_KNOWN_KEYS))}"
        )
    for key, kind in (("home", str), ("contact", str), ("sources", dict)):
        if key in config and not isinstance(config[key], kind):
            raise PetdataError(f"{config_file}: {key} must be a {kind.__name__}")
    return config


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, also after a power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageFailure(f"cannot write {path}: {error.strerror}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that a power cut leaves them. Raises StorageFailure."""
    try:
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageFailure(f"cannot make {folder}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
