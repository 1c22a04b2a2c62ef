"""What goes into manifest.json, and the hash that two equal builds share."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from dataset_builder.inputs import logical_digest
from dataset_builder.layout import PlannedFile
from dataset_builder.options import PETFACE, BuildOptions, Level
from dataset_builder.plan import SPLITS, Plan
from dataset_builder.writing import WrittenFile
from petdata import __version__
from petdata.errors import CorruptFile
from petdata.manifest import FORMAT, MANIFEST
from petdata.records import SCHEMA_VERSION
from petdata.side_table_kinds import NAME

TOOLS: Final = ("pyarrow", "duckdb", "numpy")


def build_hash(
    plan: Plan,
    options: BuildOptions,
    decisions: Mapping[str, Any],
    key: bytes,
    purged: Sequence[str] = (),
    beside: Mapping[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """The hash, and the inputs that it is made of. Tools and machines are not.

    `beside`: digests of what a release has beside its photos.
    """
    sources = dict.fromkeys(level.source.name for level in plan.rows.levels)
    inputs = {
        "sources": {name: logical_digest(plan.rows, name) for name in sources},
        "decisions": dict(decisions),
        "purged": hashlib.sha256("\n".join(purged).encode()).hexdigest(),
        "pseudonym_key": hashlib.sha256(b"petdata key " + key).hexdigest(),
        **(beside or {}),
    }
    content = {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "options": options.as_json(),
        "inputs": inputs,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest(), inputs


def configs_of(levels: Sequence[Level]) -> dict[str, list[int]]:
    """Name -> the levels whose files it has. The first one is the default of `load_dataset`."""
    numbers = range(len(levels))
    petface = [n for n in numbers if levels[n].source.name == PETFACE]
    found = {"all": list(numbers)}
    if petface:
        found["no_petface"] = [n for n in numbers if n not in petface]
        found["petface_train"] = [n for n in numbers if levels[n].lists != "others"]
    for name in dict.fromkeys(level.source.name for level in levels):
        found[name] = [n for n in numbers if levels[n].source.name == name]
    return {name: chosen for name, chosen in found.items() if chosen}


def files_of_configs(
    plan: Plan, files: Sequence[PlannedFile], configs: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, list[str]]]:
    """Config -> split -> paths."""
    found: dict[str, dict[str, list[str]]] = {}
    level_of = {file.path: int(plan.rows.level[file.rows[0]]) for file in files}
    for name, levels in configs.items():
        for file in files:
            if level_of[file.path] in levels:
                split = Path(file.path).name.partition("-")[0]
                found.setdefault(name, {}).setdefault(split, []).append(file.path)
    return found


def attrition_steps(plan: Plan) -> dict[str, dict[str, int]]:
    """Source -> rows at the input, what each step took, rows that are kept."""
    rows = plan.rows
    found: dict[str, dict[str, int]] = {}
    source = rows.source_number()
    for number, level in enumerate(rows.levels):
        here = source == number
        if np.any(here):
            found[level.source.name] = {"input": int(np.count_nonzero(here))}
    for name, reason, count in plan.attrition():
        found[name][reason] = count
    for number, level in enumerate(rows.levels):
        if level.source.name in found and np.any(source == number):
            kept = int(np.count_nonzero((source == number) & plan.kept))
            found[level.source.name]["kept"] = kept
    return found


def tools() -> dict[str, str]:
    return {
        "petdata": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in TOOLS},
    }


def file_entries(written: Mapping[str, WrittenFile]) -> dict[str, dict[str, Any]]:
    return {path: asdict(entry) for path, entry in sorted(written.items())}


def file_entry(path: Path) -> dict[str, Any]:
    """Size and hash of a file as it is."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": sha256}


def read_revoked(release: Path) -> list[str]:
    """SHA-256 of the JPEGs that were taken down before the release. Raises CorruptFile."""
    path = release / "metadata" / "revoked.txt"
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read ({error})") from error


def tables_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Side table -> what the manifest says of it, by name; older releases say nothing.

    Raises CorruptFile for what no build writes.
    """
    try:
        tables = dict(sorted(manifest.get("side_tables", {}).items()))
        for name, table in tables.items():
            is_right = NAME.fullmatch(name) and set(table["splits"]) <= set(SPLITS)
            if not is_right or not all(map(_are_paths, table["splits"].values())):
                raise ValueError(f"side table {name}")
            for key in ("kind", "producer", "rows", "without"):
                table[key]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(
            f"{MANIFEST} says of its side tables what no build writes ({error!r})"
        ) from error
    return tables


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(path, str) for path in value)
