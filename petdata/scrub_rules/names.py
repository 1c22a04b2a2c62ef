"""People's names: after a cue (owner, call, ask for), beside a contact, or as a signature.

Pets bear human names, so a name alone is never enough, and what a pet is called stays unless it
stands in a person's place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from petdata.scrub_rules import person_cues as cues
from petdata.scrub_rules.given_names import ALSO_WORDS, ANY_CASE, NOMINATIVE, OFTEN_PETS
from petdata.scrub_rules.marks import CONTACT, MARK_OF, MARKS, Span, disjoint

Place = tuple[int, int]  # start and end of a name

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)?")
_PATRONYMIC = re.compile(
    r"[а-я]{2,}(?:вич|мич|ьич|евн|овн|ичн)(?:а|у|ем|ом|е|ы|ой|ою)?|[а-я]{2,}(?:вна|чна|ич)|оглы|кызы"
)
_SURNAME = re.compile(
    r"[а-я]{2,}(?:(?:ов|ев|ин|ын)(?:а|у|ым|ой|е|ы)?|[сц]к(?:ий|ая|ого|ому|ой|ую|им)|ко|"
    r"(?:ю|у)к(?:а|у|ом)?|ян(?:а|у|ом)?|дзе|швили|ых|их)"
)
_INITIAL = re.compile(r"\s{0,2}[А-ЯA-Z]\.(?:\s?[А-ЯA-Z]\.)?|\s{1,2}[А-ЯA-Z](?!\w)")
_INITIALS_FIRST = re.compile(r"(?:[А-Я]\.\s?){1,2}[А-Я][а-я]{2,20}")
_SURNAME_AND_INITIALS = re.compile(
    r"(?<!\w)[А-Я][а-я]{1,20}(?:ов|ев|ин|ын|ский|цкий|ская|цкая|енко|ук|юк)[ауы]?\s{1,2}"
    r"[А-Я]\.\s?[А-Я](?:\.|(?!\w))"
)
_GIVEN_AND_PATRONYMIC = re.compile(
    r"(?<!\w)([А-Я][а-я]{2,14})\s[А-Я][а-я]{2,14}(?:вич|мич|ьич|вн|чн)(?:а|у|ем|ом|е|ы|ой)?(?!\w)"
)
_CAPITALISED: Final = r"[А-ЯA-Z][\w-]{1,20}(?:\s[А-ЯA-Z][\w-]{1,20}){0,2}"
_CONJUNCTION = re.compile(r"\s{0,2}[,/+&]\s{0,2}|\s(?:и|или|or|and)\s")
_BEFORE_OWNER = re.compile(  # "Ольга, хозяйка Барсика"
    rf"(?<!\w){_CAPITALISED}(?=[\s,(-]{{2,4}}{cues.OWNER}(?!\w))"
)
_BESIDE: Final = r"[\s,.:;()!*|/-]{0,5}"
_CONTACT_FOLLOWS = re.compile(rf"{_BESIDE}{CONTACT}")
_LONE_WORD = re.compile(r"[А-Я][а-я]{2,20}")
_BEFORE_CONTACT = re.compile(
    rf"(?<!\w)(?P<words>{_CAPITALISED}|[а-я]{{3,14}})(?:\s[А-Я](?:\.|(?!\w)))?"
    rf"(?=(?:[\s,:;(-]{{0,5}}|\.\s)(?:(?i:{cues.CONTACT_WORD})(?!\w)[\s:,()-]{{0,3}}){{0,4}}{CONTACT})"
)
_ANOTHER_BEFORE = re.compile(r"(?<!\w)([А-Я][а-я]{2,14})(?:\s(?:и|или)\s|,\s|\s?/\s?)$")
_AFTER_CONTACT = re.compile(rf"{_BESIDE}(?=[А-Яа-яA-Z])")
_LATER_AFTER_CONTACT = re.compile(  # "[phone] в любое время, Мария."
    rf"[^.!?\n{MARKS}]{{1,40}}?[,(]\s?"
    r"(?=[А-Я][а-я]{2,14}(?:\s[А-Я][а-я]{4,18})?(?:\s[А-Я])?(?:[.)\n]|$))"
)
_AFTER_HOUSE = re.compile(r",\s?(?=[А-Я])")
_BEGINS = re.compile(r"[.!?\n]\s{0,2}$")  # a sentence of its own: "... Вячеслав. [phone]"
_CONTACT = re.compile(CONTACT)
_HOUSE = re.compile(MARK_OF["house"])
_BEFORE_CONTACT_REACH: Final = 80  # characters
_SIGNATURE = re.compile(
    r"(?:[.!?)…]\s{1,2}|^|\n|-\s?|(?<=[а-я]{5})(?P<comma>,\s))"
    r"(?P<words>[А-Я][а-я]{2,14}(?:\s[А-Я][а-я]{3,18}){0,2})"
    r"(?:\s(?:и|,)\s[А-Я][а-я]{2,14})?[\s.!)]{0,4}$",
    re.MULTILINE,
)
_NOT_NAMES: Final = frozenset(
    """неизвестен неизвестна неизвестно ищется нет найден найдена найдены не пока есть отсутствует
    пропал пропала телефон тел звонить звоните кот кошка собака пес щенок уважением хозяин хозяйка
    владелец волонтер куратор пожалуйста помогите вознаграждение спасибо группа канал telegram
    whatsapp viber instagram now me us please if on at the my any anytime phone email for help and
    or in to this reward before after lost found missing dog cat only you all everyone""".split()  # noqa: SIM905
)


def names(plain: str) -> Iterator[Span]:
    lowered = plain.lower()
    found = {
        *_after_sure_cues(plain, lowered),
        *_after_cues(plain, lowered),
        *_beside_contacts(plain, lowered),
        *_signatures(plain, lowered),
        *_full_names(plain, lowered),
    }
    yield from disjoint(found, "name")


def _after_sure_cues(plain: str, lowered: str) -> Iterator[Place]:
    """Whatever capitalised word follows: "меня зовут", "получатель", "Владелец:"."""
    for pattern in (cues.ANY_WORD, cues.BEFORE_COLON):
        for cue in pattern.finditer(lowered):
            yield from _people(plain, cue.end(), any_word=True)
    for cue in cues.ENGLISH.finditer(plain):
        yield from _people(plain, cue.end(), any_word=True)


def _after_cues(plain: str, lowered: str) -> Iterator[Place]:
    """A given name follows."""
    for cue in cues.AFTER_OWNER.finditer(lowered):
        word = _LONE_WORD.match(plain, cue.end())
        beside_contact = word is not None and _CONTACT_FOLLOWS.match(plain, word.end()) is not None
        yield from _people(plain, cue.end(), known=NOMINATIVE, any_word=beside_contact)
    for cue in cues.AFTER_PERSON.finditer(lowered):
        yield from _people(plain, cue.end())
    for match in _BEFORE_OWNER.finditer(plain):
        person = _person_at(plain, match.start(), NOMINATIVE)
        if person and not _is_pets(lowered, match.start()):
            yield person
    for pattern in (cues.AFTER_RELATIVE, cues.LABEL):
        for cue in pattern.finditer(lowered):
            if not _is_pets(lowered, cue.start()) or pattern is cues.AFTER_RELATIVE:
                for start, end in _people(plain, cue.end(), known=NOMINATIVE):
                    if lowered[start:end] not in OFTEN_PETS and plain[start].isupper():
                        yield start, end


def _people(
    plain: str, start: int, *, known: frozenset[str] = ANY_CASE, any_word: bool = False
) -> Iterator[Place]:
    """One person or several ("Машу или Диму") from `start` on."""
    for _ in range(4):
        person = _person_at(plain, start, known, any_word=any_word)
        if person is None:
            return
        yield person
        conjunction = _CONJUNCTION.match(plain, person[1])
        if conjunction is None:
            return
        start, any_word = conjunction.end(), False


def _person_at(
    plain: str, start: int, known: frozenset[str], *, any_word: bool = False
) -> Place | None:
    """The words of a person at `start`: given name, patronymic, surname, initials."""
    initials = _INITIALS_FIRST.match(plain, start)
    if initials and any_word:
        return initials.span()
    words = _capitalised_words(plain, start)
    if not words:
        return _lowercase_person_at(plain, start, known)
    lowered = [word[0].lower() for word in words]
    taken = 1 if any_word and lowered[0] not in _NOT_NAMES else _first_words(plain, words, known)
    if taken == 0:
        return None
    while taken < len(words) and (
        _PATRONYMIC.fullmatch(lowered[taken])
        or _SURNAME.fullmatch(lowered[taken])
        or lowered[taken] in known
        or (words[taken][0].isascii() and lowered[taken] not in _NOT_NAMES)
    ):
        taken += 1
    end = words[taken - 1].end()
    initial = _INITIAL.match(plain, end)
    return words[0].start(), initial.end() if initial else end


def _first_words(plain: str, words: Sequence[re.Match[str]], known: frozenset[str]) -> int:
    """How many of the words begin a person's name for sure; 0 where none is meant."""
    lowered = [word[0].lower() for word in words]
    if lowered[0] in _NOT_NAMES:
        return 0
    if lowered[0] in known:
        return 1
    surname = _SURNAME.fullmatch(lowered[0]) is not None
    if len(words) > 1 and (
        (surname and lowered[1] in known) or _PATRONYMIC.fullmatch(lowered[1]) is not None
    ):
        return 2
    return 1 if surname and _INITIAL.match(plain, words[0].end()) else 0


