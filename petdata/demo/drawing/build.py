"""Proportions and poses: the numbers that make one animal, and one moment of it.

World axes: x from tail to nose, y up, z to the animal's side; the ground is y = 0. The trunk is
about 0.6 long. Places on a head are given in its own axes (forward, up, side), in skull radii.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from petdata.demo.drawing.solids import Floats, Vector
from petdata.records import Species


class Group(IntEnum):
    """Which part of the animal a pixel shows."""

    TRUNK = 0
    NECK = 1
    LEG = 2
    PAW = 3
    TAIL = 4
    HEAD = 5
    MUZZLE = 6
    EAR = 7
    NOSE = 8  # a bird's beak too
    TONGUE = 9


HEAD_GROUPS = (Group.HEAD, Group.MUZZLE, Group.EAR, Group.NOSE, Group.TONGUE)


class Posture(StrEnum):
    STAND = "stand"
    WALK = "walk"
    SIT = "sit"
    LIE = "lie"


class Ears(StrEnum):
    POINTED = "pointed"
    FLOPPY = "floppy"
    HALF = "half"  # pointed at the base, the tip falls forward


class Tail(StrEnum):
    LONG = "long"
    BUSHY = "bushy"
    CURLED = "curled"
    SHORT = "short"


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Proportions of one animal."""

    species: Species
    trunk: float
    chest: float  # radius
    hips: float  # radius
    leg: float
    limb: float  # thickness of the legs, 1 is usual
    neck: float
    skull: float  # radius
    muzzle: float  # in skull radii, as everything below about the head
    muzzle_width: float
    cheeks: float
    ears: Ears = Ears.POINTED
    ear_size: float
    ear_width: float = 1.0
    ear_spread: float
    tail: Tail
    tail_length: float
    fluff: float  # length of the hair, 1 is short


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Angles in radians; swings and strides from -1 to 1."""

    posture: Posture
    head_yaw: float = 0.0  # positive turns towards +z
    head_pitch: float = 0.0  # positive looks up
    head_roll: float = 0.0
    stride: float = 0.0
    tail_swing: float = 0.0
    mouth_open: float = 0.0  # 0 .. 1


REST_POSE = Pose(posture=Posture.STAND)


@dataclass(frozen=True, slots=True)
class Head:
    centre: Vector
    frame: Floats  # (3, 3): columns forward, up, side
    radius: float

    def place(self, point: tuple[float, float, float]) -> Vector:
        """From head coordinates to the world."""
        placed: Vector = self.centre + self.frame @ (self.radius * np.array(point))
        return placed
