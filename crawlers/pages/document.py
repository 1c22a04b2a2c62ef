"""From the text of a page to a tree, and from the tree back to the text that a reader sees."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from parsel import Selector

from crawlers.pages import PageNotUnderstood

# The largest page seen has 187,000 characters. A tree of this many costs up to 100 MB, and a
# single tag full of attributes 13 seconds: libxml2 compares each with all before it.
MAX_PAGE_CHARACTERS: Final = 1_000_000
MAX_CLASSES: Final = 20  # of one element; real ones have up to six
MAX_PIECES: Final = 5_000  # of text and elements that one text is made of; real ones have dozens

Element: TypeAlias = Any  # lxml's; it has no types

# Controls, zero-width and bidirectional marks, fillers, surrogates, private use, tags: nobody sees
# them, and between two digits they hide a phone number from every pattern.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\uf8ff"
    "\U000e0000-\U000e007f]"
)
_LOWER_CYRILLIC = re.compile("[а-я]+")
_HIDDEN_TAGS = frozenset({"script", "style", "template"})
_BREAKING_TAGS = frozenset({"br", "p", "div", "li", "h1", "h2", "h3"})


class Page:
    """A parsed page and its elements by class, in the order of the page."""

    def __init__(self, html: str) -> None:
        # Python strings may hold lone surrogates, which no tree can
        clean = html.encode("utf-8", "replace").decode("utf-8")
        self.tree = Selector(text=clean, type="html")
        self._by_class: dict[str, list[tuple[int, Element]]] = defaultdict(list)
        for position, element in enumerate(self.tree.root.iter("*")):
            for name in classes_of(element):
                self._by_class[name].append((position, element))

    def having_class(self, *names: str) -> list[Element]:
        """The elements that have one of `names` among their classes."""
        found = dict(pair for name in names for pair in self._by_class.get(name, ()))
        return [found[position] for position in sorted(found)]

    def first(self, *names: str) -> Element | None:
        return next(iter(self.having_class(*names)), None)


def parse_page(html: str, url: str) -> Page:
    if len(html) > MAX_PAGE_CHARACTERS:
        raise PageNotUnderstood(
            f"{url} has {len(html):,} characters, at most {MAX_PAGE_CHARACTERS:,} are read"
        )
    return Page(html)


def classes_of(element: Element) -> list[str]:
    return str(element.get("class", "")).split(None, MAX_CLASSES)[:MAX_CLASSES]


def decoded_wrongly(html: str) -> bool:
    """Whether a Russian page was read in a wrong encoding, so that its texts are rubbish.

    UTF-8 taken for cp1251 or Latin-1, and either of these taken for UTF-8, have no small Cyrillic
    letters; on real pages these make up nine tenths of what is not ASCII.
    """
    foreign = len(html) - len(html.encode("ascii", "ignore"))
    return foreign >= 50 and sum(map(len, _LOWER_CYRILLIC.findall(html))) * 4 < foreign


def lines_of(element: Element | None) -> Iterator[str]:
    """The text that a reader sees in `element`, tidy, without empty lines.

    Made on demand, and only from the first MAX_PIECES: where tags were left open, one element may
    hold half the page.
    """
    line: list[str] = []
    for piece in _pieces(element) if element is not None else ():
        *whole, rest = piece.split("\n")
        for part in whole:
            line.append(part)
            if text := tidy("".join(line)):
                yield text
            line = []
        line.append(rest)
    if text := tidy("".join(line)):
        yield text


def _pieces(root: Element) -> Iterator[str]:
    """Text in the order of the page, with a line break where an element makes one."""
    node = root
    for _ in range(MAX_PIECES):
        visible = isinstance(node.tag, str) and node.tag not in _HIDDEN_TAGS  # a comment's is not
        if visible:
            yield "\n" if node.tag in _BREAKING_TAGS else ""
            yield node.text or ""
        if visible and len(node):
            node = node[0]
            continue
        while node is not root and node.getnext() is None:
            yield _after(node)
            node = node.getparent()
        if node is root:
            return
        yield _after(node)
        node = node.getnext()


def _after(node: Element) -> str:
    return ("\n" if node.tag in _BREAKING_TAGS else "") + (node.tail or "")


def tidy(text: str) -> str:
    """One line of visible characters: composed (NFC), with single spaces."""
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).split())
