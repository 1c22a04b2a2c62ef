"""Recall and precision of petdata.scrub on both labelled halves, and its speed.

Beside it phonenumbers, the usual library for phones, on the same texts. Scoring is by position, as
tests/petdata/scrub/README.md says. Only totals are printed: the sealed half stays unread.

    python benchmarks/scrub.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import phonenumbers

from petdata.scrub import find_personal_data, scrub
from petdata.scrub_rules.marks import KINDS, Span

LABELS = Path(__file__).parents[1] / "tests" / "petdata" / "scrub"
# of these every word identifies; of the others (and in all) every token with a digit
EVERY_WORD = {"name", "email", "handle", "link", "tattoo"}
BARS = {"phone": 0.98, "email": 0.98, "handle": 0.98, "link": 0.98}

Row = tuple[str, list[Span]]
Find = Callable[[str], list[Span]]


@dataclass
class Score:
    labelled: Counter[str] = field(default_factory=Counter)  # by kind of the label
    found: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)  # by kind of the placeholder
    touching: Counter[str] = field(default_factory=Counter)  # ... over a label of any kind
    right_kind: Counter[str] = field(default_factory=Counter)

    def recall(self, kind: str) -> float:
        return self.found[kind] / self.labelled[kind]

    def precision(self, kind: str | None = None) -> float:
        """Share of placeholders that hide something labelled; of one kind or of all."""
        if kind is None:
            return self.touching.total() / self.replaced.total()
        return self.touching[kind] / self.replaced[kind]

    def kind_precision(self) -> float:
        return self.right_kind.total() / self.replaced.total()


def read(half: str) -> list[Row]:
    lines = (LABELS / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows, start=1):
        if not unicodedata.is_normalized("NFC", row["text"]):
            raise ValueError(f"{half}.jsonl line {number} is not in NFC: offsets would not fit")
    return [
        (row["text"], [(start, end, kind) for start, end, kind in row["spans"]]) for row in rows
    ]


def score(rows: list[Row], find: Find) -> Score:
    total = Score()
    for text, labels in rows:
        found = find(text)
        for start, end, kind in labels:
            total.labelled[kind] += 1
            tokens = identifying_tokens(text, start, end, kind)
            total.found[kind] += all(
                any(left <= a and b <= right for left, right, _ in found) for a, b in tokens
            )
        for left, right, kind in found:
            touched = {label for start, end, label in labels if start < right and left < end}
            total.replaced[kind] += 1
            total.touching[kind] += bool(touched)
            total.right_kind[kind] += kind in touched
    return total


def identifying_tokens(text: str, start: int, end: int, kind: str) -> list[tuple[int, int]]:
    """Spans of the tokens of a label that must not stay."""
    tokens = list(re.finditer(r"\w+", text[start:end]))
    spelled = kind == "phone" and sum(token[0].isalpha() for token in tokens) >= 2
    return [
        (start + token.start(), start + token.end())
        for token in tokens
        if kind in EVERY_WORD or spelled or any(map(str.isdigit, token[0]))
    ]


def peer(text: str) -> list[Span]:
    matches = phonenumbers.PhoneNumberMatcher(
        text, "RU", leniency=phonenumbers.Leniency.POSSIBLE, max_tries=10**6
    )
    return [(match.start, match.end, "phone") for match in matches]


def texts_per_second(texts: list[str], seconds: float) -> float:
    done = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        for text in texts:
            scrub(text)
        done += len(texts)
    return done / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="time for 1 second, not 10")
    parser.add_argument("--half", choices=("open", "sealed", "both"), default="both")
    arguments = parser.parse_args()
    halves = ("open", "sealed") if arguments.half == "both" else (arguments.half,)

    figures: dict[str, object] = {"benchmark": "scrub"}
    ratios: dict[str, float] = {}
    for half in halves:
        rows = read(half)
        ours, theirs = score(rows, find_personal_data), score(rows, peer)
        print(f"{half} half: {len(rows)} texts")
        print(f"{'kind':10}{'labelled':>10}{'recall':>10}{'replaced':>10}{'precision':>11}")
        for kind in KINDS:
            print(
                f"{kind:10}{ours.labelled[kind]:10}{ours.recall(kind):10.3f}"
                f"{ours.replaced[kind]:10}{ours.precision(kind):11.3f}"
            )
        print(
            f"all: precision {ours.precision():.4f}, of the right kind {ours.kind_precision():.4f}"
        )
        print(
            f"phonenumbers on phones: recall {theirs.recall('phone'):.3f}, "
            f"precision {theirs.precision():.3f}\n"
        )
        figures[half] = {
            "recall": {kind: round(ours.recall(kind), 4) for kind in KINDS},
            "precision": round(ours.precision(), 4),
            "kind_precision": round(ours.kind_precision(), 4),
            "phonenumbers_recall": round(theirs.recall("phone"), 4),
            "phonenumbers_precision": round(theirs.precision(), 4),
            "meets_bars": ours.precision() >= 0.98
            and all(ours.recall(kind) >= bar for kind, bar in BARS.items()),
        }
        prefix = "" if half == "open" else "sealed_"
        ratios[f"{prefix}phonenumbers_recall"] = ours.recall("phone") / theirs.recall("phone")
        ratios[f"{prefix}phonenumbers_precision"] = ours.precision("phone") / theirs.precision()

    texts = [text for text, _ in read("open")]
    joined = " ".join(texts)
    long_texts = [joined[start : start + 500] for start in range(0, len(joined) - 500, 500)]
    seconds = 0.5 if arguments.quick else 5.0
    short_rate, long_rate = texts_per_second(texts, seconds), texts_per_second(long_texts, seconds)
    mean = sum(map(len, texts)) / len(texts)
    print(f"{short_rate:,.0f} texts/s of {mean:.0f} characters, {long_rate:,.0f} texts/s of 500")
    figures |= {"texts_per_s": round(short_rate), "texts_of_500_per_s": round(long_rate)}
    figures["ratios"] = {name: round(value, 3) for name, value in ratios.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
