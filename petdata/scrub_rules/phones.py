"""Phone numbers: Russian in every way of writing, foreign ones, local ones after a cue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from petdata.scrub_rules.digits import Chain, gaps, prefixes
from petdata.scrub_rules.marks import Span, one_of

FEWEST_DIGITS: Final = 5  # of a local phone
_CUE = re.compile(
    one_of(
        r"""(?<!\w)т(?:ел|лф|ф)?[.:] тел(?:ефон\w{0,3})? городск\w{1,3} домашн\w{1,3} рабоч\w{1,3}
        мобильн\w{1,3} сотов\w{1,3} стационарн\w{1,3} местн\w{1,3} раб\. моб сот звон\w{1,5}
        набира\w{1,4} набер\w{1,4} в[ао][йт][бс]\w{1,4} вацап\w? whats\w{0,4} viber смс sms
        связ\w{1,3} (?<!\w)номер\w? контакт\w{0,3} phone call text (?<!\w)tel [☎📞📱✆🤙]"""
    )
    + r"(?:[^\w\n]{0,4}"
    + one_of(
        r"""тел телефон\w? номер\w? мне нам по на в деревне дом связи для такой мой наш
        хозя\w{1,4} приюта дачи дежурн\w{1,3} клиник\w"""
    )
    + r"(?!\w)){0,3}[^\w\n]{0,5}$"
)
_OTHER_CUE = re.compile(
    one_of(
        r"""(?<!\w)(?:rl|rf|id) № объявлени\w{1,2} заявк\w участк\w дома квартир\w жетон\w? бирк\w?
        договор\w?"""
    )
    + r"[^\w\n]{0,3}(?:номер\w?[^\w\n]{0,3})?$"
)
_COUNTRY_LENGTHS: Final = {  # digits with the country code, where all numbers have so many
    "7": 11, "1": 11, "375": 12, "380": 12, "998": 12, "996": 12, "995": 12, "994": 12, "992": 12,
    "993": 11, "374": 11, "373": 11, "371": 11, "44": 12, "33": 11, "34": 11, "90": 12, "48": 11,
}  # fmt: skip
_NEIGHBOURS: Final = ("375", "380", "998", "996", "992", "994", "995")  # often without a plus
_SHORTEST_FOREIGN: Final = 7  # Saint Helena: +290 8999
_LONGEST_FOREIGN: Final = 15  # E.164
_SHORTEST_MISSPELLED: Final = {"in words": 8, "in digits": 9}
_LONGEST_MISSPELLED: Final = 13
_TAIL = re.compile(  # a second ending or an extension
    "(?:"
    r"\s{0,2}[/\\]\s?[0-9]{1,4}(?:-[0-9]{2})?(?![\s(-]{0,2}[0-9(])"
    r"|\s?,\s?-[0-9]{2}(?:-[0-9]{2})?(?![0-9])"
    r"|(?:\s(?:или|и)|,)\s-?(?:[0-9]{2}(?:-[0-9]{2})?|[0-9]{3}-[0-9]{2}-[0-9]{2})"
    r"(?=\s{0,2}(?:[,;.!)\n]|$))(?!\.[0-9])"
    r"|[\s,;(-]{0,3}(?:доб(?:авочн\w{1,3})?|доп|вн(?:утр\w{0,6})?|ext(?:ension)?|x)"
    r"[.:\s]{0,3}(?:номер\s|№\s?)?[0-9]{1,6}(?![0-9])\)?"
    r"|\s?\([0-9]{2,3}\)"
    r"|\s?#\s?[0-9]{1,5}(?![0-9])"
    "){1,3}"
)
_LOCAL = re.compile(
    r"(?:[0-9]{1,3}(?:[-. ][0-9]{2}){2}|[0-9]{3}[- ][0-9]{4}|[0-9]{5,7}|[0-9]-[0-9]{4,5}"
    r"|[0-9]{1,2}[- ][0-9]{3}[- ][0-9]{2,3})(?![0-9])"
)
_LOCAL_BY_ITSELF = re.compile(r"(?<![\w.-])[0-9]{3}-[0-9]{2}-[0-9]{2}(?![\w-]|\.[0-9])")
_DATE = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.(?:19|20)?[0-9]{2}")
_LIST = re.compile(r"[,;\n](?!\s?[а-яa-z])|\.\|-")


def phone(plain: str, before: str, chain: Chain) -> Span | None:
    """The phone that the chain begins with; `before` is the text that may hold its cue."""
    best = None
    for digits, taken, groups in prefixes(chain, _LONGEST_FOREIGN):
        if taken > 1 and chain[taken - 1].plus:
            break
        between = gaps(plain, chain[:taken])
        if chain[0].plus:
            is_phone = _is_international(digits, groups, between)
        else:
            is_phone = _is_national(digits, groups, between, before)
        if is_phone:
            best = taken
    best = best or _misspelled(plain, before, chain)
    return _whole(plain, chain[:best]) if best else None


def local_phone(plain: str, before: str, chain: Chain) -> Span | None:
    """Five to seven digits: only after a cue, or as 123-45-67."""
    start = chain[0].start
    match = _LOCAL_BY_ITSELF.match(plain, start)
    if match is None and _CUE.search(before) and not _OTHER_CUE.search(before):
        match = _LOCAL.match(plain, start)
    if match is None or _DATE.fullmatch(match[0]):
        return None
    taken = sum(atom.start < match.end() for atom in chain)
    return _whole(plain, chain[:taken]) if chain[taken - 1].end == match.end() else None


def _is_international(digits: str, groups: Sequence[str], between: Sequence[str]) -> bool:
    """After a plus."""
    for code, length in _COUNTRY_LENGTHS.items():
        if digits.startswith(code):
            return len(digits) == length
    in_range = _SHORTEST_FOREIGN <= len(digits) <= _LONGEST_FOREIGN
    return in_range and len(groups[0]) >= 2 and not _is_list(between)


def _is_national(digits: str, groups: Sequence[str], between: Sequence[str], before: str) -> bool:
    length = len(digits)
    if len(groups) == 1 and 11 <= length <= 14:
        return digits[0] in "78" or not _OTHER_CUE.search(before)
    belarusian = digits.startswith("80") and digits[2:3] in ("2", "3", "4")  # 8 029 ...
    if length == 11 and digits[0] in "78" and (digits[1] in "34789" or belarusian):
        return (
            _begins_with_code(groups)
            or _is_spaced_out(groups, between)
            or (not _is_list(between) and (_has_bracket(between) or bool(_CUE.search(before))))
        )
    if _is_list(between):
        return False
    if length == 10 and digits[0] in "23456789":
        return _is_without_prefix(groups, between, before)
    if digits.startswith("810"):  # out of Russia: 8 10 375 ...
        return 13 <= length <= 15 and groups[0] != "810"
    if groups[0] == "00":  # and out of most other countries
        return 11 <= length <= 15 and digits[2] != "0" and not before.endswith((".", ":", "-"))
    return length == 12 and digits.startswith(_NEIGHBOURS) and len(groups[0]) >= 3


def _is_without_prefix(groups: Sequence[str], between: Sequence[str], before: str) -> bool:
    """Ten digits: a mobile number by its 9, a landline by brackets, grouping or cue."""
    lengths = [len(group) for group in groups]
    mobile = groups[0][0] == "9"
    if lengths == [10]:
        landline = groups[0][0] in "348" and bool(_CUE.search(before))
        return landline or (mobile and not _OTHER_CUE.search(before))
    if mobile and (max(lengths) == 1 or lengths[0] >= 3):
        return True
    bracketed = ")" in between[0]
    russian = groups[0][0] in "3489" and (lengths == [3, 3, 2, 2] or bool(_CUE.search(before)))
    american = lengths == [3, 3, 4] and bool(_CUE.search(before))
    return lengths[0] in (3, 4, 5) and len(lengths) <= 5 and (bracketed or russian or american)


def _begins_with_code(groups: Sequence[str]) -> bool:
    """8 912 ... or 8912 ..."""
    return len(groups[0]) >= 4 or (len(groups[0]) == 1 and len(groups) > 1 and len(groups[1]) >= 3)


def _is_spaced_out(groups: Sequence[str], between: Sequence[str]) -> bool:
    """8 9 1 2 0 0 ..., or 8-91-20-00-11-22 with one kind of gap."""
    longest = max(map(len, groups))
    return longest == 1 or (longest == 2 and len(set(between)) == 1)


def _has_bracket(between: Sequence[str]) -> bool:
    return any("(" in gap for gap in between)


def _is_list(between: Sequence[str]) -> bool:
    """Whether the gaps separate numbers: commas, lines, the hours of "8.00-18.00"."""
    return _LIST.search("|".join(between)) is not None


def _misspelled(plain: str, before: str, chain: Chain) -> int | None:
    """How many atoms a phone with a digit too few or too many takes.

    It has to stand after a plus or a cue, or to be mostly in words.
    """
    first = chain[0]
    in_words = first.digits[0] in "789" and sum(atom.spelled for atom in chain) >= 4
    cued = first.digits[0] in "789" and _CUE.search(before) is not None
    if not (first.plus or cued or in_words):
        return None
    shortest = _SHORTEST_MISSPELLED["in words" if in_words else "in digits"]
    best = None
    for digits, taken, groups in prefixes(chain, _LONGEST_MISSPELLED):
        if taken > 1 and chain[taken - 1].plus:
            break
        tidy = first.plus or _begins_with_code(groups)
        if len(digits) >= shortest and (
            in_words or (tidy and not _is_list(gaps(plain, chain[:taken])))
        ):
            best = taken
    return best


def _whole(plain: str, atoms: Chain) -> Span:
    """The phone with the bracket that opens it and with its extension or second ending."""
    start, end = atoms[0].start, atoms[-1].end
    inside = plain[start:end]
    if inside.count(")") > inside.count("(") and plain[start - 1 : start] == "(":
        start -= 1
    tail = _TAIL.match(plain, end)
    return start, tail.end() if tail else end, "phone"
