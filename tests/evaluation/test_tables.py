"""Tables in four formats, read back by other parsers."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from evaluation.tables import TextTable, csv_text, html_page, latex, markdown

AWKWARD = "<b>50 %_{x}</b> & a|b \\ #1 $2 ~ ^"
TABLE = TextTable(
    title="A & B",
    columns=("model", "Top-1 %"),
    rows=((AWKWARD, "84.3 ± 0.2"), ("plain", "")),
    notes=("<i>note</i>",),
)


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] in ("td", "th") and data.strip():
            self.cells[-1] += data


def test_html_has_the_very_texts_and_no_tag_of_theirs() -> None:
    parser = Cells()
    page = html_page("T", [TABLE])
    parser.feed(page)
    assert parser.cells == ["model", "Top-1 %", AWKWARD, "84.3 ± 0.2", "plain", ""]
    assert not {"b", "i", "script", "link", "img"} & set(parser.tags)
    assert "http" not in page


def test_latex_reads_back() -> None:
    undone = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}
    undone |= {r"$\pm$": "±", r"\textless{}": "<", r"\textgreater{}": ">"}
    undone |= {f"\\{mark}": mark for mark in "&%$#_{}"}
    pattern = "|".join(re.escape(each) for each in undone)
    inside = latex(TABLE).partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    found = []
    for line in inside.splitlines():
        if line == r"\midrule":
            continue
        cells = re.split(r"(?<!\\) & ", line.removesuffix(r"\\").rstrip(" ") + " ")
        found.append(tuple(re.sub(pattern, lambda m: undone[m[0]], c).strip() for c in cells))
    assert found == [TABLE.columns, *TABLE.rows]


def test_markdown_keeps_a_row_on_a_line() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[2:4] == ["| model | Top-1 % |", "| --- | ---: |"]
    assert lines[4].startswith("| &lt;b&gt;50 %_{x}&lt;/b&gt; &amp; a\\|b ")
    assert len([line for line in lines if line.startswith("|")]) == 4


def test_csv_reads_back() -> None:
    records = [{"a": 'x,"y"\nz', "b": 0.25}, {"a": None}]
    read = list(csv.DictReader(io.StringIO(csv_text(["a", "b"], records))))
    assert read == [{"a": 'x,"y"\nz', "b": "0.25"}, {"a": "", "b": ""}]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2 columns"):
        TextTable(title="", columns=("a", "b"), rows=(("x",),))
