"""The order of the steps from shards to a release, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_builder.appearances import Mask
from dataset_builder.card import facts_of, write_card
from dataset_builder.carried_tables import CarriedTable, read_carried, write_carried
from dataset_builder.croissant import write_croissant
from dataset_builder.database import open_database
from dataset_builder.decisions import Decisions, read_decisions
from dataset_builder.inputs import Rows, input_files, read_rows
from dataset_builder.layout import plan_files
from dataset_builder.manifest import (
    attrition_steps,
    build_hash,
    configs_of,
    file_entries,
    file_entry,
    files_of_configs,
    tools,
)
from dataset_builder.match_memory import RememberingMatcher
from dataset_builder.matching import ThumbnailMatcher, detection
from dataset_builder.metadata import (
    BYTE_INDEX,
    attrition_table,
    byte_index_table,
    groups_table,
    leakage,
    links_table,
    write_json,
    write_table,
)
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.plan import SEVERAL_ON_PHOTO, Plan, make_plan
from dataset_builder.pseudonyms import published_ids, read_key
from dataset_builder.released_files import released_files, released_indexes
from dataset_builder.released_pairs import PAIRS, ReleasedPairs, released_pairs
from dataset_builder.scratch import scratch_folder, whole_folder
from dataset_builder.seen_by_detectors import digest_of, shows_several
from dataset_builder.versions import after_retired, check_name, check_version, propose_version
from dataset_builder.writing import FileWriter, WrittenFile, link_or_copy
from petdata.errors import CorruptFile
from petdata.manifest import FORMAT, MANIFEST, read_manifest
from petdata.release_folders import latest_release
from petdata.sources import known_sources
from petdata.takedowns import read_takedowns
from petdata.workspace import Workspace, make_folder, write_whole

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Built:
    folder: Path
    manifest: dict[str, Any]
    written: int  # data files whose bytes are new
    linked: int
    is_new: bool  # False: the newest release is this very build


def build(
    workspace: Workspace,
    options: BuildOptions,
    *,
    name: str = "pets",
    version: str | None = None,
    say: Say = lambda line: None,
) -> Built:
    """Make the next release out of what the workspace holds.

    Raises PetdataError; a build that fails or is killed leaves the releases as they were.
    """
    folder = workspace.root / "releases" / check_name(name)
    checked = check_version(folder, version)
    decisions = read_decisions(workspace)
    key = read_key(workspace)
    with _scratch(workspace) as scratch:
        say("reading what the shards say of their photos")
        rows = read_inputs(workspace, options)
        say(f"planning for {len(rows):,} photos of {len(rows.files):,} shards")
        several = shows_several(workspace.root, rows)
        plan = _plan(scratch, rows, options, decisions, several)
        private = [level.source.name for level in rows.levels if level.is_private(options)]
        published = published_ids(key, rows.identities, private)
        carried = read_carried(workspace, plan, configs_of(rows.levels), say)
        pairs = released_pairs(workspace, plan, published)
        other = {
            "side_tables": {table.name: table.digest() for table in carried},
            "verification_pairs": pairs.digest() if pairs else None,
        }
        if (dropped := plan.taken_by(SEVERAL_ON_PHOTO)).any():
            other[SEVERAL_ON_PHOTO] = digest_of(rows, dropped)
        digest, inputs = build_hash(
            plan, options, decisions.as_json(), key, read_purged(workspace), other
        )
        previous = latest_release(folder)
        if previous is not None and version is None:
            manifest = read_manifest(previous)
            if manifest["build_hash"] == digest:
                return Built(folder=previous, manifest=manifest, written=0, linked=0, is_new=False)
        chosen = checked or after_retired(folder, propose_version(previous, plan, published))
        made = _Made(
            plan=plan,
            published=published,
            carried=carried,
            pairs=pairs,
            inputs=inputs,
            digest=digest,
        )
        with whole_folder(folder / chosen) as beside:
            return _write(workspace, made, beside, folder / chosen, say)


def _scratch(workspace: Workspace) -> AbstractContextManager[Path]:
    """A folder for DuckDB and thumbnails."""
    return scratch_folder(workspace.root / "cache", "build-")


def read_inputs(workspace: Workspace, options: BuildOptions) -> Rows:
    """Every row of every shard that the options don't leave out. Raises PetdataError."""
    levels = levels_of(known_sources(workspace).values(), options)
    files = input_files(workspace, levels)
    with _scratch(workspace) as scratch, open_database(scratch) as database:
        takedowns = read_takedowns(workspace.takedowns)
        return read_rows(database, files, levels, takedowns, options)


