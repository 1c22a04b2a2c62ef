from __future__ import annotations

import pytest

from crawlers.telegram.messages import PLACEHOLDER_OF, hide_entities


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("звоните Ивану", [("mentionname", 8, 5)], "звоните [name]"),
        ("🐈 @ivan и 🐕 +7", [("mention", 3, 5), ("phone", 14, 2)], "🐈 [handle] и 🐕 [phone]"),
        ("жирный текст", [("bold", 0, 6), ("hashtag", 7, 5)], "жирный текст"),
        ("ab", [("phone", 1, 1), ("email", 0, 1)], "[email][phone]"),  # in any order
        ("Иван Петров", [("mention", 0, 4), ("texturl", 0, 11)], "[link]"),  # one in the other
        ("Иван Петров тут", [("mention", 0, 7), ("texturl", 5, 6)], "[handle] тут"),  # overlap
        ("Иван", [("phone", 2, 0), ("phone", 9, 3), ("phone", 4, -2)], "Иван"),  # of nothing
        ("Иван", [("mention", -3, 5), ("phone", 3, 900)], "[handle]а[phone]"),  # beyond the text
        ("🐈", [("phone", 1, 1)], "\ufffd[phone]"),  # half a character
        ("\ud83d кот", [], "\ufffd кот"),  # what no file could hold
    ],
)
def test_entities_are_hidden(
    text: str, entities: list[tuple[str, int, int]], expected: str
) -> None:
    assert hide_entities(text, entities) == expected


@pytest.mark.parametrize("kind", sorted(PLACEHOLDER_OF))
def test_every_kind_leaves_its_placeholder(kind: str) -> None:
    assert hide_entities("до Иван после", [(kind, 3, 4)]) == f"до [{PLACEHOLDER_OF[kind]}] после"
