"""Kinds of positive pairs: a slow loop and scikit-learn on drawn photos, then a built release."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scattered import scattered
from sklearn.metrics import roc_auc_score
from worlds import Animal, add, build_release, photo

from evaluation.all_pairs import score_all_pairs
from evaluation.embeddings import Embeddings
from evaluation.metrics import roc_curve
from evaluation.pair_kinds import Announced, announced, pair_kinds, positive_pairs
from petdata.records import Species
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.data import open_photos

NEW_YEAR = (date(2026, 1, 1) - date(1970, 1, 1)).days


def photos_of_listings() -> tuple[Embeddings, Announced]:
    """Two listings an animal, some without a date; every tenth photo is a copy of its neighbour."""
    photos = scattered(1.0, identities=40)
    hashes = [f"{n - (n % 10 == 9):064x}" for n in range(len(photos))]
    rows = np.arange(len(photos))
    posted = NEW_YEAR + rows * 7 % 5
    said = Announced(
        listings=np.where(rows % 11 == 0, -1, rows // 2),
        days=np.stack([np.where(rows % 3, -1, NEW_YEAR), np.where(rows % 7, posted, -1)], axis=1),
    )
    return dataclasses.replace(photos, sha256=pa.array(hashes)), said


def slow_kind(said: Announced, one: int, other: int) -> set[str]:
    kinds = set()
    listings = said.listings[[one, other]]
    if (listings >= 0).all():
        kinds.add("same listing" if listings[0] == listings[1] else "different listings")
    for column in (0, 1):
        first, second = said.days[[one, other], column]
        if first >= 0 and second >= 0:
            kinds.add("within a day" if abs(first - second) <= 1 else "more than a day apart")
            break
    return kinds


def test_kinds_agree_with_a_slow_loop() -> None:
    photos, said = photos_of_listings()
    every = score_all_pairs(
        photos.vectors,
        photos.labels,
        duplicates=photos.duplicates,
        galleries=photos.species_numbers,
    )
    positives, negatives = defaultdict(list), []
    for one, other in combinations(range(len(photos)), 2):
        hidden = photos.sha256[one] == photos.sha256[other]
        if hidden or photos.species[one] != photos.species[other]:
            continue
        score = float(photos.vectors[one] @ photos.vectors[other])
        if photos.labels[one] != photos.labels[other]:
            negatives.append(score)
            continue
        for kind in slow_kind(said, one, other):
            positives[kind].append((score, int(photos.labels[one])))
    found = pair_kinds(photos, every, said, resamples=100)
    assert found.keys() == positives.keys()
    assert len(found) == 4
    for name, pairs in positives.items():
        scores = [score for score, _ in pairs]
        assert found[name].pairs == len(pairs) > 20
        assert found[name].identities == len({label for _, label in pairs})
        is_same = [True] * len(scores) + [False] * len(negatives)
        exact = roc_auc_score(is_same, scores + negatives)
        figures = found[name].figures
        assert figures["roc_auc"].estimate == pytest.approx(exact, abs=1e-4)
        equal = roc_curve(scores + negatives, is_same).equal_error_rate.rate
        assert figures["equal_error_rate"].estimate == pytest.approx(equal, abs=1e-3)
        assert figures["mean_similarity"].estimate == pytest.approx(np.mean(scores), abs=1e-6)
        for interval in figures.values():
            assert interval.low < interval.estimate < interval.high


def test_what_only_one_kind_has_is_counted() -> None:
    photos = scattered(0.5)
    every = score_all_pairs(photos.vectors, photos.labels)
    unknown = np.full((len(photos), 2), -1)
    found = pair_kinds(photos, every, Announced(listings=photos.labels, days=unknown))
    assert list(found) == ["same listing", "different listings"]
    assert found["same listing"].pairs == 25 * 6
    assert found["different listings"].pairs == found["different listings"].identities == 0
    assert found["different listings"].figures == {}


def test_positive_pairs_stand_once() -> None:
    photos, _ = photos_of_listings()
    found = [
        frozenset(pair)
        for first, second in positive_pairs(photos)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    expected = {
        frozenset(pair)
        for pair in combinations(range(len(photos)), 2)
        if len({photos.labels[n] for n in pair}) == 1 == len({photos.species[n] for n in pair})
        and len({photos.sha256[n] for n in pair}) == 2
    }
    assert len(found) == len(expected)
    assert set(found) == expected


def test_a_release_says_which_photos_were_announced_together(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    animals = [
        Animal("pet911/rl600001", [photo(1), photo(1, 1)]),
        Animal("pet911/rl600002", [photo(1), photo(1, 2)]),  # shows the first one's photo
        Animal("pet911/rl600003", [photo(2), photo(2, 1)]),
        Animal("lcw/17", [photo(12), photo(12, 1)], species=Species.CAT),
    ]
    add(workspace, animals)
    release = open_release(build_release(workspace), workspace=workspace)
    photos = open_photos(release, "train")
    backwards = photos.photo_ids.take(pa.array(np.arange(len(photos))[::-1]))
    said = announced(release, "train", backwards)
    by_listing = defaultdict(set)
    for photo_id, listing, days in zip(
        backwards.to_pylist(), said.listings.tolist(), said.days.tolist(), strict=True
    ):
        by_listing[photo_id.rpartition("/")[0]].add(listing)
        assert days == ([-1, -1] if photo_id.startswith("lcw") else [-1, NEW_YEAR + 1])
    assert by_listing.pop("lcw/17") == {-1}
    listings = [listing for found in by_listing.values() for listing in found]
    assert len(by_listing) == len(listings) == len(set(listings)) == 3
    assert min(listings) >= 0
    labels = dict(zip(photos.photo_ids.to_pylist(), photos.labels.tolist(), strict=True))
    ids = {name: set() for name in ("pet911/rl600001", "pet911/rl600002", "pet911/rl600003")}
    for photo_id, label in labels.items():
        if (identity := photo_id.rpartition("/")[0]) in ids:
            ids[identity].add(label)
    assert ids["pet911/rl600001"] == ids["pet911/rl600002"] != ids["pet911/rl600003"]
