"""What a page itself marks as personal, cut out of its texts.

The page names the person who placed the announcement and the house where the pet was lost. Those
fields are never stored, but authors repeat them in titles and descriptions, where general rules
(petdata.scrub) cannot tell Roman from a novel. Here the words are known, so they go in all their
grammatical cases. A pet that shares its owner's name loses it too: privacy comes first.
"""

from __future__ import annotations

import re
from typing import Final

from petdata.scrub import Scrubbed

NAME: Final = "[name]"
ADDRESS: Final = "[address]"

_WORD = re.compile(r"[^\W\d_]+")
_NOT_NAMES = frozenset({"хозяин", "хозяйка", "хозяева", "владелец", "куратор", "волонтер", "нет"})
_LAST_VOWEL = re.compile("[аяыиеуюоьй]$", re.IGNORECASE)
_NAME_ENDING = re.compile("(?:[аяыиеуюоьй]|[оеёа][йюм]|[ыи][мх]|ого|его|ому|ему)?", re.IGNORECASE)

_STREET = (
    r"(?:улиц[аыеу]|ул|просп(?:ект[ауе]?)?|пр-?т|пер(?:еул(?:ок|к[ауе]))?|шоссе|бульвар[ауе]?|б-р|"
    r"площад[ьи]|пл|набережн(?:ая|ой|ую)|наб|проезд[ауе]?|пр-д|тупик[ауе]?|алле[яеию]|лини[яию]|"
    r"тракт[ауе]?|квартал[ауе]?|микрорайон[ауе]?|мкр|мкрн|снт|жк)(?!\w)\.?"
)
_HOUSE = (
    r"(?:[\s,]{0,3}(?:дом|д|корпус|корп|к|строение|стр|с|квартира|кв)?[\s.№]{0,3}"
    r"[0-9]{1,4}(?:/[0-9]{1,4})?[а-яё]?(?![а-яё0-9:]|\.[0-9])"
    r"(?!\s{1,3}(?:январ|феврал|март|апрел|ма[яй]|июн|июл|август|сентяб|октяб|нояб|декаб))){0,3}"
)
_STREET_WORD = re.compile(rf"(?<!\w){_STREET}", re.IGNORECASE)
_ADJECTIVE = re.compile(r"(\w{2,})(?:ая|яя|ий|ый|ой|ое|ее)$", re.IGNORECASE)
# Tidy text has no control characters, so they can mark names of streets: \x01 ... \x02, or
# \x03 ... \x02 for a part that counts only after "ул." or an initial.
_MARKED_STREET = re.compile(
    rf"(?:(?<!\w){_STREET}\s{{0,3}})?\x01[^\x02]*\x02+(?:\s{{1,3}}{_STREET})?{_HOUSE}"
    rf"|(?<!\w)(?:{_STREET}\s{{0,3}}(?:\w\.\s{{0,3}}){{0,2}}|\w\.\s{{0,3}})"
    rf"\x03[^\x02]*\x02+{_HOUSE}",
    re.IGNORECASE,
)


def redact(text: str, *, person: str | None, address: str | None) -> Scrubbed:
    """Tidy `text` without the person's names and the streets of the address, both counted."""
    text, streets = _without_streets(text, (address or "")[:500])
    text, names = _without_names(text, (person or "")[:200])
    counts = {"address": streets, "name": names}
    return Scrubbed(text, {kind: count for kind, count in counts.items() if count})


def _without_names(text: str, person: str) -> tuple[str, int]:
    stems = [
        _literal(_LAST_VOWEL.sub("", word))
        for word in _WORD.findall(person)[:6]
        if len(word) >= 3 and word.casefold().replace("ё", "е") not in _NOT_NAMES
    ]
    if not stems:
        return text, 0
    found = 0

    def cut(match: re.Match[str]) -> str:
        nonlocal found
        if not _NAME_ENDING.fullmatch(match[1]):
            return match[0]
        found += 1
        return NAME

    return _words(stems, r"(\w{0,3})").sub(cut, text), found


def _without_streets(text: str, address: str) -> tuple[str, int]:
    """Streets of "улица Ивана Попова, 6 с1, Москва" in any case, as ул. Попова and as И. Попова.

    The number of the house goes with the street that it follows.
    """
    for street in address.split(",")[:12]:
        words = _STREET_WORD.sub(" ", street).split()[:6]
        # of "8-й микрорайон" a number is left, which means nothing by itself
        if not _STREET_WORD.search(street) or not any(map(_is_name, words)):
            continue
        full = r"\s{1,3}".join(
            _literal(adjective[1]) + r"\w{2,3}"
            if (adjective := _ADJECTIVE.match(word))
            else _literal(word)
            for word in words
        )
        alone = "\x03" if words[0].isdigit() else "\x01"  # улица 8 Марта is a date as well
        text = _words([full]).sub(alone + "\\g<0>\x02", text)
        if len(words) > 1 and _is_name(words[-1]):
            text = _words([_literal(words[-1])]).sub("\x03\\g<0>\x02", text)
    text, found = _MARKED_STREET.subn(ADDRESS, text)
    return re.sub("[\x01\x02\x03]", "", text), found


def _is_name(word: str) -> bool:
    return len(word) >= 3 and word.isalpha()


def _words(alternatives: list[str], ending: str = "") -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)}){ending}(?!\w)", re.IGNORECASE)


def _literal(word: str) -> str:
    """`word` for a pattern; е and ё count as the same letter."""
    return re.sub("[её]", "[её]", re.escape(word), flags=re.IGNORECASE)
