"""What a text says: which animal, lost or found, ended, or no announcement at all.

The words stand in keywords.toml, which users extend; docs/telegram-keywords.md explains its
patterns. Only the ending of a word is unbounded in a pattern, so none takes long on any text.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final

from crawlers.telegram.patterns import GAP, any_of, regex_of
from petdata.errors import ListingReason, PetdataError
from petdata.records import Species, Status

SHIPPED_RULES: Final = Path(__file__).with_name("keywords.toml")

_REFUSABLE: Final = (ListingReason.FUNDRAISING, ListingReason.ADVERTISEMENT)
LISTS: Final = frozenset(
    f"{table}.{name}"
    for tables, names in (
        ([f"species.{species}" for species in Species], ("stems", "hints", "not_when")),
        ([f"refused.{reason}" for reason in _REFUSABLE], ("clear", "signs", "not_when", "unless")),
        (["closed", "multi_animal"], ("when", "not_when")),
        (["bystanders"], ("before", "after", "when")),
        (["chains"], ("joined_by", "adjectives")),
        (["hashtags"], ("split_after",)),
    )
    for table in tables
    for name in names
)
_STATUS_LIST: Final = re.compile(rf"status\.({'|'.join(Status)})(-[\w-]+)?\.(when|not_when)")
_BLANKS: Final = r"[ \"«„]{1,4}"  # between animals and what makes them bystanders: no comma
SIGNS_NEEDED: Final = 2  # different ones, where no clear one says that a post is to be refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    species: Species
    status: Status
    closed: bool
    refused: ListingReason | None  # the whole post is that, so there is nothing to collect
    multi_animal: bool | None  # True where the text says so; a text never says the contrary


@dataclass(frozen=True)
class _Regex:
    """Compiled when it is first needed: all of them take the better part of a second."""

    text: str

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.text)


@dataclass(frozen=True)
class Rules:
    """Patterns by the key of their list ("species.cat.stems"); a list may be missing."""

    lists: Mapping[str, _Regex]
    chain: _Regex  # several animals in one breath: "кошка и собаки"
    status_tables: Sequence[str]  # in the order in which they are asked
    split_after: _Regex  # how a hashtag of several words begins
    bystanders: _Regex  # animals beside the one that a text is about

    def cut(self, key: str, text: str) -> str:
        """`text` without what a list matches; nothing is found across the gap."""
        return self.lists[key].compiled.sub("\n", text) if key in self.lists else text

    def found(self, key: str, text: str) -> list[str]:
        return self.lists[key].compiled.findall(text) if key in self.lists else []

    def found_unless(self, key: str, not_when: str, text: str) -> list[str]:
        """What a list finds outside what another one excludes, which is seldom asked."""
        return self.found(key, text) and self.found(key, self.cut(not_when, text))

    def applies(self, key: str, text: str) -> bool:
        return bool(self.found_unless(f"{key}.when", f"{key}.not_when", text))


def understand(text: str, rules: Rules) -> Understood:
    text = _plain(text, rules)
    status = _status(text, rules)
    return Understood(
        species=_species(text, rules),
        status=status,
        closed=status is Status.REUNITED or rules.applies("closed", text),
        refused=_refused(text, rules),
        multi_animal=rules.applies("multi_animal", text) or None,
    )


def _species(text: str, rules: Rules) -> Species:
    """The species with most mentions; hints count only where no animal is named."""
    named = [species for species in Species if rules.found(f"species.{species}.stems", text)]
    if named:
        text = rules.bystanders.compiled.sub("\n", text)
    if len(named) > 1 and any(
        len(_mentions(chain, "stems", rules)) > 1 for chain in rules.chain.compiled.findall(text)
    ):
        return Species.UNKNOWN
    counts = _mentions(text, "stems", rules) or _mentions(text, "hints", rules)
    (first, most), (_, next_most) = (counts.most_common(2) + [(Species.UNKNOWN, 0)] * 2)[:2]
    return first if most > next_most else Species.UNKNOWN


def _mentions(text: str, which: str, rules: Rules) -> Counter[Species]:
    found = {
        species: len(
            rules.found_unless(f"species.{species}.{which}", f"species.{species}.not_when", text)
        )
        for species in Species
    }
    return +Counter(found)


def _status(text: str, rules: Rules) -> Status:
    """What the first table that applies says, in the order of the file."""
    for table in rules.status_tables:
        if rules.applies(f"status.{table}", text):
            return _status_of(table)
    return Status.UNKNOWN


def _status_of(table: str) -> Status:
    """A table named lost-still says lost."""
    return Status(table.partition("-")[0])


def _refused(text: str, rules: Rules) -> ListingReason | None:
    for reason in _REFUSABLE:
        key = f"refused.{reason}"
        rest = rules.cut(f"{key}.not_when", text)
        if rules.found(f"{key}.unless", rest):
            continue
        signs = set(rules.found(f"{key}.signs", rest))
        if rules.found(f"{key}.clear", rest) or len(signs) >= SIGNS_NEEDED:
            return reason
    return None


_HASHTAG = re.compile(r"#\w+")
_HUMP = re.compile(r"(?<=[a-zа-яё])(?=[A-ZА-ЯЁ])")
_REPEATED = re.compile(r"(\W)\1+")
_INVISIBLE = re.compile("[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")


def _plain(text: str, rules: Rules) -> str:
    """Small letters, е for ё, hashtags as separate words, one sign of several equal ones."""
    text = _HASHTAG.sub(
        lambda tag: _HUMP.sub(" ", tag[0]), _REPEATED.sub(r"\1", _fold_letters(text))
    )
    return _HASHTAG.sub(
        lambda tag: "#" + rules.split_after.compiled.sub(r"\g<0> ", tag[0][1:]), _fold(text)
    )


def _fold_letters(text: str) -> str:
    """Fancy letters as plain ones, without accents."""
    plain = unicodedata.normalize("NFKC", text)
    if len(plain) > 2 * len(text):  # of ligatures for whole phrases, which only mischief repeats
        plain = unicodedata.normalize("NFC", text)
    return _INVISIBLE.sub("", plain)


def _fold(text: str) -> str:
    return text.casefold().replace("ё", "е").replace("’", "'").replace("_", " ")


def read_rules(paths: Sequence[Path] = ()) -> Rules:
    """The shipped rules, and what the files at `paths` add to each list."""
    patterns: dict[str, list[_Pattern]] = {}
    for path in (SHIPPED_RULES, *paths):
        for key, listed in _read_lists(path):
            patterns.setdefault(key, []).extend(listed)

    def alternatives(kind: str, names: Mapping[str, str]) -> Iterator[str]:
        for key, listed in patterns.items():
            if key.endswith(kind):
                yield from (pattern.regex(names) for pattern in listed)

    animal = "|".join(alternatives(".stems", {}))
    adjective = "|".join(alternatives("chains.adjectives", {}))
    joint = "|".join(alternatives("chains.joined_by", {}))
    one = rf"(?:(?:{adjective}){GAP})?(?:{animal})(?!\w)"
    more = rf"(?:{GAP}(?:(?:{joint}){GAP})?{one})"
    animals = f"(?:{one}{more}{{0,3}})"
    names = {"animal": f"(?:{one})", "animals": animals}
    before = "|".join(alternatives("bystanders.before", {}))
    after = "|".join(alternatives("bystanders.after", {}))
    split_after = "|".join(alternatives("hashtags.split_after", {}))
    return Rules(
        lists={
            key: _Regex(any_of(pattern.regex(names) for pattern in listed))
            for key, listed in patterns.items()
            if listed
        },
        chain=_Regex(any_of([f"{one}{more}{{1,3}}"])),
        bystanders=_Regex(
            any_of(
                [
                    f"(?:{before}){_BLANKS}{animals}",
                    f"{animals}{GAP}(?:{after})",
                    *alternatives("bystanders.when", names),
                ]
            )
        ),
        status_tables=list(
            dict.fromkeys(key.split(".")[1] for key in patterns if key.startswith("status."))
        ),
        split_after=_Regex(rf"\A(?:{split_after})(?=\w)"),
    )


@dataclass(frozen=True)
class _Pattern:
    text: str
    where: str  # file and key, for errors

    def regex(self, names: Mapping[str, str]) -> str:
        try:
            return regex_of(_fold(_fold_letters(self.text)), names)
        except ValueError as error:
            raise PetdataError(f"{self.where}: pattern {self.text!r}: {error}") from error


def _read_lists(path: Path) -> Iterator[tuple[str, list[_Pattern]]]:
    """Each list of one file with its key, all of them checked to be lists that rules know."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PetdataError(f"rules {path}: {error}") from error
    for key, value in _leaves(content):
        where = f"rules {path}, {key}"
        if key not in LISTS and not _STATUS_LIST.fullmatch(key):
            near = get_close_matches(key, LISTS, n=1)
            raise PetdataError(f"{where}: no such list" + "".join(f"; is it {n}?" for n in near))
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise PetdataError(f"{where}: it must be a list of patterns, each in quotation marks")
        yield key, [_Pattern(text, where) for text in value]


def _leaves(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
