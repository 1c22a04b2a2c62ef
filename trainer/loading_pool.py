"""Processes that fill batches: each photo is one piece of work, whichever batch it belongs to.

Processes rather than threads, which are as quick at this but take the interpreter from the thread
that trains. They are forked: what the photo set has in memory is shared, and starting costs
milliseconds. Of a release on the Hub one more process fetches, ahead of those that decode.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.queues import Queue
from typing import Any, Final

import torch

from petdata.decoding_pool import prepare_process
from petdata.errors import PetdataError
from trainer.decoding import PhotoDecoder, Transform
from trainer.photo_set import BadPhoto, Int64Array, PhotoSet
from trainer.shared_pixels import SharedPixels

PHOTOS_AT_ONCE: Final = 8  # in one piece of work: little waits for the last one of a batch
FETCHING_THREADS: Final = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """Some photos of a batch."""

    batch: int
    room: int
    first: int  # place in the batch
    photos: int  # of the whole batch
    rows: Int64Array


@dataclass(frozen=True, slots=True)
class Done:
    batch: int
    photos: int
    bad: tuple[tuple[int, str], ...] = ()  # place in the batch, and what is wrong


@dataclass(frozen=True, slots=True)
class Failed:
    """What a process could not go on after."""

    error: PetdataError | None  # made for people
    text: str  # a traceback


Message = Done | Failed


class LoadingPool:
    """Started with its first batch. Left with `stop`, whatever its processes are doing."""

    def __init__(
        self, photos: PhotoSet, transform: Transform, pixels: SharedPixels, workers: int
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._work: Queue[Piece] = context.Queue()
        self._to_fetch: Queue[Piece] | None = None
        self._processes: list[Any] = []
        self._answers: list[Connection] = []
        jobs: list[tuple[Any, tuple[Any, ...]]] = [
            (_decode_pieces, (self._work, photos, transform, pixels))
        ] * workers
        if photos.are_remote:
            self._to_fetch = context.Queue()
            jobs.append((_fetch_pieces, (self._to_fetch, self._work, photos)))
        for job, arguments in jobs:
            answers, send = context.Pipe(duplex=False)
            process = context.Process(
                target=_run, args=(job, os.getpid(), send, *arguments), daemon=True
            )
            process.start()
            send.close()
            self._processes.append(process)
            self._answers.append(answers)

    def submit(self, batch: int, room: int, rows: Int64Array) -> None:
        queue = self._to_fetch or self._work
        for first in range(0, len(rows), PHOTOS_AT_ONCE):
            part = rows[first : first + PHOTOS_AT_ONCE]
            queue.put(Piece(batch=batch, room=room, first=first, photos=len(rows), rows=part))

    def results(self) -> list[Done]:
        """What has been done since, waiting for the first. Raises where a process failed."""
        found = []
        for answers in wait(self._answers):
            assert isinstance(answers, Connection)
            try:
                message: Message = answers.recv()
            except (EOFError, OSError):
                raise self._death(self._answers.index(answers)) from None
            if isinstance(message, Failed):
                raise message.error or RuntimeError(f"a loading process failed:\n{message.text}")
            found.append(message)
        return found

    def _death(self, number: int) -> PetdataError:
        process = self._processes[number]
        process.join(timeout=5)
        code = process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name
        return PetdataError(
            f"a loading process died ({how}): where it was SIGKILL memory was short: use fewer "
            "--workers or a smaller batch; start again, training resumes from its checkpoint"
        )

    def stop(self) -> None:
        for process in self._processes:
            process.kill()  # they hold nothing that must be kept
        for process in self._processes:
            process.join()
        for queue in (self._work, self._to_fetch):
            if queue is not None:
                queue.cancel_join_thread()
                queue.close()
        for answers in self._answers:
            answers.close()


def _run(job: Any, parent: int, answers: Connection, *arguments: Any) -> None:
    prepare_process(parent)
    gc.freeze()  # what came from the parent is not looked through again
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    with suppress(BrokenPipeError):
        try:
            job(answers, *arguments)
        except Exception as error:  # noqa: BLE001 - raised in the process that reads it
            answers.send(_failed(error))


def _failed(error: Exception) -> Failed:
    if isinstance(error, PetdataError):
        return Failed(error=error, text="")
    return Failed(error=None, text="".join(traceback.format_exception(error)))


def _decode_pieces(
    answers: Connection,
    work: Queue[Piece],
    photos: PhotoSet,
    transform: Transform,
    pixels: SharedPixels,
) -> None:
    decoder = PhotoDecoder(photos, transform)
    while True:
        piece = work.get()
        target = torch.from_numpy(pixels.array(piece.room, piece.photos))
        bad = fill(target[piece.first :], photos, piece.rows.tolist(), decoder)
        found = tuple((piece.first + place, text) for place, text in bad)
        answers.send(Done(batch=piece.batch, photos=len(piece.rows), bad=found))


def fill(
    target: torch.Tensor, photos: PhotoSet, rows: Sequence[int], decoder: PhotoDecoder
) -> list[tuple[int, str]]:
    """Load photos into (B, C, H, W), which may be longer. Returns the places of bad ones."""
    bad = []
    for place, row in enumerate(rows):
        room = target[place]
        try:
            found = decoder.load(row, out=room)
        except BadPhoto as error:
            bad.append((place, str(error)))
            continue
        if found.shape != room.shape:
            raise PetdataError(
                f"{photos.describe(row)}: the transform gives {tuple(found.shape)}, "
                f"{tuple(room.shape)} for others: photos of a batch must have one size"
            )
        if found is not room:
            room.copy_(found)
    return bad


def _fetch_pieces(
    answers: Connection,
    to_fetch: Queue[Piece],
    work: Queue[Piece],
    photos: PhotoSet,
) -> None:
    """Pass pieces on once their photos are here, many at a time."""
    lock = threading.Lock()

    def fetch(piece: Piece) -> None:
        try:
            photos.fetch(piece.rows)
            work.put(piece)
        except Exception as error:  # noqa: BLE001 - else it would be lost with its thread
            with lock:
                answers.send(_failed(error))

    with ThreadPoolExecutor(FETCHING_THREADS) as threads:
        while True:
            threads.submit(fetch, to_fetch.get())
