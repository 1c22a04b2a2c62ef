from __future__ import annotations

import pytest

from crawlers.pages.opt_out import opts_out
from crawlers.pages.personal import redact


@pytest.mark.parametrize(
    ("person", "text", "expected"),
    [
        ("Аделаида", "Аделаида ждёт, звоните Аделаиде.", "[name] ждёт, звоните [name]."),
        ("Роман", "Звонить роману или Романом", "Звонить [name] или [name]"),
        ("Роман", "Ромашка и романтик", "Ромашка и романтик"),
        ("Иван Петров", "Петровой Анне, Ивану Петрову", "[name] Анне, [name] [name]"),
        ("Семён", "Семену, Семёна", "[name], [name]"),
        ("Яна", "Яне и Яны", "[name] и [name]"),
        ("Хозяин", "Хозяин ищет", "Хозяин ищет"),
        ("(.*)", "Кошка (.*)", "Кошка (.*)"),
        ("", "Кошка", "Кошка"),
    ],
)
def test_names_go_in_every_case(person: str, text: str, expected: str) -> None:
    redacted = redact(text, person=person, address=None)
    assert redacted.text == expected
    assert redacted.counts.get("name", 0) == expected.count("[name]")


@pytest.mark.parametrize(
    ("address", "text", "expected"),
    [
        (
            "улица Брянский Пост, 6 с1А, Москва",
            "Пропала кошка, улица Брянский Пост, 6 с1А, Москва",
            "Пропала кошка, [address], Москва",
        ),
        (
            "Ленинский проспект, 12 к3, Москва",
            "На Ленинском проспекте и на Ленинском, 12, дома",
            "На [address] и на [address], дома",
        ),
        (
            "11 к1, Чусовская улица, район Гольяново, Москва, 107207, Россия",
            "у д. 11 к1 по Чусовской улице 11, школа 5",
            "у д. 11 к1 по [address], школа 5",
        ),
        (
            "улица Александра Матросова, 152, Бийск",
            "ул. А. Матросова, 152 в Бийске; Матросов — порода; улица Матросова",
            "[address] в Бийске; Матросов — порода; [address]",
        ),
        ("улица Ленина, 12", "ул. Ленина 12 марта", "[address] 12 марта"),
        ("улица Ленина, 12", "ул. Ленина д. 12. Окрас", "[address]. Окрас"),
        ("улица 8 Марта, 5", "пропал 8 марта на ул. 8 Марта, 5", "пропал 8 марта на [address]"),
        ("8-й микрорайон, Зеленоград", "8-й микрорайон, 8 лет", "8-й микрорайон, 8 лет"),
        ("Москва", "Пропала в Москве", "Пропала в Москве"),
        ("улица Ленина ((, 5", "у дома ((", "у дома (("),
    ],
)
def test_streets_go_with_their_houses(address: str, text: str, expected: str) -> None:
    redacted = redact(text, person=None, address=address)
    assert redacted.text == expected
    assert redacted.counts.get("address", 0) == expected.count("[address]")


@pytest.mark.parametrize(
    ("directives", "refused"),
    [
        ("noai", True),
        ("noimageai", True),
        ("noindex", True),
        ("noimageindex", True),
        ("none", True),
        ("NoIndex, NoFollow", True),
        ("index, follow", False),
        ("", False),
        ("googlebot: noindex", False),
        ("petdata: noindex", True),
        ("googlebot: nofollow, petdata: noai", True),
        ("nofollow, unavailable_after: 2030-01-01, noai", True),
        ("max-snippet: 5, noindex", True),
        ("noindexing", False),
    ],
)
def test_opt_out(directives: str, refused: bool) -> None:
    assert opts_out(directives) is refused
