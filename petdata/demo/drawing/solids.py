"""Rounded solids seen by a camera far away: closed forms, no ray marching.

Every solid is given twice: where it stands in the pose, and where it stands in the rest pose of the
same animal. A pixel therefore knows its place on the animal (`Surface.rest`), so that a coat
painted there moves with the limb, and two photos show the same animal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Vector = Floats  # (3,)

MARGIN_PX = 5  # what fur may stand out beyond a solid's outline


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """Columns: where x, y and z point after roll, then pitch, then yaw."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cp, -sp, 0], [sp, cp, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    turned: Floats = about_y @ about_z @ about_x
    return turned


def along(start: Vector, end: Vector) -> Floats:
    """Axes of a limb: along it, and the animal's side as nearly as a right angle allows."""
    x, y, z = (end - start).tolist()
    length = math.sqrt(x * x + y * y + z * z) + 1e-9
    x, y, z = x / length, y / length, z / length
    flat = math.hypot(x, y) + 1e-9
    side = (-z * x / flat, -z * y / flat, flat)  # (0, 0, 1) less its share along the axis
    up = (side[1] * z - side[2] * y, side[2] * x - side[0] * z, side[0] * y - side[1] * x)
    return np.array([(x, up[0], side[0]), (y, up[1], side[1]), (z, up[2], side[2])])


@dataclass(frozen=True, kw_only=True, slots=True)
class Solid:
    """A tapered capsule from `start` to `end`, or an ellipsoid where `radii` are given.

    `frame` (3, 3) has the local axes as columns; the first is the long axis of a capsule.
    """

    start: Vector
    end: Vector
    start_radius: float = 0.0
    end_radius: float = 0.0
    radii: tuple[float, float, float] | None = None
    frame: Floats
    group: int
    blend: float = 0.05  # how far this solid melts into its neighbours


@dataclass(frozen=True, slots=True)
class View:
    """The camera: `axes` (3, 3) has right, up and towards the viewer as rows."""

    axes: Floats
    scale: float  # pixels per unit
    width: int
    height: int
    centre: tuple[float, float]  # the point (right, up) in the middle of the picture

    def project(self, points: Floats) -> Floats:
        """World points (..., 3) to pixels (..., 2): right and down from the top left corner."""
        seen = points @ self.axes.T
        right = (seen[..., 0] - self.centre[0]) * self.scale + self.width / 2
        down = (self.centre[1] - seen[..., 1]) * self.scale + self.height / 2
        return np.stack([right, down], axis=-1)


@dataclass(slots=True)
class Surface:
    """What the camera sees, per pixel (height, width)."""

    outline: Floats  # distance to the outline in pixels, positive inside
    depth: Floats  # towards the viewer
    normal: Floats  # (3, height, width), in view axes
    rest: Floats  # (3, height, width), the place on the animal in rest pose
    group: npt.NDArray[np.int8]  # -1 where nothing stands


@dataclass(frozen=True, slots=True)
class _Patch:
    """One solid inside its own window of the picture."""

    outline: Floats
    depth: Floats
    normal: Floats  # (3, h, w)
    rest: Floats


def rasterise(solids: Sequence[Solid], at_rest: Sequence[Solid], view: View) -> Surface:
    shape = (view.height, view.width)
    surface = Surface(
        outline=np.full(shape, -1e3, np.float32),
        depth=np.full(shape, -1e3, np.float32),
        normal=np.zeros((3, *shape), np.float32),
        rest=np.zeros((3, *shape), np.float32),
        group=np.full(shape, -1, np.int8),
    )
    for solid, rest in zip(solids, at_rest, strict=True):
        window = _window(solid, view)
        if window is not None:
            rows, columns = window
            right = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5)[None, :]
            down = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5)[:, None]
            right = (right - view.width / 2) / view.scale + view.centre[0]
            up = view.centre[1] - (down - view.height / 2) / view.scale
            see = _see_ellipsoid if solid.radii is not None else _see_capsule
            _merge(surface, see(solid, rest, view, right, up), solid, window)
    return surface


def _window(solid: Solid, view: View) -> tuple[slice, slice] | None:
    """Rows and columns that the solid can touch; None outside the picture."""
    if solid.radii is not None:
        spread = view.axes[:2] @ solid.frame * np.array(solid.radii)
        extent = np.sqrt((spread**2).sum(axis=1)) * view.scale
        low = high = view.project(solid.start)
    else:
        ends = view.project(np.stack([solid.start, solid.end]))
        radii = np.array([[solid.start_radius], [solid.end_radius]]) * view.scale
        low, high = (ends - radii).min(axis=0), (ends + radii).max(axis=0)
        extent = np.zeros(2)
    x0, y0 = np.maximum(np.floor(low - extent - MARGIN_PX), 0).astype(int).tolist()
    x1, y1 = np.ceil(high + extent + MARGIN_PX).astype(int).tolist()
    x1, y1 = min(x1, view.width), min(y1, view.height)
    return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None


