"""Backgrounds: rooms, sofas, lawns, streets, snow. Drawn small and enlarged, as if out of focus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from petdata.demo.drawing.solids import Floats

RGB = tuple[int, int, int]
SMALL = 6  # a scene is drawn at 1/SMALL of the photo's size, then enlarged


Light = tuple[float, float, float]  # factors on red, green, blue


@dataclass(frozen=True, slots=True)
class Scene:
    draw: Callable[[_Stage], None]
    light: Light
    grain: float  # sensor noise at most, 1 is very noisy


@dataclass(slots=True)
class _Stage:
    """A small picture with a floor below `horizon`."""

    image: Image.Image
    pen: ImageDraw.ImageDraw
    rng: np.random.Generator
    horizon: float  # row where wall and floor meet; may lie above the picture

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


@dataclass(frozen=True, slots=True)
class Shadow:
    """Ellipses on the ground round `points` (N, 2), all in pixels of the photo."""

    points: Floats
    half_width: float
    half_height: float


def draw_scene(
    scene: Scene, size: tuple[int, int], horizon: float, shadow: Shadow, rng: np.random.Generator
) -> Image.Image:
    """`horizon` is a share of the height, from the top."""
    width, height = size[0] // SMALL + 1, size[1] // SMALL + 1
    image = Image.new("RGB", (width, height))
    stage = _Stage(image, ImageDraw.Draw(image, "RGBA"), rng, min(horizon, 0.96) * height)
    scene.draw(stage)
    blurred = stage.image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.6, 1.6))))
    return _cast(blurred, shadow).resize(size, Image.Resampling.BICUBIC)


def _cast(image: Image.Image, shadow: Shadow) -> Image.Image:
    shade = Image.new("L", image.size, 255)
    pen = ImageDraw.Draw(shade)
    rx, ry = shadow.half_width / SMALL, shadow.half_height / SMALL
    for x, y in (shadow.points / SMALL).tolist():
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=96)
    shade = shade.filter(ImageFilter.GaussianBlur(max(ry * 0.6, 0.8)))
    return Image.composite(image, Image.new("RGB", image.size, (18, 14, 12)), shade)


def _tint(rng: np.random.Generator, colour: RGB, spread: float = 14) -> RGB:
    r, g, b = np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return (r, g, b)


def _pick(rng: np.random.Generator, colours: tuple[RGB, ...]) -> RGB:
    return _tint(rng, colours[int(rng.integers(len(colours)))])


def _darker(colour: RGB, factor: float) -> RGB:
    r, g, b = (int(min(255, c * factor)) for c in colour)
    return (r, g, b)


def _wash(stage: _Stage, top: RGB, bottom: RGB, rows: tuple[float, float]) -> None:
    """A vertical gradient over whole rows."""
    start, stop = int(max(rows[0], 0)), int(min(rows[1], stage.height))
    if stop <= start:
        return
    t = np.linspace(0, 1, stop - start)[:, None, None]
    colours = (np.array(top) * (1 - t) + np.array(bottom) * t).repeat(stage.width, axis=1)
    stage.image.paste(Image.fromarray(colours.astype(np.uint8)), (0, start))


def _grain(stage: _Stage, strength: float, rows: tuple[float, float], stretch: int = 1) -> None:
    """Mottles the rows; `stretch` draws the grain out sideways."""
    start, stop = int(max(rows[0], 0)), int(min(rows[1], stage.height))
    if stop <= start:
        return
    shape = (stop - start, stage.width // stretch + 1)
    noise = stage.rng.normal(0, strength, shape).repeat(stretch, axis=1)[:, : stage.width, None]
    box = (0, start, stage.width, stop)
    rough = np.asarray(stage.image.crop(box), dtype=np.float32) + noise
    stage.image.paste(Image.fromarray(np.clip(rough, 0, 255).astype(np.uint8)), box[:2])


def _planks(stage: _Stage, colour: RGB) -> None:
    """A wooden floor whose boards run to a vanishing point."""
    w, h, top = stage.width, stage.height, stage.horizon
    _wash(stage, _darker(colour, 0.85), _darker(colour, 1.1), (top, h))
    vanishing = (w * stage.rng.uniform(0.2, 0.8), top - h * 0.5)
    step = w * stage.rng.uniform(0.1, 0.18)
    for x in np.arange(-2 * w, 3 * w, step):
        edge = x + step * 0.9
        shade = int(stage.rng.integers(-18, 18))
        fill = (0, 0, 0, -shade * 3) if shade < 0 else (255, 255, 255, shade * 2)
        at_top = [
            vanishing[0] + (p - vanishing[0]) * (top - vanishing[1]) / (h - vanishing[1])
            for p in (x, edge)
        ]
        stage.pen.polygon([(at_top[0], top), (at_top[1], top), (edge, h), (x, h)], fill=fill)
        stage.pen.line([(at_top[0], top), (x, h)], fill=(40, 25, 15, 110))


def _tiles(stage: _Stage, colour: RGB) -> None:
    w, h, top = stage.width, stage.height, stage.horizon
    _wash(stage, _darker(colour, 0.9), colour, (top, h))
    depth = max(h - top, 1)
    for k in range(1, 12):
        row = top + depth * (1 - 1 / (1 + 0.22 * k)) * 1.6
        stage.pen.line([(0, row), (w, row)], fill=(60, 60, 60, 90))
    vanishing = w * stage.rng.uniform(0.3, 0.7)
    for x in np.arange(-2 * w, 3 * w, w * 0.22):
        stage.pen.line([(vanishing + (x - vanishing) * 0.45, top), (x, h)], fill=(60, 60, 60, 90))


def _carpet(stage: _Stage, colour: RGB) -> None:
    """A rug with a border and diamonds."""
    w, h, top = stage.width, stage.height, stage.horizon
    _wash(stage, _darker(colour, 0.8), colour, (top, h))
    accent = _pick(stage.rng, ((205, 180, 130), (60, 50, 80), (230, 220, 200), (40, 70, 60)))
    rows = max(int((h - top) / 9), 1)
    for r in range(rows + 1):
        y = top + (h - top) * (r + 0.5) / rows
        size = 2 + 3 * r / rows
        for x in np.arange((r % 2) * 6, w + 12, 12 + size):
            diamond = [(x, y - size), (x + size, y), (x, y + size), (x - size, y)]
            stage.pen.polygon(diamond, fill=(*accent, 150))
    _grain(stage, 7, (top, h))


def _room(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    wall = _pick(rng, ((214, 202, 180), (190, 205, 210), (205, 190, 200), (185, 200, 175)))
    _wash(stage, wall, _darker(wall, 0.86), (0, top))
    if rng.random() < 0.45:  # striped wallpaper
        for x in np.arange(0, w, w / 16):
            stage.pen.rectangle((x, 0, x + w / 40, top), fill=(*_darker(wall, 0.9), 120))
    if rng.random() < 0.5:
        _window(stage)
    if rng.random() < 0.6:
        _cupboard(stage)
    floor = _pick(rng, ((168, 120, 76), (140, 95, 60), (190, 160, 120), (120, 100, 90)))
    draw_floor = (_planks, _planks, _tiles, _carpet)[int(rng.integers(4))]
    draw_floor(stage, floor)
    stage.pen.rectangle((0, top - h * 0.03, w, top), fill=_darker(wall, 1.12))
    stage.pen.line([(0, top), (w, top)], fill=(30, 20, 15, 160), width=1)


def _window(stage: _Stage) -> None:
    rng, w, h = stage.rng, stage.width, stage.height
    x, width = w * rng.uniform(0.0, 0.7), w * rng.uniform(0.2, 0.35)
    y0, y1 = -h * 0.1, min(stage.horizon - h * 0.15, h * 0.4)
    if y1 < y0 + 4:
        return
    stage.pen.rectangle((x, y0, x + width, y1), fill=(225, 236, 245))
    stage.pen.rectangle((x, y0, x + width, y1), outline=(245, 245, 242), width=3)
    stage.pen.line([(x + width / 2, y0), (x + width / 2, y1)], fill=(245, 245, 242), width=2)
    curtain = _pick(rng, ((190, 80, 70), (90, 120, 140), (200, 180, 120), (150, 130, 160)))
    for edge in (x - width * 0.2, x + width * 0.95):
        stage.pen.rectangle((edge, y0, edge + width * 0.22, y1 + h * 0.12), fill=(*curtain, 235))


def _cupboard(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    wood = _pick(rng, ((110, 75, 50), (225, 222, 215), (160, 120, 80), (70, 60, 60)))
    x, width = w * rng.uniform(-0.1, 0.8), w * rng.uniform(0.22, 0.4)
    y = top - h * rng.uniform(0.25, 0.7)
    stage.pen.rectangle((x, y, x + width, top), fill=wood)
    for k in (1, 2, 3):
        row = y + (top - y) * k / 4
        stage.pen.line([(x, row), (x + width, row)], fill=_darker(wood, 0.7))
        stage.pen.ellipse(
            (x + width / 2 - 1, row - 5, x + width / 2 + 1, row - 3), fill=_darker(wood, 0.55)
        )


def _sofa(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    wall = _pick(rng, ((220, 210, 195), (200, 205, 200), (190, 180, 190)))
    cloth = _pick(rng, ((120, 60, 55), (70, 90, 120), (150, 130, 100), (95, 100, 90), (90, 70, 95)))
    _wash(stage, wall, _darker(wall, 0.9), (0, h))
    back = top - h * rng.uniform(0.32, 0.5)
    stage.pen.rounded_rectangle((-4, back, w + 4, h), radius=6, fill=cloth)
    seams = np.arange(w * rng.uniform(0.05, 0.25), w * 1.1, w * 0.42)
    for x in seams:
        stage.pen.line([(x, back + 1), (x, top)], fill=(*_darker(cloth, 0.6), 200), width=1)
    _wash(stage, _darker(cloth, 1.22), _darker(cloth, 0.95), (top, h))
    stage.pen.rectangle((0, top - 1, w, top + 1), fill=(*_darker(cloth, 0.5), 200))
    if rng.random() < 0.6:
        pillow = _pick(rng, ((230, 220, 200), (220, 160, 60), (120, 150, 140), (180, 90, 100)))
        x, side = w * rng.uniform(0, 0.75), h * rng.uniform(0.22, 0.32)
        stage.pen.rounded_rectangle((x, top - side, x + side * 1.1, top + 2), 5, fill=pillow)
        stage.pen.rounded_rectangle(
            (x, top - side, x + side * 1.1, top + 2), 5, outline=_darker(pillow, 0.75)
        )
    _grain(stage, 5, (back, h))


def _trees(stage: _Stage, leaves: tuple[RGB, ...]) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    for _ in range(int(rng.integers(8, 22))):
        x, y = rng.uniform(0, w), top - rng.uniform(0.0, 0.5) * h
        r = rng.uniform(0.06, 0.16) * h
        stage.pen.ellipse((x - r, y - r, x + r, y + r * 0.8), fill=(*_pick(rng, leaves), 230))
    for _ in range(int(rng.integers(0, 4))):
        x, width = rng.uniform(0, w), rng.uniform(2, 5)
        stage.pen.rectangle((x, 0, x + width, top + 2), fill=_tint(rng, (80, 65, 52), 8))


def _grass(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    _wash(stage, (185, 212, 238), (222, 232, 235), (0, max(top, 1)))
    _trees(stage, ((70, 105, 50), (95, 130, 60), (55, 85, 50), (120, 140, 70)))
    lawn = _pick(rng, ((104, 140, 62), (125, 150, 70), (88, 125, 58), (150, 150, 85)))
    _wash(stage, _darker(lawn, 0.8), _darker(lawn, 1.05), (top, h))
    _grain(stage, 13, (top, h))
    for _ in range(260):
        y = top + (h - top) * rng.random() ** 0.7
        x, tall = rng.uniform(0, w), 1 + 5 * (y - top) / max(h - top, 1)
        blade = _darker(lawn, rng.uniform(0.65, 1.3))
        stage.pen.line([(x, y), (x + rng.normal(0, 1), y - tall)], fill=(*blade, 190))
    for _ in range(int(rng.integers(0, 25))):
        x, y = rng.uniform(0, w), rng.uniform(max(top, 0), h)
        stage.pen.point((x, y), fill=(245, 225, 120) if rng.random() < 0.5 else (245, 245, 245))


def _street(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    wall = _pick(rng, ((190, 175, 150), (160, 100, 80), (170, 175, 180), (205, 195, 170)))
    _wash(stage, wall, _darker(wall, 0.85), (0, top))
    for x in np.arange(w * rng.uniform(-0.1, 0.1), w, w * 0.27):
        for y in (-h * 0.12, h * 0.2):
            if y + h * 0.2 < top - 4:
                stage.pen.rectangle((x, y, x + w * 0.13, y + h * 0.2), fill=(70, 82, 95))
                stage.pen.rectangle((x, y, x + w * 0.13, y + h * 0.2), outline=(225, 222, 215))
    if rng.random() < 0.5:
        _car(stage)
    if rng.random() < 0.5:
        _trees(stage, ((70, 95, 50), (90, 110, 60), (130, 120, 60)))
    asphalt = _pick(rng, ((128, 128, 130), (150, 146, 140), (110, 112, 118)))
    draw_floor = _tiles if rng.random() < 0.5 else None
    if draw_floor:
        draw_floor(stage, asphalt)
    else:
        _wash(stage, _darker(asphalt, 0.9), asphalt, (top, h))
    stage.pen.rectangle((0, top - 2, w, top + 1), fill=(190, 188, 182))
    _grain(stage, 9, (top, h))


def _car(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    paint = _pick(rng, ((150, 30, 30), (40, 60, 110), (210, 210, 210), (50, 55, 55)))
    x, long, tall = w * rng.uniform(-0.2, 0.6), w * 0.55, h * 0.24
    stage.pen.rounded_rectangle((x, top - tall * 0.62, x + long, top - 1), 4, fill=paint)
    stage.pen.polygon(
        [
            (x + long * 0.2, top - tall * 0.6),
            (x + long * 0.32, top - tall),
            (x + long * 0.7, top - tall),
            (x + long * 0.84, top - tall * 0.6),
        ],
        fill=(90, 105, 115),
    )
    for share in (0.2, 0.78):
        cx, r = x + long * share, tall * 0.2
        stage.pen.ellipse((cx - r, top - r * 1.6, cx + r, top + r * 0.4), fill=(25, 25, 25))


def _snow(stage: _Stage) -> None:
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    _wash(stage, (190, 200, 212), (215, 220, 226), (0, max(top, 1)))
    for _ in range(int(rng.integers(3, 9))):
        x, width = rng.uniform(0, w), rng.uniform(1, 4)
        stage.pen.rectangle((x, 0, x + width, top), fill=_tint(rng, (88, 80, 76), 8))
    _wash(stage, (222, 228, 236), (240, 243, 248), (top, h))
    for _ in range(40):
        x, y, r = rng.uniform(0, w), rng.uniform(max(top, 0), h), rng.uniform(1, 6)
        stage.pen.ellipse((x - 2 * r, y - r / 2, x + 2 * r, y + r / 2), fill=(200, 208, 222, 60))
    _grain(stage, 4, (top, h))


def _stairwell(stage: _Stage) -> None:
    """The two-coloured walls and the concrete of an apartment block's entrance."""
    rng, w, h, top = stage.rng, stage.width, stage.height, stage.horizon
    paint = _pick(rng, ((95, 140, 125), (100, 125, 155), (150, 140, 110)))
    _wash(stage, (226, 224, 216), (210, 208, 200), (0, top - h * 0.2))
    _wash(stage, paint, _darker(paint, 0.85), (top - h * 0.2, top))
    for k in range(3):
        x = w * (rng.uniform(0, 1) + 0.05 * k)
        stage.pen.line([(x, top - h * 0.45), (x + w * 0.02, top)], fill=(70, 70, 72), width=1)
    concrete = _tint(rng, (150, 147, 142), 8)
    _wash(stage, _darker(concrete, 0.8), concrete, (top, h))
    _grain(stage, 10, (top, h))


SCENES: dict[str, Scene] = {
    "room": Scene(_room, (1.06, 1.0, 0.9), 0.65),
    "sofa": Scene(_sofa, (1.08, 1.0, 0.88), 0.65),
    "grass": Scene(_grass, (1.03, 1.02, 0.96), 0.35),
    "street": Scene(_street, (0.98, 1.0, 1.04), 0.35),
    "snow": Scene(_snow, (0.96, 1.0, 1.08), 0.35),
    "stairwell": Scene(_stairwell, (1.02, 1.0, 0.92), 0.65),
}
