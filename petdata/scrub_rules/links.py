"""Links, written openly or disguised: https://..., t.me/name, лапки.рф, "вк точка ком слэш имя"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from petdata.scrub_rules.marks import MARKS, Span, one_of

# Ends of a domain that count by themselves. Those that are words (me, to, be, top) need a path,
# since "call.me" is a sentence.
_LATIN_TLD: Final = one_of(
    """ru com net org info su biz by kz ua uz kg ge md lv lt ee pl io cc online site store shop club
    xyz app dev link eu de uk fr cz world space website moscow tatar help vip blog tech digital
    agency ngo ong care wiki center fund pet pets vet foundation charity studio zone
    xn--[a-z0-9-]{2,40} example test"""
)
_CYRILLIC_TLD: Final = one_of("рф рус дети сайт онлайн орг бел укр қаз")
TLD: Final = rf"(?:{_LATIN_TLD}(?![a-z0-9_-])|{_CYRILLIC_TLD}(?![\w-]))"
SPELLED_TLD: Final = (
    one_of("ru com net org info su io by kz ua ру ком рф рус орг инфо нэт сайт онлайн example")
    + r"(?!\w)"
)
_HOST: Final = one_of(  # known well enough to be written without their dot
    """vk вк t т wa ok ок instagram инстаграм insta facebook fb youtube youtu tiktok telegram
    телеграм avito авито pet911 yandex яндекс google viber max"""
)
_HOST_TLD: Final = one_of("com me ru be ком ру ми мэ")
_LABEL: Final = r"[\w-]{1,63}"
_DOTTED: Final = rf"(?<![\w@.-])(?:{_LABEL}\.){{1,6}}"
DOT: Final = (
    "(?:"
    r"\s{1,2}(?:точка|тчк|dot)\s{1,2}"
    r"|\s{0,2}[(\[{]\s?(?:\.|точка|тчк|dot)\s?[)\]}]\s{0,2}"
    r"|\s{1,2}\.\s{0,2}"
    ")"
)
_LOOSE_DOT: Final = rf"(?:\s?\.\s?|{DOT})"
_SLASH: Final = r"(?:\s{0,2}/\s{0,2}|\s{1,2}(?:слеш|слэш|slash|дробь|косая(?:\sчерта)?)\s{1,2})"
_IN_PATH: Final = rf"[^\s<>\"«»|\\^`{{}}\[\]{MARKS}]"
_HTTP: Final = r"(?:h(?:tt|xx)ps?|ftp)\s?:\s?/\s?/\s?"
_OPEN_LINK = re.compile(
    rf"{_HTTP}[^\s/<>\"«»{MARKS}]{{1,80}}?[.:]{_IN_PATH}++"
    rf"|{_HTTP}{_LABEL}(?:{_LOOSE_DOT}{_LABEL}){{0,3}}?{_LOOSE_DOT}(?:{TLD}|me(?!\w))"
    rf"(?:\s?/\s?{_IN_PATH}*+)?"
    rf"|h(?:tt|xx)ps?://{_IN_PATH}++"
    rf"|(?:tg|viber|whatsapp|skype|vk|intent|tel|sms)://{_IN_PATH}++"
    rf"|(?<!\w)www\s?\.\s?{_IN_PATH}{{2,}}+"
    # t.me/name, bit.ly/3kot: with a path any ending will do
    rf"|{_DOTTED}(?:[a-z]{{2,24}}|москва|ком)(?::[0-9]{{1,5}})?/{_IN_PATH}++"
    rf"|(?<!\w)(?:m\.)?{_HOST}(?:\s{{0,2}}[.,]\s{{0,2}}|\s|{DOT}){_HOST_TLD}{_SLASH}"
    rf"{_IN_PATH}++(?:{_SLASH}[\w.-]{{1,80}}){{0,3}}"
)
_BARE_LINK = re.compile(
    rf"{_DOTTED}{TLD}(?::[0-9]{{1,5}})?(?:[/?#]{_IN_PATH}*+)?"
    rf"|(?<![\w@.-]){_LABEL}(?:(?:{DOT}|\.){_LABEL}){{0,3}}?{DOT}{SPELLED_TLD}"
    rf"(?:{_SLASH}[\w.?=+-]{{1,80}}){{0,4}}"
)
_TRAILING = re.compile(r"[.,;:!?…'*_~)\-]+$")


def open_links(plain: str) -> Iterator[Span]:
    """Links with a scheme or a path."""
    yield from _trimmed_links(_OPEN_LINK, plain)


def bare_links(plain: str) -> Iterator[Span]:
    """Domains, after e-mail addresses have been taken."""
    yield from _trimmed_links(_BARE_LINK, plain)


def _trimmed_links(pattern: re.Pattern[str], plain: str) -> Iterator[Span]:
    for match in pattern.finditer(plain.lower()):
        yield match.start(), match.start() + len(_trimmed(match[0])), "link"


def _trimmed(link: str) -> str:
    """Without the punctuation of the sentence, and without a bracket that it didn't open."""
    depth = 0
    for index, character in enumerate(link):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            link = link[:index]
            break
    return _TRAILING.sub("", link) or link
