"""Folders that stand in their place whole, or are gone with their process.

What a killed process left goes at the next chance: a lock tells it from what somebody works in.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from petdata.errors import PetdataError, StorageFailure, TryLater
from petdata.workspace import make_folder, sync_folder


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """An empty folder in `parent`, gone afterwards. Raises StorageFailure.

    Those of the same prefix go first that nobody works in any more.
    """
    make_folder(parent)
    folder, lock = _make(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder that stands at `target`, durable, once the block has ended; on an error none.

    Raises StorageFailure for any OSError, PetdataError where the target has come to exist, and
    TryLater where another process is making it.
    """
    make_folder(target.parent)
    beside = target.with_name(f".{target.name}.tmp")
    lock = _make_beside(beside)
    try:
        yield beside
        if target.exists():
            raise PetdataError(f"{target} exists already and is not changed; name another")
        beside.rename(target)
        sync_folder(target.parent)
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        if isinstance(error, OSError):
            raise StorageFailure(
                f"cannot write {error.filename or beside}: {error.strerror or error}: make room "
                "or check the disk, then start again; nothing else was changed"
            ) from error
        raise
    finally:
        os.close(lock)


def _make_beside(beside: Path) -> int:
    try:
        with _locked(beside.parent):
            remove_abandoned(beside.parent, ".*.tmp")
            beside.mkdir()
            return _lock(beside, wait=False)
    except FileExistsError as error:
        raise TryLater(f"another process is writing {beside}: start again when it has") from error
    except OSError as error:
        raise StorageFailure(f"cannot make {beside}: {error.strerror}") from error


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    """The folder, and the lock that tells others that it is worked in."""
    try:
        with _locked(parent):
            remove_abandoned(parent, f"{prefix}*")
            names = (f"{prefix}{number}" for number in count())
            folder = next(parent / name for name in names if not (parent / name).exists())
            folder.mkdir(mode=0o700)
            return folder, _lock(folder, wait=False)
    except OSError as error:
        raise StorageFailure(f"cannot make a folder in {parent}: {error.strerror}") from error


def remove_abandoned(parent: Path, pattern: str) -> None:
    for folder in sorted(parent.glob(pattern)):
        with suppress(OSError):  # somebody works in it, or owns it, or it is no folder
            lock = _lock(folder, wait=False)
            try:
                shutil.rmtree(folder)
            finally:
                os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
