"""Heads: skull, muzzle, ears, nose."""

from __future__ import annotations

from dataclasses import replace

from petdata.demo.drawing.build import Build, Ears, Group, Head, Pose
from petdata.demo.drawing.solids import Solid, rotation

Place = tuple[float, float, float]  # forward, up, side in skull radii


def cat_head(build: Build, pose: Pose, head: Head) -> list[Solid]:
    """A rabbit's too: its ears are longer and narrower."""
    m, w = build.muzzle, build.muzzle_width
    solids = [
        _ball(head, (0, 0, 0), (0.92, 0.88, 1.0), Group.HEAD),
        _ball(head, (0.58 + m * 0.5, -0.62, 0), (0.22, 0.2, 0.24), Group.MUZZLE),
        _cone(head, ((0.6, 0.1, 0), (0.66 + m * 0.7, -0.14, 0)), (0.32, 0.14), Group.HEAD),
        _ball(head, (0.76 + m * 0.95, -0.17, 0), (0.08, 0.085, 0.13), Group.NOSE, blend=0.008),
    ]
    for side in (-1, 1):
        pad = (0.6 + m * 0.55, -0.36, side * w * 0.55)
        solids += [
            _ball(head, (0.22, -0.3, side * 0.48), (0.6, 0.5, build.cheeks), Group.HEAD),
            _ball(head, pad, (w * 0.9, w * 0.78, w), Group.MUZZLE),
            _pointed_ear(build, head, side),
        ]
    return solids


def dog_head(build: Build, pose: Pose, head: Head) -> list[Solid]:
    m, w = build.muzzle, build.muzzle_width
    tip = 0.62 + m
    drop = 0.42 * pose.mouth_open
    out = 0.05 + 0.95 * min(pose.mouth_open * 2, 1)  # of the tongue; hidden in a closed mouth
    tongue = (0.3 * out, (0.05 + 0.3 * pose.mouth_open) * out, w * 0.55 * out)
    jaw = ((0.35, -0.48, 0.0), (tip - 0.16, -0.5 - drop, 0.0))
    solids = [
        _ball(head, (0, 0, 0), (0.98, 0.86, 0.9), Group.HEAD),
        _ball(head, (0.2, -0.28, 0), (0.72, 0.62, 0.5 + build.cheeks * 0.5), Group.HEAD),
        _cone(head, ((0.45, -0.12, 0), (tip, -0.22, 0)), (w * 1.35, w), Group.MUZZLE),
        _cone(head, jaw, (w * 0.95, w * 0.62), Group.MUZZLE, blend=0.02),
        _ball(head, (tip - 0.2, -0.42 - drop * 0.9, 0), tongue, Group.TONGUE, blend=0.005),
        _ball(head, (tip + w * 0.72, -0.09, 0), (0.15, 0.14, 0.19), Group.NOSE, blend=0.008),
    ]
    for side in (-1, 1):
        solids += _dog_ear(build, head, side)
    return solids


def bird_head(build: Build, pose: Pose, head: Head) -> list[Solid]:
    beak = ((0.72, -0.12, 0.0), (1.2, -0.42, 0.0))
    return [
        _ball(head, (0, 0, 0), (1.0, 1.0, 0.94), Group.HEAD),
        _cone(head, beak, (0.26, 0.05), Group.NOSE, blend=0.008),
    ]


def _pointed_ear(build: Build, head: Head, side: int) -> Solid:
    size, spread = build.ear_size, build.ear_spread
    root = (-0.1, 0.5, side * spread)
    tip = (-0.12, 0.62 + 0.82 * size, side * (spread + 0.27 * size))
    width = 0.44 * min(size, 1.15) * build.ear_width
    return _cone(head, (root, tip), (width, 0.035), Group.EAR, blend=0.03)


def _dog_ear(build: Build, head: Head, side: int) -> list[Solid]:
    size = build.ear_size
    if build.ears is Ears.POINTED:
        return [_pointed_ear(replace(build, ear_spread=build.ear_spread - 0.08), head, side)]
    if build.ears is Ears.HALF:
        root, bend = (-0.1, 0.5, side * 0.55), (-0.02, 0.62 + 0.45 * size, side * 0.78)
        tip = (0.36, 0.45 + 0.3 * size, side * 0.95)
        return [
            _cone(head, (root, bend), (0.36, 0.2), Group.EAR, blend=0.03),
            _cone(head, (bend, tip), (0.2, 0.1), Group.EAR, blend=0.02),
        ]
    lobe = _ball(
        head, (0.02, 0.1 - 0.42 * size, side * 0.9), (0.4, 0.72 * size, 0.13), Group.EAR, blend=0.02
    )
    hanging = replace(lobe, frame=head.frame @ rotation(0, -0.2, -0.28 * side))
    root = (-0.05, 0.5, side * 0.5)
    return [_cone(head, (root, (0.0, 0.3, side * 0.85)), (0.3, 0.2), Group.EAR), hanging]


def _ball(head: Head, at: Place, radii: Place, group: Group, blend: float = 0.04) -> Solid:
    centre = head.place(at)
    a, b, c = radii
    return Solid(
        start=centre,
        end=centre,
        radii=(head.radius * a, head.radius * b, head.radius * c),
        frame=head.frame,
        group=group,
        blend=blend,
    )


def _cone(
    head: Head,
    ends: tuple[Place, Place],
    radii: tuple[float, float],
    group: Group,
    blend: float = 0.04,
) -> Solid:
    return Solid(
        start=head.place(ends[0]),
        end=head.place(ends[1]),
        start_radius=head.radius * radii[0],
        end_radius=head.radius * radii[1],
        frame=head.frame,
        group=group,
        blend=blend,
    )
