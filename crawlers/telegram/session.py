"""The account: its session file and credentials, readable by nobody else, and the one client.

Whoever has the session file is the account. So its folder is 0700 and its files 0600 before
anything is in them, looser modes are refused, and of other people nothing is saved.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sqlite3
import stat
from asyncio import IncompleteReadError
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from telethon import TelegramClient, errors
from telethon.errors.common import AuthKeyNotFound, InvalidBufferError, TypeNotFoundError
from telethon.sessions import SQLiteSession

from petdata import __version__
from petdata.errors import MissingSetting, PetdataError, StorageFailure, TryLater
from petdata.workspace import Workspace, make_folder, write_whole

APPLICATIONS_URL: Final = "https://my.telegram.org/apps"
LOG_IN: Final = "log in first: petdata telegram login"


Prompt = Callable[[str, bool], str]  # what to ask for, and whether typing it shows nothing


def account_folder(workspace: Workspace) -> Path:
    return workspace.root / "telegram"


def session_path(workspace: Workspace) -> Path:
    return account_folder(workspace) / "account.session"


def _credentials_path(workspace: Workspace) -> Path:
    return account_folder(workspace) / "application.json"


# Files that nobody else may read


def prepare_folder(workspace: Workspace) -> None:
    folder = account_folder(workspace)
    if not folder.exists():
        make_folder(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise StorageFailure(f"cannot make {folder}: {error.strerror}") from error
    require_private(folder)
    path = session_path(workspace)
    if not path.exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StorageFailure(f"cannot make {path}: {error.strerror}") from error


def require_private(path: Path) -> None:
    """Raise PetdataError for what others may read or write, or what is not ours."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise PetdataError(f"{path} must be a folder or file of your own, not a link")
    if mode & 0o077:
        fitting = "700" if stat.S_ISDIR(found.st_mode) else "600"
        raise PetdataError(
            f"{path} has mode {mode:o}: others may read it, and whoever reads it is the account. "
            f"If it may have been read, end that session in a Telegram app; then chmod {fitting}"
        )


# The application and the client


