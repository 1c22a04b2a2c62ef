"""Links from a build to a page, decisions, and the next build."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds import Animal, add, build_release, photo, sha256

from dataset_builder.decisions import read_decisions
from dataset_builder.links import (
    LinkedPair,
    PhotoFinder,
    decide_link,
    decisions_on,
    read_links,
)
from dataset_builder.links_page import links_page
from dataset_builder.pseudonyms import real_id
from petdata.errors import PetdataError
from petdata.workspace import Workspace

ONE = Animal("pet911/rl500001", [photo(1, 0), photo(1, 1)])
TWO = Animal("pet911/rl500002", [photo(2, 0), photo(1, 0)])
THREE = Animal("pet911/rl500003", [photo(3, 0)])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(root=tmp_path)
    add(workspace, [ONE, TWO, THREE])
    return workspace


def groups(release: Path) -> dict[str, str]:
    table = pq.read_table(release / "metadata" / "identity_groups.parquet").to_pylist()
    return {r["identity_id"]: r["identity_group"] for r in table if r["config"] == "all"}


def pseudonym_by_hand(workspace: Workspace, identity: str) -> str:
    key = bytes.fromhex((workspace.root / "secret.key").read_text())
    digest = hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()
    return f"pet911/{digest[:16]}"


def test_a_pseudonym_leads_back_only_where_its_key_is(workspace: Workspace) -> None:
    build_release(workspace, keep_source_ids=False)
    published = pseudonym_by_hand(workspace, TWO.identity)
    assert real_id(workspace, published) == TWO.identity
    assert real_id(workspace, TWO.identity) == TWO.identity
    for stranger in ("pet911/0123456789abcdef", "pet911/rl500009", "nowhere/1", "lcw/7", "x"):
        assert real_id(workspace, stranger) is None
    (workspace.root / "secret.key").unlink()
    assert real_id(workspace, published) is None


def test_a_rejected_link_keeps_two_identities_apart(workspace: Workspace) -> None:
    release = build_release(workspace, keep_source_ids=False)
    (link,) = read_links(release)
    names = [pseudonym_by_hand(workspace, animal.identity) for animal in (ONE, TWO)]
    assert (link.kind, link.joined) == ("exact", True)
    assert sorted((link.identity_a, link.identity_b)) == sorted(names)
    decide_link(workspace, link.identity_a, link.identity_b, "rejected")
    assert read_decisions(workspace).rejected == ((ONE.identity, TWO.identity),)
    assert decisions_on(workspace, [link]) == {link: "rejected"}
    after = groups(build_release(workspace, keep_source_ids=False))
    assert after[names[0]] != after[names[1]]


def test_an_accepted_pair_becomes_one_group_and_may_be_rejected_again(
    workspace: Workspace,
) -> None:
    before = groups(build_release(workspace))
    assert before[THREE.identity] != before[ONE.identity]
    decide_link(workspace, THREE.identity, ONE.identity, "accepted")
    joined = groups(build_release(workspace))
    assert joined[THREE.identity] == joined[ONE.identity] == joined[TWO.identity]
    decide_link(workspace, ONE.identity, THREE.identity, "rejected")
    assert groups(build_release(workspace)) == before


def test_what_is_not_here_cannot_be_decided(workspace: Workspace) -> None:
    with pytest.raises(PetdataError, match="no identity 'pet911/rl999999'"):
        decide_link(workspace, ONE.identity, "pet911/rl999999", "accepted")
    with pytest.raises(PetdataError, match="are one identity"):
        decide_link(workspace, ONE.identity, ONE.identity, "accepted")
    assert not (workspace.root / "decisions").exists()


def test_both_photos_are_found_though_one_is_a_dropped_duplicate(workspace: Workspace) -> None:
    (link,) = read_links(build_release(workspace, keep_source_ids=False))
    strange = f"{ONE.identity}/{sha256(b'')[:12]}"
    finder = PhotoFinder(workspace, [link.photo_a, link.photo_b, strange])
    assert finder.find(link.photo_a) == finder.find(link.photo_b) == photo(1, 0)
    assert finder.find(strange) is None


def test_the_page_shows_near_links_first_and_says_what_was_decided() -> None:
    near = LinkedPair(
        kind="near",
        identity_a="lcw/1",
        identity_b="lcw/<2>",
        photo_a="lcw/1/aaaaaaaaaaaa",
        photo_b="lcw/2/bbbbbbbbbbbb",
        joined=False,
    )
    page = links_page(
        "Links", [near], {near: "accepted"}, {near.photo_a: photo(1, 0)}.get, left_out=7
    )
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("this photo is not here any more") == 1
    assert "you accepted this pair" in page
    assert "petdata links reject lcw/1 lcw/&lt;2&gt;" in page
    assert "7 more pairs" in page
    assert "<script" not in page


def test_near_links_come_first(tmp_path: Path) -> None:
    def row(kind: str, photo_a: str) -> dict[str, object]:
        return {
            "kind": kind,
            "identity_a": "lcw/1",
            "identity_b": "lcw/2",
            "photo_a": photo_a,
            "photo_b": "z",
            "joined": False,
        }

    (tmp_path / "metadata").mkdir()
    rows = [row("accepted", "a"), row("exact", "b"), row("near", "d"), row("near", "c")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "metadata" / "identity_links.parquet")
    assert [link.photo_a for link in read_links(tmp_path)] == ["c", "d", "b", "a"]
