"""The labelled halves are well formed and independent of each other."""

import json
from collections import Counter
from pathlib import Path

HALVES = ("open", "sealed")
SMALLEST_COUNTS = {
    "phone": 110,
    "name": 40,
    "link": 35,
    "handle": 30,
    "house": 30,
    "email": 20,
    "card": 12,
    "chip": 12,
    "tattoo": 12,
}


def rows(half: str) -> list[tuple[str, list[tuple[int, int, str]]]]:
    lines = (Path(__file__).parent / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        (row["text"], [(start, end, kind) for start, end, kind in row["spans"]])
        for row in map(json.loads, lines)
    ]


def passes_luhn(digits: str) -> bool:
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value // 10 + value % 10 for value in doubled)
    return total % 10 == 0


def test_spans_are_sorted_disjoint_trimmed_and_of_known_kinds() -> None:
    for half in HALVES:
        for number, (text, spans) in enumerate(rows(half), start=1):
            where = f"{half}.jsonl line {number}"  # never the text: the sealed half stays unread
            previous_end = 0
            for start, end, kind in spans:
                assert previous_end <= start < end <= len(text), where
                trimmed = text[start:end] == text[start:end].strip()
                assert trimmed, where
                assert kind in SMALLEST_COUNTS, where
                previous_end = end


def test_chips_have_15_digits_and_cards_a_check_digit() -> None:
    for half in HALVES:
        for number, (text, spans) in enumerate(rows(half), start=1):
            for start, end, kind in spans:
                digits = "".join(filter(str.isdigit, text[start:end]))
                where = f"{half}.jsonl line {number}"
                if kind == "chip":
                    assert len(digits) == 15, where
                if kind == "card":
                    assert 16 <= len(digits) <= 19, where
                    has_check_digit = passes_luhn(digits)
                    assert has_check_digit, where


def test_each_half_covers_every_kind_and_has_texts_without_spans() -> None:
    for half in HALVES:
        counts = Counter(kind for _, spans in rows(half) for _, _, kind in spans)
        assert all(counts[kind] >= least for kind, least in SMALLEST_COUNTS.items()), half
        assert sum(not spans for _, spans in rows(half)) >= 0.13 * len(rows(half)), half


def test_no_text_stands_twice() -> None:
    texts = Counter(" ".join(text.lower().split()) for half in HALVES for text, _ in rows(half))
    assert max(texts.values()) == 1
