"""Runs of digits in a text, however they are grouped or spelled.

A text is cut into atoms (a group of digits, or a number in words) and the gaps between them. Atoms
whose gaps may stand inside one number form a chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from petdata.scrub_rules.marks import MARKS, one_of

_WORDS_OF_DIGITS: Final = {
    "0": "ноль нуль zero",
    "1": "один одна одиножды one",
    "2": "два две two",
    "3": "три three",
    "4": "четыре four",
    "5": "пять five",
    "6": "шесть six",
    "7": "семь сем seven",
    "8": "восемь восем eight",
    "9": "девять девять nine",
    "10": "десять ten",
    "11": "одиннадцать одинадцать",
    "12": "двенадцать двенадцат",
    "13": "тринадцать",
    "14": "четырнадцать",
    "15": "пятнадцать",
    "16": "шестнадцать",
    "17": "семнадцать",
    "18": "восемнадцать",
    "19": "девятнадцать",
    "20": "двадцать",
    "30": "тридцать",
    "40": "сорок",
    "50": "пятьдесят пятдесят",
    "60": "шестьдесят шесдесят",
    "70": "семьдесят семдесят",
    "80": "восемьдесят восемдесят",
    "90": "девяносто",
    "100": "сто",
    "200": "двести",
    "300": "триста",
    "400": "четыреста",
    "500": "пятьсот",
    "600": "шестьсот",
    "700": "семьсот",
    "800": "восемьсот",
    "900": "девятьсот девятсот",
}
_VALUES = {word: value for value, words in _WORDS_OF_DIGITS.items() for word in words.split()}
_FEW: Final = frozenset("23456")
_ZEROS: Final = frozenset({"нуля", "ноля", "нулей", "нолей", "нулика", "нолика"})  # "три нуля"
_SIMILAR: Final = str.maketrans("oозli", "00311")  # letters written for digits
_TOKEN = re.compile(
    r"(?P<digits>(?:[0-9]|(?<![^\W\d_])[oоз]{1,7}[0-9])"
    r"(?:[0-9oоli]|з(?![а-жи-нп-яa-np-z]))*+)|[^\W\d_]+|\+"
)
_FILLER: Final = one_of(
    """затем потом далее дальше дале и еще после следом тире дефис пробел черта черточка скобка код
    номер плюс снова опять then and dash"""
)
_GAP = re.compile(
    rf"[^\w\n{MARKS}]{{0,8}}+(?:\n?{_FILLER}(?!\w)[^\w\n{MARKS}]{{0,6}}+){{0,2}}"
    r"|[ .-]{0,2}\n[ .-]{0,2}|_{1,2}"
)
_LONGEST_GAP: Final = 24  # characters
_MOST_ATOMS: Final = 20  # a phone in single digits with its extension has fewer


class Atom(NamedTuple):
    start: int
    end: int
    digits: str
    plus: bool  # "+" or "плюс" stands before it, and `start` is there
    spelled: bool


Chain = Sequence[Atom]


def chains(plain: str) -> Iterator[Chain]:
    """For each atom of `plain` (lower case) the chain that begins with it."""
    atoms = _atoms(plain)
    # joined[i]: whether atoms i and i + 1 may belong to one number
    joined = [
        two.start <= one.end + _LONGEST_GAP
        and _GAP.fullmatch(plain, one.end, two.start) is not None
        for one, two in pairwise(atoms)
    ]
    ends = [len(atoms)] * len(atoms)
    for index in reversed(range(len(joined))):
        ends[index] = ends[index + 1] if joined[index] else index + 1
    for index, end in enumerate(ends):
        yield atoms[index : min(end, index + _MOST_ATOMS)]


def _atoms(plain: str) -> list[Atom]:
    atoms: list[Atom] = []
    plus: tuple[int, int] | None = None
    for match in _TOKEN.finditer(plain):
        token = match[0]
        start, end = match.span()
        if token in ("+", "плюс"):
            plus = match.span()
            continue
        if plus is not None and plain[plus[1] : start].strip(" (") == "" and start <= plus[1] + 2:
            start = plus[0]
        else:
            plus = None
        if match["digits"]:
            atoms.append(Atom(start, end, token.translate(_SIMILAR), plus is not None, False))
        elif token in _VALUES:
            atoms.append(Atom(start, end, _VALUES[token], plus is not None, True))
        elif token in _ZEROS and atoms and atoms[-1].digits in _FEW:  # "три нуля"
            times = atoms.pop()
            atoms.append(times._replace(end=end, digits="0" * int(times.digits), spelled=True))
        elif len(token) <= 7 and not token.strip("oоз"):  # letters alone: ООО
            atoms.append(Atom(start, end, token.translate(_SIMILAR), plus is not None, False))
        plus = None
    return atoms


def prefixes(chain: Chain, longest: int) -> Iterator[tuple[str, int, list[str]]]:
    """Numbers that the chain may begin with: digits, atoms taken, groups; shortest first."""
    digits = ""
    groups: list[str] = []
    for group, taken in _composed(chain):
        digits += group
        groups.append(group)
        if len(digits) > longest:
            return
        yield digits, taken, groups


def _composed(chain: Chain) -> list[tuple[str, int]]:
    """Groups of digits with the number of atoms up to the end of each.

    Number words are composed as they are spoken: "девятьсот двадцать два" is one group, 922.
    """
    groups: list[tuple[str, int]] = []
    previous = ""  # the last word, if a smaller number may go on with it
    for taken, atom in enumerate(chain, start=1):
        digits = atom.digits
        room = len(previous) - len(previous.rstrip("0"))  # zeros at the end of the last word
        if (
            atom.spelled
            and digits.strip("0")
            and len(digits) <= room
            and atom.start <= chain[taken - 2].end + 2
        ):
            groups[-1] = (groups[-1][0][: -len(digits)] + digits, taken)
            previous = digits if len(digits) == 2 and digits[0] != "1" else ""
        else:
            groups.append((digits, taken))
            goes_on = atom.spelled and len(digits) > 1 and digits[0] != "0" and digits != "10"
            previous = digits if goes_on else ""
    return groups


def gaps(plain: str, chain: Chain) -> list[str]:
    """What stands between the atoms."""
    return [plain[one.end : two.start] for one, two in pairwise(chain)]
