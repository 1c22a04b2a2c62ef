"""What a side table of boxes says of photos that a page shows, drawn over them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from petdata.side_table_kinds import BOXES
from petdata.side_tables import BOXES_TABLE, part_files, read_kind, read_side_table, table_folder

STYLE: Final = """
.shot { position: relative; }
.shot svg { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 8px; }
.shot rect, .legend rect { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
rect.under { stroke: rgb(0 0 0 / .55); stroke-width: 4 !important; }
rect.chosen { stroke: #7dfb6b; } rect.other { stroke: #ffd23f; stroke-dasharray: 5 4; }
.shot rect { pointer-events: all; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: center; margin: 0 0 28px;
  color: var(--soft); font-size: 14px; }
.legend svg { width: 30px; height: 20px; vertical-align: -5px; margin-right: 6px; }
"""


@dataclass(kw_only=True)
class SheetBoxes:
    """Of one table; counts what it was asked about."""

    model: str
    rows: pa.Table = field(repr=False)  # sha256, boxes, chosen, problem
    shown: int = 0  # photos that have a row
    without: int = 0  # of these, no animal was found

    def over(self, sha256: str, width: int | None, height: int | None) -> tuple[str, str]:
        """SVG to lie over the photo, and a word for its caption; empty where nobody has looked."""
        place = pc.index(self.rows["sha256"], sha256).as_py()
        if place < 0 or not width or not height:
            return "", ""
        row = {name: self.rows[name][place].as_py() for name in ("boxes", "chosen", "problem")}
        self.shown += 1
        if row["chosen"] is None:
            self.without += 1
        if row["problem"] is not None:
            return "", "could not be looked at"
        svg = "".join(
            _rect(box, "chosen" if number == row["chosen"] else "other")
            for number, box in _largest_first(row["boxes"])
        )
        word = "no animal found" if row["chosen"] is None else _name(row["boxes"][row["chosen"]])
        return f"<svg viewBox='0 0 {width} {height}' preserveAspectRatio='none'>{svg}</svg>", word

    def legend(self) -> str:
        """Nothing where no photo on the page has a row."""
        if not self.shown:
            return ""
        sample = "<svg viewBox='0 0 30 20'><rect class='{}' x='2' y='2' width='26' height='16'/>"
        counted = f"{self.shown:,} photos looked at, {self.without:,} without an animal"
        return (
            f"<div class='legend'><span>{sample.format('chosen')}</svg>the box that is used</span>"
            f"<span>{sample.format('other')}</svg>other boxes</span>"
            f"<span>made by {html.escape(self.model)}: {counted}</span></div>"
        )


def read_sheet_boxes(root: Path) -> SheetBoxes | None:
    """The table `boxes` of a workspace; None where there is none. Raises CorruptFile."""
    folder = table_folder(root, BOXES_TABLE)
    parts = part_files(folder)
    if not parts or read_kind(parts[0])[0].name != BOXES.name:
        return None
    table = read_side_table(folder, columns=("boxes", "chosen", "problem"))
    return SheetBoxes(model=table.producer.model, rows=table.rows)


def _largest_first(boxes: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """So that the pointer finds a box that lies in another one."""
    return sorted(
        enumerate(boxes),
        key=lambda each: -(each[1]["x1"] - each[1]["x0"]) * (each[1]["y1"] - each[1]["y0"]),
    )


def _rect(box: Mapping[str, Any], kind: str) -> str:
    place = (
        f"x='{box['x0']:.1f}' y='{box['y0']:.1f}' width='{box['x1'] - box['x0']:.1f}' "
        f"height='{box['y1'] - box['y0']:.1f}'"
    )
    return (
        f"<rect class='under' {place}/>"
        f"<rect class='{kind}' {place}><title>{_name(box)}</title></rect>"
    )


def _name(box: Mapping[str, Any]) -> str:
    return f"{html.escape(box['class'])} {box['score']:.2f}"
