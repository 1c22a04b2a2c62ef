"""Run one spider to its end: exit codes, one-line errors, the final table and its JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.settings import Settings

from crawlers import settings as settings_module
from crawlers.options import parse_options
from crawlers.report import StderrConsole, print_report
from crawlers.state import CrawlState
from petdata.errors import PetdataError, StorageFailure
from petdata.memory import use_one_arena
from petdata.workspace import find_workspace, make_folder


def project_settings() -> Settings:
    settings = Settings()
    settings.setmodule(settings_module, priority="project")
    return settings


def crawl(source: str, arguments: Mapping[str, str], settings: Settings) -> CrawlState:
    """Crawl, and return what the run came to. Raises PetdataError where it could not start.

    The first failure during the run is `CrawlState.failure`; what was kept until then stays.
    """
    check_start(arguments)
    process = AsyncCrawlerProcess(settings)
    crawler = process.create_crawler(source)
    return finish(process, crawler, arguments)


def check_start(arguments: Mapping[str, str]) -> None:
    """Everything that must be right before Scrapy starts. Raises PetdataError."""
    parse_options(dict(arguments))
    find_workspace().require_contact()


def finish(
    process: AsyncCrawlerProcess, crawler: Crawler, arguments: Mapping[str, str]
) -> CrawlState:
    use_one_arena()
    task = process.crawl(crawler, **arguments)
    process.start()
    if isinstance(task, asyncio.Task) and task.done() and not task.cancelled():
        error = task.exception()
        if error is not None:
            raise error
    if crawler.spider is None:
        raise PetdataError("the crawl did not start; the log says why")
    return cast(CrawlState, cast(Any, crawler.spider).crawl_state)


def log_to(settings: Settings, path: Path) -> None:
    """Scrapy's log goes to a file, so that the terminal belongs to the progress line."""
    make_folder(path.parent)
    logging.raiseExceptions = False  # on a full disk each line would be a traceback on stderr
    settings.set("LOG_FILE", str(path), priority="cmdline")


def crawl_and_print(
    source: str, arguments: Mapping[str, object], *, settings: list[str], as_json: bool
) -> None:
    """`petdata crawl`: progress on stderr, the log in a file, a table or JSON at the end.

    Raises the PetdataError that ended the run early, after printing what was collected until then.
    """
    given = {name: str(value) for name, value in arguments.items() if value is not None}
    check_start(given)
    scrapy_settings = project_settings()
    log = find_workspace().root / "runs" / f"crawl-{source}.log"
    log_to(scrapy_settings, log)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise PetdataError(f"--set {setting!r}: write NAME=VALUE")
        scrapy_settings.set(name, value, priority="cmdline")
    try:
        state = crawl(source, given, scrapy_settings)
    except OSError as error:  # of the log file: the intake has errors of its own
        raise StorageFailure(f"cannot write {error.filename or log}: {error.strerror}") from error
    if state.report is not None:
        if as_json:
            Console(highlight=False).print_json(data=state.report)
        else:
            print_report(StderrConsole(), state.report)
    if state.failure is not None:
        raise state.failure
