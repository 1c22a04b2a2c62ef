"""Personal data out of text: typed placeholders in its place, counted per kind.

Rules read a plain view of the text: compatibility letters and digits (fullwidth, circled, Arabic,
keycap) as ordinary ones, every dash as "-", every blank as " ", ё as е, invisible characters and
accents left out. Placeholders go into the text itself, of which nothing else changes except that
it is composed (Unicode NFC) if it was not. A placeholder that stands in the text already stays.
Texts never appear in errors or logs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from petdata.scrub_rules import addresses, emails, handles, links, names, numbers, tattoos
from petdata.scrub_rules.marks import MARK_OF, Rule, Span

# In this order: a link may hold a phone, an e-mail address an @name; names stand beside contacts.
RULES: Final[tuple[Rule, ...]] = (
    links.open_links,
    emails.emails,
    links.bare_links,
    handles.handles,
    numbers.long_numbers,
    tattoos.tattoos,
    addresses.houses,
    names.names,
)
_PLACEHOLDER = re.compile(rf"\[({'|'.join(MARK_OF)})\]")
_ORDINARY = re.compile(r"[ -~А-Яа-яЁё\n\t№«»…]*+")


@dataclass(frozen=True, slots=True)
class Scrubbed:
    text: str
    counts: Mapping[str, int] = field(default_factory=dict)


def scrub(text: str) -> Scrubbed:
    """`text` with `[phone]`, `[name]`, ... for personal data; scrubbing again changes nothing."""
    text = unicodedata.normalize("NFC", text)
    spans = find_personal_data(text)
    return Scrubbed(_replace(text, spans), dict(Counter(kind for _, _, kind in spans)))


def find_personal_data(text: str) -> list[Span]:
    """Spans of `text` (in NFC) to replace, sorted and disjoint."""
    plain, origin = _plain(text)
    placeholders = [(*found.span(), found[1]) for found in _PLACEHOLDER.finditer(plain)]
    plain, origin = _hide(plain, origin, placeholders)
    spans: list[Span] = []
    found_before = -1
    # A hidden number brings a cue within reach of the next one, so on to a fixed point: a second
    # scrubbing begins where this one ends, and finds nothing.
    while len(spans) > found_before:
        found_before = len(spans)
        for rule in RULES:
            if found := list(rule(plain)):
                spans += [(origin[start], origin[end], kind) for start, end, kind in found]
                plain, origin = _hide(plain, origin, found)
    return sorted(spans)


def _hide(plain: str, origin: Sequence[int], spans: list[Span]) -> tuple[str, Sequence[int]]:
    """One mark in place of each span; `origin` still leads from `plain` into the text."""
    if not spans:
        return plain, origin
    characters: list[str] = []
    indices: list[int] = []
    after = 0
    for start, end, kind in spans:
        characters += [plain[after:start], MARK_OF[kind]]
        indices += origin[after : start + 1]
        after = end
    return "".join([*characters, plain[after:]]), [*indices, *origin[after:]]


def _replace(text: str, spans: list[Span]) -> str:
    parts = []
    after = 0
    for start, end, kind in spans:
        parts += [text[after:start], f"[{kind}]"]
        after = end
    return "".join([*parts, text[after:]])


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """What rules read, and for each of its characters (and its end) the index in `text`."""
    if _ORDINARY.fullmatch(text):
        return text.replace("ё", "е").replace("Ё", "Е"), range(len(text) + 1)
    characters = [_plain_character(character) for character in text]
    plain = "".join(characters)
    if len(plain) == len(text):
        return plain, range(len(text) + 1)
    origin = [index for index, character in enumerate(characters) if character]
    return plain, [*origin, len(text)]


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    """One character as rules see it, or "" where it is invisible."""
    if character in "\n\t ":
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me"):
        return ""
    if category in (
        "Co",
        "Cc",
        "Cs",
        "Cn",
    ):  # among them our own marks, which a text must not forge
        return "\n" if character in "\r\v\f\x85" else "\ufffd"
    if category == "Pd" or character in "−⁃¯":
        return "-"
    if category.startswith("Z"):
        return "\n" if category in ("Zl", "Zp") else " "
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    if character in "ёЁ":
        return "е" if character == "ё" else "Е"
    compatible = unicodedata.normalize("NFKC", character)
    return {"。": ".", "․": ".", "İ": "I"}.get(
        character, compatible if len(compatible) == 1 else character
    )
