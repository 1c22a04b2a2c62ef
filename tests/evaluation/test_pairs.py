"""Verification pairs: caps, balance, independence of row order."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.pairs import PairRules, VerificationPairs, make_pairs
from evaluation.pairs_file import pairs_hash, read_pairs, write_pairs
from petdata.errors import CorruptFile, PetdataError

CAPS = st.sampled_from(["both kinds", "each kind"])


@st.composite
def photo_sets(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Identities of 1 to 20 photos, two species, some pictures in several photos."""
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=12))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    duplicates = np.arange(len(labels))
    copies = rng.random(len(labels)) < draw(st.sampled_from([0.0, 0.3]))
    duplicates[copies] = rng.integers(0, len(labels), copies.sum())
    return {
        "ids": np.array([f"photo{number:04}" for number in rng.permutation(len(labels))]),
        "labels": labels,
        "species": labels % 2,
        "duplicates": duplicates,
    }


def pairs_of(photos: dict[str, np.ndarray], **rules: object) -> VerificationPairs:
    return make_pairs(
        photos["ids"].tolist(),
        photos["labels"],
        species=photos["species"],
        duplicates=photos["duplicates"],
        rules=PairRules(**rules),  # type: ignore[arg-type]
    )


@settings(deadline=None, max_examples=80)
@given(photo_sets(), CAPS)
def test_caps(photos: dict[str, np.ndarray], cap: str) -> None:
    pairs = pairs_of(photos, identity_cap=cap)
    uses = Counter(pairs.first.tolist()) + Counter(pairs.second.tolist())
    assert max(uses.values(), default=0) <= 5
    positive, negative = Counter[int](), Counter[int]()
    for first, second, is_same in zip(pairs.first, pairs.second, pairs.is_same, strict=True):
        one, other = photos["labels"][first], photos["labels"][second]
        assert is_same == (one == other)
        if is_same:
            positive[one] += 1
        else:
            negative.update([one, other])
    together = positive + negative if cap == "both kinds" else positive | negative
    assert max(together.values(), default=0) <= 15


@settings(deadline=None, max_examples=80)
@given(photo_sets(), CAPS)
def test_no_pair_twice_none_of_one_picture_and_none_across_species(
    photos: dict[str, np.ndarray], cap: str
) -> None:
    pairs = pairs_of(photos, identity_cap=cap)
    unordered = {frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}
    assert len(unordered) == len(pairs)
    assert all(len(pair) == 2 for pair in unordered)
    for column, equal in (("duplicates", False), ("species", True)):
        same = photos[column][pairs.first] == photos[column][pairs.second]
        assert np.all(same == equal)


@settings(deadline=None, max_examples=80)
@given(photo_sets(), CAPS, st.integers(0, 5))
def test_neither_row_order_nor_label_numbers_matter(
    photos: dict[str, np.ndarray], cap: str, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(photos["ids"]))
    moved = {name: column[order] for name, column in photos.items()}
    moved["labels"] = 7 * (moved["labels"].max() - moved["labels"])
    moved["duplicates"] = 1000 - moved["duplicates"]
    here, there = (pairs_of(p, identity_cap=cap, seed=seed) for p in (photos, moved))
    assert pairs_hash(here) == pairs_hash(there)
    assert here.photo_ids[0].to_pylist() == moved["ids"][there.first].tolist()


@pytest.mark.parametrize("size", range(2, 40))
def test_as_many_positives_as_the_caps_allow(size: int) -> None:
    pairs = make_pairs(
        [f"{n:02}" for n in range(size)],
        np.zeros(size, int),
        rules=PairRules(identity_cap="each kind"),
    )
    assert len(pairs) == min(15, len(list(combinations(range(size), 2))))
    uses = np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=size)
    assert uses.max() - uses.min() <= 2


