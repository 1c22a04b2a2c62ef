"""Curves and distributions as SVG; colours come from the page's style sheet.

Lines are told apart by their dashes too, and the legend under a chart shows these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri

from evaluation.drawn_curves import CurvePoints, Similarities
from evaluation.page import escaped

WIDTH, HEIGHT = 360, 300  # in its own units: a phone's pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 42  # room for labels
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")  # of the first line, the second, ...
_DET_TICKS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8)

Point = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Axis:
    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    scale: Scale = float

    def share(self, value: float) -> float:
        """How far along the axis it stands, 0 to 1."""
        value = min(max(value, self.low), self.high)
        low, high = self.scale(self.low), self.scale(self.high)
        return (self.scale(value) - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class Line:
    name: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float, float]] = ()  # x, low, high


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`mark`: a point that is drawn and named."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    mark: tuple[float, float, str] | None = None
    guide: Sequence[Point] = ()
    dots: bool = False

    def svg(self) -> str:
        drawn = [*_axes(self.x, self.y)]
        if self.guide:
            drawn.append(f"<path class='guide' d='{self._path(self.guide)}'/>")
        for line in self.lines:
            drawn.append(self._band(line))
        for number, line in reversed(list(enumerate(self.lines))):
            dashes = f" stroke-dasharray='{DASHES[number % len(DASHES)]}'" if number else ""
            kind = "curve" if number else "curve main"
            drawn.append(f"<path class='{kind}'{dashes} d='{self._path(line.points)}'/>")
            if self.dots or len(line.points) == 1:
                drawn += [self._dot(point) for point in line.points]
        if self.mark is not None:
            drawn.append(self._mark(*self.mark))
        return _figure(self.title, "".join(drawn), _legend([line.name for line in self.lines]))

    def _at(self, x: float, y: float) -> Point:
        return _place(self.x.share(x), self.y.share(y))

    def _path(self, points: Sequence[Point]) -> str:
        return _joined(self._at(x, y) for x, y in points)

    def _band(self, line: Line) -> str:
        if not line.band:
            return ""
        above = [self._at(x, high) for x, _, high in line.band]
        below = [self._at(x, low) for x, low, _ in reversed(line.band)]
        return f"<path class='band' d='{_joined([*above, *below])}Z'/>"

    def _dot(self, point: Point) -> str:
        x, y = self._at(*point)
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='var(--accent)'/>"

    def _mark(self, x: float, y: float, name: str) -> str:
        left, top = self._at(x, y)
        near_right, near_top = left > WIDTH * 0.6, top < TOP + 30
        anchor, aside = ("end", -9) if near_right else ("start", 9)
        down = 18 if near_top or not near_right else -9
        return f"<circle class='point' cx='{left:.1f}' cy='{top:.1f}' r='5'/>" + _text(
            left + aside, top + down, anchor, name, "mark", 13
        )


def roc_chart(curves: Mapping[str, CurvePoints], equal_error_rate: float) -> str:
    axis = [(value / 5, f"{value * 20}") for value in range(6)]
    return Chart(
        title="ROC",
        x=Axis(label="pairs of two animals accepted (FAR), %", low=0, high=1, ticks=axis),
        y=Axis(label="pairs of one animal accepted (TAR), %", low=0, high=1, ticks=axis),
        lines=[
            Line(
                name=name,
                points=list(zip(curve.false_accept_rate, curve.true_accept_rate, strict=True)),
            )
            for name, curve in curves.items()
        ],
        mark=(equal_error_rate, 1 - equal_error_rate, f"EER {100 * equal_error_rate:.1f} %"),
        guide=[(0, 1), (1, 0)],
    ).svg()


def det_chart(curves: Mapping[str, CurvePoints], equal_error_rate: float) -> str:
    """Both axes by the normal distribution's quantiles, on which many systems are straight."""
    rates = {
        name: (curve.false_accept_rate, [1 - rate for rate in curve.true_accept_rate])
        for name, curve in curves.items()
    }
    lowest = [_lowest_tick([each[kind] for each in rates.values()]) for kind in (0, 1)]

    def axis(label: str, low: float) -> Axis:
        ticks = [(rate, f"{100 * rate:g}") for rate in _DET_TICKS if rate >= low]
        return Axis(label=label, low=low, high=_DET_TICKS[-1], ticks=ticks, scale=_quantile)

    lines = [Line(name=name, points=list(zip(*both, strict=True))) for name, both in rates.items()]
    return Chart(
        title="DET",
        x=axis("pairs of two animals accepted (FAR), %", lowest[0]),
        y=axis("pairs of one animal refused (FRR), %", lowest[1]),
        lines=lines,
        mark=(equal_error_rate, equal_error_rate, f"EER {100 * equal_error_rate:.1f} %"),
        guide=[(max(lowest), max(lowest)), (_DET_TICKS[-1], _DET_TICKS[-1])],
    ).svg()


def _quantile(rate: float) -> float:
    return float(ndtri(rate))


def _lowest_tick(rates: Iterable[Sequence[float]]) -> float:
    """Below it nothing was seen."""
    seen = [rate for each in rates for rate in each if rate > 0]
    return max((tick for tick in _DET_TICKS[:5] if tick <= min(seen)), default=_DET_TICKS[0])


