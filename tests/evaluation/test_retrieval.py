"""Ranks against slow loops and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
import slow_retrieval
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from evaluation import retrieval
from evaluation.duplicates import duplicate_groups
from evaluation.retrieval import Ranking, rank_gallery
from petdata.errors import PetdataError


@st.composite
def photo_sets(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Vectors from a small grid, so that many similarities are equal, or all one vector."""
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    grid = draw(st.sampled_from([0, 1, 2, 1000]))
    vectors = rng.integers(-grid, grid + 1, (count, 3)) + np.array([grid + 1, 0, 0])
    return {
        "vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        "labels": rng.integers(0, draw(st.integers(1, 15)), count) * 10 + 3,
        "duplicates": rng.integers(0, count * draw(st.sampled_from([1, 50])), count),
        "galleries": rng.integers(0, draw(st.integers(1, 2)), count),
    }


def table(ranking: Ranking) -> list[tuple[int, int, float, int, int]]:
    columns = (
        ranking.image_rank,
        ranking.identity_rank,
        ranking.average_precision,
        ranking.gallery_photos,
        ranking.gallery_identities,
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(deadline=None, max_examples=150)
@given(photo_sets(), st.integers(1, 3))
def test_ranks_are_those_of_a_slow_loop(photos: dict[str, np.ndarray], threads: int) -> None:
    vectors = photos.pop("vectors")
    slow = slow_retrieval.ranks(vectors @ vectors.T, **photos)
    assert table(rank_gallery(vectors, **photos, threads=threads)) == [
        pytest.approx(row) for row in slow
    ]


@settings(deadline=None, max_examples=50)
@given(photo_sets())
def test_without_the_only_rival_a_query_is_right(photos: dict[str, np.ndarray]) -> None:
    """And without any other one identity it is as it was."""
    vectors, labels = photos.pop("vectors"), photos["labels"]
    everyone = rank_gallery(vectors, **photos, threads=1)
    for identity in np.unique(labels).tolist():
        asked = np.flatnonzero(labels != identity)
        without = rank_gallery(vectors, **photos, queries=asked, gallery=asked, threads=1)
        expected = everyone.hits(1)[asked] | (everyone.only_rival[asked] == identity)
        assert without.hits(1).tolist() == expected.tolist()


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(150, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, 30, 150)
    whole = rank_gallery(vectors, labels)
    monkeypatch.setattr(retrieval, "ROWS_AT_A_TIME", 7)
    monkeypatch.setattr(retrieval, "COLUMNS_AT_A_TIME", 11)
    parts = rank_gallery(vectors, labels)
    assert table(parts) == table(whole)
    np.testing.assert_allclose(parts.best_other, whole.best_other, atol=1e-6)


def test_worked_by_hand() -> None:
    """Photos at angles on a half circle: similarity falls with the angle between them."""
    degrees = np.radians([0, 30, 10, 100, 120, 50])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    labels = np.array([0, 0, 1, 1, 2, 3])
    found = rank_gallery(vectors, labels)
    # 0: [10: other, 30: match]; 30: [10, 50 tied at 20 away, 0 at 30 away: match]
    # 10: [0, 30, 50: three others of two identities, 100]; 100: [120, 50, 30, 10]
    assert found.image_rank.tolist() == [2, 3, 4, 4, 0, 0]
    assert found.identity_rank.tolist() == [2, 3, 3, 4, 0, 0]
    assert found.skipped == 2
    assert found.top_k_accuracy(2) == 1 / 4
    assert found.top_k_accuracy(3, "identity") == 3 / 4
    assert found.mean_average_precision() == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 4) / 4)
    assert found.mean_average_precision("identity") == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 3 + 1 / 4) / 4
    )
    assert found.best_match[0] == pytest.approx(np.cos(np.radians(30)))
    assert found.best_other[4] == pytest.approx(np.cos(np.radians(20)))


def test_average_precision_is_scikit_learns_where_nothing_ties() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(60, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.repeat(np.arange(6), 10)
    found = rank_gallery(vectors, labels)
    for query in range(60):
        others = np.arange(60) != query
        expected = average_precision_score(
            labels[others] == labels[query], (vectors @ vectors[query])[others]
        )
        assert found.average_precision[query] == pytest.approx(expected)


def test_collapsed_embeddings_rank_last_and_perfect_ones_first() -> None:
    labels = np.repeat(np.arange(5), 2)
    same_for_all = np.tile(np.array([[0.6, 0.8]]), (10, 1))
    assert rank_gallery(same_for_all, labels).image_rank.tolist() == [9] * 10
    assert rank_gallery(same_for_all, labels).identity_rank.tolist() == [5] * 10
    perfect = np.eye(5)[labels]
    found = rank_gallery(perfect, labels)
    assert (found.top_k_accuracy(1), found.mean_average_precision()) == (1, 1)


def test_a_copy_of_the_query_is_no_match() -> None:
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8], [0.8, 0.6]])
    labels = np.array([0, 0, 0, 1])
    copies = duplicate_groups(["same", "same", "b", "c"])
    assert rank_gallery(vectors, labels).image_rank.tolist()[:2] == [1, 1]
    found = rank_gallery(vectors, labels, duplicates=copies)
    assert found.image_rank.tolist() == [2, 2, 2, 0]
    assert found.gallery_photos.tolist() == [2, 2, 3, 3]


def test_near_duplicates_join_groups_of_equal_bytes() -> None:
    groups = duplicate_groups("abbcd", near_duplicates=(np.array([0, 3]), np.array([1, 2])))
    assert len(set(groups[:4].tolist())) == 1
    assert groups[4] != groups[0]
    assert len(set(duplicate_groups("abbc").tolist())) == 3


def test_queries_look_only_in_the_gallery_given() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(40, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, 8, 40)
    queries, gallery = np.array([5, 3, 31]), np.arange(10, 40)
    found = rank_gallery(vectors, labels, queries=queries, gallery=gallery)
    for place, query in enumerate(queries):
        rows = np.append(gallery[gallery != query], query)
        slow = slow_retrieval.ranks(
            vectors[rows] @ vectors[rows].T, labels[rows], np.arange(len(rows)), 0 * rows
        )
        assert table(found)[place] == pytest.approx(slow[-1])


def test_no_query_with_a_match_is_an_error() -> None:
    found = rank_gallery(np.eye(3), np.arange(3))
    assert found.skipped == 3
    with pytest.raises(PetdataError, match="none of 3 queries has a match"):
        found.top_k_accuracy(1)


@pytest.mark.parametrize(("vector", "length"), [([2.0, 0.0], "2"), ([np.nan, 0.0], "nan")])
def test_vectors_of_another_length_are_refused(vector: list[float], length: str) -> None:
    with pytest.raises(PetdataError, match=f"embedding 1 has length {length}"):
        rank_gallery(np.array([[1.0, 0.0], vector]), np.array([0, 0]))