def read_application(
    workspace: Workspace, environment: Mapping[str, str]
) -> tuple[int, str] | None:
    """(api_id, api_hash) from the environment, else as `login` saved them."""
    given = [environment.get(f"TELEGRAM_API_{part}", "").strip() for part in ("ID", "HASH")]
    if all(given):
        return _checked(*given)
    path = _credentials_path(workspace)
    if not path.exists():
        return None
    require_private(path)
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return _checked(str(saved["api_id"]), str(saved["api_hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PetdataError(f"{path} cannot be read: delete it, and {LOG_IN}") from error


def _checked(api_id: str, api_hash: str) -> tuple[int, str]:
    if not api_id.isdecimal() or not api_hash.isalnum():
        raise PetdataError(
            f"TELEGRAM_API_ID must be a number and TELEGRAM_API_HASH letters and digits, "
            f"as {APPLICATIONS_URL} shows them"
        )
    return int(api_id), api_hash


def open_client(
    workspace: Workspace, application: tuple[int, str], *, max_wait: int
) -> TelegramClient:
    """One long-lived client. Waits that Telegram asks for are slept up to `max_wait` seconds.

    Its session is a copy in memory: only a login writes to the file, so no kill and no full disk
    can cost the account.
    """
    copy = SQLiteSession()
    with _disk_errors(session_path(workspace)):
        saved = _saved_session(workspace)
        copy.set_dc(saved.dc_id, saved.server_address, saved.port)
        copy.auth_key = saved.auth_key
        saved.close()
    return _client(copy, application, max_wait=max_wait)


def _saved_session(workspace: Workspace) -> SQLiteSession:
    prepare_folder(workspace)
    require_private(session_path(workspace))
    return SQLiteSession(str(session_path(workspace)))


def _client(
    session: SQLiteSession, application: tuple[int, str], *, max_wait: int
) -> TelegramClient:
    session.save_entities = False  # names and phone numbers of people
    return TelegramClient(
        session,
        *application,
        receive_updates=False,
        flood_sleep_threshold=max_wait,
        raise_last_call_error=True,  # else its last try ends in a ValueError
        device_model="petdata",
        app_version=__version__,
        base_logger="petdata.telethon",
    )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Telethon lets SQLite's errors through."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageFailure(
            f"cannot read or write {path}: {error}. Mend the disk and start again; if the file "
            "itself is broken, delete it and log in anew"
        ) from error


def is_loopback(client: TelegramClient) -> bool:
    """A server of our own machine, to which nobody needs to be polite."""
    try:
        return ipaddress.ip_address(client.session.server_address or "").is_loopback
    except ValueError:
        return False


@contextmanager
def plain_errors() -> Iterator[None]:
    """What Telegram and the network may answer, as errors of ours."""
    try:
        yield
    except (errors.FloodWaitError, errors.FloodPremiumWaitError) as error:
        until = datetime.now(UTC) + timedelta(seconds=error.seconds)
        raise TryLater(
            f"Telegram asks to wait {error.seconds:,} s, until {until:%Y-%m-%d %H:%M} UTC. "
            "What was collected is safe; the next run goes on there (--max-wait waits longer)"
        ) from error
    except (errors.UnauthorizedError, errors.AuthKeyDuplicatedError, AuthKeyNotFound) as error:
        raise MissingSetting(
            f"Telegram does not know this session ({_code(error)}): {LOG_IN}"
        ) from error
    except (errors.ServerError, errors.TimedOutError) as error:
        raise TryLater(
            f"Telegram has trouble of its own ({_code(error)}): try again later"
        ) from error
    except errors.RPCError as error:
        raise PetdataError(f"Telegram refuses: {_code(error)}") from error
    except (ConnectionError, TimeoutError, IncompleteReadError, InvalidBufferError) as error:
        raise TryLater(
            f"the connection to Telegram failed ({type(error).__name__}): {error}"
        ) from error
    except TypeNotFoundError as error:  # whose text quotes the answer
        raise PetdataError(
            "Telegram's answer is newer than this Telethon: pip install --upgrade telethon"
        ) from error


def _code(error: Exception) -> str:
    """Its name; Telethon's sentences may quote what was asked for."""
    return type(error).__name__.removesuffix("Error")


# Logging in


async def log_in(
    workspace: Workspace, phone: str | None, environment: Mapping[str, str], prompt: Prompt
) -> None:
    """Ask for what is needed and leave a session file behind."""
    application = read_application(workspace, environment)
    if application is None:
        number = prompt(f"api_id of your own application ({APPLICATIONS_URL})", False)
        application = _checked(number.strip(), prompt("api_hash", True).strip())
    with _disk_errors(session_path(workspace)):
        client = _client(_saved_session(workspace), application, max_wait=0)
        try:
            with plain_errors():
                await client.connect()
                if not await client.is_user_authorized():
                    await _sign_in(
                        client, phone or prompt("phone number of the account", False), prompt
                    )
        finally:
            with suppress(ConnectionError):
                await client.disconnect()
    api_id, api_hash = application
    path = _credentials_path(workspace)
    previous = os.umask(0o077)
    try:
        write_whole(path, json.dumps({"api_id": api_id, "api_hash": api_hash}).encode())
    finally:
        os.umask(previous)


async def _sign_in(client: TelegramClient, phone: str, prompt: Prompt) -> None:
    try:
        await client.send_code_request(phone)
        for attempt in range(3):
            try:
                await client.sign_in(
                    phone, prompt("code that Telegram has sent to the account", False)
                )
                return
            except errors.PhoneCodeInvalidError:
                if attempt == 2:
                    raise
    except errors.SessionPasswordNeededError:
        await client.sign_in(password=prompt("password (two-step verification)", True))
