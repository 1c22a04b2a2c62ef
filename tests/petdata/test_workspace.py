from __future__ import annotations

from pathlib import Path

import pytest

from petdata.errors import MissingSetting, PetdataError, UnknownSource
from petdata.sources import SOURCES, find_source, known_sources
from petdata.workspace import Workspace, find_workspace


def test_the_default_is_a_folder_beside_where_one_stands(tmp_path: Path) -> None:
    workspace = find_workspace(tmp_path, {})
    assert workspace.root == tmp_path / "petdata-data"
    assert not workspace.root.exists()


def test_petdata_home_is_used_where_no_petdata_toml_is(tmp_path: Path) -> None:
    assert find_workspace(tmp_path, {"PETDATA_HOME": str(tmp_path / "x")}).root == tmp_path / "x"


def test_petdata_toml_of_a_parent_wins_over_petdata_home(tmp_path: Path) -> None:
    (tmp_path / "petdata.toml").write_text('home = "store"\ncontact = "me@example.org"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    workspace = find_workspace(below, {"PETDATA_HOME": "/elsewhere"})
    assert workspace.root == tmp_path / "store"
    assert workspace.require_contact() == "me@example.org"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("hoem = 'x'", "hoem"),
        ("home = 3", "home must be a str"),
        ("home = [", "not valid TOML"),
        ("sources = 'x'", "sources must be a dict"),
    ],
)
def test_a_wrong_petdata_toml_is_an_error_that_names_it(
    tmp_path: Path, content: str, named: str
) -> None:
    (tmp_path / "petdata.toml").write_text(content)
    with pytest.raises(PetdataError, match=named) as caught:
        find_workspace(tmp_path, {})
    assert "petdata.toml" in str(caught.value)


def test_a_missing_contact_is_said_in_one_line_with_exit_code_2(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match="PETDATA_CONTACT") as caught:
        find_workspace(tmp_path, {"PETDATA_CONTACT": "  "}).require_contact()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_sources_are_ranked_as_the_plan_says() -> None:
    assert list(SOURCES) == [
        "cat_individual_images",
        "dogfacenet",
        "pet911",
        "telegram",
        "lcw",
        "dogs_world",
        "petface",
    ]


def test_a_declared_source_stands_before_petface_unless_it_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "petdata.toml").write_text(
        '[sources.shelter]\nlicence = "CC BY 4.0"\n[sources.mine]\nrank = 5\nrole = "test"\n'
    )
    workspace = find_workspace(tmp_path, {})
    names = list(known_sources(workspace))
    assert names[0] == "mine"
    assert names[-2:] == ["shelter", "petface"]
    assert find_source("shelter", workspace).kind == "declared"


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match=r"choose from .*pet911"):
        find_source("pet912", Workspace(root=tmp_path))


@pytest.mark.parametrize(
    "table",
    ['[sources.pet911]\ntitle = "x"', "[sources.x]\nrnak = 1", '[sources.x]\nrole = "val"'],
)
def test_a_wrong_declaration_is_an_error(tmp_path: Path, table: str) -> None:
    (tmp_path / "petdata.toml").write_text(table)
    with pytest.raises(PetdataError):
        known_sources(find_workspace(tmp_path, {}))