def similarity_chart(found: Similarities, threshold: float | None) -> str:
    """Each kind of pair as shares of its own number, for there are far more of two animals."""
    shares = [[count / max(sum(kind), 1) for count in kind] for kind in (found.same, found.other)]
    top = max(map(max, shares))
    x = Axis(
        label="similarity of a pair (cosine)",
        low=found.lowest,
        high=found.highest,
        ticks=[(tick, f"{tick:g}") for tick in round_ticks(found.lowest, found.highest)],
    )
    y = Axis(
        label="share of the pairs of a kind, %",
        low=0,
        high=top * 1.05,
        ticks=[(tick, f"{100 * tick:g}") for tick in round_ticks(0, top * 1.05)],
    )
    drawn = [*_axes(x, y)]
    for kind, values in zip(("same", "other"), shares, strict=True):
        width = 1 / len(values)
        steps: list[Point] = [_place(0, 0)]
        for number, value in enumerate(values):
            steps += [_place(number * width, y.share(value)) for number in (number, number + 1)]
        steps.append(_place(1, 0))
        drawn.append(f"<path class='{kind}' d='{_joined(steps)}'/>")
    if threshold is not None:
        left, _ = _place(x.share(threshold), 0)
        anchor, aside = ("end", -5) if left > WIDTH * 0.6 else ("start", 5)
        drawn.append(
            f"<line class='guide' x1='{left:.1f}' x2='{left:.1f}' y1='{TOP}' "
            f"y2='{HEIGHT - BOTTOM}'/>"
            + _text(left + aside, TOP + 12, anchor, f"EER at {threshold:.3f}", "mark", 12)
        )
    boxes = (
        ("<rect class='same' width='34' height='10'/>", "pairs of one animal"),
        ("<path class='other' d='M1 9V2H33V9'/>", "pairs of two animals"),
    )
    keys = "".join(
        f"<li><svg viewBox='0 0 34 10' aria-hidden='true'>{box}</svg>{name}</li>"
        for box, name in boxes
    )
    return _figure("Similarities", "".join(drawn), f"<ul class='legend'>{keys}</ul>")


def gallery_chart(accuracies: Mapping[str, Mapping[int, float]]) -> str:
    sizes = sorted({size for found in accuracies.values() for size in found})
    low, high = sizes[0], max(sizes[-1], sizes[0] + 1)
    percents = [(value / 5, f"{value * 20}") for value in range(6)]
    return Chart(
        title="Top-1 against the size of the gallery",
        x=Axis(
            label="identities in the gallery",
            low=low,
            high=high,
            ticks=[(size, f"{size:,}") for size in sizes],
            scale=math.log10,
        ),
        y=Axis(label="Top-1 of identities, %", low=0, high=1, ticks=percents),
        lines=[
            Line(name=name, points=sorted(found.items()))
            for name, found in accuracies.items()
            if found
        ],
    ).svg()


def steps_chart(title: str, line: Line) -> str:
    """What a run logged, over its steps."""
    steps = [x for x, _ in line.points]
    values = [y for _, y in line.points] + [y for _, low, high in line.band for y in (low, high)]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    low, high = (0.0 if 0 <= low < 3 * room else low - room), high + room
    first, last = min(steps), max(max(steps), min(steps) + 1)
    return Chart(
        title=title,
        x=Axis(
            label="step",
            low=first,
            high=last,
            ticks=[(tick, f"{tick:,g}") for tick in round_ticks(first, last)],
        ),
        y=Axis(
            label=title,
            low=low,
            high=high,
            ticks=[(tick, f"{tick:g}") for tick in round_ticks(low, high)],
        ),
        lines=[line],
        dots=len(line.points) <= 40,
    ).svg()


def round_ticks(low: float, high: float) -> list[float]:
    """Up to nine round numbers from low to high."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _place(across: float, up: float) -> Point:
    """Of shares of the two axes."""
    return (
        LEFT + across * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP),
    )


def _joined(places: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _axes(x: Axis, y: Axis) -> list[str]:
    drawn = []
    free = -math.inf  # where the next label may begin
    for value, name in x.ticks:
        left, base = _place(x.share(value), 0)
        drawn.append(f"<line class='grid' x1='{left:.1f}' x2='{left:.1f}' y1='{TOP}' y2='{base}'/>")
        half = 3.4 * len(name)
        if left - half > free:
            drawn.append(_text(left, base + 15, "middle", name))
            free = left + half + 4
    for value, name in y.ticks:
        left, top = _place(0, y.share(value))
        drawn.append(
            f"<line class='grid' x1='{left}' x2='{WIDTH - RIGHT}' y1='{top:.1f}' y2='{top:.1f}'/>"
            + _text(left - 6, top + 4, "end", name)
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    drawn.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", x.label, "name", 12.5))
    drawn.append(
        f"<g transform='rotate(-90 13 {middle})'>"
        + _text(13, middle, "middle", y.label, "name", 12.5)
        + "</g>"
    )
    return drawn


def _text(x: float, y: float, anchor: str, text: str, kind: str = "", size: float = 11.5) -> str:
    kind = f" class='{kind}'" if kind else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}'{kind}>"
        f"{escaped(text)}</text>"
    )


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    keys = []
    for number, name in enumerate(names):
        kind = "curve" if number else "curve main"
        dashes = DASHES[number % len(DASHES)] if number else ""
        keys.append(
            "<li><svg viewBox='0 0 34 10' aria-hidden='true'>"
            f"<path class='{kind}' stroke-dasharray='{dashes}' d='M0 5H34'/></svg>"
            f"{escaped(name)}</li>"
        )
    return f"<ul class='legend'>{''.join(keys)}</ul>"


def _figure(title: str, drawn: str, legend: str) -> str:
    return (
        f"<figure><h3>{escaped(title)}</h3><svg viewBox='0 0 {WIDTH} {HEIGHT}' class='chart' "
        f"role='img' aria-label='{escaped(title)}'>{drawn}</svg>{legend}</figure>"
    )
