"""What stands above a card: YAML for the Hub's search and for `load_dataset`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dataset_builder.manifest import tables_of
from dataset_builder.plan import SPLITS
from dataset_builder.stats import Stats
from petdata.sources import Source

HUB_LICENCES: Final = {"CC BY 4.0": "cc-by-4.0", "Apache-2.0": "apache-2.0", "CC0-1.0": "cc0-1.0"}
_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def front_matter(manifest: Mapping[str, Any], sources: Mapping[str, Source], stats: Stats) -> str:
    """The files of each config and split, and what the Hub lists; strings as in JSON."""
    total = stats.line("after")
    species = species_of(stats)
    lines = [f"pretty_name: {json.dumps(stats.title)}"]
    lines += _licence([source.licence for source in sources.values()])
    if manifest["options"].get("keep_text"):
        lines += ["language:", "- ru"]
    lines += ["task_categories:", "- image-feature-extraction"]
    lines += ["tags:", *(f"- {tag}" for tag in ("re-identification", "animals", *species))]
    lines += ["size_categories:", f"- {size_category(total.photos if total else 0)}", "configs:"]
    for name in ordered_configs(manifest):
        lines += _config(name, manifest["configs"][name])
    for name, table in tables_of(manifest).items():
        lines += _config(name, table["splits"])
    return "\n".join(lines) + "\n"


def _config(name: str, splits: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"- config_name: {json.dumps(name)}"]
    if name == "all":
        lines.append("  default: true")
    lines.append("  data_files:")
    for split in sorted(splits, key=SPLITS.index):
        lines += [f"  - split: {split}", "    path:"]
        lines += [f"    - {json.dumps(path)}" for path in splits[split]]
    return lines


def ordered_configs(manifest: Mapping[str, Any]) -> list[str]:
    """The default first, then by name: a manifest read again has another order."""
    return sorted(manifest["configs"], key=lambda name: (name != "all", name))


def _licence(licences: Iterable[str | None]) -> list[str]:
    """One that all sources share; `unknown` as soon as one of them grants none."""
    distinct = set(licences)
    if None in distinct or not distinct:
        return ["license: unknown"]
    shared = HUB_LICENCES.get(str(distinct.pop())) if len(distinct) == 1 else None
    return [f"license: {shared}"] if shared else ["license: other", "license_name: per-source"]


def size_category(photos: int) -> str:
    for limit, name in _SIZES:
        if photos < limit:
            return name
    return "10M<n<100M"


def species_of(stats: Stats) -> list[str]:
    found = [line.species for line in stats.lines if line.stage == "after" and line.source is None]
    return sorted({name for name in found if name})
