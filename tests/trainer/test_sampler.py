"""The sampler's contract, on drawn data sets: what holds must hold for any sizes and any epoch."""

from __future__ import annotations

import json
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petdata.errors import PetdataError
from trainer.sampler import IdentityBatchSampler


@st.composite
def samplers(draw: st.DrawFn) -> tuple[list[int], int, int, int]:
    """Labels in any order, P, K and a seed; at least P identities have K photos."""
    p = draw(st.integers(1, 5))
    k = draw(st.integers(1, 4))
    enough = draw(st.lists(st.integers(k, k + 7), min_size=p, max_size=17))
    few = draw(st.lists(st.integers(1, max(k - 1, 1)), max_size=4)) if k > 1 else []
    counts = draw(st.permutations(enough + few))
    labels = [identity for identity, count in enumerate(counts) for _ in range(count)]
    return draw(st.permutations(labels)), p, k, draw(st.integers(0, 9))


def make(labels: list[int], p: int, k: int, seed: int, **more: int) -> IdentityBatchSampler:
    return IdentityBatchSampler(
        labels, identities_per_batch=p, photos_per_identity=k, seed=seed, dataset_hash="d", **more
    )


def identities_of(sampler: IdentityBatchSampler, labels: list[int], epoch: int) -> list[list[int]]:
    """The identities of each batch of an epoch; K rows of each stand beside each other."""
    k = sampler.photos_per_identity
    found = []
    for batch in range(sampler.batches_per_epoch):
        rows = sampler.global_rows(epoch, batch)
        blocks = np.asarray(labels)[rows].reshape(-1, k)
        assert (blocks == blocks[:, :1]).all()
        found.append(blocks[:, 0].tolist())
    return found


@given(samplers())
@settings(deadline=None, max_examples=150)
def test_each_identity_once_an_epoch_and_the_left_over_first_in_the_next(drawn) -> None:
    labels, p, k, seed = drawn
    sampler = make(labels, p, k, seed)
    eligible = {label for label in labels if labels.count(label) >= k}
    usable = {row for row, label in enumerate(labels) if label in eligible}
    assert sorted(sampler.usable_rows.tolist()) == sorted(usable)
    before: set[int] = set()
    for epoch in range(6):
        batches = identities_of(sampler, labels, epoch)
        seen = [identity for batch in batches for identity in batch]
        assert all(len(batch) == p for batch in batches)
        assert len(seen) == len(set(seen))
        left_over = eligible - set(seen)
        assert set(seen) <= eligible
        assert len(left_over) == len(eligible) % p < p
        assert set(seen[: len(before)]) == before
        before = left_over


@given(samplers())
@settings(deadline=None, max_examples=150)
def test_every_photo_within_its_appearances(drawn) -> None:
    labels, p, k, seed = drawn
    sampler = make(labels, p, k, seed)
    shown: dict[int, list[list[int]]] = defaultdict(list)
    for epoch in range(12):
        for batch in range(sampler.batches_per_epoch):
            for rows in sampler.global_rows(epoch, batch).reshape(-1, k).tolist():
                assert len(set(rows)) == k
                shown[labels[rows[0]]].append(rows)
    for identity, appearances in shown.items():
        photos = {row for row, label in enumerate(labels) if label == identity}
        round_ = math.ceil(len(photos) / k)
        for start in range(0, len(appearances) - round_ + 1, round_):
            assert {row for rows in appearances[start : start + round_] for row in rows} == photos


