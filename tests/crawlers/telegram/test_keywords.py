"""What texts say, on written examples and on the open labelled half; files of users; patterns."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from crawlers.telegram.keywords import Rules, read_rules, understand
from crawlers.telegram.patterns import any_of, regex_of
from petdata.errors import ListingReason, PetdataError
from petdata.records import Species, Status

LABELS = Path(__file__).parent / "keywords" / "open.jsonl"
SPECIES_OF = {"cat": Species.CAT, "dog": Species.DOG}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return read_rules()


@pytest.mark.parametrize(
    ("text", "species"),
    [
        ("Пропал кот, рыжий", "cat"),
        ("ПРОПАЛА СОБАКА!!!", "dog"),
        ("Найден щенок хаски", "dog"),
        ("#пропала_собака Химки", "dog"),
        ("#пропалкот", "cat"),
        ("#НайденаКошка", "cat"),
        ("Пропал пёсик", "dog"),
        ("Пропал ко\u0301т", "cat"),  # with a stress mark
        ("Улетел попугай", "bird"),
        ("Найден ёжик", "hedgehog"),
        ("Сбежал хомяк", "hamster"),
        ("Найдена морская свинка", "guineapig"),
        ("Пропали кот и собака", "unknown"),
        ("Стерилизация кошек. Кастрация собак.", "unknown"),
        ("Пропала Мурка, очень ждём", "unknown"),
        # beside the one that the text is about
        ("Пропал кот. Боится собак", "cat"),
        ("Отдам кота. Ладит с другими кошками и собаками", "cat"),
        ("Отдам пса, с кошками не дружит", "dog"),
        ("Friendly dog, good with cats", "dog"),
        ("Lost: tabby. Left some cat food and dog toys outside", "cat"),
        ("Кота загнали на дерево бродячие собаки, пропал кот", "cat"),
        ("Моя собака нашла котёнка", "cat"),
        ("Пропал кот по кличке Пёсик", "cat"),
        # false friends
        ("Телефон, который потерян у котлована; скот, котлета", "unknown"),
        ("Продам песок, договор, такси, лайки, сукно, персик, кислый", "unknown"),
        ("Концерт, посвящённый песне", "unknown"),
    ],
)
def test_species(rules: Rules, text: str, species: str) -> None:
    assert understand(text, rules).species == species


@pytest.mark.parametrize(
    ("text", "status", "closed"),
    [
        ("Пропала собака", "lost", False),
        ("Нашли котёнка у метро", "found", False),
        ("Найден пёс. Кто потерял?", "found", False),
        ("Найдена кошка, ищем хозяев", "found", False),
        ("Нашли, но ночью снова пропала", "lost", False),
        ("Нашли её у соседей, но утром пропала", "lost", False),
        ("Пропал кот! Нашедшего просим позвонить, кто видел?", "lost", False),
        ("По двору бегает такса, не подпускает", "sighted", False),
        ("Кошка нашлась!", "reunited", True),
        ("Всё, собака уже дома", "reunited", True),
        ("Пропал кот. Дома ждут дети", "lost", False),
        ("Не нашлась, ищем дальше", "lost", False),
        ("Хозяева не нашлись, ищем дом", "adoption", False),
        ("Щенок в добрые руки", "adoption", False),
        ("Пристроен, уехал в новый дом", "adoption", True),
        ("Пропала кошка. Неактуально", "lost", True),
        ("Our cat is home safe", "reunited", True),
        ("Потеряны ключи от машины", "unknown", False),
        ("Какой корм лучше?", "unknown", False),
    ],
)
def test_status(rules: Rules, text: str, status: str, closed: bool) -> None:
    understood = understand(text, rules)
    assert (understood.status, understood.closed) == (status, closed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Срочный сбор на лечение кота, карта [card]", ListingReason.FUNDRAISING),
        ("Продаются щенки корги, документы", ListingReason.ADVERTISEMENT),
        ("Пропал кот! Вознаграждение 10 000 рублей, переведу на карту", None),
        ("Найдена собака, репост! Денег не просим", None),
        ("Общий сбор волонтёров в 17:00", None),
    ],
)
def test_refused(rules: Rules, text: str, reason: ListingReason | None) -> None:
    assert understand(text, rules).refused == reason


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("Отдам трёх котят", True),
        ("Кошка с котятами", True),
        ("Пропали две собаки", True),
        ("Three kittens found", True),
        ("Пропал кот, 2 года", None),
        ("Кошка стерилизована, котят не будет", None),
    ],
)
def test_several_animals(rules: Rules, text: str, several: bool | None) -> None:
    assert understand(text, rules).multi_animal is several


def test_open_half(rules: Rules) -> None:
    """What is called cat or dog is one, and no answer falls behind what was reached."""
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    right: Counter[str] = Counter()
    for row in rows:
        understood = understand(row["text"], rules)
        if understood.species in SPECIES_OF.values():
            assert understood.species == row["species"], row["text"]
        right["species"] += understood.species == SPECIES_OF.get(row["species"])
        right["status"] += understood.status == row["status"]
        right["closed"] += understood.closed == row["closed"]
        right["refused"] += understood.refused == row["refused"]
        right["multi_animal"] += understood.multi_animal is row["multi_animal"]
    named = sum(row["species"] in SPECIES_OF for row in rows)
    assert right["species"] >= 0.99 * named
    assert all(
        right[name] >= 0.98 * len(rows) for name in ("status", "closed", "refused", "multi_animal")
    )


def test_a_file_of_the_user_adds_words(rules: Rules, tmp_path: Path) -> None:
    german = tmp_path / "german.toml"
    german.write_text(
        """
        [species.dog]
        stems = ["hund*", "dackel*"]
        [species.cat]
        stems = ["katze*"]
        [bystanders]
        before = ["hat angst vor"]
        [status.lost]
        when = ["vermisst", "entlaufen"]
        [status.found-fundstueck]
        when = ["zugelaufen"]
        """,
        encoding="utf-8",
    )
    text = "Entlaufen: Dackel Waldi, hat Angst vor Katzen"
    assert understand(text, rules).species is Species.UNKNOWN
    both = read_rules([german])
    assert understand(text, both).species is Species.DOG
    assert understand(text, both).status is Status.LOST
    assert understand("Zugelaufen: Hund", both).status is Status.FOUND
    assert understand("Пропал кот", both) == understand("Пропал кот", rules)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('[species.cat]\nstem = ["кот"]', ["species.cat.stem", "species.cat.stems"]),
        ('[species.unicorn]\nstems = ["кот"]', ["species.unicorn.stems"]),
        ('[status.gone]\nwhen = ["кот"]', ["status.gone.when"]),
        ('[species.cat]\nstems = "кот"', ["species.cat.stems", "list"]),
        ('[species.cat]\nstems = ["(кот"]', ["species.cat.stems", "'(кот'", "brackets"]),
        ('[species.cat]\nstems = ["ко*т"]', ["'ко*т'", "ending"]),
        ('[species.cat]\nstems = ["кот+"]', ["'кот+'", "'+'"]),
        ('[species.cat]\nstems = ["*"]', ["'*'", "empty"]),
        ('[species.cat]\nstems = ["{animals}"]', ["{animals}", "nothing"]),
        ('[closed]\nwhen = ["дом ?"]', ["closed.when", "blank"]),
        ('[closed]\nwhen = ["дом^"]', ["closed.when", "caret"]),
        ("[closed", ["broken.toml"]),
    ],
)
def test_an_error_names_file_key_and_pattern(
    tmp_path: Path, content: str, parts: list[str]
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PetdataError) as raised:
        read_rules([path])
    assert all(part in str(raised.value) for part in ["broken.toml", *parts])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PetdataError, match=r"none\.toml"):
        read_rules([tmp_path / "none.toml"])


@pytest.mark.parametrize(
    ("pattern", "matches", "not_in"),
    [
        ("кот(а|ом)?", ["кот", "у кота", "с котом"], ["скот", "который", "коты"]),
        ("кошк*", ["кошка", "кошки"], ["мошка", "кош"]),
        ("мейн-кун*", ["мейн-кун", "мейн куна", "мейнкун"], ["мейн, кун"]),
        ("в (добрые )?руки", ["в руки", "в добрые руки"], ["в злые руки", "в. руки"]),
        ("нашли ... пропал", ["нашли пропал", "нашли и вот снова пропал"], ["нашли. пропал"]),
        ("^сбор", ["сбор", "‼️ сбор", "х\n— сбор"], ["наш сбор"]),
        ("дома!", ["дома!", "дома !"], ["дома"]),
        ("# лет", ["12 лет"], ["много лет"]),
        ("в (* )?дом", ["в дом", "в новый дом"], ["в совсем новый дом"]),
    ],
)
def test_a_pattern_matches(pattern: str, matches: list[str], not_in: list[str]) -> None:
    compiled = re.compile(any_of([regex_of(pattern, {})]))
    assert [text for text in [*matches, *not_in] if compiled.search(text)] == matches


@pytest.mark.parametrize(
    "pattern", ["а?" * 40 + "б", "(а|аа)" * 30 + "б", "а ... б ... в ... г ... д ... е", "а" * 401]
)
def test_a_pattern_of_too_many_readings_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"ways|longer"):
        regex_of(pattern, {})


@pytest.mark.parametrize("part", ["а", "и ", "нашли ", "#пропал", "a_", "ﷺ", "\n", "х" * 99 + " "])
def test_the_end_of_a_long_text_is_read(rules: Rules, part: str) -> None:
    """benchmarks/keywords.py times such texts."""
    text = (part * 4096)[:4060] + "\nУлетел попугай."
    assert understand(text, rules).species is Species.BIRD


@pytest.mark.parametrize(
    "text",
    [
        "28.12.2019 пропала собака, улица Садовая",
        "Сегодня у дома СНТ Рассвет, 5 бегает собака, окрас коричневый",
    ],
)
def test_a_number_before_one_animal_does_not_count_it(text: str) -> None:
    assert understand(text, read_rules()).multi_animal is None
