"""Canonical JPEGs out of raw photos on all cores, in order, in flat memory.

A decoder that dies on a photo takes a process of the pool with it; such a photo is tried once more
alone, and refused if it does it again.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from petdata.errors import Reason, RejectedPhoto
from petdata.jpeg import CanonicalJpeg, Limits, canonicalise
from petdata.memory import release_free_memory

_PR_SET_PDEATHSIG: Final = 1  # of sys/prctl.h
_LARGE_PIXELS: Final = 6_000_000  # from here a decoded photo is worth returning to the system
_PHOTOS_PER_WORKER: Final = 16  # under way: enough while a shard is written
_BYTES_UNDER_WAY: Final = 64 * 2**20

Refusal = tuple[Reason, str]
Examine = Callable[[bytes, Limits], CanonicalJpeg | Refusal]


def examine(raw: bytes, limits: Limits) -> CanonicalJpeg | Refusal:
    """Runs in a process of the pool. A refusal goes back as a value: the exception won't pickle."""
    try:
        canonical = canonicalise(raw, limits)
    except RejectedPhoto as rejected:
        release_free_memory()  # perhaps after decoding a lot
        return rejected.reason, rejected.detail
    if canonical.width * canonical.height > _LARGE_PIXELS:
        release_free_memory()
    return canonical


@dataclass(frozen=True, slots=True)
class Submitted:
    raw: bytes
    future: Future[CanonicalJpeg | Refusal]


class DecodingPool:
    """A context manager. Left on an error it stops its processes where they are.

    `workers`: None is one a core; 0 decodes in this process, and dies with a decoder.
    """

    def __init__(
        self, workers: int | None = None, limits: Limits | None = None, examine: Examine = examine
    ) -> None:
        self.workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self._limits = limits or Limits()
        self._examine = examine
        self._executor: ProcessPoolExecutor | None = None
        self._photos = 0
        self._bytes = 0

    def __enter__(self) -> DecodingPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def is_full(self) -> bool:
        """Take a result before submitting more."""
        most = max(1, _PHOTOS_PER_WORKER * self.workers)
        return self._photos >= most or self._bytes >= _BYTES_UNDER_WAY

    def submit(self, raw: bytes) -> Submitted:
        self._photos += 1
        self._bytes += len(raw)
        if self.workers == 0:
            future: Future[CanonicalJpeg | Refusal] = Future()
            future.set_result(self._examine(raw, self._limits))
            return Submitted(raw, future)
        if self._executor is None:
            self._executor = _start(self.workers)
        try:
            future = self._executor.submit(self._examine, raw, self._limits)
        except BrokenProcessPool:  # by a photo whose result nobody has asked for yet
            self._stop()
            self._executor = _start(self.workers)
            future = self._executor.submit(self._examine, raw, self._limits)
        return Submitted(raw, future)

    def result(self, submitted: Submitted) -> CanonicalJpeg | Refusal:
        self._photos -= 1
        self._bytes -= len(submitted.raw)
        try:
            return submitted.future.result()
        except BrokenProcessPool:
            return self._alone(submitted.raw)

    def _alone(self, raw: bytes) -> CanonicalJpeg | Refusal:
        with _start(workers=1) as executor:
            try:
                return executor.submit(self._examine, raw, self._limits).result()
            except BrokenProcessPool:
                return Reason.CORRUPT, "the decoder died on it, twice"

    def _stop(self) -> None:
        if self._executor is not None:
            processes = list((self._executor._processes or {}).values())
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:  # they hold nothing: what counts is written by their parent
                process.terminate()
            for process in processes:
                process.join()
            self._executor = None


def _start(workers: int) -> ProcessPoolExecutor:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else each process starts one a core
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=prepare_process,
        initargs=(os.getpid(),),
    )


def prepare_process(parent: int) -> None:
    """For processes of a pool: they leave Ctrl-C to the parent, and die with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    # A killed parent cannot say goodbye, and its children would wait for work for ever.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
