"""Patterns of keywords.toml as regular expressions.

A pattern is words, whole from boundary to boundary:

    кошк*               an asterisk ends a word: any ending, or none
    кот(а|у|ом)?        one of several; a question mark: it may be missing
    мейн-кун*           a hyphen: together, with a hyphen or with a space
    в добрые руки       a space: blanks, commas, emoji, but not the end of a sentence or line
    нашли ... пропал*   up to five words of the same sentence between
    ^сбор               a caret: at the beginning of a line
    # лет               a number
    дома!               with its exclamation mark
    боится {animals}    what the name stands for

It is all that the language has, so that no pattern takes long on any text: what repeats without
bound (an ending) gives nothing back, and what may go one way or the other is limited in number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

MOST_FORMS: Final = 5_000  # ways to read one pattern
MOST_LETTERS: Final = 400
WORDS_BETWEEN: Final = 5

# Not possessive where a word may follow that is optional: eight characters at most to give back.
GAP: Final = r"[^\w.!?\n]{1,8}"
_TOKEN = re.compile(
    r"(?P<between>\s+\.\.\.\s+)|(?P<gap>\s+)(?P<maybe>\?)?|(?P<ending>\*)(?P<amid>\w)?|(?P<name>\{\w+\})|(?P<letter>[\w'])|(?P<sign>[(|)?!^#-])"
)
_LINE: Final = r"(?m:^)[^\w\n]*+"  # its beginning, whatever bullets and emoji stand there
_MEANING: Final = {
    "(": "(?:",
    "|": "|",
    ")": ")",
    "?": "?",
    "!": r"\s?!++",
    "#": r"\d{1,9}",
    "^": _LINE,
    "-": r"[\s-]?",
}


def regex_of(pattern: str, names: Mapping[str, str]) -> str:
    """The regular expression of `pattern`; ValueError says what is wrong with it."""
    if len(pattern) > MOST_LETTERS:
        raise ValueError(f"it is longer than {MOST_LETTERS} characters")
    parts: list[str] = []
    bare: list[str] = []  # with a letter for each name: many times shorter, and as right or wrong
    at = 0
    forms = _Forms()
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise ValueError(f"{pattern[at]!r} has no meaning in a pattern")
        parts.append(_part(token, names))
        bare.append("x" if token["name"] else parts[-1])
        forms.count(token)
        at = token.end()
    try:
        matches_nothing = re.fullmatch("".join(bare), "") is not None
    except re.error as error:
        raise ValueError(f"brackets or a question mark stand wrong ({error.msg})") from error
    if matches_nothing:
        raise ValueError("it would match an empty text")
    if forms.total() > MOST_FORMS:
        raise ValueError(f"it can be read in more than {MOST_FORMS:,} ways")
    return "".join(parts)


def _part(token: re.Match[str], names: Mapping[str, str]) -> str:
    match token.lastgroup:
        case "between":
            return rf"{GAP}(?:\w++{GAP}){{0,{WORDS_BETWEEN}}}"
        case "gap":
            return GAP
        case "ending":
            return r"\w*+"
        case "maybe":
            raise ValueError("a question mark stands after a blank; it belongs after a bracket")
        case "amid":
            raise ValueError("an asterisk stands for an ending: nothing of the word may follow it")
        case "name":
            if (name := token[0][1:-1]) not in names:
                raise ValueError(f"{token[0]} stands for nothing here")
            return names[name]
        case "letter":
            return re.escape(token[0])
    if token[0] == "^" and token.start() > 0:
        raise ValueError("a caret can only come first")
    return _MEANING[token[0]]


class _Forms:
    """In how many ways a pattern can be read."""

    def __init__(self) -> None:
        self._open: list[list[int]] = [[0, 1]]  # per bracket: earlier alternatives, this one
        self._last = 1  # forms of what a question mark would make optional

    def count(self, token: re.Match[str]) -> None:
        last = 1
        if token[0] == "(":
            self._open.append([0, 1])
        elif token[0] == "|":
            earlier, this = self._open[-1]
            self._open[-1] = [earlier + this, 1]
        elif token[0] == ")" and len(self._open) > 1:
            last = sum(self._open.pop())
            self._open[-1][1] *= last
        elif token[0] == "?":
            self._open[-1][1] = self._open[-1][1] // self._last * (self._last + 1)
        elif token.lastgroup == "between":
            self._open[-1][1] *= WORDS_BETWEEN + 1
        self._last = last

    def total(self) -> int:
        return sum(map(sum, self._open))


def any_of(regexes: Iterable[str]) -> str:
    """One regular expression for whole words, from boundary to boundary."""
    at_words: list[str] = []
    at_lines: list[str] = []
    for regex in regexes:
        (at_lines if regex.startswith(_LINE) else at_words).append(regex)
    words = rf"(?<!\w)(?=\w)(?:{'|'.join(at_words)})(?!\w)"
    return "|".join([words] * bool(at_words) + [rf"(?:{regex})(?!\w)" for regex in at_lines])
