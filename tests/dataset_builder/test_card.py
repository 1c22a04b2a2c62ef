"""The card as its readers read it: `datasets` for the configs, the Hub's library for the rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Image, load_dataset
from huggingface_hub import DatasetCard
from small_release import small_release

from dataset_builder.card import TEMPLATE, card
from dataset_builder.front_matter import front_matter, size_category
from dataset_builder.stats import release_stats
from petdata.card_parts import template_path
from petdata.manifest import read_manifest
from petdata.sources import SOURCES, Source


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("world"))


# pet911 6 x 2, dogfacenet 3, lcw 2 (another two leak), petface 2 + 1; of telegram's three photos
# one is a duplicate.
KEPT = {"pet911": 12, "dogfacenet": 3, "lcw": 2, "petface": 3, "telegram": 2}


@pytest.mark.parametrize(
    ("config", "sources"),
    [
        ("all", set(KEPT)),
        ("no_petface", set(KEPT) - {"petface"}),
        ("pet911", {"pet911"}),
        ("dogfacenet", {"dogfacenet"}),
    ],
)
def test_a_config_loads_with_the_rows_of_its_sources(
    release: Path, tmp_path: Path, config: str, sources: set[str]
) -> None:
    loaded = load_dataset(str(release), config, cache_dir=str(tmp_path))
    rows = Counter(source for split in loaded.values() for source in split["source"])
    assert rows == {source: KEPT[source] for source in sources}
    stats = release_stats(release)
    for name, split in loaded.items():
        assert isinstance(split.features["image"], Image)
        assert split[0]["image"].size == (split[0]["width"], split[0]["height"])
        if config == "all":
            line = stats.line("after", split=name)
            assert line is not None
            assert len(split) == line.photos
    assert ("test" in loaded) == ("dogfacenet" in sources)


def test_the_card_shows_a_line_for_every_config(release: Path) -> None:
    text = (release / "README.md").read_text()
    shown = re.findall(r'`load_dataset\(REPOSITORY, "([a-z0-9_]+)"\)`', text)
    assert sorted(shown) == sorted(read_manifest(release)["configs"])
    assert "| `lcw` | lcw alone |" in text


def test_the_front_matter_is_what_the_hub_reads(release: Path) -> None:
    data: dict[str, Any] = DatasetCard((release / "README.md").read_text()).data.to_dict()
    assert data["pretty_name"] == "pets 1.0.0"
    assert data["license"] == "unknown"  # pet911 grants none
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["image-feature-extraction"]
    assert {"re-identification", "cat", "dog"} <= set(data["tags"])
    assert "language" not in data
    configs = {entry["config_name"]: entry for entry in data["configs"]}
    assert [name for name, entry in configs.items() if entry.get("default")] == ["all"]
    manifest = read_manifest(release)
    for name, entry in configs.items():
        files = {part["split"]: part["path"] for part in entry["data_files"]}
        assert files == manifest["configs"][name]
        assert list(files) == [s for s in ("train", "validation", "test") if s in files]


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["CC BY 4.0", "CC BY 4.0"], {"license": "cc-by-4.0"}),
        (["CC BY 4.0", "CC0-1.0"], {"license": "other", "license_name": "per-source"}),
        (["my own"], {"license": "other", "license_name": "per-source"}),
        (["CC BY 4.0", None], {"license": "unknown"}),
    ],
)
def test_the_licence_is_no_wider_than_that_of_any_source(
    release: Path, licences: list[str | None], expected: dict[str, str]
) -> None:
    sources = {str(n): replace(SOURCES["lcw"], licence=text) for n, text in enumerate(licences)}
    text = front_matter(read_manifest(release), sources, release_stats(release))
    data = DatasetCard(f"---\n{text}---\n").data.to_dict()
    assert {k: v for k, v in data.items() if k.startswith("license")} == expected


def test_names_that_yaml_reads_otherwise_stay_names(release: Path) -> None:
    manifest = read_manifest(release)
    manifest["configs"] = {"on": manifest["configs"]["lcw"], "12": manifest["configs"]["lcw"]}
    text = front_matter(manifest, SOURCES, release_stats(release))
    data = DatasetCard(f"---\n{text}---\n").data.to_dict()
    assert [entry["config_name"] for entry in data["configs"]] == ["12", "on"]


@pytest.mark.parametrize(
    ("photos", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (1_881_800, "1M<n<10M"),
        (10**7, "10M<n<100M"),
    ],
)
def test_size_categories(photos: int, category: str) -> None:
    assert size_category(photos) == category


def tables(text: str) -> list[list[list[str]]]:
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            found[-1].append([cell.strip() for cell in cells])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_tables_are_whole_and_say_what_the_build_did(release: Path) -> None:
    text = (release / "README.md").read_text()
    found = tables(text)
    assert len(found) == 8  # detection among them
    for table in found:
        assert len({len(row) for row in table}) == 1
    rows = [row for table in found for row in table]
    assert ["pet911", "before", "all", "12", "6", "2", "2", "2.00", "2", "0.00"] in rows
    assert ["leak:dogfacenet", "0", "2", "0", "0", "0"] in rows
    assert ["`pet911`", *rows_of("pet911")] in rows
    assert "$" not in text
    assert "Photos that left training, with the rest of their identity groups: " in text
    assert "2 for dogfacenet" in text


def rows_of(name: str) -> list[str]:
    source = SOURCES[name]
    return [source.title, source.role, "**none granted**", source.terms, "no"]


def test_cells_of_users_cannot_break_a_table(release: Path) -> None:
    odd = Source(
        name="lcw",
        title="a | b\nc",
        kind="declared",
        role="train",
        rank=1,
        licence="x|y",
        terms="",
        redistributable=True,
    )
    text = card(release, read_manifest(release), {**SOURCES, "lcw": odd})
    assert "| `lcw` | a \\| b c | train | x\\|y | not declared | yes |" in text
    assert all(len({len(row) for row in table}) == 1 for table in tables(text))


@pytest.mark.parametrize(
    ("power", "shown"),
    [
        ({"mirrored": 0.9712, "crop_10": 0.1}, "| mirrored | 0.971 |\n| crop 10 | 0.100 |"),
        (
            [
                {
                    "bits": 10,
                    "photos": 200,
                    "recall": {"resized": 1.0},
                    "pairs": 9,
                    "pairs_matched": 0,
                }
            ],
            "On 200 photos, within 10 bits; of their 9 pairs 0 match.\n\n| change | share found |",
        ),
        ("unknown", '`"unknown"`'),
    ],
    ids=["shares", "measurements", "text"],
)
def test_detection_is_shown_as_it_was_measured(release: Path, power: object, shown: str) -> None:
    path = release / "metadata" / "leakage.json"
    before = path.read_text()
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(before) | {"detection_power": power}))
    try:
        assert shown in card(release, read_manifest(release), SOURCES)
    finally:
        path.write_text(before)


def test_a_recipe_says_so_and_what_was_kept_too(release: Path) -> None:
    manifest = read_manifest(release)
    manifest["variant"] = "recipe"
    manifest["options"] |= {"keep_text": True, "keep_source_ids": True}
    text = card(release, manifest, SOURCES)
    assert "This is the **recipe** variant" in text
    assert "Titles and descriptions are in this release" in text
    assert "For private use only" in text
    assert DatasetCard(text).data.to_dict()["language"] == ["ru"]


def test_a_card_written_again_is_the_same(release: Path) -> None:
    text = card(release, read_manifest(release), SOURCES)
    assert text == (release / "README.md").read_text()


def test_the_card_has_the_figures_of_the_log() -> None:
    log = (template_path(TEMPLATE).parents[1] / "docs" / "log.md").read_text()
    text = template_path(TEMPLATE).read_text()
    for figure in ("0.992", "0.900", "0.820", "0.9975", "369"):
        assert figure in text
        assert figure in log
