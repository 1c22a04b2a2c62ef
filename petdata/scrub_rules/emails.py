"""E-mail addresses, openly or disguised: "ivan (at) example.ru", "ivan собака example точка ру"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from petdata.scrub_rules.links import DOT, SPELLED_TLD, TLD
from petdata.scrub_rules.marks import Span, one_of

_PROVIDER: Final = one_of(  # known well enough to be written without their dot
    """g?mail yandex ya inbox list bk rambler icloud outlook hotmail yahoo proton(?:mail)? г?мейл
    г?мэйл маил джи-?мейл джи-?мэйл яндекс рамблер бк инбокс лист"""
)
_PROVIDER_TLD: Final = one_of("ru com net ру ком me рф ua by kz") + r"(?!\w)"
_LOCAL: Final = r"(?<![a-z0-9._%+-])[a-z0-9._%+-]{1,64}"
_WORD_LOCAL: Final = r"(?<![\w.%+-])[\w.%+-]{1,64}"
_LABEL: Final = r"[\w-]{1,63}"
_SIGN: Final = one_of(
    "точка тчк dot нижнее_подчеркивание подчеркивание underscore дефис тире минус dash"
)
_LOCAL_IN_WORDS: Final = rf"(?<![\w.-])[\w.+-]{{1,40}}(?:\s{_SIGN}\s[\w.+-]{{1,40}}){{1,4}}"
_DOG: Final = one_of("собака собачка сабака собак sobaka")
_BRACKETED: Final = rf"[(\[{{<]\s?(?:at|ат|эт|а|a|{_DOG}|dog|гав|@)\s?[)\]}}>]"
_AT: Final = rf"(?:\s{{0,2}}@\s{{0,2}}|\s{{0,2}}{_BRACKETED}\s{{0,2}})"
_AT_WORD: Final = rf"\s{{1,2}}{_DOG}\s{{1,2}}"
_ANY_DOT: Final = rf"(?:\.|{DOT}|[.,]\s{{0,2}}(?=(?:ru|com|net|org|by|kz|ua|su|рф)(?!\w)))"
_DOMAIN: Final = (
    rf"{_LABEL}(?:{_ANY_DOT}{_LABEL}){{0,4}}?{_ANY_DOT}(?:{TLD}|{SPELLED_TLD})"
    r"(?:\.[a-z]{2,10}(?![a-z0-9_-]))?"
)
_MESSENGER_NAME: Final = one_of(
    "tg telegram inst insta instagram vk skype viber tiktok nick twitter fb"
)
_EMAIL = re.compile(
    # ivan@example.org: any ending; a Cyrillic word may be glued to it
    rf"{_LOCAL}@(?:[a-z0-9_-]{{1,63}}\.){{1,6}}[a-z][a-z0-9-]{{1,23}}"
    rf"|{_WORD_LOCAL}@(?:{_LABEL}\.){{1,6}}[^\W\d_]{{2,24}}"
    # spaces, (at), собака, точка
    rf"|(?:{_LOCAL_IN_WORDS}|{_LOCAL}(?:\s\.\s[a-z0-9_-]{{1,40}}){{0,2}}){_AT}{_DOMAIN}"
    rf"|(?:{_LOCAL_IN_WORDS}|{_LOCAL}|{_WORD_LOCAL}(?={_AT_WORD}{_LABEL}\s)){_AT_WORD}{_DOMAIN}"
    rf"|(?:{_LOCAL_IN_WORDS}|{_WORD_LOCAL})(?:{_AT}|{_AT_WORD})"
    rf"{_PROVIDER}(?:\.|{DOT}|\s){_PROVIDER_TLD}"
    rf"|(?:{_LOCAL_IN_WORDS}|{_LOCAL})\sat\s{_LABEL}(?:{DOT}{_LABEL}){{0,3}}?{DOT}{SPELLED_TLD}"
    # ivanсобакаexample.ru, and an address that its ending got lost from
    rf"|{_LOCAL}{_DOG}[a-z0-9-]{{1,63}}\.(?:ru|com|net|org|by|kz|ua)(?![a-z0-9_-])"
    rf"|(?<![\w.%+-])(?!{_MESSENGER_NAME}@)[a-z0-9._%+-]{{2,64}}@[a-z0-9-]{{2,63}}"
)
# whether the costly pattern can match at all: "собака" stands in most texts
_HINT = re.compile(
    rf"@|{_BRACKETED}|\sat\s|(?:соба[кч]|сабак|sobak)\w{{0,3}}\s?"
    r"(?=.{0,60}?(?:точка|тчк|\.[a-zа-я]|\s(?:ru|com|ру|ком)(?!\w)))"
)


def emails(plain: str) -> Iterator[Span]:
    plain = plain.lower()
    if _HINT.search(plain):
        for match in _EMAIL.finditer(plain):
            yield *match.span(), "email"
