"""README.md of a release: the card that the Hub shows, with the configs that it loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from dataset_builder.database import open_database
from dataset_builder.front_matter import front_matter, ordered_configs, species_of
from dataset_builder.manifest import tables_of
from dataset_builder.paper import CITATION
from dataset_builder.plan import SPLITS, Plan
from dataset_builder.stats import DDOF, Line, Stats, ordered_steps, shown_lines, stats_of
from petdata.card_parts import table_row, template_path
from petdata.errors import CorruptFile
from petdata.records import Species
from petdata.sources import Source
from petdata.workspace import write_whole

TEMPLATE: Final = "dataset_card.md"
_WHAT: Final = {
    "all": "everything",
    "no_petface": "everything but PetFace",
    "petface_train": "everything, of PetFace its training list alone",
}


@dataclass(frozen=True)
class Facts:
    """What the card and Croissant say of the rows."""

    stats: Stats
    bases: Sequence[tuple[str, str, int]]


def facts_of(release: Path, manifest: Mapping[str, Any]) -> Facts:
    """Out of the release's own files, which are large: once for both."""
    return Facts(stats_of(release, manifest), bases(release, manifest))


def write_card(release: Path, plan: Plan, manifest: Mapping[str, Any], facts: Facts) -> None:
    """The card of a build whose files and metadata are written."""
    sources = {level.source.name: level.source for level in plan.rows.levels}
    write_whole(release / "README.md", card(release, manifest, sources, facts).encode())


def card(
    release: Path,
    manifest: Mapping[str, Any],
    sources: Mapping[str, Source],
    facts: Facts | None = None,
) -> str:
    """The whole README.md; of any variant, out of the release's own files."""
    facts = facts or facts_of(release, manifest)
    stats = facts.stats
    own = {name: sources[name] for name in stats.sources if name in sources}
    text = Template(template_path(TEMPLATE).read_text(encoding="utf-8")).substitute(
        _head(manifest, stats),
        configs=_configs(manifest),
        beside=_beside(manifest),
        sources=_sources(own.values()),
        basis=_basis(facts.bases),
        statistics=_statistics(stats),
        balance=_balance(stats),
        attrition=_attrition(stats),
        steps=_steps(stats),
        leakage=_leakage(_read_leakage(release), own.values()),
        text=_texts(manifest),
        pseudonyms=_pseudonyms(manifest),
        revoked=_revoked(release),
    )
    return f"---\n{front_matter(manifest, own, stats)}---\n\n{text}"


# The parts of the text. Cells of a table are escaped by table_row.


def _head(manifest: Mapping[str, Any], stats: Stats) -> dict[str, str]:
    total = stats.line("after")
    rows = [
        table_row(
            split, *_counts(line), f"{line.mean:.2f}", f"{line.median:g}", f"{line.deviation:.2f}"
        )
        for split in SPLITS
        if (line := stats.line("after", split=split)) is not None
    ]
    species = species_of(stats)
    plural = {Species.CAT: "cats", Species.DOG: "dogs"}
    known = [plural[Species(name)] for name in species if name in plural]
    others = [name for name in species if name not in plural]
    count = len(stats.sources)
    options = {key: value for key, value in manifest["options"].items() if value not in ([], "")}
    return {
        "title": stats.title,
        "name": manifest["name"],
        "version": manifest["version"],
        "animals": " and ".join([*known, *(["other animals"] if others else [])]) or "pets",
        "photos": f"{total.photos if total else 0:,}",
        "identities": f"{total.identities if total else 0:,}",
        "source_count": f"{count} source{'' if count == 1 else 's'}",
        "splits": "\n".join(rows),
        "variant": _variant(manifest),
        "ddof": str(DDOF),
        "seed": str(manifest["options"].get("seed", 0)),
        "val_fraction": f"{stats.val_fraction:.1%}",
        "build_hash": manifest["build_hash"],
        "options": ", ".join(f"`{k}` {json.dumps(v)}" for k, v in sorted(options.items())),
        "tools": ", ".join(f"{k} {v}" for k, v in sorted(manifest["tools"].items())),
        "paper": CITATION,
    }


def _variant(manifest: Mapping[str, Any]) -> str:
    if manifest["variant"] == "full":
        return "This is the full variant: every row has its pixels."
    return (
        "This is the **recipe** variant: rows of sources that may not be redistributed have ids "
        "and hashes but no pixels (`image` and `thumbnail` are null). `petdata rehydrate` fills "
        "them from your own originals, and checks every hash."
    )


