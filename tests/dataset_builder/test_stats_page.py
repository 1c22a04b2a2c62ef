"""The page of statistics, read back: whole, alone, and with the numbers that it should show."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_release import small_release
from typer.testing import CliRunner

from dataset_builder.charts import bins, fill, histogram, is_logarithmic, share_bar
from dataset_builder.stats import Balance, Bar, Line, Stats, describe, release_stats
from dataset_builder.stats_page import stats_page
from dataset_builder.stats_photos import IDENTITIES, PHOTOS, Portrait, release_sheets, shard_sheets
from petdata.cli import app
from petdata.manifest import read_manifest
from petdata.workspace import Workspace

VOID = {"meta", "img", "line", "rect", "br"}


class Page(HTMLParser):
    """Elements, their texts, and complaints about tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is left open" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes something else, line {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("world"))


def test_the_page_is_whole_and_loads_nothing(release: Path) -> None:
    text = stats_page(release_stats(release), release_sheets(release))
    page = Page(text)
    assert page.problems == []
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert "url(" not in text
    assert "@import" not in text
    loaded = [address for address in page.addresses if not address.startswith("data:image/jpeg")]
    assert loaded == ["https://doi.org/10.3390/jimaging12010030"]  # a link, which loads nothing
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_tables_have_as_many_cells_in_every_row(release: Path) -> None:
    text = stats_page(release_stats(release), {})
    tables = [Page(part).rows for part in text.split("<table>")[1:]]
    assert len(tables) == 4
    for rows in tables:
        assert {len(row) for row in rows if len(row) > 1} == {len(rows[0])}


def test_the_rows_of_the_page_are_the_numbers_of_the_release(release: Path) -> None:
    rows = Page(stats_page(release_stats(release), {})).rows
    # pet911: six cats with two photos each; telegram's copy of one of them is not counted twice
    assert ["before", "all", "12", "6", "2", "2", "2.00", "2", "0.00"] in rows
    assert ["test", "dog", "3", "1", "3", "3", "3.00", "3", "0.00"] in rows
    leak = next(row for row in rows if row[0] == "leak: dogfacenet")
    assert leak[1:] == ["0", "2", "0", "0", "0"]  # sources in the order of their names
    paper = next(row for row in rows if row[0] == "pet911" and len(row) == 9)
    assert paper[1:9] == ["12", "65,961", "6", "22,050", "2.00", "2.99", "2 to 2", "2 to 8"]


def test_sheets_show_small_pictures_of_every_source(release: Path) -> None:
    sheets = release_sheets(release)
    assert set(sheets) == {"dogfacenet", "lcw", "pet911", "petface", "telegram"}
    for portraits in sheets.values():
        assert 1 <= len(portraits) <= IDENTITIES
        for portrait in portraits:
            assert len(portrait.pictures) == min(PHOTOS, portrait.photos)
            for uri in portrait.pictures:
                jpeg = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
                assert Image.open(io.BytesIO(jpeg)).height <= 180
    assert len(sheets["pet911"]) == 6
    assert not any("rl50" in portrait.identity_id for portrait in sheets["pet911"])
    assert release_sheets(release) == sheets


def test_sheets_of_shards_show_what_is_current(release: Path) -> None:
    sheets = shard_sheets(Workspace(root=release.parents[2]))
    assert {p.identity_id: p.photos for p in sheets["dogfacenet"]} == {"dogfacenet/1": 3}
    assert {p.photos for p in sheets["pet911"]} == {2}


def test_rows_without_pixels_are_listed_without_pictures(release: Path, tmp_path: Path) -> None:
    manifest = read_manifest(release)
    path = next(name for name in manifest["files"] if name.startswith("data/dogfacenet/"))
    table = pq.read_table(release / path, partitioning=None)
    index = table.schema.get_field_index("image")
    nothing = pa.nulls(len(table), table.schema.field(index).type)
    (tmp_path / path).parent.mkdir(parents=True)
    pq.write_table(table.set_column(index, table.schema.field(index), nothing), tmp_path / path)
    manifest["files"] = {path: manifest["files"][path]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    sheets = release_sheets(tmp_path)
    assert [(p.photos, p.pictures) for p in sheets["dogfacenet"]] == [(3, [])]
    assert "no pixels here" in stats_page(release_stats(release), sheets)


def test_the_command_prints_and_writes_the_page(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(release.parents[2]))
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "new" / "stats.html"
    done = CliRunner().invoke(app, ["stats", "pets@1.0.0", "--csv", "--html", str(page)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].endswith("minimum,maximum,mean,median,standard_deviation_ddof0")
    assert "before,pet911,,,12,6,2,2,2.0,2.0,0.0" in lines
    assert Page(page.read_text()).problems == []
    tables = CliRunner().invoke(app, ["stats", str(release)])
    assert "ddof 0" in tables.stdout
    assert "leak:dogfacenet" in tables.stdout


def stats_with(source: str, histogram: Mapping[int, int]) -> Stats:
    line = Line(stage="before", source=source, split=None, species=None, **describe(histogram))
    bars = [
        Bar(stage="before", source=source, photos=p, identities=i) for p, i in histogram.items()
    ]
    balance = [Balance(by="source", value=source, train=10_000, validation=50)]
    attrition = {source: {"input": line.photos, "kept": line.photos}}
    return Stats(
        title=source,
        lines=[line],
        histogram=bars,
        attrition=attrition,
        balance=balance,
        val_fraction=0.05,
    )


def test_names_of_users_are_escaped_and_a_share_out_of_line_is_marked() -> None:
    evil = "<script>'\"&"
    portrait = Portrait(identity_id=evil, species="cat", photos=1, pictures=[])
    page = Page(stats_page(stats_with(evil, {2: 3}), {evil: [portrait]}))
    assert page.problems == []
    assert page.tags["script"] == 0
    assert "class='warn'>0.5%" in stats_page(stats_with("lcw", {2: 3}), {})


@given(st.dictionaries(st.integers(1, 5_000), st.integers(1, 10**6), min_size=1, max_size=30))
def test_bins_hold_every_identity_once(found: dict[int, int]) -> None:
    edges = bins(max(found))
    assert [a for a, _ in edges[1:]] == [b + 1 for _, b in edges[:-1]]
    assert edges[0] == (1, 1)
    assert sum(fill(found, edges)) == sum(found.values())


def test_bins_by_hand() -> None:
    assert bins(3) == [(1, 1), (2, 2), (3, 3)]
    assert bins(40)[10:] == [(11, 16), (17, 24), (25, 32), (33, 48)]


def test_a_wide_range_has_a_logarithmic_scale() -> None:
    assert not is_logarithmic([50, 1, 0])
    assert is_logarithmic([51, 1, 0])
    assert "logarithmic" in histogram({1: 100_000, 2: 3}, {1: 9})
    assert "logarithmic" not in histogram({1: 10, 2: 3}, {1: 9})


def test_bars_are_as_high_as_their_counts() -> None:
    """Linear: the tallest bar takes all of the 152 units, one of half its count takes 76."""
    svg = histogram({1: 10, 2: 5}, {})
    heights = [part.split("height='")[1].split("'")[0] for part in svg.split("'before'")[1:]]
    assert heights == ["152.0", "76.0"]


def test_a_share_outside_its_band_looks_different() -> None:
    assert "'inside'" in share_bar(0.05, 0.04, 0.06)
    assert "'outside'" in share_bar(0.07, 0.04, 0.06)
