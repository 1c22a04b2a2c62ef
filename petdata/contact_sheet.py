"""An HTML page to look at what a source holds: one card an identity, its photos side by side.

The page stands alone: pictures are embedded, small; nothing is loaded and no script runs.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from PIL import Image

from petdata.records import Photo
from petdata.sheet_boxes import STYLE as BOX_STYLE
from petdata.sheet_boxes import SheetBoxes
from petdata.workspace import write_whole

PICTURE_HEIGHT: Final = 220  # pixels; drawn at half of it on a dense screen

_STYLE: Final = """
:root { color-scheme: light dark; --card: #fff; --page: #f3f1ec; --ink: #262320; --soft: #7a736b; }
@media (prefers-color-scheme: dark) {
  :root { --card: #2a2826; --page: #1b1a19; --ink: #efebe4; --soft: #a59d93; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1280px; background: var(--page);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; }
.summary { color: var(--soft); margin: 0 0 28px; }
article { background: var(--card); border-radius: 14px; padding: 16px 18px; margin: 0 0 16px;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); }
h2 { font-size: 16px; margin: 0; display: inline; }
.facts { color: var(--soft); margin-left: 10px; }
.tag { display: inline-block; border-radius: 99px; padding: 0 9px; margin-left: 8px;
  font-size: 13px; background: color-mix(in srgb, var(--ink) 10%, transparent); }
.text { margin: 6px 0 0; max-width: 90ch; overflow-wrap: anywhere; }
.photos { display: flex; gap: 8px; margin-top: 12px; overflow-x: auto; padding-bottom: 4px; }
figure { margin: 0; flex: none; }
img { height: 165px; border-radius: 8px; display: block; background: #8883; }
figcaption { color: var(--soft); font-size: 12px; margin-top: 3px; }
"""


def write_contact_sheet(
    path: Path,
    photos: Iterable[Photo],
    *,
    title: str,
    summary: str,
    boxes: SheetBoxes | None = None,
) -> int:
    """Write the page for photos that stand grouped by identity. Returns how many identities."""
    cards = [_card(list(group), boxes) for _, group in groupby(photos, key=lambda p: p.identity_id)]
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}{BOX_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p class='summary'>{html.escape(summary)}</p>"
        + (boxes.legend() if boxes is not None else "")
        + "".join(cards)
        + "</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page.encode())
    return len(cards)


def _card(photos: list[Photo], boxes: SheetBoxes | None) -> str:
    first = photos[0]
    facts = [first.species, first.breed, first.sex, first.city]
    dates = [f"{name} {day}" for name, day in (("posted", first.posted_on),) if day]
    tags = [first.status or "", "closed" if first.closed else ""]
    return (
        f"<article><h2>{html.escape(first.identity_id)}</h2>"
        + "".join(f"<span class='tag'>{html.escape(tag)}</span>" for tag in tags if tag)
        + f"<span class='facts'>{html.escape(' · '.join(str(f) for f in [*facts, *dates] if f))}"
        "</span>"
        + "".join(
            f"<p class='text'>{html.escape(text)}</p>"
            for text in (first.title, first.description)
            if text
        )
        + f"<div class='photos'>{''.join(_figures(photos, boxes))}</div></article>"
    )


def _figures(photos: list[Photo], boxes: SheetBoxes | None) -> Iterator[str]:
    for photo in photos:
        if photo.image is None:
            continue
        with Image.open(io.BytesIO(photo.image)) as picture:
            picture.draft("RGB", (PICTURE_HEIGHT, PICTURE_HEIGHT))
            small = picture.convert("RGB")
        small.thumbnail((4 * PICTURE_HEIGHT, PICTURE_HEIGHT))
        encoded = io.BytesIO()
        small.save(encoded, "JPEG", quality=80)
        source = base64.b64encode(encoded.getvalue()).decode()
        label = html.escape(f"{photo.width} x {photo.height}, {len(photo.image) / 1000:.0f} kB")
        over, found = boxes.over(photo.sha256, photo.width, photo.height) if boxes else ("", "")
        caption = f"{label}<br>{found}" if found else label
        yield (
            f"<figure><div class='shot'><img src='data:image/jpeg;base64,{source}' alt='{label}' "
            f"title='{html.escape(photo.photo_id)}'>{over}</div>"
            f"<figcaption>{caption}</figcaption></figure>"
        )