def _counts(line: Line) -> tuple[str, str]:
    return f"{line.photos:,}", f"{line.identities:,}"


def _configs(manifest: Mapping[str, Any]) -> str:
    rows = []
    for name in ordered_configs(manifest):
        splits = manifest["configs"][name]
        sizes = [
            f"{split} {sum(manifest['files'][path]['rows'] for path in splits[split]):,}"
            for split in sorted(splits, key=SPLITS.index)
        ]
        line = f'`load_dataset(REPOSITORY, "{name}")`'
        rows.append(
            table_row(f"`{name}`", _WHAT.get(name, f"{name} alone"), ", ".join(sizes), line)
        )
    return "\n".join(rows)


def _beside(manifest: Mapping[str, Any]) -> str:
    """Side tables and verification pairs, where there are any."""
    lines = []
    tables = tables_of(manifest)
    if tables:
        lines += [
            "",
            "What models say of the photos stands in side tables: configs without pixels, to be "
            "joined by `sha256`.",
            "",
            table_row("config", "what it has", "made by", "rows", "photos without one"),
            table_row("---", "---", "---", "--:", "--:"),
        ]
    for name, table in tables.items():
        made_by = " ".join(filter(None, (table["producer"]["model"], _prompt(table["producer"]))))
        counts = (f"{table['rows']:,}", f"{table['without']:,}")
        lines.append(table_row(f"`{name}`", table["kind"], made_by, *counts))
    pairs = manifest.get("verification_pairs")
    if pairs:
        why = ", ".join(f"{reason} {count:,}" for reason, count in pairs["dropped"].items())
        lines += [
            "",
            "`metadata/verification_pairs.parquet` has PetFace's verification pairs (`photo_id_a`, "
            f"`photo_id_b`, `same_identity`, `list`): {pairs['kept']:,} of the {pairs['listed']:,} "
            "that its lists name; a pair is there where both pictures are."
            + (f" Left out, by reason: {why}." if why else ""),
        ]
    return "\n".join([*lines, ""]) if lines else ""


def _prompt(producer: Mapping[str, Any]) -> str:
    return f"prompt {producer['prompt_version']}" if producer["prompt_version"] else ""


def _sources(sources: Iterable[Source]) -> str:
    return "\n".join(
        table_row(
            f"`{source.name}`",
            source.title,
            source.role,
            source.licence or "**none granted**",
            source.terms or "not declared",
            "yes" if source.redistributable else "no",
        )
        for source in sources
    )


