from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.telegram import export_file
from crawlers.telegram.export_file import MAX_VALUE_BYTES, JsonCursor
from petdata.errors import CorruptFile

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(-9, 9)
    | st.text('ab"\\{}[],:жx1', max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\{', max_size=3), inner)
    ),
    max_leaves=20,
)


def cursor(text: str | bytes) -> JsonCursor:
    return JsonCursor(
        BytesIO(text.encode() if isinstance(text, str) else text), Path("result.json")
    )


def walked(at: JsonCursor) -> object:
    """The value, by way of every member and element."""
    if at.upcoming() == b"{":
        return {name: walked(at) for name in at.members()}
    if at.upcoming() == b"[":
        return [walked(at) for _ in at.elements()]
    return at.take()


@settings(deadline=None)
@given(
    value=st.lists(values, max_size=5),
    chunk=st.sampled_from([1, 2, 3, 7, 1000]),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
)
def test_walking_finds_what_json_reads(
    value: list[object], chunk: int, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_file, "_CHUNK_BYTES", chunk)  # so that anything may be cut anywhere
        at = cursor(text)
        assert walked(at) == value
        at.expect_end()
        again = cursor(text)
        for _ in again.elements():
            again.skip()
        again.expect_end()
        assert cursor(text).take() == value


@settings(deadline=None)
@given(chunk=st.sampled_from([1, 2, 3, 1000]))
def test_an_offset_leads_back(chunk: int) -> None:
    text = '[ {"a": [1, "]"]} , "ж", 25 ,[], null]'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_file, "_CHUNK_BYTES", chunk)
        at, found = cursor(text), {}
        for offset in at.elements():
            found[offset] = at.take()
    assert list(found.values()) == json.loads(text)
    for offset, value in found.items():
        assert JsonCursor(BytesIO(text.encode()), Path("x"), offset).take() == value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\x1Fb"', "a\x1fb"),
        (r'"\x00\x0a"', "\0\n"),
        (r'"\\x41"', r"\x41"),  # a backslash, and no escape
        (r'"\\\x07"', "\\\x07"),
        ('"a\x01b\tc"', "a\x01b\tc"),  # control characters as they are
    ],
)
def test_escapes_of_older_writers_are_mended(written: str, meant: str) -> None:
    assert cursor(written).take() == meant


@pytest.mark.parametrize(
    "bad",
    [
        "{'a': 1}",
        r'"\xZZ"',
        "[1 2]",
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "1" * 5000,
        "nul",
        '"' + "a" * (MAX_VALUE_BYTES + 1) + '"',
        "[" + '"a",' * MAX_VALUE_BYTES + "1]",
        '{"a": [}}',
    ],
    ids=lambda bad: bad[:12],
)
def test_what_is_no_good_is_passed_over_by_itself(bad: str) -> None:
    at = cursor(f"[1, {bad}, 2]")
    assert [at.take() for _ in at.elements()] == [1, None, 2]
    at.expect_end()


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert cursor(b'"a\xff\xd0"').take() == "a\ufffd\ufffd"


def read_whole(text: str) -> None:
    at = cursor(text)
    for _ in at.members() if text.startswith("{") else at.elements():
        at.take()
    at.expect_end()


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("", "byte 0: it ends too early"),
        ("[1, 2", "ends too early"),
        ("[1 2]", ", is missing"),
        ("[1, ]", "a value is missing"),
        ("[,1]", "a value is missing"),
        ('["abc', "ends too early"),
        ('["abc\\"]', "ends too early"),
        ("[[1]", "ends too early"),
        ('{"a"}', ": is missing"),
        ("[1] x", "byte 4: something follows its end"),
        ("[1] \\", "something follows its end"),
        ("\\" * 100, "[ is missing"),
    ],
)
def test_a_broken_structure_is_told(broken: str, problem: str) -> None:
    with pytest.raises(CorruptFile) as raised:
        read_whole(broken)
    assert problem in str(raised.value)
    assert str(raised.value).startswith("result.json: broken JSON at byte ")
    assert "export once more" in str(raised.value)


@pytest.mark.parametrize("broken", ["{1: 2}", "{a: 2}", '{"a" 2}', '{"a": 1,}', '{"a": }'])
def test_a_broken_object_is_told(broken: str) -> None:
    with pytest.raises(CorruptFile):
        read_whole(broken)
