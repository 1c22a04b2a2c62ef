"""What channels about animals post beside adverts: all invented, as in advert_texts."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from petdata.records import Species


class Kind(StrEnum):
    """What a post says of its animal; the last two say nothing of one."""

    LOST = "lost"
    FOUND = "found"
    SIGHTED = "sighted"
    REUNITED = "reunited"
    ADOPTION = "adoption"
    FUNDRAISING = "fundraising"
    AD = "ad"


# Lost and found posts read like adverts. Pairs are (masculine, feminine).
TEXTS: Final = {
    Kind.SIGHTED: (
        (
            "Сегодня у дома {address} бегает {subject}, окрас {coat}. Чей потеряшка?",
            "Замечен {subject} без хозяина: {address}. Окрас {coat}, близко не подходит.",
        ),
        (
            "Сегодня у дома {address} бегает {subject}, окрас {coat}. Чья потеряшка?",
            "Замечена {subject} без хозяина: {address}. Окрас {coat}, близко не подходит.",
        ),
    ),
    Kind.REUNITED: (
        (
            "Ура! {pet} дома! Наш {subject} нашёлся, спасибо всем за репосты!",
            "Нашёлся! {subject_capital} {pet} вернулся к хозяевам, поиск закрыт.",
        ),
        (
            "Ура! {pet} дома! Наша {subject} нашлась, спасибо всем за репосты!",
            "Нашлась! {subject_capital} {pet} вернулась к хозяевам, поиск закрыт.",
        ),
    ),
    Kind.ADOPTION: (
        (
            "В добрые руки: {subject} {pet}, окрас {coat}, привит. Звоните: {phone}, {owner}.",
            "{pet} ищет дом! Ласковый {subject}, {coat}, к лотку приучен. Тел. {phone}",
        ),
        (
            "В добрые руки: {subject} {pet}, окрас {coat}, привита. Звоните: {phone}, {owner}.",
            "{pet} ищет дом! Ласковая {subject}, {coat}, к лотку приучена. Тел. {phone}",
        ),
    ),
    Kind.FUNDRAISING: (
        (
            "Срочный сбор на операцию! {subject_capital} {pet} в клинике. Карта {phone}, {owner}.",
            "Собираем на корм и лечение. Перевод на карту по номеру {phone}, получатель {owner}.",
        ),
        (
            "Срочный сбор на операцию! {subject_capital} {pet} в клинике. Карта {phone}, {owner}.",
            "Собираем на корм и лечение. Перевод на карту по номеру {phone}, получатель {owner}.",
        ),
    ),
    Kind.AD: (
        (
            "Реклама. Груминг-салон «Лапа»: стрижка от 1500 рублей, запись {phone}.",
            "Скидка 20 % на корм для питомцев! Подробнее: https://example.com/korm",
        ),
        (
            "Реклама. Передержка «Усы»: от 500 рублей в день, запись {phone}.",
            "Скидка 10 % на наполнитель! Подробнее: https://example.com/napolnitel",
        ),
    ),
}
REMARKS: Final = (
    "Репост, пожалуйста!",
    "Кто рядом, посмотрите во дворах.",
    "Сделали расклейку, спасибо волонтёрам ❤️",
    "Администрация: пишите в комментариях район.",
    "Друзья, прочитайте правила канала в закрепе.",
    "Ещё актуально?",
)
HASHTAGS: Final = {
    Species.CAT: "#кошки",
    Species.DOG: "#собаки",
    Species.BIRD: "#птицы",
    Species.OTHER: "#другие",
}
EMOJI: Final = ("", "", "🐾 ", "‼️ ", "🙏🏻 ")
CHANNELS: Final = (
    ("demo_poteryashki", "Потеряшки и найденыши (демо)"),
    ("demo_pets_city", "Питомцы города (демо)"),
    ("demo_volunteers", "Волонтёры рядом (демо)"),
)
EDITORS: Final = ("Марианна К.", "Редактор Глеб", "Админ Инесса")
