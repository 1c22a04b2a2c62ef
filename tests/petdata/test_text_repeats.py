"""Texts that repeat: by hand, and beside a loop over all pairs."""

from __future__ import annotations

import random
import re

import numpy as np
import pyarrow as pa
import pytest

from petdata.text_repeats import FEWEST_WORDS, TextRepeats, text_repeats

COAT = "рыжий пушистый кот с белой грудкой"


def test_by_hand() -> None:
    texts = [
        *("Lost near the park", "Lost near the park"),  # identity 0, within
        *(COAT, "Рыжий, пушистый кот с белой грудкой!"),  # 1, nearly within
        COAT.replace("белой", "чёрной"),  # 2: another word, nearly across
        *("a grey cat", "a black dog"),  # 3: short, so another word is another text
        *("", None),  # 3: without
        "lost  NEAR the park 12",  # 4: nearly across, and not the same bytes
        "a black dog",  # 5: across
    ]
    found = text_repeats(pa.array(texts), np.array([0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5]))
    assert found == TextRepeats(
        photos=11,
        texts=9,
        with_siblings=6,
        identical_within=2,
        near_within=4,
        identical_across=2,
        near_across=2 + 3 + 3,
    )
    assert found.share("identical_within") == 2 / 6
    assert found.as_json()["share_near_across"] == 8 / 9


def test_without_texts_there_is_nothing() -> None:
    found = text_repeats(pa.array([None, "", " "], pa.string()), np.zeros(3, np.int64))
    assert (found.photos, found.texts, found.share("near_within")) == (3, 0, 0.0)
    assert text_repeats(pa.array([], pa.string()), np.zeros(0, np.int64)).photos == 0


def test_texts_without_a_letter_are_alike_only_where_they_are_equal() -> None:
    found = text_repeats(pa.array(["1 2", "3 4", "3 4"]), np.array([0, 1, 2]))
    assert (found.identical_across, found.near_across) == (2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_beside_a_loop_over_all_pairs(seed: int) -> None:
    chance = random.Random(seed)
    words = [f"w{letter}" for letter in "abcdefgh"]
    texts = [" ".join(chance.choices(words, k=chance.randint(0, 8))) for _ in range(150)]
    owners = [chance.randrange(40) for _ in texts]

    def near(a: str, b: str) -> bool:
        one, other = set(re.findall("[a-z]+", a)), set(re.findall("[a-z]+", b))
        if one == other:
            return bool(one)
        longest, shortest = sorted((one, other), key=len, reverse=True)
        if len(longest) == len(shortest):
            return len(longest) >= FEWEST_WORDS and len(longest - shortest) == 1
        return len(longest) >= FEWEST_WORDS and len(longest ^ shortest) == 1

    expected = dict.fromkeys(
        ("identical_within", "near_within", "identical_across", "near_across"), 0
    )
    for n, text in enumerate(texts):
        if not text:
            continue
        others = [m for m in range(len(texts)) if m != n and texts[m]]
        for place, same in (("within", True), ("across", False)):
            there = [m for m in others if (owners[m] == owners[n]) == same]
            expected[f"identical_{place}"] += any(texts[m] == text for m in there)
            expected[f"near_{place}"] += any(
                texts[m] == text or near(text, texts[m]) for m in there
            )
    found = text_repeats(pa.array(texts), np.array(owners))
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.near_across > found.identical_across > 0
