"""Blocks of pages that stand alone: style, sections, tables, photos; no script, no network.

Whatever is text goes through `escaped` here; functions that take HTML say so.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

# A browser holds the page to it: nothing is loaded, nothing runs.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE: Final = """
:root { color-scheme: light dark; --page: #f3f1ec; --card: #fff; --ink: #262320; --soft: #6a635b;
  --line: #e4e0d8; --accent: #2f6f8f; --pale: #b9d3de; --warn: #b4462f; --good: #2c7348; }
@media (prefers-color-scheme: dark) {
  :root { --page: #1b1a19; --card: #272523; --ink: #efebe4; --soft: #a59d93; --line: #3b3835;
    --accent: #6db3d3; --pale: #33505d; --warn: #ee8a70; --good: #7cc79a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 20px 64px; max-width: 1120px; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 0 0 4px; }
h3 { font-size: 16px; margin: 22px 0 6px; overflow-wrap: anywhere; }
p { margin: 0 0 14px; max-width: 75ch; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: 14px; }
.note { border-left: 3px solid var(--accent); padding-left: 12px; }
section { background: var(--card); border-radius: 14px; padding: 18px 20px; margin: 20px 0 0;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px;
  margin: 20px 0 0; }
.tiles div { background: var(--card); border-radius: 14px; padding: 12px 16px;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); color: var(--soft); font-size: 14px; line-height: 1.35; }
.tiles b { display: block; font-size: 24px; line-height: 1.25; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 0 0 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td:first-child, th:first-child { padding-left: 0; }
.n { text-align: right; }
tr.first td { font-weight: 600; }
td small { display: block; color: var(--soft); font-weight: 400; font-size: 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0;
  font-size: 14px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
summary { cursor: pointer; color: var(--accent); font-size: 14px; margin-top: 12px; }
.scroll table { max-width: 800px; }
.beside { display: grid; gap: 0 28px;
  grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.beside > div { min-width: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr));
  gap: 20px; }
.charts figure { max-width: 500px; }
figure { margin: 0; min-width: 0; }
.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--soft); }
.chart .name { fill: var(--ink); }
.grid { stroke: var(--line); }
.curve { fill: none; stroke: var(--soft); stroke-width: 1.4; }
.curve.main { stroke: var(--accent); stroke-width: 2.4; }
.guide { fill: none; stroke: var(--soft); stroke-dasharray: 2 4; }
.point { fill: var(--card); stroke: var(--warn); stroke-width: 2.4; }
.chart .mark { fill: var(--warn); font-weight: 600; paint-order: stroke; stroke: var(--card);
  stroke-width: 3px; }
.band { fill: var(--accent); opacity: .18; }
.same { fill: var(--accent); opacity: .75; }
.other { fill: none; stroke: var(--ink); stroke-width: 1.4; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0;
  list-style: none; font-size: 13px; color: var(--soft); }
.legend svg { width: 34px; height: 10px; margin-right: 6px; vertical-align: middle; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(240px, 100%), 1fr));
  gap: 16px; }
.photos { display: flex; gap: 6px; overflow-x: auto; padding-bottom: 4px; }
.photos > * { flex: none; }
.pairs img { height: 110px; max-width: none; }
img, .missing { border-radius: 8px; display: block; background: #8883; }
.missing { width: 110px; height: 96px; padding: 8px; font-size: 12px; color: var(--soft);
  white-space: normal; }
.search { margin: 0 0 18px; }
.search img, .search .missing { height: 96px; border: 3px solid transparent; }
.search .right img { border: 3px solid var(--good); }
.search .wrong img { border: 3px dashed var(--warn); }
.search .asked img { border-color: var(--ink); }
.search figure { width: min-content; }
.search figcaption { font-size: 12.5px; line-height: 1.35; margin-top: 3px; min-width: 120px;
  overflow-wrap: anywhere; }
.nobreak { white-space: nowrap; }
.verdict { font-weight: 600; }
.right .verdict { color: var(--good); } .wrong .verdict { color: var(--warn); }
.asked { padding-right: 6px; border-right: 1px solid var(--line); }
@media (max-width: 520px) {
  body { padding: 20px 10px 40px; } section { padding: 14px 12px; }
  th, td { padding: 4px 6px; } th, td:first-child { white-space: normal; }
  td:first-child { min-width: 88px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; }
  .tiles { grid-template-columns: 1fr 1fr; } .tiles div { padding: 10px 12px; } }
"""


def escaped(value: object) -> str:
    return html.escape(str(value))


def page(title: str, subtitle: str, content: str) -> str:
    """`content` is HTML."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escaped(title)}</h1><p class='soft'>{escaped(subtitle)}</p></header>"
        f"{content}</body></html>\n"
    )


def section(title: str, intro: str, content: str) -> str:
    """`content` is HTML; nothing for none."""
    if not content:
        return ""
    said = f"<p class='soft'>{escaped(intro)}</p>" if intro else ""
    return f"<section><h2>{escaped(title)}</h2>{said}{content}</section>"


def note(text: str) -> str:
    return f"<p class='note'>{escaped(text)}</p>"


def tiles(values: Iterable[Sequence[str]]) -> str:
    """A value, and below it lines of what it is."""
    cells = "".join(
        f"<div><b>{escaped(value)}</b>{'<br>'.join(map(escaped, lines))}</div>"
        for value, *lines in values
    )
    return f"<div class='tiles'>{cells}</div>" if cells else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, first: bool = False) -> str:
    """The first column holds words, the others numbers; what follows a line break stands small.

    `first`: the first row is what the others are held against.
    """
    if not rows:
        return ""
    titles = "".join(
        f"<th scope='col'{' class=n' if number else ''}>{escaped(name)}</th>"
        for number, name in enumerate(head)
    )
    body = "".join(
        f"<tr{' class=first' if first and not number else ''}>{''.join(_cells(row))}</tr>"
        for number, row in enumerate(rows)
    )
    return (
        f"<div class='scroll'><table><thead><tr>{titles}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str]) -> Iterable[str]:
    for number, text in enumerate(row):
        value, _, small = text.partition("\n")
        below = f"<small>{escaped(small)}</small>" if small else ""
        yield f"<td{' class=n' if number else ''}>{escaped(value)}{below}</td>"


def facts(told: Iterable[tuple[str, object]]) -> str:
    """Names and values, those without a value left out."""
    lines = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>"
        for name, value in told
        if value not in (None, "")
    )
    return f"<dl>{lines}</dl>" if lines else ""


def folded(summary: str, content: str) -> str:
    """`content` is HTML."""
    return f"<details><summary>{escaped(summary)}</summary>{content}</details>" if content else ""
