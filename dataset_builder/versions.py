"""Semantic versions of releases: what was added is minor, what was removed or re-split is major."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.metadata import photo_ids
from dataset_builder.plan import SPLITS, Plan
from petdata.errors import CorruptFile, PetdataError
from petdata.release_folders import parse_version
from petdata.workspace import write_whole

RETIRED: Final = "retired.json"  # in the folder of a name
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def check_name(name: str) -> str:
    """Raises PetdataError for what is no name of a release."""
    if not _NAME.fullmatch(name):
        raise PetdataError(f"--name {name!r}: letters, digits, . _ and - only")
    return name


def check_version(folder: Path, version: str | None) -> str | None:
    """Raises PetdataError for a version that is none, or that exists."""
    if version is None:
        return None
    parse_version(version)
    if (folder / version).exists():
        raise PetdataError(f"{folder / version} exists already: a release is never changed")
    if version in retired_versions(folder):
        raise PetdataError(f"{folder / version} was retired: its version is never used again")
    return version


def propose_version(previous: Path | None, plan: Plan, published: Sequence[str]) -> str:
    if previous is None:
        return "1.0.0"
    path = previous / "metadata" / "attrition.parquet"
    try:
        table = pq.read_table(path, columns=["photo_id", "split"], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): restore it from a copy") from error
    before = {
        id: split
        for id, split in zip(table["photo_id"].to_pylist(), table["split"].to_pylist(), strict=True)
        if split is not None
    }
    kept = np.flatnonzero(plan.kept)
    ids = photo_ids(plan, published, kept)
    after = dict(zip(ids, (SPLITS[split] for split in plan.split[kept].tolist()), strict=True))
    major, minor, patch = parse_version(previous.name)
    if any(after.get(id) != split for id, split in before.items()):
        return f"{major + 1}.0.0"
    if len(after) > len(before):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def after_retired(folder: Path, proposed: str) -> str:
    """A version above all that were retired: what they had and this one lacks was removed."""
    retired = max(map(parse_version, retired_versions(folder)), default=None)
    if retired is None or retired < parse_version(proposed):
        return proposed
    return f"{retired[0] + 1}.0.0"


def retired_versions(folder: Path) -> dict[str, dict[str, str]]:
    """Versions that `petdata forget --purge` deleted -> data files that were the reason.

    Path -> SHA-256 of the file. Raises CorruptFile.
    """
    path = folder / RETIRED
    try:
        found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        return dict(sorted(found.items(), key=lambda item: parse_version(item[0])))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): mend it before building") from error


def retire_version(folder: Path, version: str, files: Mapping[str, str]) -> None:
    known = retired_versions(folder)
    known[version] = known.get(version, {}) | dict(files)
    write_whole(folder / RETIRED, json.dumps(known, indent=2).encode() + b"\n")
