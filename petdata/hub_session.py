"""Asking the Hub with patience: what is worth another try, how long to wait, what an error says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx2  # huggingface_hub's own client: its errors come through unchanged
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import DatasetInfo, RepoFile

from petdata.errors import PetdataError, StorageFailure, TryLater

DATASET: Final = "dataset"
STALE: Final = 412  # somebody has committed since
TAKEN: Final = 409
BAD: Final = 400
DAMAGED: Final = 422  # what arrived is not what was announced
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504, STALE, DAMAGED})

_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")

T = TypeVar("T")
Say = Callable[[str], None]


def check_repo_id(repo_id: str) -> None:
    if not _ID.fullmatch(repo_id):
        raise PetdataError(f"{repo_id!r} is no dataset of the Hub: write it as user/name")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """On top of the five tries that huggingface_hub itself gives to most requests."""

    attempts: int = 5
    first_wait_s: float = 2.0  # doubled each time
    longest_wait_s: float = 120.0  # whoever asks for more is left alone for now

    def waits(self) -> Iterator[float]:
        """Before the second attempt, before the third, and so on."""
        for number in range(self.attempts - 1):
            yield min(self.first_wait_s * 2**number, self.longest_wait_s)


@dataclass(frozen=True, kw_only=True)
class Setback:
    """Why a request failed, for a program and for people; without the token."""

    status: int | None  # None: the connection was lost
    text: str
    retry_after_s: float | None = None

    @property
    def is_worth_another_try(self) -> bool:
        return self.status is None or self.status in _WORTH_ANOTHER_TRY


class GarbledAnswer(ValueError):
    """An answer that is not what was asked for: worth asking again."""


class HubFailure(PetdataError):
    """The Hub refuses for good: no such repository, no right to write, a bad request."""


@dataclass(frozen=True, kw_only=True)
class HubSession:
    repo_id: str
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None  # None: HF_ENDPOINT, or the Hub itself
    patience: Patience = field(default_factory=Patience)
    say: Say = field(default=lambda line: None, repr=False)

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint, token=self.token)

    def ask(self, doing: str, question: Callable[[], T]) -> T:
        """The answer, after as many tries as patience allows. Raises PetdataError and TryLater."""
        for wait in self.patience.waits():
            try:
                return question()
            except FAILURES as error:
                self.endure(doing, error, wait)
        try:
            return question()
        except FAILURES as error:
            raise self.giving_up(doing, self.setback(error)) from error

    def endure(self, doing: str, error: Exception, wait: float) -> Setback:
        """Wait, where another try makes sense; raise what people should read where not."""
        setback = self.setback(error)
        if not setback.is_worth_another_try:
            raise self.giving_up(doing, setback) from error
        asked = setback.retry_after_s or 0.0
        if asked > self.patience.longest_wait_s:
            raise TryLater(
                f"{self.repo_id}: the Hub asks to wait {asked:.0f} s while {doing}; start again "
                "then: what is there is not sent again"
            ) from error
        self.say(f"{doing}: {setback.text}; again in {max(wait, asked):g} s")
        time.sleep(max(wait, asked))
        return setback

    def giving_up(self, doing: str, setback: Setback) -> PetdataError:
        where = f"{self.repo_id}: {doing} failed: {setback.text}"
        if setback.is_worth_another_try:
            return TryLater(f"{where}; start again later: what is there is not sent again")
        hint = {
            401: "log in with `hf auth login`, or set HF_TOKEN",
            403: "the token must be one that may write there",
            404: "check the name and, where it is private, the token",
        }.get(setback.status or 0, "")
        return HubFailure(f"{where}; {hint}" if hint else where)

    def setback(self, error: Exception) -> Setback:
        """Raises StorageFailure where the disk here is what failed."""
        cause = error
        while cause.__cause__ is not None and not isinstance(cause, _KNOWN):
            cause = cause.__cause__  # type: ignore[assignment]
        if isinstance(cause, HfHubHTTPError):
            status = cause.response.status_code
            said = cause.server_message or cause.response.reason_phrase
            asked = cause.response.headers.get("Retry-After", "")
            after = float(asked) if re.fullmatch(r"\d+", asked.strip()) else None
            return Setback(status=status, text=self._clean(f"{status} {said}"), retry_after_s=after)
        if isinstance(cause, httpx2.TransportError):
            text = self._clean(str(cause) or type(cause).__name__)
            return Setback(status=None, text=f"connection lost ({text})")
        text = self._clean(str(cause))
        if isinstance(cause, GarbledAnswer):
            return Setback(status=DAMAGED, text=text)
        if isinstance(cause, ConnectionError | TimeoutError):  # of hf_xet, which has no own ones
            refused = re.search(r"HTTP status client error \((\d+)", text)
            if refused and "xet-write-token" in text:
                text = f"{text}: a Hub without Xet storage needs HF_HUB_DISABLE_XET=1"
            return Setback(status=int(refused[1]) if refused else None, text=text)
        if isinstance(cause, OSError) and cause.errno is not None:
            raise StorageFailure(f"{cause.filename or 'disk'}: {cause.strerror}") from error
        return Setback(status=BAD, text=text)

    def _clean(self, text: str) -> str:
        for token in (self.token, get_token()):
            if token:
                text = text.replace(token, "***")
        return " ".join(text.split())

    # What both ways need to know

    def info(self, revision: str | None = None) -> DatasetInfo:
        return self.ask(
            f"looking at {revision or 'the repository'}",
            lambda: self.api.dataset_info(self.repo_id, revision=revision),
        )

    def tree(self, commit: str) -> dict[str, RepoFile]:
        def question() -> dict[str, RepoFile]:
            entries = self.api.list_repo_tree(
                self.repo_id, recursive=True, revision=commit, repo_type=DATASET
            )
            return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

        return self.ask("listing files", question)

    def tags(self) -> dict[str, str]:
        """Tag -> commit."""
        refs = self.ask(
            "listing versions", lambda: self.api.list_repo_refs(self.repo_id, repo_type=DATASET)
        )
        return {tag.name: tag.target_commit for tag in refs.tags}


_KNOWN: Final = (HfHubHTTPError, httpx2.TransportError)
# What huggingface_hub raises: HfHubHTTPError is an OSError, failed uploads are RuntimeErrors around
# one of the others, malformed answers and refused batches ValueErrors.
FAILURES: Final = (OSError, httpx2.HTTPError, RuntimeError, ValueError)


# What a reference means


def parse_reference(text: str) -> tuple[str, str | None]:
    """ "user/name@v1.0.0" -> the repository and the revision, None where none is named."""
    repo_id, _, revision = text.partition("@")
    check_repo_id(repo_id)
    return repo_id, revision or None


def chosen_revision(session: HubSession, revision: str | None) -> str | None:
    """The revision that is asked for, "1.0.0" being "v1.0.0"; else the newest version."""
    if revision is not None and not re.fullmatch(r"\d+\.\d+\.\d+", revision):
        return revision
    if revision is not None:
        return f"v{revision}"
    versions = [
        (tuple(map(int, match.groups())), tag)
        for tag in session.tags()
        if (match := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", tag))
    ]
    return max(versions)[1] if versions else None


def exact_revision(revision: str | None) -> str | None:
    """The tag or commit that is meant, where that can never change; None for all else."""
    if revision is None or re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)", revision)
    return match and f"v{match[1]}"
