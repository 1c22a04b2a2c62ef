"""decisions/identity_links.toml: pairs of identities that somebody has looked at."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petdata.errors import CorruptFile
from petdata.workspace import Workspace, make_folder, write_whole

Pair = tuple[str, str]


@dataclass(frozen=True)
class Decisions:
    """Pairs by their ids in the workspace, each sorted."""

    accepted: tuple[Pair, ...] = ()
    rejected: tuple[Pair, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"accepted": sorted(self.accepted), "rejected": sorted(self.rejected)}


def decisions_path(workspace: Workspace) -> Path:
    return workspace.root / "decisions" / "identity_links.toml"


def read_decisions(workspace: Workspace) -> Decisions:
    path = decisions_path(workspace)
    if not path.exists():
        return Decisions()
    found: dict[str, list[Pair]] = {"accepted": [], "rejected": []}
    try:
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("link", []):
            first, second = sorted(str(name) for name in entry["identities"])
            found[entry["decision"]].append((first, second))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"{path} cannot be read ({error!r}): mend it before building") from error
    return Decisions(tuple(found["accepted"]), tuple(found["rejected"]))


def decide(workspace: Workspace, pair: Pair, decision: str) -> Decisions:
    """Record `accepted` or `rejected`; the last word on a pair counts."""
    known = read_decisions(workspace)
    first, second = sorted(pair)
    kept = {
        name: [p for p in getattr(known, name) if p != (first, second)]
        for name in ("accepted", "rejected")
    }
    kept[decision].append((first, second))
    lines = []
    for name, pairs in kept.items():
        for pair in sorted(pairs):
            lines += ["[[link]]", f"identities = {json.dumps(list(pair))}", f'decision = "{name}"']
            lines.append("")
    path = decisions_path(workspace)
    make_folder(path.parent)
    write_whole(path, "\n".join(lines).encode())
    return Decisions(tuple(kept["accepted"]), tuple(kept["rejected"]))
