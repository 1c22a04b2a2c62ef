"""channels.toml: nothing is collected without an asserted right of use."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crawlers.telegram.channels import Basis, Channel, read_channels
from petdata.errors import MissingSetting, PetdataError

WHOLE = {
    "handle": '"lost_pets"',
    "basis": '"own_channel"',
    "asserted_by": '"Shelter X"',
    "since": "2026-01-15",
    "evidence": '"we run it"',
}


def write(path: Path, *tables: dict[str, str]) -> Path:
    lines = [
        "[[channel]]\n" + "".join(f"{k} = {v}\n" for k, v in table.items()) for table in tables
    ]
    path.write_text("\n".join(lines))
    return path


def test_a_whole_entry(tmp_path: Path) -> None:
    (found,) = read_channels(write(tmp_path / "channels.toml", WHOLE))
    assert found == Channel(
        handle="lost_pets",
        channel_id=None,
        basis=Basis.OWN_CHANNEL,
        asserted_by="Shelter X",
        since=date(2026, 1, 15),
        evidence="we run it",
    )


@pytest.mark.parametrize("name", ["basis", "asserted_by", "since", "evidence"])
def test_a_channel_without_its_right_is_refused_and_told_why(tmp_path: Path, name: str) -> None:
    table = {key: value for key, value in WHOLE.items() if key != name}
    with pytest.raises(MissingSetting) as told:
        read_channels(write(tmp_path / "channels.toml", table))
    assert f"channel 1 (lost_pets): no {name}" in str(told.value)
    assert "section 1.5" in str(told.value)
    assert "https://core.telegram.org/api/terms" in str(told.value)
    assert "consent" in str(told.value)


@pytest.mark.parametrize(
    ("written", "handle"),
    [
        ('"@Lost_Pets"', "lost_pets"),
        ('"https://t.me/Lost_Pets"', "lost_pets"),
        ('"t.me/s/lost_pets/"', "lost_pets"),
    ],
)
def test_handles_as_people_write_them(tmp_path: Path, written: str, handle: str) -> None:
    (found,) = read_channels(write(tmp_path / "channels.toml", WHOLE | {"handle": written}))
    assert found.handle == handle


@pytest.mark.parametrize(
    ("written", "channel_id"), [("1234567890", 1234567890), ("-1001234567890", 1234567890)]
)
def test_ids_as_people_write_them(tmp_path: Path, written: str, channel_id: int) -> None:
    table = {key: value for key, value in WHOLE.items() if key != "handle"} | {"id": written}
    (found,) = read_channels(write(tmp_path / "channels.toml", table))
    assert (found.handle, found.channel_id) == (None, channel_id)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"basis": '"because"'}, "choose from own_channel, consent_of_authors, other_legal_basis"),
        ({"since": '"2026-01-15"'}, "without quotes"),
        ({"since": "2999-01-15"}, "in the future"),
        ({"handle": '"https://t.me/+AbCdEf"'}, "Invitation links are not followed"),
        ({"evidence": '" "'}, "evidence must be a text"),
        ({"evidense": '"x"'}, "unknown key evidense"),
        ({"id": "-5"}, "id -5 is none of a channel"),
    ],
)
def test_entries_that_are_wrong(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(PetdataError, match=message):
        read_channels(write(tmp_path / "channels.toml", WHOLE | change))


def test_files_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "channels.toml"
    with pytest.raises(PetdataError, match="cannot be read"):
        read_channels(path)
    path.write_text("[[channel]\n")
    with pytest.raises(PetdataError, match="cannot be read"):
        read_channels(path)
    path.write_text("[channel]\nhandle = 'x'\n")
    with pytest.raises(PetdataError, match=r"expected \[\[channel\]\] tables"):
        read_channels(path)
    with pytest.raises(PetdataError, match="lost_pets stands there twice"):
        read_channels(write(path, WHOLE, WHOLE))