def _lowercase_person_at(plain: str, start: int, known: frozenset[str]) -> Place | None:
    word = _WORD.match(plain, start)
    if word is None or word[0] not in known or word[0] in ALSO_WORDS or len(word[0]) < 3:
        return None
    second = _WORD.match(plain, word.end() + 1)
    if second and _PATRONYMIC.fullmatch(second[0]):
        return word.start(), second.end()
    return word.span()


def _capitalised_words(plain: str, start: int) -> Sequence[re.Match[str]]:
    """Up to three words with a capital from `start` on, one blank between."""
    words: list[re.Match[str]] = []
    while len(words) < 3:
        word = _WORD.match(plain, start)
        if word is None or not word[0][0].isupper():
            break
        words.append(word)
        if plain[word.end() : word.end() + 1] != " ":
            break
        start = word.end() + 1
    return words


def _is_pets(lowered: str, start: int) -> bool:
    """Whether the words before `start` say that a pet's name follows, or a street's."""
    before = lowered[max(0, start - 40) : start]
    return cues.PET.search(before) is not None or cues.STREET.search(before) is not None


def _called_pet(lowered: str, name: str) -> bool:
    """Whether the text calls a pet by this name elsewhere ("зовут Маша")."""
    stem = re.escape(name.lower().rstrip("аяыиеуюойь"))
    again = re.finditer(rf"(?<!\w){stem}\w{{0,3}}(?!\w)", lowered[:5000])
    return any(_is_pets(lowered, match.start()) for match in again)


