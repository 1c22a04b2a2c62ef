"""A table of texts as Markdown, LaTeX, CSV or a page of HTML, each escaped as its format needs."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from petdata.card_parts import table_row

_LATEX: Final = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "Δ": r"$\Delta$", "<": r"\textless{}", ">": r"\textgreater{}"},
}
_STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5em auto; max-width: 90em; padding: 0 1em }
div { overflow-x: auto }
table { border-collapse: collapse; white-space: nowrap }
caption { text-align: left; font-weight: 600; padding: .6em 0 }
th, td { padding: .25em .7em; border-bottom: 1px solid #8884; text-align: right }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: Canvas }
p { opacity: .75; margin: .3em 0 }
:root { color-scheme: light dark }
"""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The first column names the rows and stands left; the others stand right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells in a table of {len(self.columns)} columns")


def markdown(table: TextTable) -> str:
    def row(cells: Sequence[str]) -> str:
        return table_row(*(html.escape(cell, quote=False) for cell in cells))

    lines = [f"### {html.escape(table.title, quote=False)}", "", row(table.columns)]
    lines.append(f"| --- |{' ---: |' * (len(table.columns) - 1)}")
    lines += [row(each) for each in table.rows]
    for note in table.notes:
        lines += ["", html.escape(note, quote=False)]
    return "\n".join(lines) + "\n"


def latex(table: TextTable) -> str:
    """With the rules of booktabs."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(_latex_text(cell) for cell in cells) + r" \\"

    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex_text(table.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        row(table.columns),
        r"\midrule",
        *(row(each) for each in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {_latex_text(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def html_page(title: str, tables: Sequence[TextTable]) -> str:
    """Readable on a phone; nothing is fetched and nothing runs."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>",
        f"<body><h1>{html.escape(title)}</h1>",
        *(_html_table(table) for table in tables),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def csv_text(columns: Sequence[str], records: Sequence[Mapping[str, object]]) -> str:
    """What a record lacks is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in each.items()} for each in records)
    return out.getvalue()


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))


def _html_table(table: TextTable) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "\n".join(row(each, "td") for each in table.rows)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return (
        f"<div><table><caption>{html.escape(table.title)}</caption>\n"
        f"<thead>{row(table.columns, 'th')}</thead>\n<tbody>{body}</tbody></table></div>{notes}"
    )
