"""The scrubber on written examples, on the open labelled half, and on what Hypothesis makes up."""

from __future__ import annotations

import json
import logging
import re
import time
import unicodedata
from collections import Counter
from datetime import date
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from petdata.scrub import Scrubbed, find_personal_data, scrub
from petdata.scrub_rules.marks import KINDS, MARK_OF

FOLDER = Path(__file__).parent / "scrub"
LABEL = re.compile(r"\{(\w+)\|([^}]*)\}")
EXAMPLES = [
    line.replace("\\n", "\n")
    for line in (FOLDER / "examples.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("marked", EXAMPLES)
def test_example(marked: str) -> None:
    scrubbed = scrub(LABEL.sub(r"\2", marked))
    assert scrubbed.text == LABEL.sub(r"[\1]", marked)
    assert scrubbed.counts == Counter(kind for kind, _ in LABEL.findall(marked))


def test_open_half_is_scrubbed_without_loss() -> None:
    """Every label is covered but for cue words inside it, and nothing else is touched."""
    lines = (FOLDER / "open.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        spans = find_personal_data(row["text"])
        for start, end, kind in row["spans"]:
            digits = [at for at in range(start, end) if row["text"][at].isdigit()]
            kept = [at for at in digits or range(start, end) if not covered(at, spans)]
            assert not kept, (kind, row["text"])
        for start, end, kind in spans:
            assert any(kind == k and start < e and s < end for s, e, k in row["spans"]), row["text"]


def covered(at: int, spans: list[tuple[int, int, str]]) -> bool:
    return any(start <= at < end for start, end, _ in spans)


def test_placeholders_are_counted_by_kind() -> None:
    text = "Звоните 8 912 000-11-22 или 8 912 000-11-23, спросить Олега. Чип 643 0942 0000 1234."
    assert scrub(text) == Scrubbed(
        "Звоните [phone] или [phone], спросить [name]. Чип [chip].",
        {"phone": 2, "name": 1, "chip": 1},
    )


def test_placeholders_in_the_text_stay_and_are_not_counted() -> None:
    text = "[name], тел. [phone], живёт на [address], кот [cat]"
    assert scrub(text) == Scrubbed(text, {})


def test_disguised_characters_are_read_and_the_rest_of_the_text_is_kept() -> None:
    text = "Ёжик…\u00a0тел.\u200b８\u00ad９1️⃣2️⃣–0\u200d0\u200d0–①①–٢٢ №\u00a05, «кот»™ é"
    assert scrub(text).text == "Ёжик…\u00a0тел.\u200b[phone] №\u00a05, «кот»™ é"


def test_decomposed_text_is_composed() -> None:
    text = unicodedata.normalize("NFD", "Хозяйка Андрей, й ё")
    assert scrub(text).text == "Хозяйка [name], й ё"


def test_a_text_cannot_forge_the_marks_of_the_rules() -> None:
    """A private-use character is not taken for a phone beside which a name stands."""
    text = f"Ирина {MARK_OF['phone']}"
    assert scrub(text) == Scrubbed(text, {})


def test_lone_surrogates_are_kept() -> None:
    assert scrub("\ud800 8 912 000-11-22 \udfff").text == "\ud800 [phone] \udfff"


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        scrub("Хозяйка Ирина, 8 912 000-11-22, irina@example.com")
    assert not caplog.records


# --- laws ---

FRAGMENTS = st.sampled_from(
    [word for marked in EXAMPLES for word in re.split(r"(?<=[\s,.:])", LABEL.sub(r"\2", marked))]
    + [f"[{kind}]" for kind in KINDS]
    + ["[address]", " ", ", ", "\n", ". ", "+7", "8 ", "912", "(", ")", "-", "@", ".ru", "/", "00"]
)
TEXTS = st.one_of(
    st.lists(FRAGMENTS, max_size=25).map("".join),
    st.text(max_size=60),
    st.text(alphabet="0123456789+-() ./@,:АВаб\nл[]name", max_size=80),
)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text)
    assert scrub(once.text) == Scrubbed(once.text, {})


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("7" * 300)
def test_output_is_the_text_with_spans_replaced(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    spans = find_personal_data(composed)
    scrubbed = scrub(text)
    at = 0
    pieces = []
    for start, end, kind in spans:
        assert at <= start < end <= len(composed)
        pieces += [composed[at:start], f"[{kind}]"]
        at = end
    assert scrubbed.text == "".join([*pieces, composed[at:]])
    assert sum(scrubbed.counts.values()) == len(spans)
    assert len(scrubbed.text) <= len("[handle]") * len(composed)


WORDS = st.sampled_from(
    ["Пропал", "кот", "рыжий,", "звоните", "тел.", "телефон:", "Найдена", "—", "🐱", "помогите!"]
)
CONTEXT = st.lists(WORDS, max_size=5).map(" ".join)
GAPS = st.sampled_from(["", " ", "-", ".", " - ", "–", "\u00a0", "‑", "  ", "_", "/", "\t"])


@st.composite
def phones(draw: st.DrawFn) -> str:
    """A Russian number of 11 or 10 digits in one of the ways people write it."""
    prefix = draw(st.sampled_from(["+7", "8", "7", "+ 7", "плюс семь ", ""]))
    code = draw(st.integers(900, 999).map(str))
    rest = draw(st.integers(0, 9_999_999).map("{:07}".format))
    gap = draw(GAPS)
    opening, closing = draw(st.sampled_from([("", ""), ("(", ")"), (" (", ") ")]))
    cuts = draw(st.sampled_from([(3, 5), (3,), (2, 4), (1, 3, 5), (), (1, 2, 3, 4, 5, 6)]))
    if gap == "/" and not prefix:
        gap = " "  # 912/0001122 is a number of another kind
    groups = [rest[a:b] for a, b in zip((0, *cuts), (*cuts, 7), strict=True)]
    first_gap = gap if prefix and not opening else ""
    number = prefix + first_gap + opening + code + (closing or gap) + gap.join(groups)
    if draw(st.booleans()):
        number = number.translate(draw(st.sampled_from(LOOKALIKES)))
    return number


LOOKALIKES = [
    str.maketrans("0", "О"),
    str.maketrans("0", "O"),
    str.maketrans("0123456789", "０１２３４５６７８９"),
    str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"),
]


@settings(max_examples=500, deadline=None)
@given(CONTEXT, phones(), CONTEXT, st.sampled_from([" ", ", ", "\n", ": "]))
def test_no_digit_of_a_phone_survives(before: str, phone: str, after: str, gap: str) -> None:
    scrubbed = scrub(f"{before}{gap}{phone}{gap}{after}")
    assert not any(map(str.isdigit, scrubbed.text)), (phone, scrubbed.text)
    assert scrubbed.counts == {"phone": 1}


@settings(max_examples=200, deadline=None)
@given(
    st.dates(min_value=date(2005, 1, 1), max_value=date(2035, 1, 1)).map("{:%d.%m.%Y}".format),
    phones().filter(lambda phone: phone.startswith(("8", "+7"))),
    st.integers(1, 20),
)
def test_a_date_and_an_age_beside_a_phone_survive(day: str, phone: str, age: int) -> None:
    assert scrub(f"Пропал {day}, {phone}, коту {age} лет").text == (
        f"Пропал {day}, [phone], коту {age} лет"
    )


@st.composite
def grouped(draw: st.DrawFn, digits: str) -> str:
    size = draw(st.sampled_from([3, 4, 5, 20]))
    gap = draw(st.sampled_from([" ", "-", ".", "\u00a0"]))
    return gap.join(digits[at : at + size] for at in range(0, len(digits), size))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(0, 10**12 - 1), st.sampled_from(["чип ", "Номер чипа: ", "чип №"]))
def test_no_digit_of_a_chip_survives(data: st.DataObject, serial: int, cue: str) -> None:
    number = data.draw(grouped(f"643{serial:012}"))
    assert scrub(f"Кот, {cue}{number}, рыжий").text == f"Кот, {cue}[chip], рыжий"


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(0, 10**12 - 1), st.sampled_from(["карта ", "на сбер: ", "Перевод "]))
def test_no_digit_of_a_card_survives(data: st.DataObject, serial: int, cue: str) -> None:
    number = data.draw(grouped(f"2202{serial:012}"))
    assert scrub(f"Помогите, {cue}{number}, спасибо").text == f"Помогите, {cue}[card], спасибо"


@pytest.mark.parametrize("style", ["E164", "INTERNATIONAL", "RFC3966"])
def test_example_numbers_of_all_countries(style: str) -> None:
    """phonenumbers knows a mobile number of each country and how it is written abroad."""
    for region in phonenumbers.SUPPORTED_REGIONS:
        mobile = phonenumbers.PhoneNumberType.MOBILE
        number = phonenumbers.example_number_for_type(region, mobile)
        number = number or phonenumbers.example_number(region)
        assert number is not None
        written = phonenumbers.format_number(number, getattr(phonenumbers.PhoneNumberFormat, style))
        scrubbed = scrub(f"Звоните: {written}, спасибо")
        assert not any(map(str.isdigit, scrubbed.text)), (region, scrubbed.text)


# --- time ---

UNITS = [
    "a", "1", "1 ", "8 ", "@", "a@", "a.", "@a.", "a_", "http://", "www.", "точка ", "a собака ",
    "(", "(a)", " at ", "восемь ", "ноль ", "ул. А", "ул. Ленина ", "дом ", "д.", "кв. 5 ", "А ",
    "клеймо ", "клеймо а ", "чип 1 ", "на Же ", "карта ", "1234 ", "Анна ", "Анна, ", "хозяйка ",
    "Иван Иванович ", "тг мой ", "ник ", "И.И. ", "с уважением, ", "a-", "a/", "id 1", "8-", "8(",
    "+7", "+7 912 000 11 22 ", "[phone]", "Анна [phone] ", "[phone] а ", ".", ",", "1-", "1/",
    "1.", "о ", "звонить по ", "vk.com/", "vk . ", "три нуля ", "<", "ё",
    "\u0301", "\u200b", "8️⃣", "\n",
]  # fmt: skip
CHARACTERS = 20_000


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    """Twice the text takes about twice the time; a quadratic rule would take four times."""
    text = unit * (CHARACTERS // len(unit))
    ratios = []
    for _ in range(4):  # colleagues on the same processor: the best of a few counts
        half, whole = (cpu_seconds(text[:size]) for size in (CHARACTERS // 2, CHARACTERS))
        assert whole < 5
        ratios.append(whole / half)
        if ratios[-1] < 3 or whole < 0.02:
            return
    pytest.fail(f"time ratios {ratios} for twice the text")


def cpu_seconds(text: str) -> float:
    started = time.process_time()
    scrub(text)
    return time.process_time() - started
