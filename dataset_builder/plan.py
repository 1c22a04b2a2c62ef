"""What becomes of every input row, decided on metadata alone: no pixel is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dataset_builder.appearances import (
    NO_MATCHES,
    Alike,
    Indices,
    Mask,
    Matches,
    alike,
    boilerplate,
    contradictory,
    first_rows,
)
from dataset_builder.identity_graph import Groups, Link, exact_links, join, link_of, near_links
from dataset_builder.inputs import Rows
from dataset_builder.options import BuildOptions
from dataset_builder.splits import (
    duplicate_photos,
    is_validation,
    leaks,
    leaks_left,
    near_duplicates,
    too_few,
)
from petdata.records import Species

SPLITS: Final = ("train", "validation", "test")
KEPT: Final = -1
SEVERAL_ON_PHOTO: Final = "several_on_photo"  # the one reason that a side table gives

# (rows, rows or None for among themselves, bits) -> verified near duplicates
Matcher = Callable[[Indices, Indices | None, int], Matches]


def no_matcher(first: Indices, second: Indices | None, bits: int) -> Matches:
    return NO_MATCHES


@dataclass(eq=False)
class Plan:
    rows: Rows
    options: BuildOptions
    reasons: list[str] = field(default_factory=list)  # in the order of the steps
    reason: NDArray[np.int16] = field(init=False)  # index into `reasons`; KEPT
    split: NDArray[np.int8] = field(init=False)  # index into SPLITS
    groups: Groups = field(init=False)
    links: Sequence[Link] = ()
    pairs_examined: int = 0  # training x test, of different pictures
    pairs_found: int = 0
    pairs_left: int = 0  # counted again among what is kept in the end

    def __post_init__(self) -> None:
        self.reason = np.full(len(self.rows), KEPT, np.int16)

    @property
    def kept(self) -> Mask:
        return np.asarray(self.reason == KEPT, np.bool_)

    def drop(self, name: str, marked: Mask) -> None:
        """Give the rows that are still kept and marked their reason."""
        if name not in self.reasons:
            self.reasons.append(name)
        self.reason[marked & self.kept] = self.reasons.index(name)

    def taken_by(self, name: str) -> Mask:
        """Rows that a step took."""
        number = self.reasons.index(name) if name in self.reasons else len(self.reasons)
        return np.asarray(self.reason == number, np.bool_)

    def attrition(self) -> Iterator[tuple[str, str, int]]:
        """(source, step, rows that it took), step by step."""
        source = self.rows.source_number()
        names = [level.source.name for level in self.rows.levels]
        for number in np.unique(source):
            here = source == number
            for index, reason in enumerate(self.reasons):
                count = int(np.count_nonzero(here & (self.reason == index)))
                if count:
                    yield names[number], reason, count


def make_plan(
    rows: Rows,
    options: BuildOptions,
    matcher: Matcher = no_matcher,
    *,
    accepted: Sequence[tuple[str, str]] = (),
    rejected: Sequence[tuple[str, str]] = (),
    several: Mask | None = None,
) -> Plan:
    """Every row kept or dropped with a reason, every kept one in a split and a group.

    `several`: photos on which a detector has found several animals.
    """
    plan = Plan(rows, options)
    _drop_unfit(plan, np.zeros(len(rows), np.bool_) if several is None else several)
    shown = first_rows(rows, plan.kept)
    near = alike(rows, matcher(np.sort(shown[shown >= 0]), None, options.near_duplicates))
    plan.drop("boilerplate", boilerplate(rows, plan.kept, near))
    plan.drop("contradictory", contradictory(rows, plan.kept))
    plan.links = _links(plan, near.at_rows(rows, plan.kept), accepted, rejected)
    plan.groups = join(rows, [link for link in plan.links if _joins(link, options)])
    across = _gate(plan, matcher)
    plan.drop("duplicate_photo", duplicate_photos(rows, plan.kept))
    matches = near.at_rows(rows, plan.kept)
    plan.drop("near_duplicate", near_duplicates(rows, plan.kept, plan.groups, matches))
    plan.drop("too_few_photos", too_few(rows, plan.kept, plan.groups, options.min_photos))
    _split(plan)
    plan.pairs_left = leaks_left(rows, plan.kept, across)
    return plan


def _drop_unfit(plan: Plan, several: Mask) -> None:
    rows = plan.rows
    plan.drop("superseded", ~rows.is_current)
    plan.drop("taken_down", rows.is_taken_down)
    names = rows.species.dictionary.to_pylist()
    unknown = np.array([name in (Species.UNKNOWN, Species.OTHER) for name in names], np.bool_)
    plan.drop("species_unknown", unknown[rows.species.indices.to_numpy()])
    if plan.options.multi_animal == "drop":
        plan.drop("several_animals", rows.is_multi_animal)
        plan.drop(SEVERAL_ON_PHOTO, several)


def _links(
    plan: Plan,
    near: Matches,
    accepted: Sequence[tuple[str, str]],
    rejected: Sequence[tuple[str, str]],
) -> list[Link]:
    """Exact, near and accepted ones, without those that somebody has rejected."""
    rows = plan.rows
    found = [*exact_links(rows, plan.kept), *near_links(rows, near)]
    number = {name: index for index, name in enumerate(rows.identities)} if accepted else {}
    for a, b in accepted:
        if a in number and b in number:
            first, second = (int(np.argmax(rows.identity == number[name])) for name in (a, b))
            found.append(link_of(rows, first, second, "accepted"))
    refused = {frozenset(pair) for pair in rejected}
    names = rows.identities
    return [link for link in found if {names[link.first], names[link.second]} not in refused]


def _joins(link: Link, options: BuildOptions) -> bool:
    if link.kind == "accepted":
        return True
    if link.kind == "exact":
        return options.merge_identities != "off"
    return options.merge_identities == "near"


def _gate(plan: Plan, matcher: Matcher) -> Alike:
    """The leak gate, between all training rows and all test rows that are left.

    Returns the pairs of pictures that are near duplicates across it.
    """
    rows = plan.rows
    test = rows.is_test()
    shown = [first_rows(rows, plan.kept & chosen) for chosen in (~test, test)]
    train_rows, test_rows = (np.sort(first[first >= 0]) for first in shown)
    matches = matcher(train_rows, test_rows, plan.options.leak_bits)
    plan.pairs_examined = len(train_rows) * len(test_rows)
    plan.pairs_found = len(matches.first)
    across = alike(rows, matches)
    leaked = leaks(rows, plan.kept, plan.groups, across)
    for number, level in enumerate(rows.levels):
        if level.source.role == "test":
            plan.drop(f"leak:{level.source.name}", leaked == number)
    return across


def _split(plan: Plan) -> None:
    rows = plan.rows
    group = plan.groups.of[rows.identity]
    train = plan.kept & ~rows.is_test()
    names = np.unique(group[train])
    held_out = is_validation(
        [rows.identities[name] for name in names], plan.options.seed, plan.options.val_fraction
    )
    in_validation = np.zeros(len(rows.identities), np.bool_)
    in_validation[names] = held_out
    plan.split = np.where(rows.is_test(), 2, np.where(in_validation[group], 1, 0)).astype(np.int8)
