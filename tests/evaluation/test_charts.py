"""Where points of charts lie, worked out by hand."""

from __future__ import annotations

import re

import pytest
from scipy.stats import norm

from evaluation.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    det_chart,
    gallery_chart,
    roc_chart,
    round_ticks,
    similarity_chart,
    steps_chart,
)
from evaluation.drawn_curves import CurvePoints, Similarities

CURVE = CurvePoints(
    false_accept_rate=(0, 0.001, 0.1, 0.2, 1), true_accept_rate=(0, 0.4, 0.7, 0.8, 1)
)
WIDE, HIGH = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM


def point(svg: str) -> tuple[float, float]:
    found = re.search(r"class='point' cx='([\d.]+)' cy='([\d.]+)'", svg)
    assert found is not None
    return float(found[1]), float(found[2])


def path(svg: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(rf"class='{kind}'[^>]* d='M([^'Z]+)", svg)
    assert found is not None
    points = (each.split() for each in found[1].split("L"))
    return [(float(x), float(y)) for x, y in points]


def test_the_roc_and_its_point() -> None:
    svg = roc_chart({"model": CURVE, "a & b": CURVE}, 0.2)
    assert point(svg) == pytest.approx((LEFT + 0.2 * WIDE, TOP + 0.2 * HIGH), abs=0.06)
    assert path(svg, "curve main")[2] == pytest.approx(
        (LEFT + 0.1 * WIDE, TOP + 0.3 * HIGH), abs=0.06
    )
    assert "a &amp; b" in svg
    assert "EER 20.0 %" in svg
    assert "stroke-dasharray='7 3'" in svg  # the second line is told apart without colour


def test_the_det_has_quantiles_on_both_axes() -> None:
    svg = det_chart({"model": CURVE}, 0.2)

    def place(accepted: float, refused: float) -> tuple[float, float]:
        """The axes begin at ticks below the lowest rates, 0.1 % and 1 %, and end at 80 %."""
        across, up = (
            (norm.ppf(rate) - norm.ppf(low)) / (norm.ppf(0.8) - norm.ppf(low))
            for rate, low in ((accepted, 0.001), (refused, 0.01))
        )
        return LEFT + across * WIDE, HEIGHT - BOTTOM - up * HIGH

    assert point(svg) == pytest.approx(place(0.2, 0.2), abs=0.06)
    drawn = path(svg, "curve main")
    assert drawn[1] == pytest.approx(place(0.001, 0.6), abs=0.06)
    assert drawn[2] == pytest.approx(place(0.1, 0.3), abs=0.06)
    assert drawn[4] == pytest.approx(place(0.8, 0.01), abs=0.06)  # beyond the axes: at their ends
    low, high = path(svg, "guide")  # where both rates are equal
    assert low == pytest.approx(place(0.01, 0.01), abs=0.06)
    assert high == pytest.approx(place(0.8, 0.8), abs=0.06)


def test_bars_are_shares_of_their_kind() -> None:
    found = Similarities(lowest=-1, highest=1, same=(0, 1, 3), other=(30, 10, 0))
    svg = similarity_chart(found, 0.25)
    top = 0.75 * 1.05
    for kind, counts in (("same", (0, 1 / 4, 3 / 4)), ("other", (3 / 4, 1 / 4, 0))):
        steps = path(svg, kind)
        heights = [HEIGHT - BOTTOM - y for _, y in steps[1:-1:2]]
        assert heights == pytest.approx([share / top * HIGH for share in counts], abs=0.06)
    assert f"x1='{LEFT + 0.625 * WIDE:.1f}'" in svg
    assert "EER at 0.250" in svg


def test_galleries_stand_on_a_logarithmic_axis() -> None:
    svg = gallery_chart({"model": {10: 0.9, 100: 0.8, 1000: 0.5}})
    assert [x for x, _ in path(svg, "curve main")] == pytest.approx(
        [LEFT, LEFT + WIDE / 2, LEFT + WIDE], abs=0.06
    )


def test_one_step_is_a_dot() -> None:
    svg = steps_chart("loss", Line(name="loss", points=[(3, 0.0)]))
    assert svg.count("<circle") == 1
    assert "NaN" not in svg
    assert "nan" not in svg


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.81, 1, [0.85, 0.9, 0.95, 1]),
        (1, 12, [2, 4, 6, 8, 10, 12]),
        (-0.1, 0.1, [-0.1, -0.05, 0, 0.05, 0.1]),
        (0, 90_000, [0, 20_000, 40_000, 60_000, 80_000]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)
