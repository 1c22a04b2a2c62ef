"""Bodies: from a build and a pose to bones, and from bones to solids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from petdata.demo.drawing.build import Build, Group, Head, Pose, Posture, Tail
from petdata.demo.drawing.heads import bird_head, cat_head, dog_head
from petdata.demo.drawing.solids import Floats, Solid, Vector, along, rotation
from petdata.records import Species

Limb = list[Vector]  # joints from the trunk to the paw

FRONT_LEG = (0.088, 0.062, 0.05, 0.047)  # radius at each joint
HIND_LEG = (0.135, 0.085, 0.055, 0.047)
TAILS = {
    Tail.LONG: (0.055, 0.05, 0.046, 0.042, 0.032),
    Tail.BUSHY: (0.065, 0.095, 0.115, 0.1, 0.045),
    Tail.CURLED: (0.07, 0.085, 0.09, 0.08, 0.05),
    Tail.SHORT: (0.06, 0.055, 0.05, 0.042, 0.03),
}


def pose_body(build: Build, pose: Pose) -> tuple[list[Solid], Head]:
    """The animal's solids, for one build always in the same order, and its head."""
    if build.species is Species.BIRD:
        return _bird(build, pose)
    hip, chest = _spine(build, pose)
    head = _head(build, pose, chest)
    solids = _trunk(build, hip, chest, head)
    for side in (-1.0, 1.0):
        solids += _leg(_front_leg(build, pose, chest, side), FRONT_LEG, build.limb)
        solids += _leg(_hind_leg(build, pose, hip, side), HIND_LEG, build.limb)
    bones, radii = _tail(build, pose, hip), TAILS[build.tail]
    for k in range(len(bones) - 1):
        solids.append(_capsule((bones[k], bones[k + 1]), (radii[k], radii[k + 1]), Group.TAIL))
    draw_head = dog_head if build.species is Species.DOG else cat_head
    return solids + draw_head(build, pose, head), head


def _point(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z])


def _spine(build: Build, pose: Pose) -> tuple[Vector, Vector]:
    """Where hips and chest are."""
    half = build.trunk / 2
    if pose.posture is Posture.SIT:
        hip = _point(-0.16, build.hips * 1.02, 0)
        rise = 0.94 if build.species is Species.DOG else 1.0  # radians above the ground
        return hip, hip + build.trunk * 0.92 * _point(np.cos(rise), np.sin(rise), 0)
    if pose.posture is Posture.LIE:
        return _point(-half, build.hips * 0.95, 0), _point(half, build.chest * 1.05, 0)
    low = build.leg
    return _point(-half, low + build.hips * 0.62, 0), _point(half, low + build.chest * 0.62, 0)


def _front_leg(build: Build, pose: Pose, chest: Vector, side: float) -> Limb:
    x, y, _ = chest.tolist()
    z = side * build.chest * 0.62
    if pose.posture is Posture.LIE:
        return [
            _point(x - 0.02, y * 0.9, z * 1.15),
            _point(x - 0.05, 0.075, z * 1.35),
            _point(x + 0.16, 0.05, z * 1.1),
            _point(x + 0.29, 0.04, z * 0.95),
        ]
    step = 0.16 * pose.stride * side if pose.posture is Posture.WALK else 0.0
    lift = 0.3 * max(step, 0)
    ground = x + (0.05 if pose.posture is Posture.SIT else 0.0) + step
    return [
        _point(x, y - build.chest * 0.35, z),
        _point(x - 0.03 + 0.3 * step, y * 0.5 + 0.03, z * 1.02),
        _point(ground, 0.085 + lift, z * 0.95),
        _point(ground + 0.055, 0.035 + lift, z * 0.95),
    ]


def _hind_leg(build: Build, pose: Pose, hip: Vector, side: float) -> Limb:
    x, y, _ = hip.tolist()
    z = side * build.hips * 0.62
    if pose.posture in (Posture.SIT, Posture.LIE):
        knee = 0.2 if pose.posture is Posture.SIT else 0.17
        return [
            _point(x, y, z * 1.05),
            _point(x + knee, 0.17, z * 1.65),
            _point(x, 0.055, z * 1.75),
            _point(x + knee + 0.1, 0.038, z * 1.75),
        ]
    step = -0.15 * pose.stride * side if pose.posture is Posture.WALK else 0.0
    lift = 0.3 * max(step, 0)
    return [
        _point(x + 0.02, y - 0.02, z),
        _point(x + 0.08 + 0.5 * step, build.leg * 0.62 + lift, z * 1.12),
        _point(x - 0.09 + step, build.leg * 0.36 + lift, z * 1.05),
        _point(x - 0.04 + step, 0.037 + lift, z * 1.05),
    ]


