"""Statistics as one HTML page that stands alone: charts, tables, photos; no script, no network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

from dataset_builder.charts import histogram, share_bar
from dataset_builder.paper import CITATION, DOI, TABLE_2, TOTAL
from dataset_builder.stats import DDOF, Line, Stage, Stats, ordered_steps, shown_lines
from dataset_builder.stats_beside import NOTHING, Beside
from dataset_builder.stats_photos import PHOTOS, Sheets
from petdata.text_repeats import FIGURES

_STYLE: Final = """
:root { color-scheme: light dark; --page: #f3f1ec; --card: #fff; --ink: #262320; --soft: #6f6860;
  --line: #e4e0d8; --accent: #2f6f8f; --pale: #b9d3de; --warn: #b4462f; }
@media (prefers-color-scheme: dark) {
  :root { --page: #1b1a19; --card: #272523; --ink: #efebe4; --soft: #a59d93; --line: #3b3835;
    --accent: #6db3d3; --pale: #33505d; --warn: #ee8a70; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 20px 64px; max-width: 1120px; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 0 0 6px; overflow-wrap: anywhere; }
p { margin: 0 0 14px; max-width: 75ch; }
.soft, figcaption, .scale { color: var(--soft); font-size: 14px; }
section { background: var(--card); border-radius: 14px; padding: 18px 20px; margin: 20px 0 0;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px;
  margin: 20px 0 0; }
.tiles div { background: var(--card); border-radius: 14px; padding: 12px 16px;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); color: var(--soft); font-size: 14px; }
.tiles b { display: block; font-size: 24px; line-height: 1.25; color: var(--ink);
  font-variant-numeric: tabular-nums; }
ul { padding-left: 18px; margin: 12px 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
td:first-child, th:first-child { padding-left: 0; }
.n { text-align: right; }
tr.source td { padding-top: 14px; font-weight: 700; }
tr.sum td { font-weight: 600; }
td.indent { padding-left: 14px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 20px; }
.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--soft); }
.grid { stroke: var(--line); }
rect.before { fill: none; stroke: var(--soft); }
rect.after, .key.after { fill: var(--accent); background: var(--accent); }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 0; vertical-align: -1px;
  border: 1px solid var(--soft); }
.steps { display: grid; grid-template-columns: max-content 1fr max-content; gap: 3px 10px;
  align-items: center; font-size: 14px; font-variant-numeric: tabular-nums; margin: 0 0 18px; }
.track { height: 12px; border-radius: 3px; background: var(--pale); overflow: hidden; }
.track i { display: block; height: 100%; background: var(--accent); }
.share { width: 120px; height: 12px; display: block; }
.band { fill: var(--pale); } .inside { fill: var(--accent); } .outside { fill: var(--warn); }
.warn { color: var(--warn); font-weight: 600; }
.portraits { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr));
  gap: 14px; margin: 0 0 20px; }
