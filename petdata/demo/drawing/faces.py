"""Eyes, noses, inner ears and whiskers, painted over the coat in head coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from petdata.demo.drawing.build import Build, Ears, Group, Head
from petdata.demo.drawing.coats import Colour, Skin
from petdata.demo.drawing.solids import Floats, View
from petdata.records import Species

Pixels = npt.NDArray[np.intp]

RIM: Colour = (0.07, 0.05, 0.045)
PUPIL: Colour = (0.02, 0.02, 0.025)
GLINT: Colour = (1.0, 1.0, 1.0)
PINK: Colour = (0.85, 0.62, 0.58)
TONGUE: Colour = (0.87, 0.42, 0.45)
LIPS: Colour = (0.2, 0.13, 0.12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """Colours, and the eyes' place and half axes in skull radii."""

    iris: Colour
    nose: Colour
    eye_side: float
    eye_up: float
    eye_width: float
    eye_height: float
    slant: float  # radians; positive lifts the outer corner


@dataclass(frozen=True, slots=True)
class Look:
    """What changes from photo to photo, both 0 .. 1."""

    lids: float  # 1 is wide open
    pupil: float  # 1 is wide


def paint_face(
    colours: Floats, face: Face, build: Build, skin: Skin, look: Look, pixel: float
) -> Floats:
    """Paints into `colours` (3, N); returns how far each pixel ignores the light (N,).

    `pixel` is the size of a pixel in skull radii: edges are about one pixel soft.
    """
    unlit = np.zeros(colours.shape[1], np.float32)
    _paint_group(colours, skin, Group.NOSE, face.nose)
    _paint_group(colours, skin, Group.TONGUE, TONGUE)
    if build.species is Species.BIRD:
        _paint_group(colours, skin, Group.PAW, face.nose)
    else:
        _paint_inner_ears(colours, build, skin)
    if build.species in (Species.CAT, Species.OTHER):
        _paint_mouth(colours, skin)
    slit = build.species is Species.CAT
    for side in (-1.0, 1.0):
        where, ellipse = _eye_socket(face, skin, side, pixel)
        lids = 0.12 + 0.88 * look.lids
        width, height = face.eye_width, face.eye_height
        _blend(colours, where, ellipse((0, 0), (width * 1.2, height * lids * 1.2)), RIM)
        white = ellipse((0, 0), (width, height * lids))
        iris = np.array(face.iris, np.float32)[:, None] * ellipse.lit_from_below(height)
        colours[:, where] += white * (iris - colours[:, where])
        wide = height * (0.22 + 0.6 * look.pupil)
        pupil = ellipse((0, 0), (wide, height * 0.86 if slit else wide))
        _blend(colours, where, white * pupil, PUPIL)
        if look.lids > 0.4:
            glint = ellipse((-0.3 * height * side, 0.34 * height), (0.24 * height, 0.24 * height))
            _blend(colours, where, glint, GLINT)
        unlit[where] = np.maximum(unlit[where], white * 0.75)
    return unlit


@dataclass(frozen=True, slots=True)
class _Ellipse:
    """Soft ellipses round one eye, in axes along and across its slant."""

    across: Floats  # (M,), outwards
    up: Floats  # (M,)
    pixel: float

    def __call__(self, centre: tuple[float, float], half: tuple[float, float]) -> Floats:
        """1 inside, 0 outside, (M,)."""
        distance = np.sqrt(
            ((self.across - centre[0]) / half[0]) ** 2 + ((self.up - centre[1]) / half[1]) ** 2
        )
        inside: Floats = np.clip(0.5 + (1 - distance) * min(half) / (1.3 * self.pixel), 0, 1)
        return inside

    def lit_from_below(self, height: float) -> Floats:
        shade: Floats = np.clip(0.75 - 0.9 * self.up / height, 0.45, 1.25)
        return shade


def _eye_socket(face: Face, skin: Skin, side: float, pixel: float) -> tuple[Pixels, _Ellipse]:
    forward, up, across = skin.head
    out, rise = across * side - face.eye_side, up - face.eye_up
    reach = face.eye_width * 1.7
    near = (forward > 0.2) & (np.abs(out) < reach) & (np.abs(rise) < reach)
    where = np.flatnonzero(near & (skin.group == Group.HEAD))
    cos, sin = np.cos(face.slant), np.sin(face.slant)
    out, rise = out[where], rise[where]
    return where, _Ellipse(out * cos + rise * sin, rise * cos - out * sin, pixel)


def _paint_group(colours: Floats, skin: Skin, group: Group, colour: Colour) -> None:
    colours[:, skin.group == group] = np.array(colour, np.float32)[:, None]


def _blend(colours: Floats, where: Pixels, share: Floats | float, colour: Colour) -> None:
    target = np.array(colour, np.float32)[:, None]
    colours[:, where] += share * (target - colours[:, where])


def _paint_inner_ears(colours: Floats, build: Build, skin: Skin) -> None:
    """The hollow of a pointed ear faces forward."""
    if build.ears is not Ears.POINTED:
        return
    ear = np.flatnonzero(skin.group == Group.EAR)
    forward, up, across = skin.head[:, ear]
    length = (up - 0.5) / (0.12 + 0.82 * build.ear_size)  # 0 at the root, 1 at the tip
    middle = build.ear_spread + 0.27 * build.ear_size * length
    width = 0.3 * build.ear_width * (1.02 - length)
    hollow = (np.abs(np.abs(across) - middle) < width) & (forward > 0.02) & (length > 0.12)
    _blend(colours, ear[hollow], 0.62, PINK)


def _paint_mouth(colours: Floats, skin: Skin) -> None:
    """A line down from the nose, and the two arcs below it."""
    muzzle = np.flatnonzero(skin.group == Group.MUZZLE)
    forward, up, across = skin.head[:, muzzle]
    out = np.abs(across)
    philtrum = (out < 0.022) & (up > -0.52) & (up < -0.22)
    arcs = (np.abs(up + 0.52 + 0.16 * np.sin(out * 5.2)) < 0.028) & (out < 0.42)
    _blend(colours, muzzle[(philtrum | arcs) & (forward > 0.55)], 0.6, LIPS)


def draw_whiskers(
    canvas: Image.Image, build: Build, head: Head, view: View, rng: np.random.Generator
) -> None:
    """White hairs beside the muzzle, those on the far side of the head left out."""
    pen = ImageDraw.Draw(canvas, "RGBA")
    towards = view.axes[2]
    for side in (-1.0, 1.0):
        root = (0.72 + build.muzzle * 0.5, -0.38, side * 0.34)
        spread = rng.uniform(0.85, 1.15, 5)
        if towards @ head.place(root) < towards @ head.centre:
            continue
        for k in range(5):
            up = -0.28 - 0.05 * k
            hair = [
                head.place((root[0], up, root[2])),
                head.place((0.8, up + 0.12 - 0.06 * k, side * 0.95 * spread[k])),
                head.place((0.62, up + 0.1 - 0.16 * k, side * 1.55 * spread[k])),
            ]
            points = [(x, y) for x, y in view.project(np.array(hair)).tolist()]
            pen.line(points, fill=(250, 250, 245, 150), width=1)