def bases(release: Path, manifest: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(source, basis, photos): the right of use that was asserted for each row, where one was."""
    paths = [str(release / p) for p, entry in manifest["files"].items() if "fingerprint" in entry]
    if not paths:
        return []
    with open_database() as database:
        rows = database.execute(
            "SELECT source, coalesce(basis, ''), count(*) FROM read_parquet($paths) "
            "WHERE basis IS NOT NULL OR source = 'telegram' GROUP BY ALL ORDER BY ALL",
            {"paths": paths},
        ).fetchall()
    return [(source, basis, photos) for source, basis, photos in rows]


def _basis(found: Iterable[tuple[str, str, int]]) -> str:
    rows = [
        table_row(f"`{source}`", f"`{basis}`" if basis else "none recorded", f"{photos:,}")
        for source, basis, photos in found
    ]
    if not rows:
        return "No row of this release rests on an asserted right of use."
    return "\n".join(
        [
            "Rows that were collected because somebody asserted a right of use say so in their",
            "column `basis`. Whoever ran the collection asserts it; petdata gives no permission.",
            "Section 1.5 of Telegram's terms forbids training on its content unless all users",
            "concerned have consented.",
            "",
            "| source | basis | photos |",
            "|---|---|--:|",
            *rows,
        ]
    )


def _statistics(stats: Stats) -> str:
    return "\n".join(
        table_row(
            line.source or "all",
            line.split or ("before" if line.stage == "before" else "all"),
            line.species or "all",
            *_counts(line),
            f"{line.minimum:,}",
            f"{line.maximum:,}",
            f"{line.mean:.2f}",
            f"{line.median:g}",
            f"{line.deviation:.2f}",
        )
        for line in shown_lines(stats)
    )


def _balance(stats: Stats) -> str:
    if not any(part.validation for part in stats.balance):
        return "Nothing is held out for validation."
    rows = []
    for part in stats.balance:
        low, high = part.expected(stats.val_fraction)
        inside = "" if low <= part.share <= high else " (outside)"
        counts = (f"{part.train:,}", f"{part.validation:,}", f"{part.share:.1%}{inside}")
        rows.append(table_row(part.by, part.value, *counts, f"{low:.1%} to {high:.1%}"))
    return "\n".join(
        [
            "| groups by | | train | validation | held out | 99 of 100 draws |",
            "|---|---|--:|--:|--:|--:|",
            *rows,
        ]
    )


def _attrition(stats: Stats) -> str:
    lines = [
        table_row("step", *stats.sources),
        table_row("---", *("--:" for _ in stats.sources)),
    ]
    for step in ("input", *ordered_steps(stats.attrition), "kept"):
        counts = (f"{taken.get(step, 0):,}" for taken in stats.attrition.values())
        lines.append(table_row(step.replace("_", " "), *counts))
    return "\n".join(lines)


_MEANING: Final = {
    "superseded": "its announcement was changed or is gone",
    "taken_down": "somebody asked for it to be forgotten",
    "species_unknown": "nothing says which animal it is",
    "several_animals": "its announcement is about several animals",
    "several_on_photo": "a detector found several animals on it",
    "boilerplate": "the picture stands in more than three identities",
    "contradictory": "a curated dataset shows the picture under two identities",
    "leak": "it, or another photo of its group, matches a photo of that test set",
    "duplicate_photo": "the same bytes are kept elsewhere",
    "near_duplicate": "it nearly repeats a photo of its own identity group",
    "too_few_photos": "its group has fewer photos than were asked for",
}


def _steps(stats: Stats) -> str:
    named = dict.fromkeys(step.partition(":")[0] for step in ordered_steps(stats.attrition))
    known = [step for step in named if step in _MEANING]
    return "\n".join(f"- *{step.replace('_', ' ')}*: {_MEANING[step]}." for step in known)


def _read_leakage(release: Path) -> dict[str, Any]:
    path = release / "metadata" / "leakage.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): build the release again") from error


def _leakage(found: Mapping[str, Any], sources: Iterable[Source]) -> str:
    if not any(source.role == "test" for source in sources):
        return "This release has no test source, so nothing was compared."
    removed = found.get("removed_from_training", {})
    taken = ", ".join(f"{count:,} for {name}" for name, count in sorted(removed.items())) or "none"
    lines = [
        f"Every training photo was compared with every test photo ({found['pairs_examined']:,} "
        f"pairs), by perceptual hashes within {found['leak_bits']} bits and then by thumbnails: "
        f"{found['near_duplicates_found']:,} pairs match without being the same bytes.",
        f"Photos that left training, with the rest of their identity groups: {taken}.",
        f"Pairs left: **{found['left']:,}**. `petdata verify` repeats this from the files.",
    ]
    power = found.get("detection_power")
    if power:
        lines += ["", "How much of each change to a photo the gate sees, as measured:", ""]
        lines += _table_of(power)
    if found.get("cannot_see"):
        lines += ["", f"It cannot see {found['cannot_see']}."]
    return "\n".join(lines)


def _table_of(value: Any) -> list[str]:
    """Of one measurement, of several, or of plain {change: share}."""
    if isinstance(value, list):
        return [line for entry in value for line in (*_table_of(entry), "")]
    if not isinstance(value, Mapping):
        return [f"`{json.dumps(value, ensure_ascii=False)}`"]
    lines = []
    shares = value.get("recall", value)
    if shares is not value:
        lines = [
            f"On {value['photos']:,} photos, within {value['bits']} bits; of their "
            f"{value['pairs']:,} pairs {value['pairs_matched']:,} match.",
            "",
        ]
    rows = [table_row(str(name).replace("_", " "), _cell(share)) for name, share in shares.items()]
    return [*lines, table_row("change", "share found"), table_row("---", "--:"), *rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def _texts(manifest: Mapping[str, Any]) -> str:
    if manifest["options"].get("keep_text"):
        return "Titles and descriptions are in this release (`--keep-text`), scrubbed."
    return "Titles and descriptions are not in this release."


def _pseudonyms(manifest: Mapping[str, Any]) -> str:
    if manifest["options"].get("keep_source_ids"):
        return (
            "**Ids are those of the sources (`--keep-source-ids`): they lead to announcements with "
            "phone numbers. For private use only.**"
        )
    return (
        "Identities of collected sources have pseudonyms (HMAC-SHA256 with a key that is not "
        "here), and neither addresses nor hashes of the original files."
    )


def _revoked(release: Path) -> str:
    path = release / "metadata" / "revoked.txt"
    count = len(path.read_text(encoding="ascii").splitlines()) if path.exists() else 0
    return f"{count:,} so far"
