"""What rules share: kinds, spans and the marks that stand for what is found already.

A mark is one private-use character for each kind. Later rules so see that a phone stood here, but
none of its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

KINDS: Final = ("phone", "email", "handle", "link", "card", "chip", "tattoo", "house", "name")
MARK_OF: Final = {kind: chr(0xE000 + number) for number, kind in enumerate((*KINDS, "address"))}
MARKS: Final = "\ue000-\ue0ff"  # for the inside of a character class
# what a person is reached by: their names stand beside it
CONTACT: Final = (
    "[" + "".join(MARK_OF[k] for k in ("phone", "email", "handle", "link", "card")) + "]"
)

Span = tuple[int, int, str]  # start, end, kind
Rule = Callable[[str], Iterator[Span]]


def one_of(words: str) -> str:
    """A pattern for any of `words`, patterns between blanks; "_" in one stands for a blank."""
    return f"(?:{'|'.join(words.split())})".replace("_", r"\s{1,2}")


def disjoint(places: Iterable[tuple[int, int]], kind: str) -> Iterator[Span]:
    """Of places that overlap the first, and of those that begin together the longest."""
    after = 0
    for start, end in sorted(places, key=lambda place: (place[0], -place[1])):
        if start >= after:
            yield start, end, kind
            after = end