@given(samplers(), st.integers(1, 5), st.integers(0, 4))
@settings(deadline=None, max_examples=100)
def test_ranks_share_the_same_global_batches(drawn, world_size: int, epoch: int) -> None:
    labels, p, k, seed = drawn
    world_size = min(world_size, p)
    ranks = [
        make(labels, p, k, seed, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    whole = make(labels, p, k, seed)
    for batch in range(whole.batches_per_epoch):
        shares = [rank.rows(epoch, batch).tolist() for rank in ranks]
        assert [len(share) for share in shares] == ranks[0].shares()
        assert max(map(len, shares)) - min(map(len, shares)) <= k
        assert [row for share in shares for row in share] == whole.global_rows(
            epoch, batch
        ).tolist()


@given(samplers(), st.integers(0, 30))
@settings(deadline=None, max_examples=60)
def test_resumes_in_mid_epoch_from_two_integers(drawn, steps: int) -> None:
    labels, p, k, seed = drawn
    through = make(labels, p, k, seed)
    for _ in range(steps):
        through.advance()
    state = json.loads(json.dumps(through.state_dict()))
    resumed = make(labels, p, k, seed)
    resumed.load_state_dict(state)
    assert set(state) == {"epoch", "batch"}
    assert divmod(steps, through.batches_per_epoch) == (state["epoch"], state["batch"])
    assert len(resumed) == through.batches_per_epoch - state["batch"]
    for ours, theirs in zip(resumed, through, strict=True):
        assert ours.tolist() == theirs.tolist()


def test_order_depends_on_seed_epoch_and_data_set_only() -> None:
    labels = [row // 3 for row in range(300)]
    first = IdentityBatchSampler(labels, identities_per_batch=10, seed=1, dataset_hash="a")
    again = IdentityBatchSampler(labels, identities_per_batch=10, seed=1, dataset_hash="a")
    again.rows(7, 3)  # other calls before it change nothing
    same = [first.rows(2, batch).tolist() for batch in range(10)]
    assert [again.rows(2, batch).tolist() for batch in range(10)] == same
    for other in (
        IdentityBatchSampler(labels, identities_per_batch=10, seed=2, dataset_hash="a"),
        IdentityBatchSampler(labels, identities_per_batch=10, seed=1, dataset_hash="b"),
    ):
        assert [other.rows(2, batch).tolist() for batch in range(10)] != same
    assert [first.rows(3, batch).tolist() for batch in range(10)] != same


def test_pairs_of_an_identity_change_between_rounds() -> None:
    """Four photos, two at a time: all six pairs come up, not the same two for ever."""
    sampler = IdentityBatchSampler([0] * 4, identities_per_batch=1)
    pairs = {frozenset(sampler.rows(epoch, 0).tolist()) for epoch in range(60)}
    assert len(pairs) == 6


def test_all_take_turns_at_being_left_over() -> None:
    """10 identities, batches of 4: two are left over each time, so each twice in ten epochs."""
    labels = [row // 2 for row in range(20)]
    sampler = IdentityBatchSampler(labels, identities_per_batch=4)
    absent = np.zeros(10, int)
    for epoch in range(10):
        seen = {i for batch in identities_of(sampler, labels, epoch) for i in batch}
        absent[list(set(range(10)) - seen)] += 1
    assert absent.tolist() == [2] * 10


def test_this_order_never_changes() -> None:
    """Runs of different machines and versions must agree: worked once, kept for good."""
    sampler = IdentityBatchSampler(
        [row // 4 for row in range(28)], identities_per_batch=3, seed=5, dataset_hash="fixed"
    )
    assert [sampler.rows(e, b).tolist() for e in (0, 1) for b in (0, 1)] == FIXED


FIXED = [
    [3, 0, 13, 15, 5, 7],
    [25, 26, 22, 21, 11, 10],
    [16, 19, 2, 1, 4, 6],
    [12, 14, 27, 24, 9, 8],
]


def test_left_out_are_counted() -> None:
    sampler = IdentityBatchSampler([9, 9, 4, 7, 7, 7, 5], identities_per_batch=2)
    assert (sampler.identities, sampler.left_out_identities, sampler.left_out_photos) == (2, 2, 2)


def test_labels_far_apart_need_no_room() -> None:
    sampler = IdentityBatchSampler([10**15, 3, 10**15, 3], identities_per_batch=2)
    assert sorted(sampler.rows(0, 0).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ([0, 0, 1], {"identities_per_batch": 2}, "1 identities have 2 photos or more"),
        ([], {}, "0 identities"),
        ([0, 0], {"identities_per_batch": 1, "world_size": 2}, "fewer processes"),
        ([-1, -1], {"identities_per_batch": 1}, "0 and above"),
        ([0, 0], {"identities_per_batch": 0}, "at least one identity"),
    ],
)
def test_what_cannot_be_batched_is_said(labels, options, words: str) -> None:
    with pytest.raises(PetdataError, match=words):
        IdentityBatchSampler(labels, **options)


def test_a_state_of_another_data_set_is_refused() -> None:
    sampler = IdentityBatchSampler([0, 0, 1, 1], identities_per_batch=1)
    with pytest.raises(PetdataError, match="batch 7 of epoch 0"):
        sampler.load_state_dict({"epoch": 0, "batch": 7})
