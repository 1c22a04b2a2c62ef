"""Small SVG charts for a page without scripts; colours come from the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Final

WIDTH, HEIGHT = 420, 190  # of a histogram, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 10, 28  # room for labels
CHARACTER: Final = 7  # width of a digit
EXACT: Final = 10  # sizes up to here have a bin of their own
LOG_FROM: Final = 50  # a tallest bar so many times the lowest needs a logarithmic scale

Bin = tuple[int, int]  # first and last size


def bins(largest: int) -> list[Bin]:
    """One for each size up to 10; then two to each doubling: 11-16, 17-24, 25-32, 33-48, ..."""
    found = [(size, size) for size in range(1, min(largest, EXACT) + 1)]
    start, power = EXACT + 1, 16
    while start <= largest:
        for end in (power, power * 3 // 2):
            if start <= largest:
                found.append((start, end))
                start = end + 1
        power *= 2
    return found


def fill(histogram: Mapping[int, int], into: Sequence[Bin]) -> list[int]:
    return [sum(histogram.get(size, 0) for size in range(a, b + 1)) for a, b in into]


def is_logarithmic(counts: Sequence[int]) -> bool:
    positive = [count for count in counts if count]
    return bool(positive) and max(positive) > LOG_FROM * min(positive)


def histogram(before: Mapping[int, int], after: Mapping[int, int]) -> str:
    """Identities by their photos: before the build as an outline, afterwards filled."""
    edges = bins(max([*before, *after, 1]))
    outline, filled = fill(before, edges), fill(after, edges)
    logarithmic = is_logarithmic([*outline, *filled])
    top = max([*outline, *filled, 1])
    base = HEIGHT - BOTTOM

    def height(count: int) -> float:
        if not count:
            return 0.0
        share = math.log1p(count) / math.log1p(top) if logarithmic else count / top
        return share * (base - TOP)

    step = (WIDTH - LEFT - RIGHT) / len(edges)
    free = 0.0  # where the next label may begin
    parts = [_axis(tick, base - height(tick)) for tick in _ticks(top, logarithmic)]
    for index, (a, b) in enumerate(edges):
        x = LEFT + index * step
        label = str(a) if a == b else f"{a}-{b}"
        tip = f"{label} photos: {outline[index]:,} before, {filled[index]:,} after"
        parts.append(
            f"<g><title>{tip}</title>"
            + _bar("before", x + step * 0.1, step * 0.8, height(outline[index]), base)
            + _bar("after", x + step * 0.22, step * 0.56, height(filled[index]), base)
            + "</g>"
        )
        middle, half = x + step / 2, CHARACTER * len(label) / 2
        if middle - half >= free:
            parts.append(_text(middle, base + 15, "middle", label))
            free = middle + half + CHARACTER
    scale = "logarithmic scale" if logarithmic else "linear scale"
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' class='chart' role='img' "
        f"aria-label='Identities by photos, {scale}'>{''.join(parts)}</svg>"
        f"<span class='scale'>{scale}</span>"
    )


def _bar(kind: str, x: float, width: float, height: float, base: float) -> str:
    # Colours of attributes are for readers that do not apply the page's styles to a drawing.
    colour = "fill='none' stroke='#777'" if kind == "before" else "fill='#2f6f8f'"
    return (
        f"<rect class='{kind}' {colour} x='{x:.1f}' y='{base - height:.1f}' width='{width:.1f}' "
        f"height='{height:.1f}'/>"
    )


def _axis(tick: int, y: float) -> str:
    return (
        f"<line class='grid' stroke='#ccc' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' "
        f"y2='{y:.1f}'/>" + _text(LEFT - 6, y + 4, "end", short(tick))
    )


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='11' text-anchor='{anchor}'>{text}</text>"


def _ticks(top: int, logarithmic: bool) -> list[int]:
    if logarithmic:
        return [10**power for power in range(int(math.log10(top)) + 1)]
    step = 10 ** int(math.log10(top))
    step = next(s for s in (step // 5 or 1, step // 2 or 1, step, 2 * step) if top / s <= 5)
    return list(range(0, top + 1, step))


def short(count: int) -> str:
    """12,000 as 12k: for axes only."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:g}M"
    return f"{count / 1_000:g}k" if count >= 10_000 else f"{count:,}"


def share_bar(share: float, low: float, high: float) -> str:
    """Where a share lies, and where chance would have put it; the axis ends at twice `high`."""
    end = max(2 * high, share * 1.05, 1e-9)
    left, width, mark = (100 * value / end for value in (low, high - low, share))
    kind = "inside" if low <= share <= high else "outside"
    label = html.escape(f"{share:.1%}, by chance {low:.1%} to {high:.1%}")
    return (
        f"<svg viewBox='0 0 100 12' class='share' preserveAspectRatio='none' role='img' "
        f"aria-label='{label}'><title>{label}</title>"
        f"<rect class='band' fill='#b9d3de' x='{left:.1f}' y='2' width='{width:.1f}' height='8'/>"
        f"<rect class='{kind}' fill='#2f6f8f' x='{min(mark, 98):.1f}' y='0' width='2' "
        "height='12'/></svg>"
    )
