from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.telegram.albums import Album, AlbumWindow, group_albums
from crawlers.telegram.messages import Message


def message(
    message_id: int,
    grouped_id: int | None = None,
    text: str = "",
    photo: str | None = None,
    is_protected: bool = False,
) -> Message:
    return Message(
        channel_id=1,
        message_id=message_id,
        sent_at=datetime(2026, 11, 1, tzinfo=UTC),
        grouped_id=grouped_id,
        text=text,
        photo=photo,
        is_protected=is_protected,
    )


def ids(albums: list[Album]) -> list[list[int]]:
    return [[part.message_id for part in album.messages] for album in albums]


def test_an_album_speaks_for_its_parts() -> None:
    album = Album(
        messages=(
            message(3, 7, photo="a"),
            message(4, 7, text=" Пропал кот \n"),
            message(6, 7, text="Пропал кот", photo="b", is_protected=True),
            message(7, 7, text=" "),
            message(8, 7, text="Рыжий", photo="c"),
        )
    )
    assert (album.first.message_id, album.message_id, album.last_id) == (3, 3, 8)
    assert album.text == "Пропал кот\n\nРыжий"
    assert [part.photo for part in album.photos] == ["a", "b", "c"]
    assert album.is_protected
    assert not album.is_inferred
    alone = Album(messages=(message(3),))
    assert (alone.text, alone.photos, alone.is_protected) == ("", (), False)


def test_albums_are_whole_though_foreign_messages_stand_between() -> None:
    parts = [message(1, 7), message(2), message(3, 8), message(4, 7), message(5, 8), message(6)]
    assert ids(list(group_albums(parts))) == [[2], [6], [1, 4], [3, 5]]


def test_a_group_is_complete_when_ids_have_moved_past_the_window() -> None:
    window = AlbumWindow(window=20)
    assert window.add(message(100, 7)) == []
    assert ids(window.add(message(120))) == [[120]]
    assert ids(window.add(message(120 + 1))) == [[100], [121]]
    assert window.add(message(122, 7)) == []  # too late: an album of its own
    assert ids(window.flush()) == [[122]]
    assert window.flush() == []


def test_the_window_begins_at_the_last_part() -> None:
    window = AlbumWindow(window=20)
    assert [window.add(message(number, 7)) for number in (100, 120, 140)] == [[], [], []]
    assert ids(window.add(message(161))) == [[100, 120, 140], [161]]


def test_ten_parts_are_an_album() -> None:
    window = AlbumWindow()
    returned = [ids(window.add(message(number, 7))) for number in range(1, 12)]
    assert returned == [[]] * 9 + [[list(range(1, 11))], []]
    assert ids(window.flush()) == [[11]]


def test_the_cursor_stays_before_what_is_open_or_would_be_cut() -> None:
    window = AlbumWindow(window=20, after=100)
    settled = [window.settled_id]
    for number, grouped_id in [(101, None), (103, 7), (104, 8), (105, None), (106, 7)]:
        window.add(message(number, grouped_id))
        settled.append(window.settled_id)
    assert settled == [100, 101, 102, 102, 102, 102]
    for number in range(107, 115):
        window.add(message(number, 7))  # the tenth part: 7 is returned, 8 is open within it
    assert window.settled_id == 102
    window.add(message(130))
    assert window.settled_id == 130
    assert ids(window.flush()) == []


def test_a_message_that_was_added_before_is_refused() -> None:
    window = AlbumWindow(after=5)
    with pytest.raises(ValueError, match="message 5 comes after 5"):
        window.add(message(5))
    window.add(message(9))
    for again in (9, 8):
        with pytest.raises(ValueError, match=f"message {again} comes after 9"):
            window.add(message(again))
    with pytest.raises(ValueError, match="at least 1"):
        AlbumWindow(window=0)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(1, 10), min_size=1, max_size=8).flatmap(
        lambda sizes: st.permutations(
            [album for album, size in enumerate(sizes) for _ in range(size)] + [None] * 10
        )
    ),
    steps=st.lists(st.integers(1, 3), min_size=90, max_size=90),
)
def test_foreign_messages_within_the_window_change_nothing(
    labels: list[int | None], steps: list[int]
) -> None:
    numbers = [sum(steps[: place + 1]) for place in range(len(labels))]
    by_label: dict[int, list[int]] = {}
    alone = []
    for number, label in zip(numbers, labels, strict=True):
        if label is None:
            alone.append([number])
        else:
            by_label.setdefault(label, []).append(number)
    window = max(
        (second - first for part in by_label.values() for first, second in pairwise(part)),
        default=1,
    )
    messages = [message(*pair) for pair in zip(numbers, labels, strict=True)]
    albums = list(group_albums(messages, window))
    assert sorted(ids(albums)) == sorted([*alone, *by_label.values()])


# Steps between ids, and groups, in any disorder: stragglers beyond the window, eleventh parts.
disorder = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 3), st.integers(1, 30)), st.sampled_from([None, 1, 1, 1, 2, 2, 3])
    ),
    min_size=1,
    max_size=60,
).map(
    lambda steps: [
        message(sum(step for step, _ in steps[: place + 1]), grouped_id)
        for place, (_, grouped_id) in enumerate(steps)
    ]
)


@settings(deadline=None)
@given(messages=disorder)
def test_the_cursor_is_truthful_and_never_goes_back(messages: list[Message]) -> None:
    window = AlbumWindow()
    waiting: set[int] = set()
    before = 0
    for added in messages:
        waiting.add(added.message_id)
        albums = window.add(added)
        assert ids(albums) == sorted(ids(albums))
        for album in albums:
            waiting -= {part.message_id for part in album.messages}
        assert before <= window.settled_id <= added.message_id
        assert not waiting or window.settled_id < min(waiting)
        if not waiting:
            assert window.settled_id == added.message_id
        before = window.settled_id
    window.flush()
    assert window.settled_id == messages[-1].message_id


@settings(deadline=None)
@given(messages=disorder, data=st.data())
def test_starting_again_at_the_cursor_gives_the_rest(
    messages: list[Message], data: st.DataObject
) -> None:
    whole = ids(list(group_albums(messages)))
    first, returned = AlbumWindow(), []
    for added in messages[: data.draw(st.integers(0, len(messages)))]:
        returned += ids(first.add(added))
    again, rest = AlbumWindow(after=first.settled_id), []
    for added in messages:
        if added.message_id > first.settled_id:
            rest += ids(again.add(added))
    rest += ids(again.flush())
    assert rest == [album for album in whole if album[0] > first.settled_id]
    assert [album for album in whole if album not in returned] == [
        album for album in rest if album not in returned
    ]
