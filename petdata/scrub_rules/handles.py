"""Handles: @name, or a nick or id beside the name of a messenger or network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from petdata.scrub_rules.marks import Span, disjoint, one_of

_MESSENGER: Final = one_of(
    r"""телеграм\w{0,3} телег[аеуи]\w? тг tg telegram\w? инст(?:[ауе]|ой|аграм\w{0,3})?
    inst(?:a|agram)? вк vk вконтакте контакте директ\w? скайп\w? skype дискорд\w? discord
    тик-?ток\w? tik-?tok фейсбук\w? facebook fb фб твиттер\w? twitter тредс threads ю?туб\w? youtube
    одноклассник\w{1,2} signal icq аськ[аеу] wechat snapchat likee дзен\w?
    (?:max|макс[ае]?)(?=\s?:) viber вайбер\w?"""
)
_NICK_CUE: Final = one_of(
    r"""ник(?:нейм)? nick(?:name)? user-?name юзер(?:нейм)? логин\w? login аккаунт\w? account акк
    профил[ьяею]"""
)
_PLACE_CUE: Final = one_of(  # weaker: the nick after it has to look like one
    r"""админ\w? admin бот\w? bot канал\w? channel чат\w? chat групп[аеуы] group паблик\w?
    сообществ\w стр(?:аниц[аеуы])?"""
)
_BETWEEN: Final = one_of(
    """мой моя наш наша ник никнейм под ником по нику аккаунт акк канал группа чат бот профиль
    страница логин имя адрес айди найдете найти меня ищите ищи пишите писать называется как as is
    my nick username user name account page"""
)
_NOT_A_NICK: Final = (
    "(?!"
    + one_of(
        r"""viber whats\w* telegram instagram insta skype facebook vk tg max signal sms gps or and
        only me us on in is at the my to for please if page account username nick chat group channel
        messenger direct call text photos? with an? id this that we you was lost found dog cat any
        by of user name also too there here video he she it has bot admin"""
    )
    + r"(?![\w.-]))"
)
_TAIL: Final = r"(?:\w|[.-](?=\w))"
_NICK: Final = r"(?:live:)?[a-z0-9](?:[a-z0-9_]|[.-](?=\w)){2,}+(?:#[0-9]{4}(?![0-9]))?"
_LATIN_NICK: Final = rf"{_NOT_A_NICK}(?=[\w.-]{{0,40}}?[a-z]){_NICK}"
_CYRILLIC_NICK: Final = rf"(?=[а-я.-]{{0,40}}[_0-9])[а-я]{_TAIL}{{2,}}+"
_ID: Final = r"(?:id|айди)\s?[0-9]{4,}|(?<=[вvkк:]\s)[0-9]{6,9}(?![\s-]?[0-9])"
_GAP: Final = r"\s{0,2}(?:[:=>(\-«\"'/]{1,3}\s{0,2})?"
_FILE: Final = one_of("img dsc vid photo screenshot image pic")
_AT_HANDLE = re.compile(rf"@\s?(?=[\w.-]{{0,40}}?[^\W\d])\w{_TAIL}++")
_CUED_HANDLE = re.compile(
    # телеграм: name, вк id 900000456
    rf"(?<!\w){_MESSENGER}(?!\w){_GAP}(?:{_BETWEEN}(?!\w){_GAP}){{0,3}}"
    rf"(?:(?:{_MESSENGER}|{_NICK_CUE}|{_PLACE_CUE})(?!\w){_GAP})?"
    rf"(?P<account>{_ID}|{_LATIN_NICK}|{_CYRILLIC_NICK})"
    # мой ник в тг name
    rf"|(?<!\w){_NICK_CUE}(?!\w){_GAP}(?:(?:в|во)\s{_MESSENGER}(?!\w){_GAP})?"
    rf"(?:{_BETWEEN}(?!\w){_GAP}){{0,2}}(?P<nick>{_LATIN_NICK}|{_CYRILLIC_NICK})"
    rf"|(?<!\w){_PLACE_CUE}(?!\w){_GAP}(?P<place>(?=[a-z.-]{{0,40}}[0-9_]){_NOT_A_NICK}{_NICK})"
    rf"|(?<!\w)(?:ник(?:нейм)?|логин)\s?(?:[:=]|\s-)\s?[«\"]?(?P<any>\w{_TAIL}{{2,}}+)"
    # petfinder_660 anywhere, and zoo66 (телеграм)
    rf"|(?<![\w.@/-])(?!{_FILE}_)(?P<snake>(?=[a-z0-9.-]{{0,40}}_)(?=[\w.-]{{0,40}}?[a-np-z]){_NICK})"
    rf"|(?<![\w.@/-])(?P<before>(?=[a-z]{{1,40}}[0-9.-]){_NICK})"
    rf"(?=\s{{0,2}}[(,-]?\s?(?:(?:в|на|on|in)\s)?{_MESSENGER}(?!\w))"
    r"|(?<!\w)(?P<id>(?:id|айди)[\s:№]{0,2}[0-9]{6,})"
)


def handles(plain: str) -> Iterator[Span]:
    plain = plain.lower()
    found = [match.span() for match in _AT_HANDLE.finditer(plain)] if "@" in plain else []
    for match in _CUED_HANDLE.finditer(plain):
        kind = match.lastgroup
        assert kind is not None  # every alternative names what it found
        found.append(match.span(kind))
    yield from disjoint(found, "handle")
