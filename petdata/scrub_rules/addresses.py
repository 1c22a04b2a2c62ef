"""House, building, flat and plot numbers in addresses; streets and districts stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from petdata.scrub_rules.marks import Span, disjoint, one_of

# A number before one of these counts things, days or money; it is no house.
_COUNTED: Final = (
    r"(?i:\s{0,2}"
    + one_of(
        r"""лет год г\. гг мес дн[яей] день сут нед час ч\. мин утра вечера ночи числ январ феврал
        март
        апрел ма[йя](?!\w) июн июл август сентяб октяб нояб декаб кг кило гр г(?!\w) см м(?!\w) км
        метр руб р\. р(?!\w) тыс т\. ₽ % шт раз чел люд этаж кош кот соб щен пес пса псов ребен дет
        мальч девоч объяв подъезд остановк лини автобус домов дома двор сантим килом кв\.?\s?м
        years? months? weeks? days? hours? kg km cm am pm cats? dogs? pupp kitten"""
    )
    + "|-?"
    + one_of(r"й я го м ми ти х ый ой ая летн\w+ этажн\w+ комн\w+")
    + r"(?!\w))"
)
# 15а, 15 А, 15 "б"
_LETTER: Final = (
    r"(?:[а-яА-Яa-zA-Z](?!\w)|\s?[«\"]?[А-ЖA-F][»\"]?(?!\w)|\s[а-е](?=\s{0,2}(?:[,.;)\n]|$)))"
)
_NUMBER: Final = (
    rf"[0-9]{{1,4}}{_LETTER}?(?:\s?[/-]\s?[0-9]{{1,4}}[а-яА-Я]?(?!\w))?"
    rf"(?![\w/]|[.,:][0-9]|\s?-[0-9])(?!{_COUNTED})"
)
_GAP: Final = r"[.\s]{0,2}(?:№\s{0,2}|номер\s|N\s?)?"
_HOUSE_WORD: Final = (
    f"(?i:{one_of('дом(?:а|у|е|ом|ами|ов)? д владени[ея] вл house bldg building')})"
)
_PART_WORD: Final = (
    r"корп(?:ус)?[аеу]? строени[ея] стр квартир[аыеу] кв(?!\.?\s?м(?!\w)) кв-ра apt flat apartment "
    r"участ(?:ок|ка|ке|ку) уч(?:-к)? "
)
_WEAK_PART_WORD: Final = (  # only after a house
    r"к(?=\.?\s?[0-9]) с(?=\.?\s?[0-9]) лит(?:ера)? unit офис оф помещение пом комн(?:ата)? гараж "
    r"бокс секция под(?:ъезд|ьезд)?(?=\.?\s?[0-9])"
)
_PART: Final = rf"(?i:{one_of(_PART_WORD)}){_GAP}{_NUMBER}"
_MORE: Final = (
    rf"(?:[\s,]{{0,3}}(?<!\w)(?i:{one_of(_PART_WORD + _WEAK_PART_WORD)}){_GAP}"
    rf"(?:{_NUMBER}|[А-ЯA-Z](?!\w))|\s?(?i:[кс]|корп)[0-9]{{1,3}}(?!\w)){{0,4}}"
)
_HOUSE: Final = rf"{_NUMBER}{_MORE}"
_WITH_WORD = re.compile(
    rf"(?<![\w-])(?<!т\.)(?<!т\.\s){_HOUSE_WORD}{_GAP}{_NUMBER}(?:\s(?:и|или)\s{_NUMBER})?{_MORE}"
    rf"|(?<![\w-]){_PART}{_MORE}"
    # "во дворе 8-го дома", "из 45 квартиры"
    r"|(?<!\w)(?i:(?:у|около|возле|двор\w{0,2}|из|напротив|в|во|к|ко|от|до|рядом с)\s)"
    r"(?P<before>[0-9]{1,3}\s?[а-яА-Я]?(?:-?(?:й|го|м|ом|му|ого))?\s{1,2}"
    r"(?i:дом(?:а|у|е|ом)?|квартир[ыеу]|корпус[ае]?|участк[ае])(?!\w))"
)

_STREET: Final = (
    r"улиц(?:а|ы|е|у|ей) ул просп(?:ект[ауе]?)? пр(?:-?к?т)? пер(?:еулок|еулк[аеу])? шоссе "
    r"бульвар[ауе]? б-р площад[ьи] набережн(?:ая|ой|ую) наб проезд[ауе]? тупик[ае]? тракт[ауе]? "
    r"алле[яеию] street st avenue ave road rd lane "
)
_SETTLEMENT: Final = (
    r"пр-д ш(?=\.) бул пл мкрн? микрорайон[ае]? мк?р-н квартал[ае]? снт днт кп жк "
    r"пос(?:елок|елке)? село деревн[яеи]"
)
_CAPITALISED: Final = r"[А-ЯA-Z«\"][\w.»\"-]{0,30}"
_ORDINAL: Final = (
    r"[0-9]{1,4}(?:-?(?:я|й|го|ой|ая|летия|летие|лет|года))?\s(?:лет(?:ия)?\s|года?\s)?"
)
_TITLE: Final = one_of(
    r"реки имени им\. маршала генерала академика героя героев писателя партизана"
)
_STREET_NAME: Final = (
    rf"(?:(?:{_ORDINAL}|{_TITLE}\s?)?{_CAPITALISED}(?:\s(?:и\s)?{_CAPITALISED}){{0,3}}"
    rf"|{_ORDINAL}(?:[а-я]{{3,20}}\s)?[а-я]{{3,20}}|1905 года)"
)
_LOWERCASE_NAME: Final = (  # "ул ленина 5", but not "ул. уже 5"
    r"(?:[а-я]{3,20}\s)?[а-я]{3,20}(?<!\sв)(?<!\sна)(?<!уже)(?<!еще)(?<!через)(?<!около)"
    r"(?<!минус)(?<!плюс)(?<!\sдо)(?<!примерно)"
)
_LOWERCASE_ENDING: Final = one_of("ина ова ева ая ой ого его ых ии ира еды")
_COMMA: Final = r"(?:\s{0,2},\s{0,2}|\s{1,2})(?:№\s?)?"
_AFTER_STREET = re.compile(
    rf"(?<![\w-])(?i:{one_of(_STREET + _SETTLEMENT)})\.?\s{{0,2}}{_STREET_NAME}"
    rf"{_COMMA}(?P<named>{_HOUSE})"
    rf"|(?<![\w-])(?i:ул|пер|пр-?к?т|б-р|наб)\.?\s{{0,2}}{_LOWERCASE_NAME}{_COMMA}(?P<sloppy>{_HOUSE})"
    rf"|(?<![\w-])(?i:улиц[аеуы]|проспект[ауе]?|бульвар[еау]?)\s(?:[а-я]{{3,20}}\s)?[а-я]{{2,20}}"
    rf"{_LOWERCASE_ENDING}{_COMMA}(?P<lower>{_HOUSE})"
    # "Садовый переулок, 1А", "Lenin st. 5", "5 Lenin street"
    rf"|(?<!\w){_CAPITALISED}\s(?i:{one_of(_STREET)})\.?{_COMMA}(?P<after>{_HOUSE})"
    r"|(?<![\w.,:/-])(?P<english>[0-9]{1,4}[A-Za-z]?)(?=\s(?:[A-Z][a-z]{2,20}\s){1,2}"
    r"(?i:street|st|avenue|ave|road|rd|lane|drive)(?!\w))"
)

# A street without its word: known, adjectival, or meant by a preposition or "адрес"
_PLACE_CUE: Final = r"(?i:на|по|с|со|от|до|угол|углу|адрес\w?:?)"
_NEAR: Final = r"(?i:у|возле|около|районе?|пересечени[ие])"
_ENDING: Final = one_of(
    """[сц]к(?:ая|ой|ую|ого) н(?:ая|ой|ую|ого|ых) ова ева ина ына ов ев ой ей ого его ых их ая яя ую
    ии"""
)
_KNOWN: Final = one_of(
    """Ленина Мира Гагарина Победы Пушкина Советск(?:ая|ой) Кирова Калинина Маркса Малышева Чапаева
    Свердлова Куйбышева Горького Чкалова Фрунзе Космонавтов Белинского Лермонтова Октябр(?:я|ьской)
    Комсомольск(?:ая|ой) Молодежн(?:ая|ой) Центральн(?:ая|ой) Школьн(?:ая|ой) Садов(?:ая|ой)
    Лесн(?:ая|ой) Первомайск(?:ая|ой) Луначарского Энгельса Дзержинского Жукова Матросова Толстого
    Чехова Некрасова Тургенева Суворова Кутузова Московск(?:ая|ой) Набережн(?:ая|ой)
    Заводск(?:ая|ой) Строителей Зелен(?:ая|ой) Марта Комсомола Революции Труда Фучика Щорса Крупской
    Грибоедова Орджоникидзе Вайнера Бажова Шевченко Титова Королева Сурикова Блюхера Челюскинцев
    Металлургов Энтузиастов Авиаторов Шейнкмана Радищева Хохрякова"""
)
_WITHOUT_WORD = re.compile(
    rf"(?<!\w)(?:{_PLACE_CUE}|{_NEAR})\s(?:{_ORDINAL})?(?:[А-Я][\w-]{{1,25}}\s){{0,2}}?"
    rf"[А-Я][а-я-]{{0,22}}{_ENDING}(?!\w){_COMMA}(?P<ending>{_HOUSE})"
    rf"|(?<!\w){_PLACE_CUE}\s(?:[А-Я][\w-]{{1,25}}\s(?:и\s)?){{0,2}}?[А-Я][а-я-]{{3,22}}(?!\w)"
    rf"(?:,\s(?P<comma>{_HOUSE})|\s(?P<last>{_HOUSE})(?=[.,;:)\n]|$))"
    rf"|(?<!\w)[А-Я][а-я-]{{2,22}}(?:[сц]кая|овая|евая)(?!\w){_COMMA}(?P<feminine>{_HOUSE})"
    rf"|(?<!\w){_KNOWN}(?!\w){_COMMA}(?P<known>{_HOUSE})"
    rf"|(?<!\w)(?i:адрес\w{{0,2}}(?:\s[а-я]{{3,15}})?:)\s{{0,2}}(?:[\w.-]{{1,25}}[\s,]{{1,2}}){{0,4}}?"
    rf"[А-Я][\w.-]{{1,25}}{_COMMA}(?P<cued>{_HOUSE})"
)
_DIGIT = re.compile("[0-9]")


def houses(plain: str) -> Iterator[Span]:
    """ "д. 5, кв. 12" with its words; after a street the bare number."""
    if not _DIGIT.search(plain):
        return
    found = []
    for pattern in (_WITH_WORD, _AFTER_STREET, _WITHOUT_WORD):
        for match in pattern.finditer(plain):
            found.append(match.span(match.lastgroup) if match.lastgroup else match.span())
    yield from disjoint(found, "house")
