"""Which animals there are: breeds' coats, builds and faces, and the chance of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petdata.demo.drawing.build import Build, Ears, Tail
from petdata.demo.drawing.coats import Coat, Colour, Pattern
from petdata.demo.drawing.faces import Face
from petdata.records import Species

BLACK: Colour = (0.11, 0.10, 0.10)
GREY: Colour = (0.43, 0.45, 0.49)
SILVER: Colour = (0.70, 0.69, 0.67)
ORANGE: Colour = (0.84, 0.52, 0.24)
RED: Colour = (0.62, 0.33, 0.16)
CREAM: Colour = (0.90, 0.79, 0.62)
FAWN: Colour = (0.77, 0.60, 0.42)
GOLD: Colour = (0.80, 0.58, 0.33)
BROWN: Colour = (0.45, 0.33, 0.23)
CHOCOLATE: Colour = (0.29, 0.19, 0.14)
WHITE: Colour = (0.94, 0.93, 0.90)
PINK: Colour = (0.82, 0.52, 0.48)
BLUE_EYES: Colour = (0.38, 0.60, 0.85)


@dataclass(frozen=True, slots=True)
class CoatChance:
    pattern: Pattern
    ground: Colour
    marks: Colour
    weight: float


COATS: dict[Species, tuple[CoatChance, ...]] = {
    Species.CAT: (
        CoatChance(Pattern.SOLID, BLACK, CHOCOLATE, 2),
        CoatChance(Pattern.SOLID, GREY, SILVER, 2),
        CoatChance(Pattern.SOLID, ORANGE, CREAM, 0.7),
        CoatChance(Pattern.SOLID, CREAM, FAWN, 0.7),
        CoatChance(Pattern.TABBY, (0.60, 0.52, 0.43), (0.17, 0.14, 0.12), 3),
        CoatChance(Pattern.TABBY, (0.90, 0.64, 0.36), (0.68, 0.35, 0.12), 2.5),
        CoatChance(Pattern.TABBY, SILVER, (0.20, 0.20, 0.22), 1.5),
        CoatChance(Pattern.TABBY, GREY, (0.25, 0.26, 0.30), 1),
        CoatChance(Pattern.TORTOISESHELL, ORANGE, BLACK, 2.5),
        CoatChance(Pattern.TORTOISESHELL, CREAM, GREY, 1),
        CoatChance(Pattern.SPOTS, (0.80, 0.62, 0.40), (0.25, 0.16, 0.10), 1.2),
        CoatChance(Pattern.SPOTS, SILVER, BLACK, 0.8),
        CoatChance(Pattern.POINTS, (0.92, 0.86, 0.76), (0.22, 0.16, 0.13), 1.5),
        CoatChance(Pattern.POINTS, (0.90, 0.87, 0.82), (0.45, 0.44, 0.47), 0.8),
    ),
    Species.DOG: (
        CoatChance(Pattern.SOLID, BLACK, CHOCOLATE, 1.5),
        CoatChance(Pattern.SOLID, CHOCOLATE, BROWN, 1),
        CoatChance(Pattern.SOLID, CREAM, FAWN, 1.2),
        CoatChance(Pattern.SOLID, GOLD, CREAM, 1.3),
        CoatChance(Pattern.SOLID, RED, ORANGE, 0.8),
        CoatChance(Pattern.SADDLE, (0.78, 0.56, 0.33), BLACK, 2.5),
        CoatChance(Pattern.SADDLE, (0.85, 0.80, 0.72), GREY, 1.2),
        CoatChance(Pattern.TORTOISESHELL, WHITE, BLACK, 1.2),
        CoatChance(Pattern.TORTOISESHELL, WHITE, (0.62, 0.38, 0.20), 1.2),
        CoatChance(Pattern.SPOTS, WHITE, BLACK, 0.8),
        CoatChance(Pattern.BRINDLE, (0.58, 0.40, 0.24), (0.18, 0.13, 0.10), 1),
        CoatChance(Pattern.MERLE, (0.60, 0.62, 0.67), BLACK, 1),
        CoatChance(Pattern.POINTS, FAWN, BLACK, 1),
    ),
    Species.BIRD: (
        CoatChance(Pattern.SPOTS, (0.45, 0.72, 0.25), (0.20, 0.35, 0.15), 1),
        CoatChance(Pattern.SPOTS, (0.35, 0.60, 0.85), (0.15, 0.22, 0.40), 1),
        CoatChance(Pattern.SOLID, (0.93, 0.83, 0.25), WHITE, 1),
    ),
    Species.OTHER: (
        CoatChance(Pattern.SOLID, GREY, SILVER, 1),
        CoatChance(Pattern.SOLID, FAWN, CREAM, 1),
        CoatChance(Pattern.TORTOISESHELL, WHITE, BLACK, 1),
    ),
}
CAT_EYES: tuple[Colour, ...] = (
    (0.80, 0.66, 0.16),
    (0.55, 0.68, 0.25),
    (0.78, 0.45, 0.13),
    (0.36, 0.62, 0.48),
)
DOG_EYES: tuple[Colour, ...] = ((0.34, 0.20, 0.10), (0.24, 0.14, 0.08), (0.50, 0.33, 0.14))


def choose_coat(rng: np.random.Generator, species: Species) -> Coat:
    chances = COATS[species]
    weights = np.array([chance.weight for chance in chances])
    chance = chances[int(rng.choice(len(chances), p=weights / weights.sum()))]
    white = 0.0 if rng.random() < 0.45 else float(rng.uniform(0.2, 0.95))
    pale_below = float(rng.uniform(0, 0.8))
    if chance.pattern is Pattern.POINTS:
        white = min(white, 0.3)
    return Coat(
        pattern=chance.pattern,
        ground=_vary(rng, chance.ground),
        marks=_vary(rng, chance.marks),
        white=0.0 if species is Species.BIRD else white,
        pale_below=0.0 if chance.pattern is Pattern.TORTOISESHELL else pale_below,
        seed=int(rng.integers(2**31)),
    )


def choose_build(rng: np.random.Generator, species: Species) -> Build:
    return _BUILDS[species](rng)


def choose_face(rng: np.random.Generator, species: Species, coat: Coat) -> Face:
    return _FACES[species](rng, coat)


def _vary(rng: np.random.Generator, colour: Colour) -> Colour:
    light = rng.normal(1, 0.07)
    r, g, b = (min(max(c * light + rng.normal(0, 0.012), 0.03), 0.97) for c in colour)
    return (r, g, b)


def _one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _cat_build(rng: np.random.Generator) -> Build:
    plump = rng.uniform(0.9, 1.25)
    long_haired = rng.random() < 0.3
    return Build(
        species=Species.CAT,
        trunk=rng.uniform(0.54, 0.64),
        chest=0.185 * plump,
        hips=0.18 * plump,
        leg=rng.uniform(0.27, 0.35),
        limb=rng.uniform(0.95, 1.15),
        neck=rng.uniform(0.13, 0.18),
        skull=rng.uniform(0.185, 0.215),
        muzzle=rng.uniform(0.16, 0.4),
        muzzle_width=rng.uniform(0.3, 0.36),
        cheeks=rng.uniform(0.5, 0.72),
        ear_size=rng.uniform(0.72, 1.1),
        ear_spread=rng.uniform(0.5, 0.62),
        tail=Tail.BUSHY if long_haired else Tail.LONG,
        tail_length=rng.uniform(0.5, 0.68),
        fluff=rng.uniform(1.6, 2.4) if long_haired else rng.uniform(0.7, 1.2),
    )


def _dog_build(rng: np.random.Generator) -> Build:
    heavy = rng.uniform(0.9, 1.2)
    tail = list(Tail)[int(rng.integers(len(Tail)))]
    return Build(
        species=Species.DOG,
        trunk=rng.uniform(0.54, 0.68),
        chest=0.2 * heavy,
        hips=0.165 * heavy,
        leg=rng.uniform(0.24, 0.46),
        limb=rng.uniform(0.95, 1.3),
        neck=rng.uniform(0.16, 0.26),
        skull=rng.uniform(0.165, 0.2),
        muzzle=rng.uniform(0.3, 0.85),
        muzzle_width=rng.uniform(0.3, 0.4),
        cheeks=rng.uniform(0.45, 0.7),
        ears=list(Ears)[int(rng.integers(len(Ears)))],
        ear_size=rng.uniform(0.65, 1.1),
        ear_spread=rng.uniform(0.52, 0.66),
        tail=tail,
        tail_length=0.28 if tail is Tail.SHORT else rng.uniform(0.45, 0.62),
        fluff=rng.uniform(0.6, 2.2),
    )


def _rabbit_build(rng: np.random.Generator) -> Build:
    return Build(
        species=Species.OTHER,
        trunk=rng.uniform(0.36, 0.42),
        chest=0.17,
        hips=0.21,
        leg=0.16,
        limb=rng.uniform(0.8, 0.95),
        neck=0.1,
        skull=rng.uniform(0.16, 0.18),
        muzzle=rng.uniform(0.25, 0.4),
        muzzle_width=0.3,
        cheeks=rng.uniform(0.5, 0.65),
        ear_size=rng.uniform(1.7, 2.1),
        ear_width=0.55,
        ear_spread=0.32,
        tail=Tail.SHORT,
        tail_length=0.12,
        fluff=rng.uniform(1.0, 1.8),
    )


def _bird_build(rng: np.random.Generator) -> Build:
    size = rng.uniform(0.55, 0.65)
    return Build(
        species=Species.BIRD,
        trunk=size,
        chest=0.14,
        hips=0.12,
        leg=0.1,
        limb=1.0,
        neck=0.1,
        skull=0.2 * size,
        muzzle=0.3,
        muzzle_width=0.3,
        cheeks=0.5,
        ear_size=0.5,
        ear_spread=0.5,
        tail=Tail.LONG,
        tail_length=rng.uniform(0.4, 0.55),
        fluff=0.5,
    )


def _cat_face(rng: np.random.Generator, coat: Coat) -> Face:
    iris = _one_of(rng, CAT_EYES)
    if coat.pattern is Pattern.POINTS or (coat.white > 0.9 and rng.random() < 0.5):
        iris = BLUE_EYES
    pink = coat.white > 0.4 or max(coat.ground) > 0.7
    return Face(
        iris=_vary(rng, iris),
        nose=_vary(rng, PINK if pink else (0.20, 0.14, 0.14)),
        eye_side=rng.uniform(0.41, 0.47),
        eye_up=rng.uniform(0.04, 0.12),
        eye_width=rng.uniform(0.23, 0.275),
        eye_height=rng.uniform(0.19, 0.24),
        slant=rng.uniform(0.05, 0.35),
    )


def _dog_face(rng: np.random.Generator, coat: Coat) -> Face:
    iris = _one_of(rng, DOG_EYES)
    if coat.pattern is Pattern.MERLE or rng.random() < 0.05:
        iris = BLUE_EYES
    return Face(
        iris=_vary(rng, iris),
        nose=_vary(rng, BLACK if rng.random() < 0.85 else (0.36, 0.22, 0.18)),
        eye_side=rng.uniform(0.42, 0.5),
        eye_up=rng.uniform(0.16, 0.24),
        eye_width=rng.uniform(0.17, 0.21),
        eye_height=rng.uniform(0.15, 0.19),
        slant=rng.uniform(0.0, 0.25),
    )


def _small_face(rng: np.random.Generator, coat: Coat) -> Face:
    """Birds and rabbits: dark eyes at the sides."""
    return Face(
        iris=_vary(rng, (0.18, 0.11, 0.08)),
        nose=_vary(rng, (0.85, 0.62, 0.35) if coat.white == 0 else PINK),
        eye_side=0.6,
        eye_up=0.22,
        eye_width=0.19,
        eye_height=0.18,
        slant=0.0,
    )


_BUILDS = {
    Species.CAT: _cat_build,
    Species.DOG: _dog_build,
    Species.BIRD: _bird_build,
    Species.OTHER: _rabbit_build,
}
_FACES = {
    Species.CAT: _cat_face,
    Species.DOG: _dog_face,
    Species.BIRD: _small_face,
    Species.OTHER: _small_face,
}
