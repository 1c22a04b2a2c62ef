"""What becomes of each row: cases worked out by hand, and laws that hold for any world."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import Shown, groups, matcher, plan, plan_of

from dataset_builder.appearances import alike
from dataset_builder.metadata import attrition_table
from dataset_builder.splits import is_validation, leaks_left


def outcomes(*photos: Shown, **options: object) -> list[str]:
    """In the order given."""
    found = plan(photos, **options)
    return [found[p.identity, p.picture, p.source_split] for p in photos]


def test_photos_that_are_alone_are_kept() -> None:
    assert outcomes(Shown("pet911/1", "a"), Shown("lcw/1", "b"), Shown("dogfacenet/1", "c")) == [
        "train",
        "train",
        "test",
    ]


def test_what_is_not_fit_is_dropped_with_the_first_reason_that_holds() -> None:
    assert outcomes(
        Shown("pet911/1", "a", is_current=False, is_taken_down=True),
        Shown("pet911/2", "b", is_taken_down=True, multi_animal=True),
        Shown("pet911/3", "c", species="unknown"),
        Shown("pet911/4", "d", multi_animal=True),
        Shown("pet911/5", "e", species="hamster"),
    ) == ["superseded", "taken_down", "species_unknown", "several_animals", "train"]
    assert outcomes(Shown("pet911/4", "d", multi_animal=True), multi_animal="keep") == ["train"]


def test_of_equal_photos_the_highest_ranked_stays_and_identities_join() -> None:
    photos = [
        Shown("telegram/1", "a"),
        Shown("pet911/7", "a"),
        Shown("telegram/1", "b"),
        Shown("petface/cat-1", "b", "train"),
    ]
    assert outcomes(*photos) == ["duplicate_photo", "train", "train", "duplicate_photo"]
    made, _ = plan_of(photos)
    assert groups(made) == {"telegram/1": "pet911/7", "petface/cat-1": "pet911/7"}


def test_near_duplicates_go_inside_a_group_only() -> None:
    assert outcomes(
        Shown("pet911/1", "a"),
        Shown("pet911/1", "a~"),
        Shown("pet911/2", "b"),
        Shown("pet911/3", "b~"),
    ) == ["train", "near_duplicate", "train", "train"]
    assert outcomes(Shown("pet911/2", "b"), Shown("pet911/3", "b~"), merge_identities="near") == [
        "train",
        "near_duplicate",
    ]


def test_a_chain_of_near_duplicates_keeps_what_nothing_kept_resembles() -> None:
    # a resembles a~ and a~~ alike here; the first stays, the others go.
    assert outcomes(Shown("pet911/1", "a"), Shown("pet911/1", "a~"), Shown("pet911/1", "a~~")) == [
        "train",
        "near_duplicate",
        "near_duplicate",
    ]


def test_a_later_source_never_joins_two_earlier_groups() -> None:
    photos = [
        Shown("pet911/1", "a"),
        Shown("pet911/2", "b"),
        Shown("telegram/9", "a"),
        Shown("telegram/9", "b"),
        Shown("telegram/9", "c"),
    ]
    made, _ = plan_of(photos)
    assert groups(made) == {"telegram/9": "pet911/1"}


def test_a_picture_in_more_than_three_identities_is_boilerplate() -> None:
    four = [Shown(f"telegram/{n}", "logo") for n in range(4)]
    own = [Shown(f"telegram/{n}", f"own{n}") for n in range(4)]
    assert outcomes(*four, *own) == ["boilerplate"] * 4 + ["train"] * 4
    made, _ = plan_of([*four, *own])
    assert groups(made) == {}
    three = four[:3]
    assert outcomes(*three) == ["train", "duplicate_photo", "duplicate_photo"]


def test_near_copies_count_for_boilerplate_too() -> None:
    assert (
        outcomes(
            Shown("telegram/1", "logo"),
            Shown("telegram/2", "logo~"),
            Shown("telegram/3", "logo~~"),
            Shown("telegram/4", "logo~~~"),
        )
        == ["boilerplate"] * 4
    )


def test_boilerplate_of_a_later_source_takes_nothing_from_an_earlier_one() -> None:
    photos = [Shown("pet911/1", "a"), *(Shown(f"lcw/{n}", "a") for n in range(4))]
    assert outcomes(*photos) == ["train"] + ["boilerplate"] * 4


def test_curated_sources_lose_the_contradictory_photo() -> None:
    photos = [
        Shown("lcw/1", "a"),
        Shown("lcw/2", "a"),
        Shown("lcw/1", "b"),
        Shown("lcw/2", "c"),
    ]
    assert outcomes(*photos) == ["contradictory", "contradictory", "train", "train"]
    made, _ = plan_of(photos)
    assert groups(made) == {}


def test_petfaces_other_lists_take_nothing_from_its_train_list() -> None:
    photos = [
        Shown("petface/cat-1", "a", "train"),
        Shown("petface/cat-2", "a", "test"),
        Shown("petface/cat-2", "b", "test"),
    ]
    assert outcomes(*photos) == ["train", "contradictory", "train"]


def test_a_link_through_a_later_list_joins_nothing_before_it() -> None:
    photos = [
        Shown("cat_individual_images/1", "b"),
        Shown("petface/cat-1", "a", "train"),
        Shown("petface/cat-1", "b", "reidentification"),
    ]
    assert outcomes(*photos) == ["test", "train", "leak:cat_individual_images"]


def test_the_leak_gate_takes_the_photo_and_its_group() -> None:
    assert outcomes(
        Shown("cat_individual_images/1", "t"),
        Shown("cat_individual_images/1", "u"),
        Shown("pet911/1", "t~"),
        Shown("pet911/1", "x"),
        Shown("telegram/1", "x"),
        Shown("telegram/1", "y"),
        Shown("lcw/1", "u"),
        Shown("lcw/1", "v"),
        Shown("lcw/2", "w"),
    ) == [
        "test",
        "test",
        *["leak:cat_individual_images"] * 6,
        "train",
    ]


def test_a_leak_in_a_later_source_does_not_reach_an_earlier_one() -> None:
    photos = [
        Shown("cat_individual_images/1", "t"),
        Shown("pet911/1", "a"),
        Shown("lcw/1", "a"),
        Shown("lcw/1", "t~"),
        Shown("lcw/1", "b"),
    ]
    assert outcomes(*photos) == ["test", "train", *["leak:cat_individual_images"] * 3]


def test_pairs_that_are_left_would_be_counted() -> None:
    photos = [
        Shown("cat_individual_images/1", "t"),
        Shown("cat_individual_images/2", "u"),
        Shown("pet911/1", "t"),
        Shown("pet911/2", "u~"),
        Shown("pet911/3", "v"),
    ]
    made, shown = plan_of(photos)
    assert (made.pairs_found, made.pairs_left) == (1, 0)
    near = alike(made.rows, matcher(shown)(np.arange(5), None, 10))
    assert leaks_left(made.rows, np.ones(5, np.bool_), near) == 2  # had the gate been left open


def test_small_groups_go_and_test_sets_stay() -> None:
    assert outcomes(
        Shown("pet911/1", "a"),
        Shown("pet911/2", "b"),
        Shown("pet911/2", "c"),
        Shown("pet911/3", "d"),
        Shown("telegram/3", "d"),
        Shown("telegram/3", "e"),
        Shown("dogfacenet/1", "z"),
        min_photos=2,
    ) == [
        "too_few_photos",
        "train",
        "train",
        "too_few_photos",
        "duplicate_photo",
        "too_few_photos",
        "test",
    ]


def test_too_large_a_component_is_left_apart_and_reported() -> None:
    photos = [Shown(f"telegram/{n:03}", f"{n}") for n in range(30)]
    photos += [Shown(f"telegram/{n + 1:03}", f"{n}") for n in range(29)]
    made, _ = plan_of(photos)
    assert groups(made) == {}
    assert [len(component) for component in made.groups.capped] == [30]


def test_validation_is_a_hash_of_seed_and_group_alone() -> None:
    names = [f"pet911/{n}" for n in range(20_000)]
    chosen = is_validation(names, 0, 0.05)
    assert 900 < chosen.sum() < 1100
    assert is_validation(names[::-1], 0, 0.05)[::-1].tolist() == chosen.tolist()
    assert is_validation(names[:10], 0, 0.05).tolist() == chosen[:10].tolist()
    assert is_validation(names, 1, 0.05).tolist() != chosen.tolist()
    assert not is_validation(names, 0, 0.0).any()


# Laws


SOURCES = ("cat_individual_images", "pet911", "telegram", "lcw", "petface")
photos = st.lists(
    st.builds(
        lambda source, number, picture, listed: Shown(
            f"{source}/{number}", picture, listed if source == "petface" else ""
        ),
        st.sampled_from(SOURCES),
        st.integers(0, 5),
        st.sampled_from([f"{letter}{near}" for letter in "abcdefgh" for near in ("", "~")]),
        st.sampled_from(["train", "test", "reidentification"]),
    ),
    max_size=25,
    unique_by=lambda photo: (photo.identity, photo.picture, photo.source_split),
)


@pytest.mark.parametrize("merge", ["exact", "near", "off"])
@given(photos=photos, min_photos=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_leaving_out_a_later_source_changes_nothing_before_it(
    merge: str, photos: list[Shown], min_photos: int
) -> None:
    """So the configurations of a release equal the builds with those options, row for row."""
    options = {"merge_identities": merge, "min_photos": min_photos, "val_fraction": 0.3}
    whole = plan(photos, **options)
    for petface in ("train", "none"):
        part = plan(photos, **options, petface=petface)
        assert {key: whole[key] for key in part} == part


@given(photos=photos)
@settings(max_examples=200, deadline=None)
def test_no_leak_and_no_photo_twice(photos: list[Shown]) -> None:
    """Checked pair by pair."""
    made, shown = plan_of(photos, val_fraction=0.3)
    kept = [(photo, row) for row, photo in enumerate(shown) if made.reason[row] < 0]
    test = [photo for photo, row in kept if made.split[row] == 2]
    others = [photo for photo, row in kept if made.split[row] != 2]
    assert not {p.picture.strip("~") for p in test} & {p.picture.strip("~") for p in others}
    assert made.pairs_left == 0
    pictures = [photo.picture for photo, _ in kept]
    assert len(pictures) == len(set(pictures))
    splits: dict[int, set[int]] = {}
    for _, row in kept:
        group = int(made.groups.of[made.rows.identity[row]])
        splits.setdefault(group, set()).add(int(made.split[row]))
    assert all(len(found) == 1 for found in splits.values())


@given(photos=photos, order=st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_inputs_does_not_matter(photos: list[Shown], order: object) -> None:
    shuffled = list(photos)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(photos) == plan(shuffled)


def test_no_dictionary_has_a_value_twice() -> None:
    """Else pyarrow would write whatever stood in memory before into the file."""
    petface = [
        Shown(f"petface/cat-{n}", f"p{n}", split) for n, split in enumerate(["train", "val"])
    ]
    made, _ = plan_of([Shown("pet911/1", "a"), *petface])
    table = attrition_table(made, made.rows.identities)
    assert table["source"].to_pylist() == ["pet911", "petface", "petface"]
    for name in table.column_names[1:]:
        values = table[name].combine_chunks().dictionary.to_pylist()
        assert len(values) == len(set(values)), name
