"""Brand codes: letters and digits after клеймо or татуировка."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from petdata.scrub_rules.marks import Span, disjoint, one_of

_CUE: Final = r"(?i:клейм|татуир|тату(?!\w)|tattoo)"
_CUE_ANYWHERE = re.compile("клейм|тату|tatt")
_CODE: Final = (
    "(?:"
    r"(?:[A-ZА-Я]\s){2,4}(?:[0-9]\s?){1,5}[0-9]"  # А Б В 1 2 3
    r"|[A-ZА-Я]{1,5}(?:,|\sи)?\s(?:цифр[аы]|номер)\s[0-9]{1,6}"
    r"|[A-ZА-Я]{1,5}[\s№.:-]{0,3}[0-9]{1,8}(?:[\s/-]?[A-ZА-Я0-9]{1,4}(?!\w))?"  # ABC 1234
    r"|[0-9]{1,7}[\s-]?[A-ZА-Я]{1,4}(?!\w)(?:[\s-]?[0-9]{1,6})?"  # 12 AB 34
    r"|[0-9]{3,8}(?:[\s-][0-9]{2,4}){0,2}"
    r")(?!\w|[.,:][0-9])"
)
_COUNTED: Final = one_of(
    r"г\. гг год лет руб р\. тыс кг см мес дн нед раз шт гр г(?!\w) м(?!\w) км метр мин час ₽ %"
)
_AFTER_CUE = re.compile(
    rf"(?<!\w){_CUE}[а-яa-z]{{0,8}}"
    r"(?P<filler>[^\w\n]{0,4}(?:(?:[а-я]{1,14}|Номер|№)[^\w\n.!?]{1,3}){0,6}?)"
    rf"(?P<code>{_CODE}|(?<=[\s:-])[a-zа-я]{{3}}[\s-]?[0-9]{{3,4}}(?!\w))"
    rf"(?!\s{{0,2}}(?i:{_COUNTED}))"
)
_BEFORE_CUE = re.compile(
    rf"(?<!\w)(?P<code>[A-ZА-Я]{{2,4}}[\s-]?[0-9]{{2,7}})(?=[\s,(-]{{1,4}}{_CUE})"
)
_NONE = re.compile(r"(?<!\w)(?:нет|без|отсутствует)(?!\w)")
_YEAR_OR_AGE = re.compile(r"(?:^|\s)(?:в|с|до|от|к|около|лет|года|примерно)\s{1,2}$")


def tattoos(plain: str) -> Iterator[Span]:
    """ "ABC 1234", "В-417", "4518" beside their cue."""
    if not _CUE_ANYWHERE.search(plain.lower()):
        return
    found = [match.span("code") for match in _BEFORE_CUE.finditer(plain)]
    for match in _AFTER_CUE.finditer(plain):
        is_number = match["code"].isdigit()
        if not _NONE.search(match["filler"]) and not (
            is_number and _YEAR_OR_AGE.search(match["filler"])
        ):
            found.append(match.span("code"))
    yield from disjoint(found, "tattoo")
