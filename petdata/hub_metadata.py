"""A release on the Hub whose photos stay there: its metadata, and what reads it by ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from petdata.errors import PetdataError
from petdata.workspace import Workspace


class HubRelease:
    folder: Path
    commit: str

    def column_files(self, paths: Sequence[str], names: Sequence[str]) -> list[Path]:
        raise NotImplementedError

    def photos(self, paths: Sequence[str], indexes: Sequence[Any]) -> Any:
        raise NotImplementedError

    def fetch_side_table(self, name: str) -> None:
        raise NotImplementedError


def open_on_the_hub(reference: str, revision: str | None, workspace: Workspace) -> HubRelease:
    raise PetdataError(f"{reference}: petdata pull it first")
