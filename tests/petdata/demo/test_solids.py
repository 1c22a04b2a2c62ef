"""Closed forms against slow ones: many spheres for a capsule, bisection for an ellipsoid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from petdata.demo.drawing.solids import Floats, Solid, View, along, rasterise, rotation

VIEW = View(axes=np.eye(3), scale=40.0, width=80, height=80, centre=(0.0, 0.0))


def pixel_centres() -> tuple[Floats, Floats]:
    steps = (np.arange(80) + 0.5 - 40) / 40
    return steps[None, :], -steps[:, None]


def depth_of(solid: Solid) -> tuple[Floats, Floats]:
    surface = rasterise([solid], [solid], VIEW)
    return surface.depth, surface.outline


@pytest.mark.parametrize(
    ("start", "end", "radii"),
    [
        pytest.param((-0.4, -0.2, 0.1), (0.5, 0.3, 0.3), (0.3, 0.3), id="slanted"),
        pytest.param((0.0, 0.0, -0.5), (0.02, 0.0, 0.5), (0.3, 0.3), id="end-on"),
        pytest.param((-0.5, 0.0, 0.0), (0.5, 0.1, 0.0), (0.3, 0.3), id="level"),
    ],
)
def test_a_capsule_is_the_union_of_the_spheres_along_its_axis(
    start: tuple[float, float, float], end: tuple[float, float, float], radii: tuple[float, float]
) -> None:
    a, b = np.array(start), np.array(end)
    solid = Solid(
        start=a, end=b, start_radius=radii[0], end_radius=radii[1], frame=along(a, b), group=0
    )
    depth, outline = depth_of(solid)
    u, v = pixel_centres()
    slow = np.full((80, 80), -np.inf)
    for t in np.linspace(0, 1, 400):
        x, y, z = a + t * (b - a)
        radius = radii[0] + t * (radii[1] - radii[0])
        inside = radius**2 - (u - x) ** 2 - (v - y) ** 2
        slow = np.where(inside > 0, np.maximum(slow, z + np.sqrt(np.maximum(inside, 0))), slow)
    well_inside = outline > 1
    assert well_inside.sum() > 300
    assert np.abs(depth - slow)[well_inside].max() < 0.01
    assert np.isfinite(slow[outline > 0.1]).all()
    assert np.isneginf(slow[outline < -0.1]).all()


def test_an_ellipsoid_begins_where_a_march_along_the_ray_enters_it() -> None:
    centre, radii, frame = np.array([0.1, -0.05, 0.0]), (0.7, 0.3, 0.4), rotation(0.5, 0.4, 0.3)
    solid = Solid(start=centre, end=centre, radii=radii, frame=frame, group=0)
    depth, outline = depth_of(solid)
    u, v = pixel_centres()
    heights = np.linspace(1, -1, 4001)
    for row, column in [(40, 44), (35, 50), (44, 30)]:
        points = np.stack([np.full(4001, u[0, column]), np.full(4001, v[row, 0]), heights], axis=1)
        local = (points - centre) @ frame / np.array(radii)
        entered = heights[np.argmax((local**2).sum(axis=1) <= 1)]
        assert outline[row, column] > 1
        assert depth[row, column] == pytest.approx(entered, abs=1e-3)


def test_places_on_a_moved_limb_are_those_of_the_limb_at_rest() -> None:
    rest_ends = np.array([0.0, 0.0, 0.0]), np.array([0.0, -0.6, 0.0])
    posed_ends = np.array([-0.3, 0.2, 0.1]), np.array([0.25, 0.36, 0.1])
    rest, posed = (
        Solid(start=a, end=b, start_radius=0.1, end_radius=0.1, frame=along(a, b), group=0)
        for a, b in (rest_ends, posed_ends)
    )
    surface = rasterise([posed], [rest], VIEW)
    seen = surface.outline > 0
    places = surface.rest[:, seen]
    along_axis = np.clip(-places[1], 0, 0.6)
    from_axis = np.sqrt(places[0] ** 2 + (places[1] + along_axis) ** 2 + places[2] ** 2)
    assert np.abs(from_axis - 0.1).max() < 2e-3  # all on the surface of the limb at rest
    assert along_axis.max() - along_axis.min() > 0.5


def test_a_solid_outside_the_picture_leaves_no_trace() -> None:
    far = np.array([30.0, 0.0, 0.0])
    solid = Solid(start=far, end=far, radii=(0.3, 0.3, 0.3), frame=np.eye(3), group=2)
    assert (rasterise([solid], [solid], VIEW).group == -1).all()
    near = replace(solid, start=np.zeros(3), end=np.zeros(3))
    surface = rasterise([near], [near], VIEW)
    covered = (surface.group == 2) & (surface.outline > 0)
    assert covered.sum() == pytest.approx(np.pi * (0.3 * 40) ** 2, rel=0.05)