def _see_ellipsoid(solid: Solid, rest: Solid, view: View, right: Floats, up: Floats) -> _Patch:
    """Solves p' M p = 1 for the depth of p, nearest to the viewer."""
    frame = (view.axes @ solid.frame).astype(np.float32)
    m = ((frame / np.array(solid.radii, np.float32) ** 2) @ frame.T).tolist()
    cu, cv, cw = (view.axes @ solid.start).tolist()
    du, dv = right - cu, up - cv
    b = m[0][2] * du + m[1][2] * dv
    flat = m[0][0] * du**2 + m[1][1] * dv**2 + (2 * m[0][1]) * du * dv
    root = b * b - m[2][2] * (flat - 1)
    dw = (np.sqrt(np.maximum(root, 0)) - b) / m[2][2]
    q = np.sqrt(np.maximum(1 - root / m[2][2], 1e-6))  # 1 on the outline
    outline = (1 / q - 1) * np.sqrt(du**2 + dv**2) * view.scale
    outline = np.where(q < 0.5, view.scale * min(solid.radii or (0,)) * 0.5, outline)
    normal = _combine(m, du, dv, dw)
    normal /= np.sqrt(np.maximum((normal**2).sum(axis=0), 1e-9))
    place = _combine((rest.frame @ frame.T).tolist(), du, dv, dw)
    place += rest.start.astype(np.float32)[:, None, None]
    return _Patch(outline, dw + cw, normal, place)


def _combine(matrix: list[list[float]], du: Floats, dv: Floats, dw: Floats) -> Floats:
    """matrix (3, 3) @ (du, dv, dw), broadcast over a window: (3, h, w)."""
    combined = np.empty((3, *dw.shape), np.float32)
    for row, (a, b, c) in zip(combined, matrix, strict=True):
        np.multiply(dw, c, out=row)
        row += a * du
        row += b * dv
    return combined


def _see_capsule(solid: Solid, rest: Solid, view: View, right: Floats, up: Floats) -> _Patch:
    """The sphere, of all that roll along the axis, that stands nearest to the viewer."""
    start = (view.axes @ solid.start).tolist()
    axis = (view.axes @ (solid.end - solid.start)).tolist()
    length = math.hypot(axis[0], axis[1]) + 1e-5
    along_u, along_v = axis[0] / length, axis[1] / length
    lean = axis[2] / math.hypot(axis[2], length)
    widening = solid.end_radius - solid.start_radius
    du, dv = right - start[0], up - start[1]
    along = du * along_u + dv * along_v
    across = dv * along_u - du * along_v
    flat = np.clip(along / length, 0, 1)
    flat_radius = solid.start_radius + widening * flat
    outline = (flat_radius - np.hypot(along - flat * length, across)) * view.scale
    towards = lean * np.sqrt(np.maximum(flat_radius**2 - across**2, 0))
    t = np.clip((along + towards) / length, 0, 1)
    radius = solid.start_radius + widening * t
    du = du - t * axis[0]
    dv = dv - t * axis[1]
    dw = np.sqrt(np.maximum(radius**2 - du**2 - dv**2, 0))
    normal = np.stack([du, dv, dw])
    normal /= radius
    place = _combine((rest.frame @ (view.axes @ solid.frame).T).tolist(), du, dv, dw)
    rest_axis = (rest.end - rest.start).astype(np.float32)
    place += rest.start.astype(np.float32)[:, None, None]
    place += rest_axis[:, None, None] * t
    return _Patch(outline, dw + (start[2] + t * axis[2]), normal, place)


def _merge(surface: Surface, patch: _Patch, solid: Solid, window: tuple[slice, slice]) -> None:
    """A smooth maximum of the depths; attributes follow with the same weight."""
    outline, depth = surface.outline[window], surface.depth[window]
    share = np.clip(0.5 + (0.5 / solid.blend) * (patch.depth - depth), 0, 1)
    share *= np.clip(patch.outline + 0.5, 0, 1)
    uncovered = (outline < 0) & (patch.outline > outline)
    share[uncovered] = 1
    depth += share * (patch.depth - depth) + solid.blend * share * (1 - share)
    np.maximum(outline, patch.outline, out=outline)
    for held, new in ((surface.normal, patch.normal), (surface.rest, patch.rest)):
        part = held[:, window[0], window[1]]
        part += share * (new - part)
    surface.group[window][share > 0.5] = solid.group
