"""The photos of a report: pairs that scored most wrongly, and what searches found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from evaluation.examples import PLACES, Examples, Search, ShownPair
from evaluation.page import escaped, note, section
from evaluation.shown_photos import PhotoShelf

_POSITIVES: Final = (
    "Pairs of one animal that the model finds least alike, one pair of an animal. Look for wrong "
    "labels and for other animals in the picture."
)
_NEGATIVES: Final = (
    "Pairs of two animals that it finds most alike. Some may be one animal under two names."
)
_SEARCHES: Final = (
    f"The photo that is looked for, then the first {PLACES} that were found, best first, drawn "
    "from all searches. A whole green frame and “right”: the same animal; a broken frame and "
    "“wrong”: another. Where none of them is right, the first right one follows with its place."
)
_FAILED: Final = "Drawn from the searches whose first photo is wrong."


def photo_sections(examples: Examples, shelf: PhotoShelf) -> Iterator[str]:
    if shelf.problem:
        yield section("Photos", "", note(shelf.problem))
        return
    yield section("Hardest pairs of one animal", _POSITIVES, _pairs(examples.positives, shelf))
    yield section("Hardest pairs of two animals", _NEGATIVES, _pairs(examples.negatives, shelf))
    yield section("Searches drawn at random", _SEARCHES, searches(examples.searches, shelf))
    yield section("Searches that failed", _FAILED, searches(examples.failed, shelf))


def named_photos(examples: Examples) -> Iterator[str]:
    for pair in (*examples.positives, *examples.negatives):
        yield from (pair.first, pair.second)
    for search in (*examples.searches, *examples.failed):
        yield search.query
        yield from (each.photo_id for each in search.found)


def _pairs(pairs: Sequence[ShownPair], shelf: PhotoShelf) -> str:
    figures = []
    for pair in pairs:
        one, other = shelf.show(pair.first), shelf.show(pair.second)
        names = " and ".join(dict.fromkeys((one.identity_id, other.identity_id)))
        figures.append(
            f"<figure><div class='photos'>{one.html()}{other.html()}</div>"
            f"<figcaption>similarity {pair.similarity:.3f}<br>{escaped(names)}</figcaption>"
            "</figure>"
        )
    return f"<div class='pairs'>{''.join(figures)}</div>" if figures else ""


def searches(found: Sequence[Search], shelf: PhotoShelf) -> str:
    rows = []
    for search in found:
        asked = shelf.show(search.query)
        cells = [
            f"<figure class='asked'>{asked.html()}<figcaption><span class='verdict'>looked for"
            f"</span><br>{escaped(asked.identity_id)}</figcaption></figure>"
        ]
        for each in search.found:
            kind, mark = ("right", "✓ right") if each.is_right else ("wrong", "✗ wrong")
            photo = shelf.show(each.photo_id)
            cells.append(
                f"<figure class='{kind}'>{photo.html()}<figcaption><span class='nobreak'>"
                f"<span class='verdict'>{mark}</span>, place {each.place:,}</span><br>"
                f"{each.similarity:.3f}<br>{escaped(photo.identity_id)}</figcaption></figure>"
            )
        rows.append(f"<div class='search photos'>{''.join(cells)}</div>")
    return "".join(rows)