def _plan(
    scratch: Path, rows: Rows, options: BuildOptions, decisions: Decisions, several: Mask | None
) -> Plan:
    return make_plan(
        rows,
        options,
        RememberingMatcher(rows, ThumbnailMatcher(rows, scratch, scratch.parent), scratch.parent),
        accepted=decisions.accepted,
        rejected=decisions.rejected,
        several=several,
    )


@dataclass(frozen=True, kw_only=True)
class _Made:
    plan: Plan
    published: list[str]
    carried: list[CarriedTable]
    pairs: ReleasedPairs | None
    inputs: dict[str, Any]
    digest: str


def _write(workspace: Workspace, made: _Made, beside: Path, target: Path, say: Say) -> Built:
    """Everything beside its place, which it takes as the last step."""
    plan, published = made.plan, made.published
    make_folder(beside / "metadata")
    say("measuring on a sample what the leak gate sees")
    power = detection(plan, workspace.root / "cache")
    planned = plan_files(plan, published)
    known = released_files(workspace, say)
    writer = FileWriter(plan, published)
    data: dict[str, WrittenFile] = {}
    say(f"writing {len(planned):,} files, {sum(f.bytes for f in planned) / 1e9:,.2f} GB of JPEG")
    fresh = [file for file in planned if file.fingerprint not in known]
    linked = {f.path: known[f.fingerprint] for f in planned if f.fingerprint in known}
    for name, file in linked.items():
        link_or_copy(file.place, beside / name)
        data[name] = file.entry
    written = writer.write_all([(file, beside / file.path) for file in fresh])
    data |= {file.path: entry for file, entry in zip(fresh, written, strict=True)}
    say("writing metadata, card and manifest")
    configs = configs_of(plan.rows.levels)
    write_table(attrition_table(plan, published), beside / "metadata" / "attrition.parquet")
    write_table(
        groups_table(plan, published, configs), beside / "metadata" / "identity_groups.parquet"
    )
    write_table(links_table(plan, published), beside / "metadata" / "identity_links.parquet")
    indexes = released_indexes(linked) | writer.indexes
    index = byte_index_table(beside, [f.path for f in planned], indexes)
    write_table(index, beside / BYTE_INDEX)
    write_json(leakage(plan, power), beside / "metadata" / "leakage.json")
    if made.pairs is not None:
        write_table(made.pairs.table, beside / PAIRS)
    tables, table_files = write_carried(made.carried, beside, plan, published, planned)
    revoked = revoked_hashes(plan, read_purged(workspace))
    write_whole(
        beside / "metadata" / "revoked.txt", "".join(f"{sha256}\n" for sha256 in revoked).encode()
    )
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": target.parent.name,
        "version": target.name,
        "variant": "full",
        "build_hash": made.digest,
        "options": plan.options.as_json(),
        "inputs": made.inputs,
        "configs": files_of_configs(plan, planned, configs),
        "side_tables": tables,
        "verification_pairs": made.pairs.as_json() if made.pairs else None,
        "attrition": attrition_steps(plan),
        "files": file_entries(data) | table_files,
        "tools": tools(),
    }
    facts = facts_of(beside, manifest)
    write_card(beside, plan, manifest, facts)
    write_croissant(beside, plan, manifest, facts)
    for path in sorted([*(beside / "metadata").iterdir(), *beside.glob("*.*")]):
        manifest["files"][str(path.relative_to(beside))] = file_entry(path)
    write_json(manifest, beside / MANIFEST)
    return Built(
        folder=target,
        manifest=manifest,
        written=len(fresh),
        linked=len(planned) - len(fresh),
        is_new=True,
    )


def revoked_hashes(plan: Plan, purged: Collection[str]) -> list[str]:
    """SHA-256 of JPEGs that were taken down, so that mirrors can act."""
    chosen = pa.array(plan.rows.is_taken_down)
    return sorted({*plan.rows.sha256.filter(chosen).to_pylist(), *purged})


def read_purged(workspace: Workspace) -> list[str]:
    try:
        return workspace.revoked.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{workspace.revoked} cannot be read ({error}): restore it") from error