def _beside_contacts(plain: str, lowered: str) -> Iterator[Place]:
    for contact in _CONTACT.finditer(plain):
        yield from _before_contact(plain, lowered, contact)
        for pattern in (_AFTER_CONTACT, _LATER_AFTER_CONTACT):
            yield from _after_contact(plain, lowered, pattern.match(plain, contact.end()))
    for house in _HOUSE.finditer(plain):
        yield from _after_contact(plain, lowered, _AFTER_HOUSE.match(plain, house.end()))


def _before_contact(plain: str, lowered: str, contact: re.Match[str]) -> Iterator[Place]:
    reach = max(0, contact.start() - _BEFORE_CONTACT_REACH)
    for match in _BEFORE_CONTACT.finditer(plain, reach, contact.end()):
        start = match.start("words")
        for word in match["words"].split(" "):
            person = _person_at(plain, start, NOMINATIVE)
            if person and person[1] in (match.end(), match.end("words")):
                if not (_is_pets(lowered, match.start()) or _is_pets(lowered, start)) and (
                    plain[match.end()] != "." or _BEGINS.search(plain, max(0, start - 3), start)
                ):
                    yield person
                    yield from _another_before(plain, lowered, start)
                break
            start += len(word) + 1


def _after_contact(plain: str, lowered: str, between: re.Match[str] | None) -> Iterator[Place]:
    if between:
        person = _person_at(plain, between.end(), NOMINATIVE)
        if person and _belongs(plain, lowered, between[0], person):
            yield from _people(plain, between.end(), known=NOMINATIVE)


def _another_before(plain: str, lowered: str, start: int) -> Iterator[Place]:
    """ "Ольга" of "Ольга и Сергей, [phone]"."""
    offset = max(0, start - 25)
    other = _ANOTHER_BEFORE.search(plain[offset:start])
    if other and other[1].lower() in NOMINATIVE and not _is_pets(lowered, offset + other.start()):
        yield offset + other.start(1), offset + other.end(1)


def _belongs(plain: str, lowered: str, between: str, person: Place) -> bool:
    """Whether a name after a contact is its owner's: not so in "[phone]. Марк убежал"."""
    rest = plain[person[1] : person[1] + 12]
    if "." in between or "!" in between:
        return not rest.strip(" .!)") or rest.lstrip(" .!)")[:1] == "\n"
    name = lowered[person[0] : person[1]]
    if re.search("[а-я]", between.lower()):  # "[phone] в любое время, Мария."
        return name not in OFTEN_PETS and not _is_pets(lowered, person[0])
    ends = not rest.strip() or rest.lstrip(" ")[0] in ",.;:!?)(\n/"
    return ends or name not in OFTEN_PETS or _CONTACT_FOLLOWS.match(rest) is not None


def _signatures(plain: str, lowered: str) -> Iterator[Place]:
    for match in _SIGNATURE.finditer(plain):
        start = match.start("words")
        person = _person_at(plain, start, NOMINATIVE)
        name = match["words"]
        if (
            person is not None
            and person[1] == match.end("words")
            and start > 0
            and not (match["comma"] and (name.lower() in OFTEN_PETS or "!" in match[0]))
            and not _is_pets(lowered, start)
            and not _called_pet(lowered, name)
        ):
            yield from _people(plain, start, known=NOMINATIVE)


def _full_names(plain: str, lowered: str) -> Iterator[Place]:
    """Given name and patronymic, or surname and initials, unless a pet or a street is called so."""
    for match in _GIVEN_AND_PATRONYMIC.finditer(plain):
        if match[1].lower() in ANY_CASE and not _is_pets(lowered, match.start()):
            person = _person_at(plain, match.start(), ANY_CASE)
            if person:
                yield person
    for match in _SURNAME_AND_INITIALS.finditer(plain):
        if not _is_pets(lowered, match.start()):
            yield match.span()
