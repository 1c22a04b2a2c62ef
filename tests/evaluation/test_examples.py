"""Chosen pairs and searches against all pairs, one by one."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from scattered import scattered

from evaluation.embeddings import Embeddings
from evaluation.examples import PAIRS, PLACES, SEARCHES, choose_examples, examples_from
from evaluation.validation import rank_species


@pytest.fixture(scope="module")
def photos() -> Embeddings:
    """The first two are copies of one picture."""
    drawn = scattered(1.2, identities=30)
    hashes = [f"{max(n, 1):064x}" for n in range(len(drawn))]
    return dataclasses.replace(drawn, sha256=pa.array(hashes))


def all_pairs(photos: Embeddings) -> list[tuple[float, int, int]]:
    return [
        (float(photos.vectors[one] @ photos.vectors[other]), one, other)
        for one, other in combinations(range(len(photos)), 2)
        if photos.sha256[one] != photos.sha256[other]
        and photos.species[one] == photos.species[other]
    ]


def test_the_least_alike_of_each_identity(photos: Embeddings) -> None:
    found = choose_examples(photos, rank_species(photos)).positives
    lowest: dict[int, tuple[float, int, int]] = {}
    for pair in sorted(all_pairs(photos), reverse=True):
        if photos.labels[pair[1]] == photos.labels[pair[2]]:
            lowest[int(photos.labels[pair[1]])] = pair
    expected = sorted(lowest.values())[:PAIRS]
    ids = photos.photo_ids.to_pylist()
    assert [{pair.first, pair.second} for pair in found] == [
        {ids[one], ids[other]} for _, one, other in expected
    ]
    assert [p.similarity for p in found] == pytest.approx([s for s, _, _ in expected], abs=1e-6)


def test_the_most_alike_of_two_identities(photos: Embeddings) -> None:
    found = choose_examples(photos, rank_species(photos)).negatives
    highest: dict[frozenset[int], tuple[float, int, int]] = {}
    for pair in sorted(all_pairs(photos), reverse=True):
        labels = frozenset(photos.labels[list(pair[1:])].tolist())
        if len(labels) == 2:
            highest.setdefault(labels, pair)
    expected = list(highest.values())[:PAIRS]
    ids = photos.photo_ids.to_pylist()
    assert len(found) == PAIRS
    # a pair counts only where one is the other's most similar stranger, which the first few are
    assert (found[0].first, found[0].second) == (ids[expected[0][1]], ids[expected[0][2]])
    assert found[0].similarity == pytest.approx(expected[0][0], abs=1e-6)
    similarities = [pair.similarity for pair in found]
    assert similarities == sorted(similarities, reverse=True)
    assert {p.first for p in found[:5]} <= {ids[n] for _, *both in expected for n in both}


def test_searches_show_the_first_places(photos: Embeddings) -> None:
    ranking = rank_species(photos)
    found = choose_examples(photos, ranking)
    ids = photos.photo_ids.to_pylist()
    assert len(found.searches) == len(found.failed) == SEARCHES
    assert choose_examples(photos, ranking) == found
    assert choose_examples(photos, ranking, seed=1).searches != found.searches
    for search in (*found.searches, *found.failed):
        row = ids.index(search.query)
        gallery = [
            n
            for n in range(len(photos))
            if photos.sha256[n] != photos.sha256[row] and photos.species[n] == photos.species[row]
        ]
        scores = photos.vectors[gallery] @ photos.vectors[row]
        order = [gallery[n] for n in np.argsort(-scores)]
        assert [each.photo_id for each in search.found[:PLACES]] == [ids[n] for n in order[:PLACES]]
        right = [photos.labels[n] == photos.labels[row] for n in order]
        assert [each.is_right for each in search.found[:PLACES]] == right[:PLACES]
        if not any(right[:PLACES]):
            (last,) = search.found[PLACES:]
            assert last.is_right
            assert last.place == right.index(True) + 1
            assert last.photo_id == ids[order[right.index(True)]]
    assert not any(search.found[0].is_right for search in found.failed)
    assert any(len(search.found) > PLACES for search in found.failed)


def test_examples_read_back_and_may_be_none(photos: Embeddings) -> None:
    found = choose_examples(photos, rank_species(photos))
    assert examples_from(dataclasses.asdict(found)) == found
    alone = scattered(0.5, photos=1)
    none = choose_examples(alone, rank_species(alone))
    assert (none.positives, none.searches, none.failed) == ((), (), ())
    assert len(none.negatives) == PAIRS
