"""The five packages come from this checkout, not from distributions of the same name."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "name", ["petdata", "crawlers", "dataset_builder", "trainer", "evaluation"]
)
def test_a_package_comes_from_this_checkout(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).parent == ROOT / name
    assert package.__doc__
    assert (ROOT / name / "py.typed").exists()


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """One process could not collect both; two workers hide that."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_constraints_are_bare_versions() -> None:
    for line in (ROOT / "constraints.txt").read_text().split():
        name, _, version = line.partition("==")
        assert name
        assert version
        assert "/" not in line
