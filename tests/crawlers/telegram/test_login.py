"""Logging in as users do, and what the account's files may look like."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from harvests import API, harvest, prepare

from crawling import environment
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel
from petdata.demo.servers.telegram_login import Account

ACCOUNT = Account(phone="79123456789", code="12345", password="correct horse")
EMPTY = StubChannel(1, "lost_pets", "Lost pets", {})


def log_in(
    root: Path, typed: str, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "petdata.cli", "telegram", "login", *options],
        input=typed,
        env=environment(root, **variables),
        cwd=root.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def modes(root: Path) -> dict[str, int]:
    folder = root / "telegram"
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    return {".": stat.S_IMODE(folder.stat().st_mode)} | found


def test_login_asks_for_what_it_needs_and_leaves_private_files(root: Path) -> None:
    with TelegramServer([EMPTY], account=ACCOUNT, authorised=False) as server:
        prepare(root, server, [EMPTY])  # where the server is; the account is signed out
        typed = "12345\n0123456789abcdef\n+79123456789\n99999\n12345\ncorrect horse\n"
        done = log_in(root, typed)
        assert done.returncode == 0, done.stderr
        assert "logged in" in done.stderr
        assert server.is_authorised
        assert harvest(root).code == 0  # with what login saved
    assert set(modes(root)) == {".", "account.session", "application.json"}
    assert modes(root) == {".": 0o700, "account.session": 0o600, "application.json": 0o600}
    saved = json.loads((root / "telegram" / "application.json").read_text())
    assert saved == {"api_id": 12345, "api_hash": "0123456789abcdef"}
    for secret in ("79123456789", "correct horse", "0123456789abcdef"):
        assert secret not in done.stdout + done.stderr


def test_nothing_of_people_is_in_the_session(root: Path) -> None:
    with TelegramServer([EMPTY], account=ACCOUNT, authorised=False) as server:
        prepare(root, server, [EMPTY])
        assert (
            log_in(root, "12345\ncorrect horse\n", "--phone", ACCOUNT.phone, **API).returncode == 0
        )
    with closing(sqlite3.connect(root / "telegram" / "account.session")) as session:
        assert session.execute("SELECT count(*) FROM entities").fetchone() == (0,)


def test_a_wrong_password_is_told_in_one_line(root: Path) -> None:
    with TelegramServer([EMPTY], account=ACCOUNT, authorised=False) as server:
        prepare(root, server, [EMPTY])
        done = log_in(root, "12345\nwrong\n", "--phone", ACCOUNT.phone, **API)
    assert done.returncode == 1
    assert "Telegram refuses: PasswordHashInvalid" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("path", "mode", "fitting"),
    [("telegram", 0o755, "700"), ("telegram/account.session", 0o644, "600")],
)
def test_files_that_others_may_read_are_refused(
    root: Path, path: str, mode: int, fitting: str
) -> None:
    with TelegramServer([EMPTY]) as server:
        prepare(root, server, [EMPTY])
        (root / path).chmod(mode)
        done = harvest(root)
        assert done.code == 1
        assert f"has mode {mode:o}" in done.stderr
        assert f"chmod {fitting}" in done.stderr
        assert not server.requests


def test_a_new_session_is_private_from_its_first_byte(root: Path) -> None:
    """No server answers at the real address here: what matters is what is left behind."""
    root.mkdir()
    from crawlers.telegram.session import prepare_folder
    from petdata.workspace import Workspace

    prepare_folder(Workspace(root=root))
    assert modes(root) == {".": 0o700, "account.session": 0o600}


def test_harvest_without_an_application_says_what_to_do(root: Path) -> None:
    with TelegramServer([EMPTY]) as server:
        prepare(root, server, [EMPTY])
        words = [sys.executable, "-m", "petdata.cli", "telegram", "harvest"]
        done = subprocess.run(
            [*words, str(root.with_name("workspace.channels.toml"))],
            env=environment(root),
            cwd=root.parent,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "log in first: petdata telegram login" in done.stderr
