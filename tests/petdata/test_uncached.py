"""Files written past the page cache hold what they should, also where that is impossible."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petdata import uncached
from petdata.uncached import PAGE, whole_pages, write_uncached

SIZES = [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 5 * 2**20 + 17]


def written(path: Path, content: bytes) -> bytes:
    memory = whole_pages(len(content) + 3 * PAGE)
    memory[:] = b"?" * len(memory)  # what was there before is not to be seen
    memory[: len(content)] = content
    with path.open("wb") as file:
        write_uncached(file, memory, len(content))
        os.fsync(file.fileno())
    return path.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_the_file_holds_what_the_memory_held(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    assert written(tmp_path / "file", content) == content


@pytest.mark.parametrize("size", SIZES)
def test_a_file_system_that_refuses_is_written_as_ever(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncached, "_direct", lambda descriptor, wanted: False)
    content = os.urandom(size)
    assert written(tmp_path / "file", content) == content


def writes_that(answer: Callable[[int], int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`os.write` of at most so many bytes, as `answer` says of each call; what it returned."""
    done: list[int] = []
    write = os.write

    def some(descriptor: int, content: Any) -> int:
        done.append(0)
        allowed = answer(len(done) - 1)
        done[-1] = write(descriptor, content[:allowed])
        return done[-1]

    monkeypatch.setattr(os, "write", some)
    return done


def test_a_write_that_is_refused_in_its_middle_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems switch direct writing on and refuse it later; others stop anywhere."""

    def answer(call: int) -> int:
        if call == 1:
            raise OSError(errno.EINVAL, "not aligned as it likes")
        return 2 * PAGE if call == 0 else 1_000

    done = writes_that(answer, monkeypatch)
    content = os.urandom(4 * PAGE + 17)
    assert written(tmp_path / "file", content) == content
    assert done[0] == 2 * PAGE
    assert sum(done[1:]) == len(content) - 2 * PAGE


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(call: int) -> int:
        if call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return PAGE

    writes_that(answer, monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path / "file", os.urandom(3 * PAGE))


def test_memory_is_aligned_and_large_enough() -> None:
    for size in SIZES:
        assert size <= len(whole_pages(size)) < size + 2 * PAGE
        assert len(whole_pages(size)) % PAGE == 0


def test_the_file_is_not_in_the_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "file"
    written(path, os.urandom(64 * PAGE))  # and read, so that it is
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not in_cache(descriptor):
            pytest.skip("this system does not tell what is in its cache")
        with path.open("wb") as file:
            write_uncached(file, whole_pages(64 * PAGE), 64 * PAGE)
            os.fsync(file.fileno())
            if not is_direct(file.fileno()):
                pytest.skip("this file system writes no other way")
        assert not in_cache(descriptor)
    finally:
        os.close(descriptor)


def in_cache(descriptor: int) -> bool:
    """Whether the last page can be had without waiting for a disk."""
    try:
        return os.preadv(descriptor, [bytearray(PAGE)], 63 * PAGE, os.RWF_NOWAIT) == PAGE
    except (OSError, AttributeError):  # it cannot be asked
        return False


def is_direct(descriptor: int) -> bool:
    import fcntl

    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
