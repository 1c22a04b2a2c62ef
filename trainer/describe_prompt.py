"""What a model is asked of one photo, and which answers count. The version goes with every text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Language = Literal["en", "ru"]

FIELDS: Final = ("species", "breed", "age_class", "coat", "marks")
SPECIES: Final = ("cat", "dog", "other", "none")
AGE_CLASSES: Final = ("baby", "young", "adult", "old", "unknown")
MAX_CHARACTERS: Final[Mapping[str, int]] = {"breed": 60, "coat": 200, "marks": 200}
MAX_ANSWER_TOKENS: Final = 300

_LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "ru": "Russian"}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"baby": "baby", "young": "young", "adult": "adult", "old": "old"},
    "ru": {
        **{"cat": "кошка", "dog": "собака", "other": "другое животное"},
        **{"baby": "детёныш", "young": "молодое", "adult": "взрослое", "old": "старое"},
    },
}

# A changed prompt is a new version beside the old ones: texts of two are never in one table.
PROMPTS: Final[Mapping[str, str]] = {
    "1": (
        "Look at the main animal in this photo and answer with one JSON object, nothing else:\n"
        '{{"species": ..., "breed": ..., "age_class": ..., "coat": ..., "marks": ...}}\n'
        f"species: one of {', '.join(SPECIES)}; none if there is no animal.\n"
        f"age_class: one of {', '.join(AGE_CLASSES)}.\n"
        "breed: in {language}, at most {breed} characters, empty if unsure.\n"
        "coat: colours, pattern and length of the fur, in {language}, at most {coat} characters.\n"
        "marks: what tells this animal from others (spots, scars, ears, eyes, tail), in "
        "{language}, at most {marks} characters, empty if there are none.\n"
        "Describe only what can be seen on the animal. Leave out people, places, names, collars "
        "with writing, and any text in the photo."
    )
}
NEWEST: Final = "1"

_FENCE: Final = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)
_CYRILLIC: Final = re.compile("[а-яё]", re.IGNORECASE)


class BadAnswer(Exception):
    """The model's answer is not what was asked for; the message has no word of the answer."""


class NoAnimal(Exception):
    """The model sees none."""


@dataclass(frozen=True, kw_only=True)
class Description:
    text: str
    fields: Mapping[str, str | None]


def prompt(language: Language, version: str = NEWEST) -> str:
    return PROMPTS[version].format(language=_LANGUAGES[language], **MAX_CHARACTERS)


def understand(answer: str, language: Language) -> Description:
    """Raises BadAnswer, and NoAnimal."""
    said = _parse(answer)
    fields = {name: _one_line(name, said[name]) for name in FIELDS}
    for name, words in (("species", SPECIES), ("age_class", AGE_CLASSES)):
        if fields[name] not in words:
            raise BadAnswer(f"{name} is not one of {', '.join(words)}")
    if fields["species"] == "none":
        raise NoAnimal("the model sees no animal")
    for name, most in MAX_CHARACTERS.items():
        if len(fields[name]) > most:
            raise BadAnswer(f"{name} is longer than {most} characters")
    if not fields["coat"]:
        raise BadAnswer("coat is empty")
    if bool(_CYRILLIC.search(fields["coat"])) != (language == "ru"):
        raise BadAnswer(f"coat is not in {_LANGUAGES[language]}")
    kept = {name: value or None for name, value in fields.items()}
    if kept["age_class"] == "unknown":
        kept["age_class"] = None
    return Description(text=_sentence(kept, language), fields=kept)


def _parse(answer: str) -> dict[str, Any]:
    fenced = _FENCE.match(answer.strip())
    try:
        said = json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("it is not one JSON object") from error
    if not isinstance(said, dict):
        raise BadAnswer("it is not one JSON object")
    if lacking := [name for name in FIELDS if name not in said]:
        raise BadAnswer(f"{', '.join(lacking)} are not there")
    if len(said) > len(FIELDS):
        raise BadAnswer(f"it has fields beside {', '.join(FIELDS)}")
    return said


def _one_line(name: str, value: Any) -> str:
    from petdata.scrub import scrub  # takes 0.1 s, which --help need not wait for

    if not isinstance(value, str):
        raise BadAnswer(f"{name} is not a string")
    line = " ".join(value.split())
    if not line.isprintable():
        raise BadAnswer(f"{name} has control characters")
    return scrub(line).text if name in MAX_CHARACTERS else line


def _sentence(fields: Mapping[str, str | None], language: Language) -> str:
    """The fields in their order, so that two texts differ only where what was seen does."""
    words = _WORDS[language]
    head = [
        words.get(value, value) if name in ("species", "age_class") else value
        for name in ("species", "breed", "age_class")
        if (value := fields[name])
    ]
    parts = [", ".join(head), *(fields[name] for name in ("coat", "marks"))]
    return ". ".join(part.rstrip(".") for part in parts if part) + "."
