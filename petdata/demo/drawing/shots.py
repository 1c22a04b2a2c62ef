"""How a photo is taken: pose, camera, framing, scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from petdata.demo.drawing.build import Head, Pose, Posture
from petdata.demo.drawing.faces import Look
from petdata.demo.drawing.scenes import SCENES
from petdata.demo.drawing.solids import Floats, Solid, View
from petdata.records import Species

SIZES = (
    (480, 360),
    (480, 360),
    (360, 480),
    (640, 480),
    (640, 480),
    (480, 640),
    (800, 600),
    (600, 800),
    (960, 720),
    (1024, 768),
    (1280, 960),
)


class Framing(StrEnum):
    WHOLE = "whole"
    HALF = "half"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Shot:
    size: tuple[int, int]  # width, height
    pose: Pose
    look: Look
    yaw: float  # of the camera round the animal: 0 from its side, pi/2 from the front
    pitch: float  # looking down
    roll: float
    framing: Framing
    scene: str


def plan_shot(species: Species, rng: np.random.Generator) -> Shot:
    posture = list(Posture)[int(rng.choice(4, p=[0.3, 0.15, 0.35, 0.2]))]
    aside = float(
        np.clip(rng.normal(0, 0.85), -2.2, 2.2)
    )  # from the front, never quite from behind
    pose = Pose(
        posture=posture,
        head_yaw=float(np.clip(rng.uniform(0.1, 0.95) * aside + rng.normal(0, 0.25), -1.3, 1.3)),
        head_pitch=float(rng.normal(0.08, 0.16)),
        head_roll=float(rng.normal(0, 0.12)),
        stride=float(rng.uniform(0.5, 1) * rng.choice([-1, 1])),
        tail_swing=float(rng.uniform(0.15, 1) * rng.choice([-1, 1])),
        mouth_open=max(0.0, float(rng.normal(0.1, 0.45))) if species is Species.DOG else 0.0,
    )
    lids, pupil = float(np.clip(rng.normal(0.95, 0.2), 0.1, 1)), float(rng.uniform(0, 0.8))
    return Shot(
        size=SIZES[int(rng.integers(len(SIZES)))],
        pose=pose,
        look=Look(lids, pupil),
        yaw=math.pi / 2 - aside,
        pitch=float(np.clip(rng.normal(0.32, 0.17), 0.05, 0.8)),
        roll=float(rng.normal(0, 0.04)),
        framing=list(Framing)[int(rng.choice(3, p=[0.6, 0.22, 0.18]))],
        scene=list(SCENES)[int(rng.integers(len(SCENES)))],
    )


def joints(solids: list[Solid]) -> Floats:
    """The ends and centres of all solids, (N, 3)."""
    return np.array([solid.start for solid in solids] + [solid.end for solid in solids])


def aim(
    shot: Shot, size: tuple[int, int], points: Floats, head: Head, rng: np.random.Generator
) -> View:
    """The camera that shows `points` (N, 3) as the shot wants; the head is in every picture."""
    axes = _camera_axes(shot.yaw, shot.pitch, shot.roll)
    frame = np.array(size, np.float64)
    seen = (points @ axes.T)[:, :2]
    low, high = seen.min(axis=0) - 0.1, seen.max(axis=0) + 0.12
    middle, head_at = (low + high) / 2, (axes @ head.centre)[:2]
    whole = float((frame / (high - low)).min())
    close = min(size) / (head.radius * 4.6)
    if shot.framing is Framing.WHOLE:
        scale = whole * rng.uniform(0.6, 0.98)
        slack = frame / scale / 2 - (high - low) / 2
        centre = middle + rng.uniform(-0.7, 0.7, 2) * np.maximum(slack, 0)
    else:
        if shot.framing is Framing.HALF:
            scale = min(whole * rng.uniform(1.1, 1.6), close)
            centre = (middle + head_at) / 2
        else:
            scale = close * rng.uniform(0.6, 1.0)
            centre = head_at - np.array([0.0, head.radius * 0.4])
        room = np.maximum(frame / scale / 2 - head.radius * 1.7, 0)
        centre = np.clip(centre, head_at - room, head_at + room)
    return View(axes, float(scale), *size, (float(centre[0]), float(centre[1])))


def horizon(view: View) -> float:
    """Where the wall behind the animal meets the ground, as a share of the height."""
    behind = -0.9 * view.axes[2] * np.array([1.0, 0.0, 1.0])
    return float(view.project(behind)[1] / view.height)


def _camera_axes(yaw: float, pitch: float, roll: float) -> Floats:
    """Rows: right, up, towards the viewer."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    tip = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    axes: Floats = tilt @ tip @ turn
    return axes