figure { margin: 0; min-width: 0; }
.photos { display: flex; gap: 4px; overflow-x: auto; }
.photos img { height: 90px; border-radius: 6px; flex: none; }
figcaption { overflow-wrap: anywhere; }
@media (max-width: 520px) { body { padding: 20px 10px 40px; } section { padding: 14px 12px; } }
"""


def stats_page(stats: Stats, sheets: Sheets, beside: Beside = NOTHING) -> str:
    sections = [
        _section("Photos per identity", _lines(stats), _LINES),
        _section("How many photos identities have", _histograms(stats), _HISTOGRAMS),
        _section("What each step took", _attrition(stats), _ATTRITION),
    ]
    if any(part.validation for part in stats.balance):
        intro = _BALANCE.format(fraction=f"{stats.val_fraction:.1%}")
        sections.append(_section("Validation against training", _balance(stats), intro))
    if beside.seen:
        sections.append(_section("What the detector saw", _seen(beside), _SEEN))
    if beside.texts:
        sections.append(_section("Texts that repeat", _repeats(beside), _REPEATS))
    if any(sheets.values()):
        intro = f"A few identities of each source, up to {PHOTOS} photos of each."
        sections.append(_section("Photos", _sheets(sheets), intro))
    sections.append(_section("Beside the paper", _paper(stats), _PAPER))
    title = html.escape(f"{stats.title}: statistics")
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{_STYLE}</style><body>"
        f"<header><h1>{html.escape(stats.title)}</h1><p class='soft'>Photos, identities and splits"
        f"</p></header>{_tiles(stats)}{''.join(sections)}</body></html>\n"
    )


_LINES: Final = (
    "Before the build an identity is what its source calls one, counted over all current photos. "
    "Afterwards it is an identity group: announcements that show one animal count once. A group "
    "with photos of two sources stands in the rows of both, and once in the row of all sources. "
    f"Standard deviation with ddof {DDOF}: these are all the identities, not a sample."
)
_HISTOGRAMS: Final = (
    "<span class='key'></span>before the build &ensp; <span class='key after'></span>after it. "
    "Photos of an identity to the right, identities upwards."
)
_ATTRITION: Final = "Photos left after each step; a photo is counted at the first step it fails."
_BALANCE: Final = (
    "Identity groups are held out by a hash of their names, {fraction} asked for. The band is "
    "where 99 of 100 such draws fall; a share outside it is marked."
)
_SEEN: Final = (
    "Out of the side table of boxes: photos without an animal that was found, and those with "
    "several of its kind apart from each other, as a share of the photos looked at."
)
_REPEATS: Final = (
    "Photos whose text another photo has, identical or with the same words but for one. Of the "
    "same animal: such a text gives away which photos belong together, so figures of a model "
    "with texts are not of recognising animals; the share is of photos whose animal has several "
    "with a text. Of another animal: such a text tells nobody apart."
)
_PAPER: Final = (
    "Our counts before the build and those of table 2, as far as they are public. "
    f"{html.escape(CITATION.removesuffix('doi:' + DOI))}"
    f"<a href='https://doi.org/{DOI}'>doi:{DOI}</a>"
)


def _section(title: str, content: str, intro: str) -> str:
    return f"<section><h2>{title}</h2><p class='soft'>{intro}</p>{content}</section>"


def _table(head: Sequence[str], rows: Iterable[str], left: int = 1) -> str:
    """The first `left` columns hold words, the others numbers."""
    cells = "".join(
        f"<th scope='col'{'' if n < left else ' class=n'}>{name}</th>"
        for n, name in enumerate(head)
    )
    return (
        f"<div class='scroll'><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(words: Sequence[str], numbers: Sequence[str], kind: str = "") -> str:
    cells = [f"<td{' class=indent' if kind == 'part' else ''}>{words[0]}</td>"]
    cells += [f"<td>{word}</td>" for word in words[1:]]
    cells += [f"<td class=n>{number}</td>" for number in numbers]
    return f"<tr{f' class={kind}' if kind else ''}>{''.join(cells)}</tr>"


def _tiles(stats: Stats) -> str:
    stage: Stage = "after" if stats.line("after") else "before"
    total = stats.line(stage)
    if total is None:
        return ""
    values = [
        (f"{total.photos:,}", "photos"),
        (f"{total.identities:,}", "identity groups" if stage == "after" else "identities"),
        (f"{total.mean:.2f}", "photos per identity, mean"),
        (f"{total.median:g}", "photos per identity, median"),
    ]
    for split in ("train", "validation", "test"):
        line = stats.line("after", split=split)
        if line is not None:
            values.append((f"{line.photos:,}", f"photos in {split}"))
    return (
        "<div class='tiles'>"
        + "".join(f"<div><b>{value}</b>{name}</div>" for value, name in values)
        + "</div>"
    )


def _numbers(line: Line) -> list[str]:
    return [
        f"{line.photos:,}",
        f"{line.identities:,}",
        f"{line.minimum:,}",
        f"{line.maximum:,}",
        f"{line.mean:.2f}",
        f"{line.median:g}",
        f"{line.deviation:.2f}",
    ]


def _lines(stats: Stats) -> str:
    rows, previous = [], ""
    for line in shown_lines(stats):
        source = line.source or "all sources"
        if source != previous:
            rows.append(f"<tr class=source><td colspan=9>{html.escape(source)}</td></tr>")
            previous = source
        words = [html.escape(line.split or line.stage), html.escape(line.species or "all")]
        rows.append(_row(words, _numbers(line), "part" if line.species else "sum"))
    head = ("", "species", "photos", "identities", "min", "max", "mean", "median")
    return _table([*head, f"std (ddof {DDOF})"], rows, left=2)


def _histograms(stats: Stats) -> str:
    figures = []
    sources = [*stats.sources, *([None] if len(stats.sources) > 1 else [])]
    for source in sources:
        before, after = (
            {b.photos: b.identities for b in stats.histogram if (b.stage, b.source) == key}
            for key in (("before", source), ("after", source))
        )
        name = html.escape(source or "all sources")
        figures.append(f"<figure><h3>{name}</h3>{histogram(before, after)}</figure>")
    return f"<div class='charts'>{''.join(figures)}</div>"


def _attrition(stats: Stats) -> str:
    steps = ordered_steps(stats.attrition)
    rows = [
        _row([_words(step)], [f"{s.get(step, 0):,}" for s in stats.attrition.values()])
        for step in ("input", *steps)
    ]
    rows.append(_row(["kept"], [f"{s['kept']:,}" for s in stats.attrition.values()], "sum"))
    table = _table(["", *map(html.escape, stats.sources)], rows)
    bars = []
    for source, taken in stats.attrition.items():
        left = taken["input"]
        lines = [_step("input", left, left)]
        for step in steps:
            if step in taken:
                left -= taken[step]
                lines.append(_step(f"- {_words(step)}", left, taken["input"]))
        bars.append(f"<h3>{html.escape(source)}</h3><div class='steps'>{''.join(lines)}</div>")
    return f"{''.join(bars)}{table}"


def _step(name: str, left: int, of: int) -> str:
    share = 100 * left / of if of else 0.0
    return (
        f"<span>{name}</span><span class='track'><i style='width:{share:.2f}%'></i></span>"
        f"<span class=n>{left:,}</span>"
    )


def _words(step: str) -> str:
    return html.escape(step.replace("_", " ").replace(":", ": "))


def _balance(stats: Stats) -> str:
    rows = []
    for part in stats.balance:
        low, high = part.expected(stats.val_fraction)
        share = f"{part.share:.1%}"
        if not low <= part.share <= high:
            share = f"<span class='warn'>{share}</span>"
        bar = share_bar(part.share, low, high)
        numbers = [f"{part.train:,}", f"{part.validation:,}", share]
        rows.append(_row([part.by, html.escape(part.value), bar], numbers))
    return _table(["by", "", "", "train", "validation", "held out"], rows, left=3)


def _seen(beside: Beside) -> str:
    rows = []
    for each in beside.seen:
        counts = (each.photos, each.looked_at, each.without_box, each.several_animals)
        numbers = [*(f"{count:,}" for count in counts), f"{each.share:.1%}"]
        rows.append(_row([html.escape(each.source)], numbers))
    head = ("source", "photos", "looked at", "without box", "several animals", "share")
    return _table(head, rows)


def _repeats(beside: Beside) -> str:
    rows = []
    for name, found in beside.texts.items():
        shares = [f"{found.share(figure):.1%}" for figure in FIGURES]
        rows.append(_row([html.escape(name)], [f"{found.texts:,}", *shares]))
    head = ("texts", "photos", "same animal", "nearly", "another animal", "nearly")
    return _table(head, rows)


def _sheets(sheets: Sheets) -> str:
    parts = []
    for source, portraits in sheets.items():
        figures = []
        for portrait in portraits:
            name = html.escape(portrait.identity_id)
            pictures = "".join(
                f"<img src='{uri}' alt='{html.escape(portrait.species)}' loading='lazy'>"
                for uri in portrait.pictures
            )
            count = f"{portrait.photos:,} photo{'s' if portrait.photos != 1 else ''}"
            figures.append(
                f"<figure><div class='photos'>{pictures or '<i>no pixels here</i>'}</div>"
                f"<figcaption>{name}, {html.escape(portrait.species)}, {count}</figcaption>"
                "</figure>"
            )
        parts.append(
            f"<h3>{html.escape(source)}</h3><div class='portraits'>{''.join(figures)}</div>"
        )
    return "".join(parts)


def _paper(stats: Stats) -> str:
    rows = []
    for source, count in [*TABLE_2.items(), (None, TOTAL)]:
        ours = stats.line("before", source)
        spread = f"{count.minimum} to {count.maximum}" if count.minimum else "not public"
        rows.append(
            _row(
                [source or "total"],
                [
                    f"{ours.photos:,}" if ours else "-",
                    f"{count.photos:,}",
                    f"{ours.identities:,}" if ours else "-",
                    f"{count.identities:,}",
                    f"{ours.mean:.2f}" if ours else "-",
                    f"{count.mean:.2f}",
                    f"{ours.minimum} to {ours.maximum}" if ours else "-",
                    spread,
                ],
                "" if source else "sum",
            )
        )
    head = ["", "photos", "paper", "identities", "paper", "mean", "paper", "range", "paper"]
    remarks = "".join(
        f"<li>{source or 'total'}: {html.escape(count.remark)}</li>"
        for source, count in [*TABLE_2.items(), (None, TOTAL)]
        if count.remark
    )
    return f"{_table(head, rows)}<ul class='soft'>{remarks}</ul>"
