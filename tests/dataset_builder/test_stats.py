"""Photos per identity: worked by hand, and beside a slow loop with the statistics module."""

from __future__ import annotations

import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import Shown, plan_of

from dataset_builder.stats import (
    STEPS,
    Balance,
    Line,
    Stats,
    attrition_stats,
    describe,
    ordered_steps,
    release_stats,
    shard_stats,
)
from petdata.errors import CorruptFile
from petdata.intake import Intake
from petdata.workspace import Workspace
from pictures_for_tests import jpeg
from test_intake import make_listing

COLUMNS = ("source", "identity_id", "identity_group", "species", "split", "reason")
Row = tuple[str, str, str, str, str | None, str | None]

# pet911/a has three photos, of which one repeats another; telegram/t is the same cat as pet911/b.
BY_HAND: list[Row] = [
    ("pet911", "pet911/a", "pet911/a", "dog", "train", None),
    ("pet911", "pet911/a", "pet911/a", "dog", "train", None),
    ("pet911", "pet911/a", "pet911/a", "dog", None, "near_duplicate"),
    ("pet911", "pet911/b", "pet911/b", "cat", "train", None),
    ("pet911", "pet911/old", "pet911/old", "cat", None, "superseded"),
    ("telegram", "telegram/t", "pet911/b", "cat", "train", None),
    ("telegram", "telegram/t", "pet911/b", "cat", "train", None),
    ("telegram", "telegram/u", "telegram/u", "cat", "validation", None),
    ("dogfacenet", "dogfacenet/1", "dogfacenet/1", "dog", "test", None),
]


def write_attrition(folder: Path, rows: list[Row]) -> Path:
    path = folder / "metadata" / "attrition.parquet"
    path.parent.mkdir(parents=True)
    columns: dict[str, Any] = {name: [row[n] for row in rows] for n, name in enumerate(COLUMNS)}
    pq.write_table(pa.table({name: pa.array(v, pa.string()) for name, v in columns.items()}), path)
    return path


def stats_of(folder: Path, rows: list[Row], val_fraction: float = 0.0) -> Stats:
    path = write_attrition(folder, rows)
    return attrition_stats(path, title="pets 1.0.0", val_fraction=val_fraction)


def numbers(line: Line | None) -> tuple[int, int, int, int, float, float, float] | None:
    if line is None:
        return None
    return (
        line.photos,
        line.identities,
        line.minimum,
        line.maximum,
        round(line.mean, 4),
        line.median,
        round(line.deviation, 4),
    )


def test_numbers_worked_by_hand(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, BY_HAND)
    # before: a has 3, b has 1, old is superseded
    assert numbers(stats.line("before", "pet911")) == (4, 2, 1, 3, 2.0, 2.0, 1.0)
    assert numbers(stats.line("before", "pet911", species="dog")) == (3, 1, 3, 3, 3.0, 3.0, 0.0)
    # t has 2, u has 1
    assert numbers(stats.line("before", "telegram")) == (3, 2, 1, 2, 1.5, 1.5, 0.5)
    # 3, 1, 2, 1, 1: mean 1.6, squares 16 / 5 - 2.56 = 0.64
    assert numbers(stats.line("before")) == (8, 5, 1, 3, 1.6, 1.0, 0.8)
    # after: a has 2, b has 1 of its own
    assert numbers(stats.line("after", "pet911")) == (3, 2, 1, 2, 1.5, 1.5, 0.5)
    assert numbers(stats.line("after", "telegram", "train", "cat")) == (2, 1, 2, 2, 2.0, 2.0, 0.0)
    # all sources: b and t are one animal with 3 photos; a has 2, u 1, the dog 1
    assert numbers(stats.line("after", split="train")) == (5, 2, 2, 3, 2.5, 2.5, 0.5)
    assert numbers(stats.line("after")) == (7, 4, 1, 3, 1.75, 1.5, 0.8292)
    assert stats.line("after", "dogfacenet", "train") is None


def test_attrition_names_every_step_in_the_order_of_the_build(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("pet911", "a", "a", "cat", None, reason)
        for reason in ("near_duplicate", "leak:dogfacenet", "taken_down", "something_new")
    ]
    stats = stats_of(tmp_path, [*rows, *BY_HAND])
    assert stats.attrition["pet911"] == {
        "input": 9,
        "superseded": 1,
        "taken_down": 1,
        "leak:dogfacenet": 1,
        "near_duplicate": 2,
        "something_new": 1,
        "kept": 3,
    }
    assert list(stats.attrition["pet911"])[1:-1] == ordered_steps(stats.attrition)
    assert stats.attrition["telegram"] == {"input": 3, "kept": 3}


