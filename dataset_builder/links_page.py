"""The page on which somebody decides whether two identities are one animal.

It stands alone: pictures are embedded, small; nothing is loaded and no script runs.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from PIL import Image

from dataset_builder.links import Decision, LinkedPair

SIDE: Final = 360  # pixels of a picture's longer side

_STYLE: Final = """
:root { color-scheme: light dark; --card: #fff; --page: #f3f1ec; --ink: #262320; --soft: #7a736b;
  --near: #b4530a; --exact: #2f6b3a; --no: #a3282f; }
@media (prefers-color-scheme: dark) {
  :root { --card: #2a2826; --page: #1b1a19; --ink: #efebe4; --soft: #a59d93; --near: #f0a35e;
    --exact: #86c994; --no: #f08a8f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1080px; background: var(--page);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; }
.summary { color: var(--soft); margin: 0 0 28px; max-width: 80ch; }
article { background: var(--card); border-radius: 14px; padding: 16px 18px; margin: 0 0 18px;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12); }
header { display: flex; flex-wrap: wrap; gap: 8px; align-items: baseline; }
.number { color: var(--soft); }
.tag { border-radius: 99px; padding: 1px 10px; font-size: 13px; color: var(--tag);
  border: 1px solid var(--tag); }
.near { --tag: var(--near); } .exact, .accepted { --tag: var(--exact); }
.rejected { --tag: var(--no); } .plain { --tag: var(--soft); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 14px;
  margin-top: 12px; }
figure { margin: 0; min-width: 0; }
img, .absent { width: 100%; height: 340px; object-fit: contain; border-radius: 8px; display: flex;
  background: #8882; align-items: center; justify-content: center; color: var(--soft); }
figcaption { margin-top: 5px; overflow-wrap: anywhere; }
figcaption small { color: var(--soft); display: block; }
code { display: block; margin-top: 10px; padding: 8px 10px; border-radius: 8px; font-size: 13px;
  background: color-mix(in srgb, var(--ink) 7%, transparent); overflow-x: auto; white-space: pre;
  user-select: all; }
"""


def links_page(
    title: str,
    links: Sequence[LinkedPair],
    decisions: Mapping[LinkedPair, Decision],
    find: Callable[[str], bytes | None],
    left_out: int = 0,
) -> str:
    kinds = {kind: sum(link.kind == kind for link in links) for kind in ("near", "exact")}
    summary = (
        f"{len(links):,} pairs of identities that share a photo: {kinds['near']:,} nearly, "
        f"{kinds['exact']:,} to the byte. Exact pairs are joined unless rejected; near ones only "
        "when accepted, or built with --merge-identities near."
        + (f" {left_out:,} more pairs are not on this page (--most)." if left_out else "")
    )
    cards = "".join(
        _card(number, link, decisions.get(link), find) for number, link in enumerate(links, 1)
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p class='summary'>{html.escape(summary)}</p>"
        f"{cards}</html>\n"
    )


def _card(
    number: int,
    link: LinkedPair,
    decision: Decision | None,
    find: Callable[[str], bytes | None],
) -> str:
    state = "one animal in this release" if link.joined else "apart in this release"
    tags = [(link.kind, link.kind), ("plain", state)]
    if decision is not None:
        tags.append((decision, f"you {decision} this pair"))
    first, second = (
        _figure(identity, photo, find)
        for identity, photo in ((link.identity_a, link.photo_a), (link.identity_b, link.photo_b))
    )
    command = "\n".join(
        html.escape(f"petdata links {verb} {link.identity_a} {link.identity_b}")
        for verb in ("accept", "reject")
    )
    return (
        f"<article><header><span class='number'>{number}</span>"
        + "".join(f"<span class='tag {css}'>{html.escape(text)}</span>" for css, text in tags)
        + f"</header><div class='pair'>{first}{second}</div><code>{command}</code></article>"
    )


def _figure(identity: str, photo_id: str, find: Callable[[str], bytes | None]) -> str:
    jpeg = find(photo_id)
    if jpeg is None:
        picture = "<div class='absent'>this photo is not here any more</div>"
    else:
        picture = (
            f"<img src='data:image/jpeg;base64,{_reduced(jpeg)}' alt='{html.escape(photo_id)}'>"
        )
    return (
        f"<figure>{picture}<figcaption>{html.escape(identity)}"
        f"<small>{html.escape(photo_id)}</small></figcaption></figure>"
    )


def _reduced(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.draft("RGB", (SIDE, SIDE))
        small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=80)
    return base64.b64encode(encoded.getvalue()).decode()
