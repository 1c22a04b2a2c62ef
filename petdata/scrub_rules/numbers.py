"""Cards, microchips and phones: which of them a run of digits is.

From each atom on, the first kind that knows the shape takes its number; so a date or a price that
stands before a phone is not drawn into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from petdata.scrub_rules.digits import Chain, chains, prefixes
from petdata.scrub_rules.marks import Span, one_of
from petdata.scrub_rules.phones import FEWEST_DIGITS, local_phone, phone

_CUE_REACH: Final = 50  # characters before a number in which its cue is looked for
_FEWEST_OF_CHIP_OR_CARD: Final = 9
_CHIP_CUE = re.compile(r"(?:чип|chip|транспондер)[^0-9\n]*$")
_CHIP_RIGHT_BEFORE = re.compile(
    r"(?:чип|chip)[\w-]{0,14}[^\w\n]{0,3}(?:(?:номер\w?|код|id|number)[^\w\n]{1,3})?$"
)
_CHIP_DIGITS: Final = 15  # ISO 11784
_CHIP_GROUPS: Final = frozenset(
    [(15,), (3, 4, 4, 4), (3, 3, 3, 3, 3), (4, 4, 4, 3), (3, 12), (5, 5, 5), (3, 4, 8)]
)
_OTHER_CHIPS: Final = (9, 10, 14, 16)  # digits of older chips, and of misread ones
_CARD_DIGITS: Final = (16, 20)  # a card has 16 to 19, an account 20
_CARD_CUE = re.compile(
    one_of(
        r"""карт[аыуе] сбер тин[ьк] втб альфа (?<!\w)мир(?!\w) перев[ое]д перевест реквизит счет
        донат помо[чг] оплат visa master card qiwi киви юmoney юмани yoomoney кошел банк"""
    )
)
_CARD_INSIDE = re.compile(r"[^/+,;:]+")


def long_numbers(plain: str) -> Iterator[Span]:
    """Cards, chips and phones, left to right."""
    plain = plain.lower()
    after = 0
    for chain in chains(plain):
        if chain[0].start >= after and (found := _number_at(plain, chain)):
            yield found
            after = found[1]


def _number_at(plain: str, chain: Chain) -> Span | None:
    """The number that begins with the first atom of `chain`."""
    total = sum(len(atom.digits) for atom in chain)
    if total < FEWEST_DIGITS:
        return None
    before = plain[max(0, chain[0].start - _CUE_REACH) : chain[0].start]
    kinds = [phone, local_phone]
    if total >= _FEWEST_OF_CHIP_OR_CARD:
        kinds = [_chip, _card, *kinds] if _CHIP_CUE.search(before) else [_card, _chip, *kinds]
    return next(filter(None, (kind(plain, before, chain) for kind in kinds)), None)


def _chip(plain: str, before: str, chain: Chain) -> Span | None:
    best = None
    for digits, taken, groups in prefixes(chain, max(_OTHER_CHIPS)):
        lengths = tuple(map(len, groups))
        if len(digits) == _CHIP_DIGITS and (lengths in _CHIP_GROUPS or _CHIP_CUE.search(before)):
            return chain[0].start, chain[taken - 1].end, "chip"
        if taken == len(chain) and len(digits) in _OTHER_CHIPS:
            best = taken if _CHIP_RIGHT_BEFORE.search(before) else None
    return (chain[0].start, chain[best - 1].end, "chip") if best else None


def _card(plain: str, before: str, chain: Chain) -> Span | None:
    if chain[0].plus or len(chain[0].digits) == 1:
        return None
    cue = _CARD_CUE.search(before) is not None
    shortest, longest = _CARD_DIGITS
    end = None
    for digits, taken, groups in prefixes(chain, longest):
        now = chain[taken - 1].end
        if len(digits) < shortest or not _CARD_INSIDE.fullmatch(plain, chain[0].start, now):
            continue
        if end is not None and len(groups[-1]) > 3:  # "... 1234 2024": the year is no part of it
            break
        tidy = len(groups) == 1 or (_are_even(groups) if cue else _are_a_card(digits, groups))
        if tidy or (end is None and cue and _passes_luhn(digits)):
            end = now
    return (chain[0].start, end, "card") if end else None


def _are_a_card(digits: str, groups: Sequence[str]) -> bool:
    """Without a cue: groups of four or eight; a check digit, or a bank's first digit."""
    tidy = _are_even(groups) and len(groups[0]) in (4, 8)
    prices = all(group.endswith("00") for group in groups)
    years = all(group.startswith(("19", "20")) for group in groups)
    return tidy and not prices and not years and (_passes_luhn(digits) or digits[0] in "2456")


def _are_even(groups: Sequence[str]) -> bool:
    """Whether groups are of 3 to 8 digits, all but the last two of one length."""
    lengths = [len(group) for group in groups]
    return all(3 <= length <= 8 for length in lengths[:-1]) and len(set(lengths[:-2])) <= 1


def _passes_luhn(digits: str) -> bool:
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value // 10 + value % 10 for value in doubled)
    return total % 10 == 0
