"""README.md of a release: the card that the Hub shows, with the configs that it loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builder.plan import Plan
from petdata.workspace import write_whole


def write_card(release: Path, plan: Plan, manifest: Mapping[str, Any]) -> None:
    text = f"---\n{front_matter(manifest)}---\n\n# {manifest['name']} {manifest['version']}\n"
    write_whole(release / "README.md", text.encode())


def front_matter(manifest: Mapping[str, Any]) -> str:
    """What `load_dataset` reads: which files each config and split has."""
    lines = ["configs:"]
    for name, splits in manifest["configs"].items():
        lines += [f"- config_name: {name}", *(["  default: true"] if name == "all" else [])]
        lines.append("  data_files:")
        for split, paths in splits.items():
            lines += [f"  - split: {split}", "    path:", *(f"    - {path}" for path in paths)]
    return "\n".join(lines) + "\n"