def _tail(build: Build, pose: Pose, hip: Vector) -> list[Vector]:
    """Five points from the root to the tip."""
    steps, swing, length = np.linspace(0, 1, 5), pose.tail_swing, build.tail_length
    if pose.posture in (Posture.SIT, Posture.LIE):  # laid round the hips, on the ground
        turn = 1.0 if swing >= 0 else -1.0
        angles = np.pi + turn * (0.5 + length / 0.62 * 2.1 * steps)
        reach = build.hips + 0.06
        x = hip[0] + 0.08 + reach * 1.3 * np.cos(angles)
        y = np.maximum(0.05, hip[1] * (0.8 - 2.2 * steps))
        z = -reach * 1.35 * np.sin(angles)
        return list(np.stack([x, y, z], axis=1))
    root = hip + _point(-build.hips * 0.85, build.hips * 0.55, 0)
    if build.tail is Tail.CURLED:  # over the back
        angles, arc = 2.2 - 4.4 * steps, length * 0.27
        x = 0.06 * steps - 0.4 * arc * np.sin(angles)
        y = arc * (np.cos(angles) + 0.6)
        z = 0.22 * swing * steps
    else:
        rise = 0.35 + 0.75 * swing  # of the tip, in tail lengths
        x = -length * np.sqrt(max(1 - 0.6 * abs(rise), 0.2)) * steps
        y = length * (rise * steps**2 - 0.25 * steps)
        z = length * 0.3 * swing * steps
    return list(root + np.stack([x, y, z], axis=1))


def _head(build: Build, pose: Pose, chest: Vector) -> Head:
    rise = {Posture.SIT: 1.25, Posture.LIE: 0.95}.get(pose.posture, 0.8)
    if build.species is Species.DOG:
        rise += 0.12
    reach = build.neck + build.skull * 0.75
    centre = chest + _point(0.02 + reach * np.cos(rise), 0.05 + reach * np.sin(rise), 0)
    return Head(centre, rotation(pose.head_yaw, pose.head_pitch, pose.head_roll), build.skull)


def _capsule(
    ends: tuple[Vector, Vector], radii: tuple[float, float], group: Group, blend: float = 0.05
) -> Solid:
    return Solid(
        start=ends[0],
        end=ends[1],
        start_radius=radii[0],
        end_radius=radii[1],
        frame=along(*ends),
        group=group,
        blend=blend,
    )


def _trunk(build: Build, hip: Vector, chest: Vector, head: Head) -> list[Solid]:
    spine = along(hip, chest)
    down = -spine[:, 1]
    belly = (hip + chest) / 2 + down * 0.02
    ribs = chest + down * build.chest * 0.22 - spine[:, 0] * 0.07
    throat = head.centre - head.radius * (head.frame[:, 0] * 0.25 + _point(0, 0.3, 0))
    hips, width = build.hips, build.chest
    return [
        _capsule((hip, chest), (hips, width * 0.92), Group.TRUNK),
        _capsule((belly, ribs), (hips * 0.92, width * 0.95), Group.TRUNK),
        _capsule((chest, throat), (width * 0.86, head.radius * 0.72), Group.NECK, blend=0.07),
    ]


def _leg(joints: Limb, radii: tuple[float, float, float, float], limb: float) -> list[Solid]:
    upper, middle, lower, paw = joints
    a, b, c, d = (radius * limb for radius in radii)
    toes = paw + _point(0.015, 0, 0)
    return [
        _capsule((upper, middle), (a, b), Group.LEG, blend=0.07),
        _capsule((middle, lower), (b, c), Group.LEG),
        _capsule((lower, paw), (c, d), Group.PAW),
        _ellipsoid(toes, (0.07 * limb, 0.04 * limb, 0.056 * limb), np.eye(3), Group.PAW),
    ]


def _ellipsoid(
    centre: Vector, radii: tuple[float, float, float], frame: Floats, group: Group
) -> Solid:
    return Solid(start=centre, end=centre, radii=radii, frame=frame, group=group)


def _bird(build: Build, pose: Pose) -> tuple[list[Solid], Head]:
    """A budgerigar: it always perches."""
    size = build.trunk
    lean = rotation(0, 0.9, 0)
    centre = _point(0, 0.36 * size + 0.05, 0)
    centre_of_head = centre + size * (lean[:, 0] * 0.40 + _point(0.06, 0.06, 0))
    turned = rotation(pose.head_yaw, pose.head_pitch, pose.head_roll)
    head = Head(centre_of_head, turned, build.skull)
    breast = centre + size * (lean[:, 0] * 0.16 + _point(0.05, 0, 0))
    rump = centre - lean[:, 0] * size * 0.3
    tail = (rump, rump + _point(-build.tail_length * 0.75, -build.tail_length * 0.35, 0))
    solids = [
        _ellipsoid(centre, (0.42 * size, 0.25 * size, 0.25 * size), lean, Group.TRUNK),
        _capsule((breast, centre_of_head), (0.24 * size, build.skull * 0.9), Group.NECK),
        _capsule(tail, (0.12 * size, 0.03 * size), Group.TAIL),
    ]
    for side in (-1.0, 1.0):
        wing = centre + size * (_point(-0.08, 0.0, side * 0.2))
        folded = lean @ rotation(0, -0.12, 0)
        solids.append(_ellipsoid(wing, (0.42 * size, 0.17 * size, 0.075 * size), folded, Group.LEG))
        foot = _point(0.05, 0.015, side * 0.08 * size)
        shin = (centre + _point(0.0, -0.2 * size, side * 0.08 * size), foot)
        solids += [
            replace(_capsule(shin, (0.05 * size, 0.03 * size), Group.PAW), blend=0.01),
            _ellipsoid(foot, (0.09 * size, 0.03 * size, 0.05 * size), np.eye(3), Group.PAW),
        ]
    return solids + bird_head(build, pose, head), head