def test_the_steps_are_those_of_a_plan() -> None:
    made, _ = plan_of([Shown("pet911/1", "a"), Shown("dogfacenet/1", "b")])
    assert tuple(dict.fromkeys(reason.partition(":")[0] for reason in made.reasons)) == STEPS


def random_rows(seed: int, count: int = 3_000) -> list[Row]:
    chance = random.Random(seed)
    rows: list[Row] = []
    for _ in range(count):
        number = min(int(chance.expovariate(0.01)), 600)
        source = ("lcw", "telegram", "pet911")[number % 3]
        reason = chance.choice([None] * 6 + ["superseded", "near_duplicate", "boilerplate"])
        split = "validation" if number // 2 % 7 == 0 else "train"
        rows.append(
            (
                source,
                f"{source}/{number}",
                f"group/{number // 2}",
                ("cat", "dog")[number // 2 % 2],
                None if reason else split,
                reason,
            )
        )
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_every_line_equals_a_slow_loop(tmp_path: Path, seed: int) -> None:
    rows = random_rows(seed)
    stats = stats_of(tmp_path, rows)
    assert len(stats.lines) > 40
    for line in stats.lines:
        counts: Counter[str] = Counter()
        for source, identity, group, species, split, reason in rows:
            counted = reason is None if line.stage == "after" else reason != "superseded"
            if (
                counted
                and line.source in (None, source)
                and line.species in (None, species)
                and line.split in (None, split)
            ):
                counts[group if line.stage == "after" else identity] += 1
        sizes = list(counts.values())
        assert numbers(line) == (
            sum(sizes),
            len(sizes),
            min(sizes),
            max(sizes),
            round(statistics.mean(sizes), 4),
            statistics.median(sizes),
            round(statistics.pstdev(sizes), 4),
        )
        if line.split is None and line.species is None:
            bars = [b for b in stats.histogram if (b.stage, b.source) == (line.stage, line.source)]
            assert {bar.photos: bar.identities for bar in bars} == Counter(sizes)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_a_histogram_is_described_as_the_statistics_module_does(sizes: list[int]) -> None:
    found = describe(Counter(sizes))
    assert found["median"] == statistics.median(sizes)
    assert found["mean"] == pytest.approx(statistics.mean(sizes), rel=1e-12)
    assert found["deviation"] == pytest.approx(statistics.pstdev(sizes), rel=1e-9, abs=1e-9)


def test_balance_counts_groups_not_photos(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, BY_HAND, val_fraction=0.25)
    assert [(part.by, part.value, part.train, part.validation) for part in stats.balance] == [
        ("source", "pet911", 2, 0),
        ("source", "telegram", 1, 1),
        ("species", "cat", 1, 1),
        ("species", "dog", 1, 0),
        ("photos per identity", "1", 0, 1),
        ("photos per identity", "2", 1, 0),
        ("photos per identity", "3-4", 1, 0),
    ]


def test_the_expected_share_by_hand() -> None:
    part = Balance(by="species", value="cat", train=9_400, validation=600)
    assert part.share == 0.06
    # sqrt(0.05 * 0.95 / 10,000) = 0.0021794
    assert part.expected(0.05) == pytest.approx((0.05 - 0.005614, 0.05 + 0.005614), abs=1e-6)


def test_shards_count_current_rows_only(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    for number, photos in ((1, 3), (2, 2)):
        with Intake(workspace, "pet911") as intake:
            for n, photo in enumerate(intake.take_listing(make_listing(number, photos))):
                intake.keep_photo(photo.key, intake.examine(jpeg(10 * number + n)))
    with Intake(workspace, "pet911") as intake:  # its text changes: a second version of all rows
        intake.take_listing(make_listing(2, 2, description="changed"))
    stats = shard_stats(workspace)
    assert stats.attrition == {"pet911": {"input": 7, "superseded": 2, "kept": 5}}
    assert numbers(stats.line("before", "pet911")) == (5, 2, 2, 3, 2.5, 2.5, 0.5)
    assert {line.stage for line in stats.lines} == {"before"}


def test_a_release_without_its_table_is_named(tmp_path: Path) -> None:
    manifest = {"name": "pets", "version": "1.0.0", "variant": "full", "build_hash": "0"}
    text = json.dumps(manifest | {"files": {}, "configs": {}, "options": {}, "format": "1.0"})
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"attrition\.parquet"):
        release_stats(tmp_path)
