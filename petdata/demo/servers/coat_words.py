"""A drawn coat in Russian, as an owner would put it."""

from __future__ import annotations

from typing import Final

from petdata.demo.drawing import identities
from petdata.demo.drawing.coats import Coat, Colour, Pattern

COLOURS: Final[dict[str, Colour]] = {
    "чёрный": identities.BLACK,
    "серый": identities.GREY,
    "светло-серый": identities.SILVER,
    "рыжий": identities.ORANGE,
    "кремовый": identities.CREAM,
    "палевый": identities.FAWN,
    "золотистый": identities.GOLD,
    "коричневый": identities.BROWN,
    "шоколадный": identities.CHOCOLATE,
    "белый": identities.WHITE,
    "жёлтый": (0.93, 0.83, 0.25),
    "зелёный": (0.45, 0.72, 0.25),
    "голубой": (0.35, 0.60, 0.85),
}
PATTERNS: Final = {
    Pattern.TABBY: "полосатый",
    Pattern.SPOTS: "в пятнышко",
    Pattern.POINTS: "с тёмной мордой и лапами",
    Pattern.SADDLE: "чепрачный",
    Pattern.BRINDLE: "тигровый",
    Pattern.MERLE: "мраморный",
}


def describe_coat(coat: Coat) -> str:
    ground, marks = _name(coat.ground), _name(coat.marks)
    if coat.white > 0.92:
        return f"почти белый, {ground} на спине"
    white = ", с белым" if coat.white > 0.25 else ""
    if coat.pattern is Pattern.SOLID:
        return ground + white
    if coat.pattern is Pattern.TORTOISESHELL:
        if ground != "белый" and white:
            return f"трёхцветный ({ground}, {marks}, белый)"
        return f"пятнистый: {ground}, {marks}{white}"
    return f"{ground}, {PATTERNS[coat.pattern]}{white}"


def _name(colour: Colour) -> str:
    def distance(name: str) -> float:
        return sum((a - b) ** 2 for a, b in zip(COLOURS[name], colour, strict=True))

    return min(COLOURS, key=distance)
