"""Precision and recall of the Telegram keywords on both labelled halves, and their speed.

Beside them the rule that bots use: substrings anywhere in the text. Only totals are printed: the
sealed half stays unread.

    python benchmarks/keywords.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crawlers.telegram.keywords import read_rules, understand
from petdata.errors import ListingReason
from petdata.records import Species, Status

LABELS = Path(__file__).parents[1] / "tests" / "crawlers" / "telegram" / "keywords"
LONGEST = 4_096  # characters of a Telegram message
# A lost-pets bot of 2025; what it looks for, anywhere in the text.
SUBSTRINGS = {
    "cat": ("кот", "кошк", "котен", "котик", "мурз", "мяу"),
    "dog": ("собак", "щен", "пес", "гав", "лайк", "овчарк"),
}
BAR = 0.98  # species precision on the sealed half

# How the record's species are labelled; all others as "other".
LABEL_OF = {
    Species.CAT: "cat",
    Species.DOG: "dog",
    Species.BIRD: "bird",
    Species.PARAKEET: "bird",
    Species.JAVASPARROW: "bird",
    Species.UNKNOWN: "unknown",
}
ANSWERS = {
    "species": ("cat", "dog", "bird", "other", "unknown"),
    "status": tuple(Status),
    "refused": (ListingReason.FUNDRAISING, ListingReason.ADVERTISEMENT),
    "closed": ("closed",),
    "multi_animal": ("several",),
}

Answers = dict[str, str]  # "species" -> "cat"; "" where the text says nothing of it
Rule = Callable[[str], Answers]


@dataclass
class Score:
    """Of one question: how often each answer was labelled, given, and both."""

    labelled: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def precision(self, *answers: str) -> float:
        return _share(self.right, self.given, answers)

    def recall(self, *answers: str) -> float:
        return _share(self.right, self.labelled, answers)


def _share(part: Counter[str], whole: Counter[str], answers: Iterable[str]) -> float:
    answers = list(answers)
    return sum(part[a] for a in answers) / max(1, sum(whole[a] for a in answers))


def read(half: str) -> list[tuple[str, Answers]]:
    lines = (LABELS / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["text"], labels_of(row)) for row in map(json.loads, lines)]


def labels_of(row: dict[str, object]) -> Answers:
    """`several` is no species of the record, so `unknown` is the right answer to it."""
    species = str(row["species"])
    return {
        "species": "unknown" if species == "several" else species,
        "status": str(row["status"]),
        "refused": str(row["refused"] or ""),
        "closed": "closed" if row["closed"] else "",
        "multi_animal": "several" if row["multi_animal"] else "",
    }


def ours() -> Rule:
    rules = read_rules()

    def answer(text: str) -> Answers:
        understood = understand(text, rules)
        return {
            "species": LABEL_OF.get(understood.species, "other"),
            "status": understood.status,
            "refused": understood.refused or "",
            "closed": "closed" if understood.closed else "",
            "multi_animal": "several" if understood.multi_animal else "",
        }

    return answer


def substrings(text: str) -> Answers:
    text = text.casefold().replace("ё", "е")
    named = [name for name, parts in SUBSTRINGS.items() if any(part in text for part in parts)]
    return {"species": named[0] if len(named) == 1 else "unknown"}


def score(rows: list[tuple[str, Answers]], rule: Rule) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for text, labels in rows:
        for question, given in rule(text).items():
            mine = scores.setdefault(question, Score())
            mine.given[given] += 1
            mine.labelled[labels[question]] += 1
            mine.right[given] += given == labels[question]
    return scores


def show(scores: dict[str, Score]) -> None:
    print(f"{'':16}{'':14}{'labelled':>9}{'given':>7}{'precision':>11}{'recall':>8}")
    for question, answers in ANSWERS.items():
        for answer in answers:
            of = scores[question]
            print(
                f"{question:16}{answer:14}{of.labelled[answer]:9}{of.given[answer]:7}"
                f"{of.precision(answer):11.3f}{of.recall(answer):8.3f}"
            )


def texts_per_second(rule: Rule, texts: list[str], seconds: float) -> float:
    done = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        for text in texts:
            rule(text)
        done += len(texts)
    return done / spent


def slowest_hostile_ms(rule: Rule) -> float:
    """The longest of texts made to keep patterns busy, in milliseconds."""
    parts = ["а", "а ", "кот ", "кот и ", "с кошкой и ", "нашли ", "пропал", "#пропал", "\n", ", "]
    parts += ["ищет новых хозяев ", "хозяин и ", "сбор на ", "х" * 500 + " ", "a_", "2 ", "!", "ﷺ"]
    times = []
    for part in parts:
        text = (part * LONGEST)[:LONGEST]
        started = time.process_time()
        rule(text)
        times.append(1000 * (time.process_time() - started))
    return max(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="time for 1 second, not 10")
    parser.add_argument("--half", choices=("open", "sealed", "both"), default="both")
    arguments = parser.parse_args()
    halves = ("open", "sealed") if arguments.half == "both" else (arguments.half,)

    rule = ours()
    figures: dict[str, object] = {"benchmark": "keywords"}
    ratios: dict[str, float] = {}
    for half in halves:
        rows = read(half)
        scores, naive = score(rows, rule), score(rows, substrings)["species"]
        species = scores["species"]
        precision, recall = species.precision("cat", "dog"), species.recall("cat", "dog")
        print(f"{half} half: {len(rows)} texts")
        show(scores)
        print(f"cat or dog: precision {precision:.4f}, recall {recall:.4f}")
        print(
            f"substrings: precision {naive.precision('cat', 'dog'):.4f}, "
            f"recall {naive.recall('cat', 'dog'):.4f}\n"
        )
        figures[half] = {
            "species_precision": round(precision, 4),
            "species_recall": round(recall, 4),
            "right": {
                question: round(of.right.total() / len(rows), 4) for question, of in scores.items()
            },
            "substrings_precision": round(naive.precision("cat", "dog"), 4),
            "substrings_recall": round(naive.recall("cat", "dog"), 4),
            "meets_bar": precision >= BAR,
        }
        prefix = "" if half == "open" else "sealed_"
        ratios[f"{prefix}species_precision"] = precision / naive.precision("cat", "dog")
        ratios[f"{prefix}species_recall"] = recall / naive.recall("cat", "dog")

    texts = [text for text, _ in read("open")]
    seconds = 0.5 if arguments.quick else 5.0
    rate, naive_rate = (texts_per_second(r, texts, seconds) for r in (rule, substrings))
    hostile = slowest_hostile_ms(rule)
    mean = sum(map(len, texts)) / len(texts)
    print(f"{rate:,.0f} texts/s of {mean:.0f} characters; substrings {naive_rate:,.0f} texts/s")
    print(f"slowest hostile text of {LONGEST:,} characters: {hostile:.1f} ms")
    figures |= {"texts_per_s": round(rate), "substrings_per_s": round(naive_rate)}
    figures["slowest_hostile_ms"] = round(hostile, 1)
    figures["ratios"] = {name: round(value, 3) for name, value in ratios.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
