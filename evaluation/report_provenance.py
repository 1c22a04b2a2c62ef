"""What a model costs, and where the figures of a report come from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from evaluation.page import facts, section
from evaluation.pairs import PairRules
from evaluation.stored import ABOUT, StoredEvaluation

_NOT_MEASURED: Final = "Time and memory were not measured: petdata report --costs does."


def costs_section(stored: StoredEvaluation | None, measured: Mapping[str, Any]) -> str:
    counted = {} if stored is None else dict(stored.about.get("costs") or {})
    counted |= {name: value for name, value in measured.items() if value is not None}
    if not counted:
        return ""
    told = [
        ("Parameters", _in_words(counted.get("parameters"))),
        ("of these trained", _in_words(counted.get("trainable"))),
        ("Multiply-adds of a photo", _in_words(counted.get("multiply_adds"))),
        ("as torchinfo counts", _in_words(counted.get("torchinfo_multiply_adds"))),
    ]
    if not measured:
        return section("Costs", _NOT_MEASURED, facts(told))
    told += [
        ("Photos a second", f"{counted['photos_per_second']:,.1f}, forward passes alone"),
        (
            "measured",
            f"batch {counted['batch_size']}, {counted['precision']}, {counted['device']}, "
            f"{counted['timed_batches']} batches after {counted['warm_up_batches']}",
        ),
        ("Peak memory", f"{counted['peak_bytes'] / 2**20:,.0f} MiB, one photo"),
        ("which is", counted["peak_of"]),
    ]
    if "seconds_per_epoch" in counted:
        seconds = f"{counted['seconds_per_epoch']:,.0f} s for {counted['epoch_photos']:,} photos"
        told += [("An epoch", seconds), ("by", counted["epoch_of"])]
    return section("Costs", "", facts(told))


def _in_words(count: int | None) -> str:
    if count is None or count < 1e6:
        return "" if count is None else f"{count:,}"
    return f"{count / 1e9:,.2f} billion" if count >= 1e9 else f"{count / 1e6:,.2f} million"


def provenance_section(stored: StoredEvaluation) -> str:
    about, model = stored.about, stored.model
    made = datetime.fromtimestamp((stored.folder / ABOUT).stat().st_mtime, UTC)
    environment = dict(about.get("environment") or {})
    packages = dict(environment.get("packages") or {})
    told = [
        ("Model", about.get("model")),
        ("SHA-256 of the network", model.model_hash),
        ("Release", about.get("release")),
        ("Revision on the Hub", about.get("revision")),
        ("Configuration, split", f"{about.get('dataset_config')}, {about.get('split')}"),
        ("Build hash", about.get("build_hash")),
        ("Hash of the photos", model.dataset_hash),
        ("Crop", about.get("crop") or "whole photos"),
        ("Boxes widened by", about.get("box_padding") if about.get("crop") else None),
        ("Texts", about.get("text_from") or "none"),
        (
            "Without a box, without a text",
            f"{about.get('photos_without_box', 0):,}, {about.get('photos_without_text', 0):,}",
        ),
        ("Photos that could not be read", about.get("skipped_photos")),
        ("Precision, batch", f"{about.get('precision')}, {about.get('batch_size')}"),
        ("Pairs", _told(model.options.pairs)),
        ("SHA-256 of their list", model.part().pairs_hash),
        ("Bootstrap", f"{model.options.resamples:,} resamples, seed {model.options.seed}"),
        ("Boxes of the controls", about.get("control_boxes")),
        ("Evaluated", f"{made:%Y-%m-%d %H:%M} UTC, as {stored.folder.name}"),
        ("petdata", _version(environment, dict(about.get("git") or {}))),
        ("Python, device", f"{environment.get('python', '-')}, {environment.get('device', '-')}"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]
    return section("Where this comes from", "", facts(told))


def _told(rules: PairRules) -> str:
    species = "of one species" if rules.same_species else "of any species"
    return (
        f"at most {rules.pairs_per_photo} of a photo and {rules.pairs_per_identity} of an "
        f"identity ({rules.identity_cap}), {species}, seed {rules.seed}"
    )


def _version(environment: Mapping[str, Any], git: Mapping[str, Any]) -> str:
    commit = f", commit {git['commit']}" if git.get("commit") else ""
    changed = ", with changes" if git.get("changed") else ""
    return f"{environment.get('petdata', 'not noted')}{commit}{changed}"
