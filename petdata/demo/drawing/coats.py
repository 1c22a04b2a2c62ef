"""Coats: where on the animal which colour grows.

Everything is a function of the place in rest pose, so a mark stays where it is when a leg moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from petdata.demo.drawing.build import HEAD_GROUPS, Build, Group, Head
from petdata.demo.drawing.solids import Floats

Colour = tuple[float, float, float]


class Pattern(StrEnum):
    SOLID = "solid"
    TABBY = "tabby"
    TORTOISESHELL = "tortoiseshell"
    SPOTS = "spots"
    POINTS = "points"
    SADDLE = "saddle"
    BRINDLE = "brindle"
    MERLE = "merle"


@dataclass(frozen=True, kw_only=True, slots=True)
class Coat:
    """A pattern in two colours, and how far white spreads over it (0: nowhere, 1: everywhere)."""

    pattern: Pattern
    ground: Colour
    marks: Colour
    white: float
    pale_below: float  # 0 .. 1, how much lighter belly and muzzle are
    seed: int  # of the noise that places the marks


@dataclass(frozen=True, slots=True)
class Skin:
    """Visible places of one animal, flattened: N pixels."""

    rest: Floats  # (3, N)
    head: Floats  # (3, N), the same in head coordinates
    group: npt.NDArray[np.int8]  # (N,)
    hairs: Floats  # (N,), of about unit spread: light and dark hairs


def skin_of(rest: Floats, group: npt.NDArray[np.int8], head_at_rest: Head) -> Skin:
    centre = head_at_rest.centre.astype(np.float32)[:, None]
    head = (rest - centre) / np.float32(head_at_rest.radius)
    return Skin(rest, head, group, _hairs(rest, head, group))


@cache
def _strands() -> Floats:
    """A tile (256, 256) of noise drawn out along its first axis."""
    noise = np.random.default_rng(911).normal(size=(256, 256))
    drawn_out = sum(np.roll(noise, k, axis=0) for k in range(5)) / np.sqrt(5)
    return np.asarray(drawn_out, np.float32)


_FACE_GROUPS = np.array([group in HEAD_GROUPS for group in Group])
_LEG_GROUPS = np.array([group in (Group.LEG, Group.PAW) for group in Group])


def _hairs(rest: Floats, head: Floats, group: npt.NDArray[np.int8]) -> Floats:
    """Hair lies along the trunk, down the legs and up the face."""
    x, y, z = rest
    forward, up, side = head
    on_leg, on_face = _LEG_GROUPS[group], _FACE_GROUPS[group]
    along = np.where(on_leg, y, x) * 120
    across = (np.where(on_leg, x, y) + 0.8 * z) * 300 + 5 * np.sin(along * 0.2)
    along = np.where(on_face, up * 20 + forward * 14, along)
    across = np.where(on_face, side * 55 + forward * 24, across)
    hairs: Floats = _strands()[along.astype(np.int32) & 255, across.astype(np.int32) & 255]
    return hairs


def paint_coat(coat: Coat, build: Build, skin: Skin) -> Floats:
    """Colours (3, N), each 0 .. 1."""
    rng = np.random.default_rng(coat.seed)
    frayed = 0.07 * build.fluff * skin.hairs  # marks end in single hairs
    patches = _noise(rng, skin.rest, 5.0) + frayed
    detail = _noise(rng, skin.rest, 16.0) + frayed
    marked = _PATTERNS[coat.pattern](build, skin, patches, detail)
    ground = np.array(coat.ground, np.float32)[:, None]
    marks = np.array(coat.marks, np.float32)[:, None]
    colours = ground + marked * (marks - ground)
    height = _height(build, skin)
    pale = coat.pale_below * _step(0.55, 0.1, height + 0.1 * patches)
    colours += pale * (np.array(_CREAM, np.float32)[:, None] - colours)
    if coat.white > 0:
        shy = height + 0.16 * patches + 0.05 * detail  # where white comes last
        white = _step(coat.white + 0.02, coat.white - 0.02, shy)
        colours += white * (np.array(_WHITE, np.float32)[:, None] - colours)
    return colours


_WHITE: Colour = (0.95, 0.94, 0.91)
_CREAM: Colour = (0.93, 0.87, 0.78)


def _noise(rng: np.random.Generator, places: Floats, frequency: float) -> Floats:
    """Smooth noise (N,) of about unit spread: bent plane waves."""
    waves = (rng.normal(size=(6, 3)) * frequency).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, size=(6, 1)).astype(np.float32)
    angles = waves[:, :1] * places[0]  # not `@`: BLAS would start threads for so little
    angles += waves[:, 1:2] * places[1]
    angles += waves[:, 2:] * places[2] + phases
    bend = np.sin(angles[:2])
    angles[2:4] += 1.3 * bend[0]
    angles[4:] += 1.3 * bend[1]
    np.sin(angles[2:], out=angles[2:])
    noise: Floats = (bend.sum(axis=0) + angles[2:].sum(axis=0)) * np.float32(0.55)
    return noise


def _step(low: float, high: float, value: Floats) -> Floats:
    """0 at `low`, 1 at `high`, smooth between; falls where high < low."""
    t = np.clip((value - low) * np.float32(1 / (high - low)), 0, 1)
    smooth: Floats = t * t * (3 - 2 * t)
    return smooth


def _is(skin: Skin, *groups: Group) -> npt.NDArray[np.bool_]:
    among = np.zeros(len(Group), np.bool_)
    among[list(groups)] = True
    return among[skin.group]


def _height(build: Build, skin: Skin) -> Floats:
    """The order in which white leaves an animal: paws 0, chest, muzzle, belly, flanks, back 1."""
    x, y, _ = skin.rest
    back = build.leg + build.chest * 1.5
    order: Floats = np.clip((y - build.leg * 0.75) / (back - build.leg * 0.75), 0, 1)
    order = order - 0.35 * np.clip((x - 0.22) / 0.2, 0, 1) * (order < 0.95)
    legs = _is(skin, Group.LEG, Group.PAW)
    order[legs] = np.clip(y[legs] / (build.leg * 1.6), 0, 1)
    tail = _is(skin, Group.TAIL)
    order[tail] = 1.05 + 0.55 * (x[tail] + build.trunk / 2)
    face = _is(skin, Group.HEAD, Group.MUZZLE, Group.NOSE)
    forward, up, side = skin.head[:, face]
    blaze = 0.32 + np.clip(np.abs(side) - 0.12, 0, 1) * 1.1 + np.clip(up + 0.1, 0, 1) * 0.25
    order[face] = np.clip(blaze + 0.3 * (forward < 0.1), 0.25, 1.1)
    order[_is(skin, Group.EAR)] = 1.1
    return order


def _solid(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    marked: Floats = np.clip(0.12 + 0.1 * patches, 0, 0.3)
    return marked


def _stripes(skin: Skin, patches: Floats, detail: Floats, per_unit: float) -> Floats:
    """Rings round trunk, legs and tail, lines over the crown: -1 .. 1."""
    x, y, _ = skin.rest
    phase: Floats = x * per_unit + 0.16 * detail + 0.3 * patches - 0.9 * y
    legs = _is(skin, Group.LEG, Group.PAW)
    phase[legs] = y[legs] * per_unit * 1.4 + 0.12 * detail[legs]
    tail = _is(skin, Group.TAIL)
    phase[tail] = x[tail] * per_unit * 1.2
    face = _is(skin, Group.HEAD, Group.MUZZLE, Group.EAR)
    forward, up, side = skin.head[:, face]
    crown = np.abs(side) * 2.1 + 0.25 * np.clip(up, 0, 1)
    cheek = up * 2.4 + forward * 0.9
    phase[face] = np.where((up > 0.28) | (forward > 0.72), crown, cheek) + 0.06 * detail[face]
    rings: Floats = np.sin(2 * np.pi * phase)
    return rings


def _tabby(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    stripes: Floats = _step(0.1, 0.5, _stripes(skin, patches, detail, 8.0) + 0.2 * patches)
    spine = _step(0.06, 0.02, np.abs(skin.rest[2])) * (skin.rest[1] > build.leg + build.chest)
    stripes = 0.85 * np.maximum(stripes, spine)
    below = _is(skin, Group.TRUNK, Group.NECK) & (skin.rest[1] < build.leg + 0.02)
    stripes[below] *= 0.35
    stripes[_is(skin, Group.MUZZLE)] *= 0.25
    return stripes


def _tortoiseshell(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    return _step(-0.1, 0.12, patches + 0.55 * detail)


def _spots(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    spots = _step(0.5, 0.75, detail + 0.15 * patches)
    spots[_is(skin, Group.MUZZLE)] *= 0.2
    return spots


def _points(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    _, y, _ = skin.rest
    dark = np.zeros_like(y)
    legs = _is(skin, Group.LEG, Group.PAW)
    dark[legs] = _step(build.leg * 0.85, 0.1, y[legs])
    dark[_is(skin, Group.TAIL, Group.EAR)] = 0.95
    face = _is(skin, Group.HEAD, Group.MUZZLE)
    forward, up, side = skin.head[:, face]
    away = np.sqrt((forward - 0.85) ** 2 + 0.8 * (up + 0.1) ** 2 + side**2)
    dark[face] = _step(0.95, 0.35, away + 0.05 * patches[face])
    marked: Floats = np.clip(dark + 0.08 + 0.06 * patches, 0, 1)
    return marked


def _saddle(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    x, y, _ = skin.rest
    line = build.leg + build.chest * 0.75
    dark: Floats = _step(line - 0.04, line + 0.05, y + 0.04 * patches) * (x < build.trunk * 0.62)
    dark[_is(skin, Group.LEG, Group.PAW)] *= 0.4
    tail = _is(skin, Group.TAIL)
    dark[tail] = _step(-0.02, 0.06, 0.04 * patches[tail] + 0.05)
    face = _is(skin, Group.HEAD, Group.MUZZLE)
    forward, up, _ = skin.head[:, face]
    dark[face] = np.maximum(
        _step(0.75, 1.0, forward + 0.1 * patches[face]), 0.7 * _step(0.45, 0.7, up)
    )
    dark[_is(skin, Group.EAR)] = 0.8
    return dark


def _brindle(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    stripes: Floats = 0.85 * _step(0.0, 0.7, _stripes(skin, patches, 1.8 * detail, 13.0))
    face = _is(skin, Group.MUZZLE)
    stripes[face] = 0.77
    return stripes


def _merle(build: Build, skin: Skin, patches: Floats, detail: Floats) -> Floats:
    return _step(0.25, 0.45, 0.6 * patches + 0.6 * detail)


_PATTERNS = {
    Pattern.SOLID: _solid,
    Pattern.TABBY: _tabby,
    Pattern.TORTOISESHELL: _tortoiseshell,
    Pattern.SPOTS: _spots,
    Pattern.POINTS: _points,
    Pattern.SADDLE: _saddle,
    Pattern.BRINDLE: _brindle,
    Pattern.MERLE: _merle,
}
