"""Drawn cats and dogs: an identity, and any number of photos of it.

`draw_identity(seed, index)` chooses coat, build and face; `draw_photo(pet, k)` poses the same body
before a camera in some scene. Both depend on their arguments alone. Birds and rabbits exist too,
for the listings that a collection of cats and dogs passes over.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from petdata.demo.drawing.bodies import pose_body
from petdata.demo.drawing.build import HEAD_GROUPS, REST_POSE, Build, Head
from petdata.demo.drawing.coats import Coat
from petdata.demo.drawing.develop import Appearance, develop, shade
from petdata.demo.drawing.faces import Face, draw_whiskers
from petdata.demo.drawing.identities import choose_build, choose_coat, choose_face
from petdata.demo.drawing.scenes import SCENES, Shadow, draw_scene
from petdata.demo.drawing.shots import aim, horizon, joints, plan_shot
from petdata.demo.drawing.solids import Floats, Solid, View, rasterise
from petdata.records import Species

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom exclusive

CANVAS_PX = 800  # a photo is composed no larger than this, then enlarged
DETAIL_PX = 360  # and the animal on it no larger than this


@dataclass(frozen=True, kw_only=True, slots=True)
class Pet:
    """One animal: everything that all its photos share."""

    seed: int
    index: int
    species: Species
    build: Build
    coat: Coat
    face: Face


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    image: Image.Image  # RGB, upright
    box: Box  # what is visible of the animal
    head_box: Box  # what is visible of its head, ears included


def draw_identity(seed: int, index: int, species: Species | None = None) -> Pet:
    """The animal number `index`: a cat, dog, bird or other; cat or dog by chance if None."""
    rng = np.random.default_rng([seed, index])
    chance = Species.CAT if rng.random() < 0.5 else Species.DOG
    species = chance if species is None else species
    coat = choose_coat(rng, species)
    return Pet(
        seed=seed,
        index=index,
        species=species,
        build=choose_build(rng, species),
        coat=coat,
        face=choose_face(rng, species, coat),
    )


def draw_photo(pet: Pet, photo_index: int) -> DrawnPhoto:
    rng = np.random.default_rng([pet.seed, pet.index, photo_index, 1])
    shot = plan_shot(pet.species, rng)
    solids, head = pose_body(pet.build, shot.pose)
    at_rest, head_at_rest = _rest_body(pet.build)
    enlarged = max(1.0, max(shot.size) / CANVAS_PX)
    size = (round(shot.size[0] / enlarged), round(shot.size[1] / enlarged))
    points = joints(solids)
    view = aim(shot, size, points, head, rng)
    scene = SCENES[shot.scene]
    shadow = _shadow(view, points, shot.pitch)
    canvas = draw_scene(scene, size, horizon(view), shadow, rng)

    sprite = _around(view, points)
    surface = rasterise(solids, at_rest, sprite.view)
    animal = Appearance(pet.build, pet.coat, pet.face, shot.look, head_at_rest)
    colours, coverage = shade(animal, surface, sprite.view, scene.light, rng)
    sprite.paste(canvas, colours, coverage)
    if pet.species is Species.CAT:
        draw_whiskers(canvas, pet.build, head, view, rng)
    whole = coverage > 127
    return DrawnPhoto(
        develop(canvas, shot.size, scene.grain, rng),
        sprite.bounds(whole, size, enlarged),
        sprite.bounds(whole & np.isin(surface.group, HEAD_GROUPS), size, enlarged),
    )


def encode_photo(
    image: Image.Image, form: str, quality: int, exif: Image.Exif | None = None
) -> bytes:
    """`form` is "JPEG" or "WEBP"."""
    out = io.BytesIO()
    if form == "WEBP":
        image.save(out, form, quality=quality, method=0)
    else:
        image.save(out, form, quality=quality, exif=exif or Image.Exif())
    return out.getvalue()


@lru_cache(maxsize=64)
def _rest_body(build: Build) -> tuple[list[Solid], Head]:
    return pose_body(build, REST_POSE)


def _shadow(view: View, points: Floats, pitch: float) -> Shadow:
    """Under everything that is near the ground."""
    feet = points[points[:, 1] < 0.2] * np.array([1.0, 0.0, 1.0])
    half_width = 0.13 * view.scale
    return Shadow(view.project(feet), half_width, half_width * math.sin(pitch) + 2)


@dataclass(frozen=True, slots=True)
class _Sprite:
    """The part of the picture round the animal, drawn `zoom` times smaller."""

    view: View
    corner: tuple[int, int]
    zoom: float

    def paste(
        self, canvas: Image.Image, colours: npt.NDArray[np.uint8], coverage: npt.NDArray[np.uint8]
    ) -> None:
        picture = Image.fromarray(np.dstack([colours, coverage]))
        if self.zoom != 1:
            size = (round(picture.width * self.zoom), round(picture.height * self.zoom))
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        canvas.paste(picture, self.corner, picture)

    def bounds(self, mask: npt.NDArray[np.bool_], size: tuple[int, int], enlarged: float) -> Box:
        """The box round `mask`, inside the canvas of `size`, in pixels of the photo."""
        edges = []
        for axis in (0, 1):
            hit = np.flatnonzero(mask.any(axis=axis))
            first = self.corner[axis] + int(hit[0]) * self.zoom
            last = self.corner[axis] + (int(hit[-1]) + 1) * self.zoom
            edges.append((round(first * enlarged), round(min(last, size[axis]) * enlarged)))
        (left, right), (top, bottom) = edges
        return left, top, right, bottom


def _around(view: View, points: Floats) -> _Sprite:
    pixels, reach = view.project(points), 0.32 * view.scale
    x0, y0 = np.maximum(np.floor(pixels.min(axis=0) - reach), 0).astype(int).tolist()
    x1, y1 = np.ceil(pixels.max(axis=0) + reach).astype(int).tolist()
    x1, y1 = min(x1, view.width), min(y1, view.height)
    zoom = max(1.0, max(x1 - x0, y1 - y0) / DETAIL_PX)
    centre = (
        view.centre[0] + ((x0 + x1) / 2 - view.width / 2) / view.scale,
        view.centre[1] - ((y0 + y1) / 2 - view.height / 2) / view.scale,
    )
    width, height = round((x1 - x0) / zoom), round((y1 - y0) / zoom)
    return _Sprite(View(view.axes, view.scale / zoom, width, height, centre), (x0, y0), zoom)
