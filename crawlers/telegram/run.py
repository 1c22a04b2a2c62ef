"""`petdata telegram harvest` and `import-export`, from their arguments to the final table."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from telethon.tl.functions.updates import GetStateRequest

from crawlers.report import (
    StderrConsole,
    commonest_reasons,
    print_report,
    report_json,
    show_progress,
)
from crawlers.telegram.channels import WHY, Channel, read_channels
from crawlers.telegram.collection import (
    Collection,
    HarvestOptions,
    collection_report,
)
from crawlers.telegram.export import read_export
from crawlers.telegram.harvest import harvest_channel
from crawlers.telegram.importing import entry_of, import_channel
from crawlers.telegram.keywords import read_rules
from crawlers.telegram.listings import SOURCE
from crawlers.telegram.live import ChannelRefused, LiveChannels
from crawlers.telegram.session import (
    LOG_IN,
    Prompt,
    account_folder,
    log_in,
    open_client,
    plain_errors,
    read_application,
)
from petdata.errors import INTERRUPTED, MissingSetting, PetdataError, StorageFailure
from petdata.intake import Intake
from petdata.memory import use_one_arena
from petdata.workspace import Workspace, find_workspace, make_folder

Work = Callable[[Collection], Awaitable[None]]


def log_in_and_print(phone: str | None, prompt: Prompt) -> None:
    workspace = find_workspace()
    with _log_file(workspace):
        asyncio.run(log_in(workspace, phone, os.environ, prompt))
    folder = account_folder(workspace)
    StderrConsole(soft_wrap=True).print(f"logged in; {folder} is the account: keep it to yourself")


def harvest_and_print(
    channels_file: Path,
    options: HarvestOptions,
    *,
    only: Sequence[str],
    keyword_files: Sequence[Path],
    as_json: bool,
) -> None:
    """Raises the PetdataError that ended the run early, after printing what was collected."""
    workspace = find_workspace()
    channels = chosen(read_channels(channels_file), only)
    application = read_application(workspace, os.environ)
    if application is None:
        raise MissingSetting(f"no api_id and api_hash: {LOG_IN}")

    async def work(run: Collection) -> None:
        asyncio.get_running_loop().set_exception_handler(_log_left_over)
        client = open_client(workspace, application, max_wait=options.max_wait)
        try:
            with plain_errors():
                await client.connect()
                await client(GetStateRequest())  # as the first that needs a login, to say so now
                live = LiveChannels(client, run.intake.config.limits.max_bytes, run.counts)
                await _harvest(run, live, channels)
        finally:
            with suppress(ConnectionError):
                await client.disconnect()

    with _log_file(workspace):
        collect(workspace, options, keyword_files, work, command="harvest", as_json=as_json)


async def _harvest(run: Collection, live: LiveChannels, channels: Sequence[Channel]) -> None:
    """One channel after the other; one that is refused does not keep the others back."""
    refused = []
    for channel in channels:
        try:
            await harvest_channel(run, live, channel)
        except ChannelRefused as error:
            refused.append(str(error))
    run.warnings += refused
    if len(refused) == len(channels):
        raise PetdataError(f"no channel could be read: {refused[0]}")


def import_and_print(
    folder: Path,
    channels_file: Path,
    options: HarvestOptions,
    *,
    keyword_files: Sequence[Path],
    as_json: bool,
) -> None:
    """As `harvest_and_print`, out of a Telegram Desktop export."""
    channels = read_channels(channels_file)
    export = read_export(folder)

    async def work(run: Collection) -> None:
        found = [(part, entry_of(run, part, channels)) for part in export.channels]
        without = sorted({part.channel_id for part, entry in found if entry is None})
        if without:
            ids = ", ".join(str(id) for id in without)
            run.warnings.append(f"{channels_file} has no entry with id {ids}: left out")
        if all(entry is None for _, entry in found):
            raise MissingSetting(f"{channels_file} has none of the channels of {folder}. {WHY}")
        for part, entry in found:
            if entry is not None:
                await import_channel(run, part, entry)
        for kind, count in export.skipped.items():
            run.counts[f"chats_skipped/{kind}"] += count

    workspace = find_workspace()
    collect(workspace, options, keyword_files, work, command="import-export", as_json=as_json)


def chosen(channels: Sequence[Channel], only: Sequence[str]) -> list[Channel]:
    """All channels, or those named. Raises PetdataError for a name that is none of them."""
    wanted = {name.removeprefix("@").lower() for name in only}
    found = [c for c in channels if not wanted or {c.handle, str(c.channel_id)} & wanted]
    if unknown := sorted(wanted - {name for c in found for name in (c.handle, str(c.channel_id))}):
        raise PetdataError(f"--channel: the file has no {', '.join(unknown)}")
    return found


# One run


def collect(
    workspace: Workspace,
    options: HarvestOptions,
    keyword_files: Sequence[Path],
    work: Work,
    *,
    command: str,
    as_json: bool,
) -> None:
    """Open the intake, do the work, and whatever happens close it and print the report."""
    rules = read_rules(keyword_files)
    config = options.intake_config()
    intake = Intake(workspace, SOURCE, config, command=f"telegram {command}")
    run = Collection(intake=intake, options=options, rules=rules)
    use_one_arena()
    outcome = "failed"
    try:
        outcome = _outcome(run, work)
    finally:
        report = _close(run, outcome)
    if as_json:
        Console(highlight=False).print_json(data=report)
    else:
        print_report(StderrConsole(), report)
    if run.failure is not None:
        raise run.failure
    if outcome == "interrupted":
        sys.exit(INTERRUPTED)


def _outcome(run: Collection, work: Work) -> str:
    try:
        asyncio.run(_with_progress(run, work))
    except PetdataError as error:
        run.failure = error
        return type(error).__name__
    except (KeyboardInterrupt, asyncio.CancelledError):
        return "interrupted"
    return "finished"


def _close(run: Collection, outcome: str) -> dict[str, Any]:
    try:
        run.intake.close(outcome, report_json(collection_report(run, outcome)))
    except PetdataError as error:
        run.failure = run.failure or error
        outcome = type(error).__name__
    return collection_report(run, outcome)


async def _with_progress(run: Collection, work: Work) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    progress = asyncio.ensure_future(show_progress(StderrConsole(), lambda: progress_line(run)))
    try:
        await work(run)
    finally:
        progress.cancel()
        await asyncio.wait([progress])


def progress_line(run: Collection) -> str:
    counts = run.intake.counts
    seconds = max(time.monotonic() - run.started, 0.001)
    parts = [
        f"{run.counts['read']:,} messages read, {run.counts['posts']:,} posts with photos, "
        f"{counts['listing/kept']:,} kept",
        f"{counts['photo/stored']:,} photos, {counts['bytes'] / 1e6:,.1f} MB",
    ]
    if dropped := commonest_reasons(counts):
        parts.append("dropped: " + ", ".join(f"{name} {n:,}" for name, n in dropped))
    if run.channels:
        parts.append(f"{list(run.channels)[-1]}, channel {len(run.channels)}")
    parts.append(f"{run.counts['read'] / seconds:,.1f} messages/s")
    return " | ".join(parts)


def _log_left_over(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Telethon's futures hold the error that ended its connection once more; we raised it."""
    kind = type(context.get("exception")).__name__
    logging.getLogger("petdata.telethon").warning("%s: %s", context["message"], kind)


@contextmanager
def _log_file(workspace: Workspace) -> Iterator[None]:
    """Telethon's warnings go to a file, so that the terminal belongs to the progress line."""
    path = workspace.root / "runs" / "harvest-telegram.log"
    make_folder(path.parent)
    logging.raiseExceptions = False  # on a full disk each line would be a traceback on stderr
    logger = logging.getLogger("petdata.telethon")
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StorageFailure(f"cannot write {path}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
