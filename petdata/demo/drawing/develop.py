"""Light on the animal, and what a camera makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from petdata.demo.drawing.build import Build, Group, Head
from petdata.demo.drawing.coats import Coat, paint_coat, skin_of
from petdata.demo.drawing.faces import Face, Look, paint_face
from petdata.demo.drawing.scenes import Light
from petdata.demo.drawing.solids import Floats, Surface, View

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Appearance:
    """All that paint and light need to know about one animal in one photo."""

    build: Build
    coat: Coat
    face: Face
    look: Look
    head_at_rest: Head


def shade(
    animal: Appearance, surface: Surface, view: View, light: Light, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Colours (height, width, 3) and coverage (height, width)."""
    coverage = _furry_outline(surface, animal.build.fluff, rng)
    seen = np.flatnonzero(coverage.ravel() > 0)
    group = surface.group.ravel()[seen]
    skin = skin_of(surface.rest.reshape(3, -1)[:, seen], group, animal.head_at_rest)
    colours = paint_coat(animal.coat, animal.build, skin)
    colours *= 1 + np.float32(0.033 + 0.022 * animal.build.fluff) * skin.hairs
    pixel = 1 / (view.scale * animal.head_at_rest.radius)
    unlit = paint_face(colours, animal.face, animal.build, skin, animal.look, pixel)

    normal = surface.normal.reshape(3, -1)[:, seen]
    lamp = np.array([rng.uniform(-0.6, 0.6), rng.uniform(0.5, 0.9), 0.6])
    facing = _dot(lamp / np.linalg.norm(lamp), normal)
    sky = _dot(view.axes[:, 1], normal)
    lit = 0.32 + 0.68 * np.clip(0.25 + 0.75 * facing, 0, 1) + 0.10 * sky
    lit *= _openness(surface, view).ravel()[seen]
    lit += unlit * (1 - lit)
    rim = 0.10 * (1 - np.clip(normal[2], 0, 1)) ** 3 * (1 - unlit)
    gloss = 0.35 * np.clip(facing, 0, 1) ** 18 * (group == Group.NOSE)
    colours = colours * lit * np.array(light, np.float32)[:, None] + rim + gloss
    picture = np.zeros((coverage.size, 3), np.uint8)
    picture[seen] = np.clip(colours.T * 255, 0, 255)
    return picture.reshape(*coverage.shape, 3), (coverage * 255).astype(np.uint8)


def _dot(direction: Floats, vectors: Floats) -> Floats:
    a, b, c = direction.tolist()
    dotted: Floats = a * vectors[0] + b * vectors[1] + c * vectors[2]
    return dotted


def _furry_outline(surface: Surface, fluff: float, rng: np.random.Generator) -> Floats:
    height, width = surface.outline.shape
    down, right = rng.integers(0, 256, 2).tolist()
    tufts = np.take(_tufts(), np.arange(down, down + height), axis=0, mode="wrap")
    tufts = np.take(tufts, np.arange(right, right + width), axis=1, mode="wrap")
    coverage = np.clip(surface.outline + 0.5 + np.float32(0.55 * fluff) * tufts, 0, 1)
    coverage[surface.outline > 4] = 1
    coverage[surface.group < 0] = 0
    return coverage


@cache
def _tufts() -> Floats:
    """A tile (256, 256) of noise drawn out downwards, for outlines."""
    noise = np.random.default_rng(911).normal(size=(256, 256))
    drawn_out = sum(np.roll(noise, k, axis=0) for k in range(9)) / 3
    return np.asarray(drawn_out, np.float32)


def _openness(surface: Surface, view: View) -> Floats:
    """Below 1 where a pixel lies deeper than its surroundings: between legs, under a chin."""
    span = 0.9  # half the depth that the 255 levels cover
    middle = float(view.axes[2] @ np.array([0.05, 0.4, 0]))
    coded = np.clip((surface.depth - (middle - span)) * (255 / (2 * span)), 0, 255)
    picture = Image.fromarray(coded.astype(np.uint8))
    blurred = picture.filter(ImageFilter.BoxBlur(max(2.0, 0.07 * view.scale)))
    deeper = (np.asarray(blurred, np.float32) - coded) * (2 * span / 255)
    openness: Floats = 1 - 0.5 * np.clip(deeper / 0.16, 0, 1)
    return openness


def develop(
    canvas: Image.Image, size: tuple[int, int], grain: float, rng: np.random.Generator
) -> Image.Image:
    """Exposure, white balance, focus, enlargement to `size`, sensor noise."""
    gain, gamma = rng.normal(1.0, 0.13), rng.normal(1.0, 0.08)
    tint = rng.normal(1.0, 0.03, 3)[:, None]
    curve = np.clip(255 * gain * tint * (np.arange(256) / 255) ** gamma, 0, 255)
    canvas = canvas.point(curve.ravel().astype(int).tolist())
    if rng.random() < 0.3:
        canvas = canvas.filter(ImageFilter.BoxBlur(float(rng.uniform(0.4, 1.6))))
    if canvas.size != size:
        canvas = canvas.resize(size, Image.Resampling.BILINEAR)
    x, y = rng.integers(0, 64, 2).tolist()
    strength = rng.uniform(0.1, grain)
    noise = _sensor_noise().crop((x, y, x + size[0], y + size[1]))
    noise = noise.point([round(128 + (level - 128) * strength) for level in range(256)])
    return ImageChops.add(canvas, Image.merge("RGB", [noise] * 3), 1, -128)


@cache
def _sensor_noise() -> Image.Image:
    noise = np.random.default_rng(912).normal(128, 12, (1344, 1344))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
