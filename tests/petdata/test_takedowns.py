from __future__ import annotations

import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petdata.errors import CorruptFile, PetdataError, UnknownSource
from petdata.takedowns import Takedown, _as_toml, add_takedown, read_takedowns, understand

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("target", "kind", "value"),
    [
        ("pet911/rl518787", "identity", "pet911/rl518787"),
        ("rl518787", "identity", "pet911/rl518787"),
        ("https://pet911.ru/moskva/lost/cat/rl518787", "identity", "pet911/rl518787"),
        ("https://www.pet911.ru/lost/dog/rf1077341?x=1#top", "identity", "pet911/rf1077341"),
        (
            "pet911/rl518787/1f3a5c7e9b2d",
            "photo",
            "pet911/rl518787/1f3a5c7e9b2d",
        ),
        ("RL518787", "identity", "pet911/rl518787"),
        ("pet911/RL518787", "identity", "pet911/rl518787"),
        ("Pet911/Rf1077341/1F3A5C7E9B2D", "photo", "pet911/rf1077341/1f3a5c7e9b2d"),
        ("https://pet911.ru/Moskva/lost/cat/RL518787?x", "identity", "pet911/rl518787"),
        ("HTTPS://PET911.RU/RL518787", "identity", "pet911/rl518787"),
        ("lcw/Cat_7", "identity", "lcw/Cat_7"),  # case counts elsewhere
        ("A" * 64, "sha256", "a" * 64),
        ("https://t.me/some/1", "url", "https://t.me/some/1"),
    ],
)
def test_a_target_is_understood_as_what_it_is(target: str, kind: str, value: str) -> None:
    assert understand(target) == (kind, value)


@pytest.mark.parametrize("target", ["", "murka", "pet911/", "a b/c", "ab" * 31])
def test_what_is_no_target_is_refused_with_examples(target: str) -> None:
    with pytest.raises(PetdataError, match="pet911/rl518787"):
        understand(target)


@pytest.mark.parametrize("target", ["pet912/rl518787", "pet912/rl518787/1f3a5c7e9b2d"])
def test_a_source_that_is_unknown_is_refused_with_those_known(target: str) -> None:
    with pytest.raises(UnknownSource, match=r"no source 'pet912'; choose from .*pet911, telegram"):
        understand(target)
    with pytest.raises(UnknownSource, match=r"choose from pet911, my-shelter$"):
        understand(target, ["pet911", "my-shelter"])
    assert understand(target, ["pet911", "pet912"])[1] == target


def test_takedowns_are_kept_once_and_answer_questions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "takedowns.toml"
    assert add_takedown(path, "rl518787", "the owner asked", DAY)[1]
    assert not add_takedown(path, "pet911/rl518787", "again", DAY)[1]
    add_takedown(path, "f" * 64, 'a "quoted" \\ reason\nof two lines, кот 🐈', DAY)
    takedowns = read_takedowns(path)
    assert len(takedowns.entries) == 2
    assert takedowns.forbids_identity("pet911/rl518787")
    assert takedowns.forbids_bytes("f" * 64)
    assert not takedowns.forbids_bytes("e" * 64)
    assert not takedowns.forbids_url("https://example.org/")


def test_a_file_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    path = tmp_path / "takedowns.toml"
    for content in ('[[takedown]]\nkind = "identity"\n', "[[takedown", '[[takedown]]\nkind="cat"'):
        path.write_text(content)
        with pytest.raises(CorruptFile, match=r"takedowns\.toml"):
            read_takedowns(path)


@given(reason=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_reason_survives_being_written(reason: str) -> None:
    entry = Takedown("url", "https://example.org/", reason, DAY)
    assert tomllib.loads(_as_toml(entry))["takedown"][0]["reason"] == reason


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "takedowns.toml"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_takedown(path, f"rl{100000 + n}", "x", DAY), range(40)))
    assert len(read_takedowns(path).entries) == 40