@pytest.mark.parametrize("size", [2, 3, 4, 6, 9, 30])
def test_kinds_are_equally_many_under_the_cap_over_both(size: int) -> None:
    labels = np.repeat(np.arange(40), size)
    pairs = make_pairs([f"{n:04}" for n in range(len(labels))], labels)
    assert pairs.is_same.sum() == 40 * min(5, size * (size - 1) // 2)
    assert (~pairs.is_same).sum() >= 0.98 * pairs.is_same.sum()  # the last places may not fit
    assert pairs.missing_negatives == pairs.is_same.sum() - (~pairs.is_same).sum()


def test_every_pair_of_photos_is_about_equally_likely() -> None:
    labels = np.repeat(np.arange(4), 4)
    ids = [f"{n:02}" for n in range(16)]
    counts = Counter[tuple[int, int]]()
    for seed in range(1200):
        pairs = make_pairs(ids, labels, rules=PairRules(seed=seed, pairs_per_identity=3))
        counts.update(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    positives = [counts[i, j] for i, j in combinations(range(16), 2) if labels[i] == labels[j]]
    negatives = [counts[i, j] for i, j in combinations(range(16), 2) if labels[i] != labels[j]]
    assert sum(positives) == 1200 * 4
    assert max(abs(np.array(positives) - 200)) < 4.5 * np.sqrt(200)
    mean = np.mean(negatives)
    assert max(abs(np.array(negatives) - mean)) < 4.5 * np.sqrt(mean)


def test_other_seeds_give_other_pairs() -> None:
    labels = np.repeat(np.arange(20), 6)
    ids = [f"{n:03}" for n in range(120)]
    hashes = {pairs_hash(make_pairs(ids, labels, rules=PairRules(seed=s))) for s in range(5)}
    assert len(hashes) == 5


def test_cross_species_pairs_on_request() -> None:
    labels = np.array([0, 0, 1, 1])
    ids = ["a", "b", "c", "d"]
    within = make_pairs(ids, labels, species=labels)
    assert within.is_same.all()
    assert within.missing_negatives == 2
    across = make_pairs(ids, labels, species=labels, rules=PairRules(same_species=False))
    assert (~across.is_same).sum() == 2


def test_a_repeated_id_is_named() -> None:
    with pytest.raises(PetdataError, match="photo id b stands twice"):
        make_pairs(["b", "a", "b"], np.array([0, 0, 1]))


def test_the_hash_is_that_of_the_documented_lines() -> None:
    import hashlib

    pairs = make_pairs(["b", "a", "d", "c"], np.array([0, 0, 1, 1]))
    ids = [column.to_pylist() for column in pairs.photo_ids]
    lines = [f"{a}\t{b}\t{int(s)}\n" for a, b, s in zip(*ids, pairs.is_same, strict=True)]
    assert lines[:2] == ["a\tb\t1\n", "c\td\t1\n"]
    assert pairs_hash(pairs) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_list_reads_back_into_other_rows(tmp_path: Path) -> None:
    ids, labels = [f"{n:02}" for n in range(30)], np.repeat(np.arange(10), 3)
    pairs = make_pairs(ids, labels, rules=PairRules(seed=3))
    digest = write_pairs(pairs, tmp_path / "pairs.parquet")
    back = read_pairs(tmp_path / "pairs.parquet", ids[::-1])
    assert (back.rules, pairs_hash(back)) == (pairs.rules, digest)
    assert back.first.tolist() == (29 - pairs.first).tolist()
    with pytest.raises(PetdataError, match="is not among the 20 photos at hand"):
        read_pairs(tmp_path / "pairs.parquet", ids[:20])


def test_an_edited_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    ids = ["a", "b", "c", "d"]
    write_pairs(make_pairs(ids, np.array([0, 0, 1, 1])), path)
    table = pq.read_table(path)
    swapped = table.set_column(2, table.schema.field(2), pa.array([False] * len(table)))
    pq.write_table(swapped, path)
    with pytest.raises(CorruptFile, match="do not have the hash"):
        read_pairs(path, ids)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CorruptFile, match="not a list of verification pairs"):
        read_pairs(path, ids)
