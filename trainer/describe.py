"""One generated description a photo, from that photo alone, into a side table.

A text for several photos of an animal would tell a model which photos belong together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from petdata.errors import CorruptFile, PetdataError
from petdata.side_table_kinds import DESCRIPTIONS, Producer
from trainer.describe_backends import Backend, RefusedPhoto
from trainer.describe_prompt import (
    NEWEST,
    PROMPTS,
    BadAnswer,
    Description,
    Language,
    NoAnimal,
    prompt,
    understand,
)
from trainer.table_parts import EVERY, TableParts, require_producer
from trainer.unseen_photos import UnseenPhotos

ANSWERS: Final = 3  # of one photo, until it counts as a problem
_REFUSED_AT_FIRST: Final = 5  # photos, before one is described: then it is not the photos
_FETCHED_AT_ONCE: Final = 64  # photos of a release on the Hub


@dataclass(frozen=True, kw_only=True)
class DescribeConfig:
    language: Language = "en"
    prompt_version: str = NEWEST
    concurrency: int = 4  # requests under way
    every: int = EVERY

    def __post_init__(self) -> None:
        if self.prompt_version not in PROMPTS:
            raise PetdataError(
                f"no prompt version {self.prompt_version!r}; there is {', '.join(PROMPTS)}"
            )
        if self.language not in ("en", "ru"):
            raise PetdataError(f"language {self.language!r}: choose en or ru")
        if self.concurrency < 1 or self.every < 1:
            raise PetdataError("concurrency and every must be at least 1")


@dataclass(kw_only=True)
class DescribeCounts:
    described: int = 0
    problems: int = 0  # stored with their reason
    unreadable: int = 0  # photos that are not what they were: nothing is stored
    without_pixels: int = 0
    bad_answers: int = 0  # asked again, or given up
    prompt_tokens: int = 0
    answer_tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def per_second(self) -> float:
        passed = time.monotonic() - self.started
        return (self.described + self.problems) / passed if passed else 0.0


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What came of one photo."""

    description: Description | None = None
    problem: str | None = None
    refused: bool = False
    bad_answers: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


def describe_photos(
    photos: UnseenPhotos,
    folder: Path,
    backend: Backend,
    config: DescribeConfig,
    *,
    tell: Callable[[DescribeCounts, str | None], None] = lambda counts, problem: None,
) -> DescribeCounts:
    """Store a row for each photo, part by part. `tell` hears of each photo, and of what was wrong.

    Raises TryLater where the server gives no answers, PetdataError where no photo would get one;
    what was answered until then is stored.
    """
    producer = producer_of(backend, config)
    require_producer(folder, DESCRIPTIONS, producer)
    counts = DescribeCounts()
    with TableParts(folder, DESCRIPTIONS, producer, every=config.every) as parts:
        for photo, asked in _answers(photos, backend, config, counts, tell):
            _count(counts, asked)
            if asked.refused and counts.problems >= _REFUSED_AT_FIRST and not counts.described:
                parts.drop()
                raise PetdataError(
                    f"the first {counts.problems} photos were all refused, the last with "
                    f"{asked.problem}: does the model take pictures?"
                )
            parts.add(_row(photos, photo, asked, backend.model, config))
            tell(counts, asked.problem and f"{photos.table['photo_id'][photo]}: {asked.problem}")
    return counts


def producer_of(backend: Backend, config: DescribeConfig) -> Producer:
    return Producer(
        model=backend.model,
        model_hash=backend.model_hash,
        prompt_version=config.prompt_version,
        settings={"language": config.language},
    )


def _answers(
    photos: UnseenPhotos,
    backend: Backend,
    config: DescribeConfig,
    counts: DescribeCounts,
    tell: Callable[[DescribeCounts, str | None], None],
) -> Iterator[tuple[int, _Asked]]:
    """As they come. A few photos are in memory: those that are asked about."""
    at_once = min(config.concurrency, backend.most_at_once or config.concurrency)
    under_way: dict[Future[_Asked], int] = {}
    threads = ThreadPoolExecutor(at_once)
    try:
        for photo in range(len(photos)):
            if photo % _FETCHED_AT_ONCE == 0:
                photos.fetch(range(photo, min(photo + _FETCHED_AT_ONCE, len(photos))))
            jpeg = _read(photos, photo, counts, tell)
            if jpeg is None:
                continue
            under_way[threads.submit(_ask, backend, jpeg, config)] = photo
            if len(under_way) >= at_once:
                yield from _finished(under_way, backend)
        while under_way:
            yield from _finished(under_way, backend)
    finally:
        backend.stop()
        threads.shutdown(cancel_futures=True)


def _finished(
    under_way: dict[Future[_Asked], int], backend: Backend
) -> Iterator[tuple[int, _Asked]]:
    """At least one. Where one failed all others that got an answer come before its error."""
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    failed = [future for future in done if future.exception() is not None]
    if failed:
        backend.stop()
        done, _ = wait(under_way)
    for future in done:
        if future.exception() is None:
            yield under_way.pop(future), future.result()
    for future in failed:
        future.result()


def _read(
    photos: UnseenPhotos,
    photo: int,
    counts: DescribeCounts,
    tell: Callable[[DescribeCounts, str | None], None],
) -> bytes | None:
    try:
        jpeg = photos.read(photo)
    except CorruptFile as error:
        counts.unreadable += 1
        tell(counts, f"{photos.table['photo_id'][photo]} was skipped: {error}")
        return None
    counts.without_pixels += jpeg is None
    return jpeg


def _ask(backend: Backend, jpeg: bytes, config: DescribeConfig) -> _Asked:
    """One photo, until an answer fits or ANSWERS were given. The wrong ones cost tokens too."""
    question = prompt(config.language, config.prompt_version)
    spent = _Asked()
    problem = ""
    for _ in range(ANSWERS):
        again = f"\nYour last answer was refused: {problem}." if problem else ""
        try:
            answer = backend.answer(jpeg, question + again)
        except RefusedPhoto as error:
            return replace(spent, problem=f"refused: {error}", refused=True)
        spent = replace(
            spent,
            prompt_tokens=spent.prompt_tokens + answer.prompt_tokens,
            answer_tokens=spent.answer_tokens + answer.answer_tokens,
        )
        try:
            if answer.cut_off:
                raise BadAnswer("it is too long")
            return replace(spent, description=understand(answer.text, config.language))
        except NoAnimal as error:
            return replace(spent, problem=str(error))
        except BadAnswer as error:
            problem = str(error)
            spent = replace(spent, bad_answers=spent.bad_answers + 1)
    return replace(spent, problem=f"{ANSWERS} answers: {problem}")


def _count(counts: DescribeCounts, asked: _Asked) -> None:
    counts.described += asked.problem is None
    counts.problems += asked.problem is not None
    counts.bad_answers += asked.bad_answers
    counts.prompt_tokens += asked.prompt_tokens
    counts.answer_tokens += asked.answer_tokens


def _row(
    photos: UnseenPhotos, photo: int, asked: _Asked, model: str, config: DescribeConfig
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "sha256": photos.table["sha256"][photo].as_py(),
        "photo_id": photos.table["photo_id"][photo].as_py(),
        "language": config.language,
        "model": model,
        "prompt_version": config.prompt_version,
        "problem": asked.problem,
    }
    if asked.description is not None:
        row |= {"text": asked.description.text, "fields": dict(asked.description.fields)}
    return row
