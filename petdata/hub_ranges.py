"""Ranges of bytes out of the files of one commit on the Hub, many at a time.

An answer counts when it is the very range that was asked for. What fails is tried again with the
patience of petdata.hub_session; when the Hub asks for a pause, all requests pause.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2
from huggingface_hub import get_session, hf_hub_url
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_raise_for_status

from petdata.errors import CorruptFile
from petdata.hub_session import DATASET, FAILURES, GarbledAnswer, HubSession

CONNECTIONS: Final = 24
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
_ADDRESS_LIVES_S: Final = 600.0  # of storage: such addresses are signed for an hour or so
_MAX_REDIRECTS: Final = 4
_PARTIAL, _REDIRECTS, _EXPIRED = 206, frozenset({301, 302, 303, 307, 308}), frozenset({401, 403})

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """What the manifest says of a file."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None  # of a data file


class HubRanges:
    """Works in any number of threads, and in forked processes."""

    def __init__(self, session: HubSession, commit: str) -> None:
        self.session = session
        self.commit = commit
        self._state = _OfProcess()

    @property
    def _own(self) -> _OfProcess:
        """Of this process. Threads that come here first in a fork may each make one: the last stays
        and the others end with their calls.
        """
        own = self._state
        if own.process != os.getpid():
            own = self._state = _OfProcess()
        return own

    def each(self, ask: Callable[[T], R], questions: Sequence[T]) -> list[R]:
        """The answers, asked for at once as far as there are connections."""
        if len(questions) == 1:
            return [ask(questions[0])]
        return list(self._own.threads.map(ask, questions))

    def read(
        self, file: HubFile, start: int, length: int, take: Callable[[bytes], T], doing: str
    ) -> T:
        """What `take` makes of a range. It may raise GarbledAnswer: then the range is asked for
        again. Raises CorruptFile where it stays garbled, else TryLater and HubFailure.
        """
        session, own = self.session, self._own
        for wait in (*session.patience.waits(), None):
            own.rest()
            try:
                return take(self._ask(file, start, length))
            except FAILURES as error:
                setback = session.setback(error)
                own.addresses.pop(file.path, None)
                if wait is None and isinstance(error, GarbledAnswer):
                    raise CorruptFile(f"{session.repo_id}: {doing}: {setback.text}") from error
                if wait is None:
                    raise session.giving_up(doing, setback) from error
                if setback.retry_after_s:
                    longest = session.patience.longest_wait_s
                    own.pause_until = time.monotonic() + min(setback.retry_after_s, longest)
                session.endure(doing, error, wait)
        raise AssertionError("the last try returns or raises")

    def _ask(self, file: HubFile, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        content_range = f"bytes {start}-{start + length - 1}/{file.bytes}"
        with closing(self._request(file, start, length)) as answer:
            if answer.status_code != _PARTIAL:
                raise GarbledAnswer(f"answered {answer.status_code} instead of a range")
            if answer.headers.get("Content-Range") != content_range:
                raise GarbledAnswer(
                    f"asked for {content_range}, got {answer.headers.get('Content-Range')}"
                )
            content: bytes = answer.read()
        if len(content) != length:
            raise GarbledAnswer(f"{len(content):,} bytes of a range of {length:,}")
        return content

    def _request(self, file: HubFile, start: int, length: int) -> httpx2.Response:
        """An answer whose body is not read yet."""
        first = hf_hub_url(
            self.session.repo_id,
            file.path,
            repo_type=DATASET,
            revision=self.commit,
            endpoint=self.session.endpoint,
        )
        addresses = self._own.addresses
        address, until = addresses.get(file.path, ("", 0.0))
        known = address if time.monotonic() < until else None
        address = known or first
        client = get_session()
        for _ in range(_MAX_REDIRECTS):
            headers = {
                "Range": f"bytes={start}-{start + length - 1}",
                "Accept-Encoding": "identity",
            }
            if _host(address) == _host(first):  # the token is for the Hub, not for its storage
                headers |= build_hf_headers(token=self.session.token)
            request = client.build_request("GET", address, headers=headers, timeout=_TIMEOUT)
            answer = client.send(request, stream=True, follow_redirects=False)
            if answer.status_code in _EXPIRED and address == known:
                answer.close()
                address, known = first, None
                continue
            if answer.status_code not in _REDIRECTS:
                if answer.status_code >= 400:
                    answer.read()
                    answer.close()
                    hf_raise_for_status(answer)
                if _host(address) != _host(first):
                    addresses[file.path] = (address, time.monotonic() + _ADDRESS_LIVES_S)
                return answer
            answer.close()
            _check_hash(file, answer)
            address = urljoin(address, answer.headers.get("Location", ""))
        raise GarbledAnswer("sent from one address to the next without end")


class _OfProcess:
    """What a process has of its own: threads do not come along into a fork."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="hub")
        self.addresses: dict[str, tuple[str, float]] = {}  # path -> of the storage, until when
        self.pause_until = 0.0

    def rest(self) -> None:
        left = self.pause_until - time.monotonic()
        if left > 0:
            time.sleep(left)


def _check_hash(file: HubFile, answer: httpx2.Response) -> None:
    """The Hub names the SHA-256 of a large file before it sends to where it lies."""
    named = answer.headers.get("X-Linked-Etag", "").strip('"')
    if len(named) == len(file.sha256) and named != file.sha256:
        raise CorruptFile(f"{file.path} on the Hub is not the file that its manifest names")


def _host(address: str) -> str:
    return urlsplit(address).netloc
