"""What people write about lost and found animals: all invented, no one's words or numbers.

The texts hold what a scrubber must find: phones, names, addresses, handles, links, chip numbers.
Phones have 000 after their code, which no operator gives out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from petdata.records import Species


@dataclass(frozen=True, slots=True)
class City:
    name: str
    slug: str
    latitude: float
    longitude: float


CITIES: Final = (
    City("Москва", "moskva", 55.7558, 37.6176),
    City("Санкт-Петербург", "sankt-peterburg", 59.9386, 30.3141),
    City("Казань", "kazan", 55.7961, 49.1064),
    City("Нижний Новгород", "nizhny-novgorod", 56.3269, 44.0059),
    City("Екатеринбург", "yekaterinburg", 56.8389, 60.6057),
    City("Новосибирск", "novosibirsk", 55.0302, 82.9204),
    City("Краснодар", "krasnodar", 45.0355, 38.9753),
    City("Химки", "khimki", 55.8890, 37.4449),
    City("Щёлково", "shchelkovo", 55.9210, 37.9910),
    City("Раменское", "ramenskoye", 55.5670, 38.2260),
)

# Pairs are (masculine, feminine).
SUBJECTS: Final = {
    Species.CAT: ("кот", "кошка"),
    Species.DOG: ("пёс", "собака"),
    Species.BIRD: ("попугай", "попугаиха"),
    Species.OTHER: ("кролик", "крольчиха"),
}
LOST_VERBS: Final = ("Пропал", "Пропала")
FOUND_VERBS: Final = ("Найден", "Найдена")
PLURALS: Final = {
    Species.CAT: ("Кошки", "koshki", "cats"),
    Species.DOG: ("Собаки", "sobaki", "dogs"),
    Species.BIRD: ("Птицы", "pticy", "birds"),
    Species.OTHER: ("Другие", "drugie", "other"),
}
ANIMAL_TYPES: Final = {
    Species.CAT: "Кошка",
    Species.DOG: "Собака",
    Species.BIRD: "Птица",
    Species.OTHER: "Другое",
}
PET_NAMES: Final = {
    Species.CAT: (
        ("Барсик", "Рыжик", "Тимофей", "Кузя", "Мартин"),
        ("Мурка", "Соня", "Маруся", "Багира", "Ася"),
    ),
    Species.DOG: (("Рекс", "Граф", "Джек", "Бим"), ("Альма", "Найда", "Герда", "Тайга")),
    Species.BIRD: (("Кеша", "Гоша"), ("Рикки", "Ариша")),
    Species.OTHER: (("Пушок", "Снежок"), ("Зая", "Марта")),
}
BREEDS: Final = {
    Species.CAT: (
        "Беспородная",
        "Британская короткошерстная кошка",
        "Мейн-кун",
        "Сибирская кошка",
        "Сиамская кошка",
        "Шотландская вислоухая кошка",
    ),
    Species.DOG: (
        "Метис",
        "Немецкая овчарка",
        "Лабрадор ретривер",
        "Джек-рассел-терьер",
        "Сибирский хаски",
        "Той-терьер",
    ),
    Species.BIRD: ("Волнистый попугай",),
    Species.OTHER: ("Кролик декоративный",),
}
OWNERS: Final = (
    "Ольга",
    "Сергей",
    "Анна Викторовна",
    "Дмитрий",
    "Екатерина",
    "Наталья Петровна",
    "Ирина",
    "Алексей",
    "Светлана",
    "Павел Андреевич",
)
STREETS: Final = (
    "улица Лесная",
    "улица Садовая",
    "Школьный переулок",
    "проспект Мира",
    "улица Новая",
    "Берёзовая аллея",
    "Заречная улица",
    "бульвар Строителей",
    "улица Космонавтов",
    "Парковая улица",
)

LOST_OPENINGS: Final = (
    "{verb} {subject} {day} в районе: {address}.",
    "{day} {verb_low} {subject}, {address}. Помогите найти!",
    "Внимание! По адресу {address} {verb_low} {subject} по кличке {pet}.",
    "Убежал(а) со двора {day}, испугавшись салюта. Адрес: {address}.",
    "{verb} {subject}, в последний раз видели у дома: {address}.",
)
FOUND_OPENINGS: Final = (
    "{verb} {subject} {day} у дома: {address}.",
    "{day} у подъезда ({address}) подобрали животное, явно домашнее.",
    "К нам прибился {subject}, {address}. Ищем хозяев!",
    "{verb} {subject}. {address}. Сейчас на передержке, кушает хорошо.",
)
LOOKS: Final = (
    "Окрас {coat}.",
    "Окрас: {coat}, шерсть чистая.",
    "Приметы: {coat} окрас, глаза выразительные.",
    "{coat_capital} окрас, возраст примерно {age} года.",
)
HABITS: Final = (
    "Отзывается на кличку {pet}.",
    "Очень пугливое животное, к чужим не подходит.",
    "Ласковый характер, идёт на руки.",
    "Был синий ошейник с бубенчиком.",
    "Стерилизация сделана, прививки есть.",
    "Немного прихрамывает на заднюю лапу.",
    "Вес около {weight} кг.",
    "Любит сметану и сухой корм, на улице раньше не жил(а).",
)
CONTACTS: Final = (
    "Телефон: {phone}, {owner}.",
    "Позвоните, пожалуйста, {phone} ({owner}) в любое время!",
    "Тел. {phone}, спросить хозяина: {owner}.",
    "Если видели, напишите в телеграм @{handle} или наберите {phone}.",
    "Связь: {phone}, почта {email}.",
    "Хозяин: {owner}, мой номер {phone}. Страница: {link}",
    "Чип {chip}. Звонить {phone}.",
)
REWARDS: Final = (
    "Вознаграждение {reward} рублей!",
    "Нашедшему гарантируем вознаграждение.",
    "Дети очень ждут и плачут.",
    "Просим проверить подвалы и чердаки.",
    "Будем благодарны за любую информацию.",
)
PHONE_FORMS: Final = (
    "+7 ({code}) 000-{a}-{b}",
    "8-{code}-000-{a}-{b}",
    "8 {code} 000{a}{b}",
    "7{code}000{a}{b}",
    "{code} 000 {a} {b}",
    "+7{code}000{a}{b}",
)
CLOSED_LOST: Final = ("Питомец нашелся.", "Питомец вернулся домой, хозяин найден.")
CLOSED_FOUND: Final = ("Хозяин нашелся.", "Питомцу найден новый дом.")
WEEKDAYS: Final = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")
