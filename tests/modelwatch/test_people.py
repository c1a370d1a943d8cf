"""`modelwatch users` and `modelwatch tokens` on a real database."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from access.passwords import is_right
from access.secret import digest_of_token
from modelwatch.cli import main
from storage.access_store import AccessRows, SessionRow
from storage.component import build_access_store, build_sqlite_history
from storage.settings import StorageSettings
from tests.support.processes import REPOSITORY

PASSWORD = "correct horse battery"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands set up the logs of their process, which here is that of the tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command with text on its standard input; returns its code, its output, its errors."""
    monkeypatch.setenv("MODELWATCH_DATA_DIR", str(tmp_path))

    def run(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def rows(folder: Path, session_of: str = "") -> AccessRows:
    """Return what is in the database, after a session was added where a name is given."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{folder / 'modelwatch.db'}")
    await history.start()
    store = build_access_store(history)
    if session_of:
        user = next(user for user in (await store.rows()).users if user.name == session_of)
        assert await store.add_session(SessionRow("a" * 64, session_of, 1, 1), user.password, 5)
    found = await store.rows()
    await history.stop()
    return found


async def in_thread(run: Run, *words: str, typed: str = "") -> tuple[int, str, str]:
    """The commands have a loop of their own."""
    return await asyncio.to_thread(run, *words, typed=typed)


async def test_a_user_is_added_changed_and_removed(run: Run, tmp_path: Path) -> None:
    """The password comes from standard input and is kept as a hash; when it changes, and at the end, sessions end."""
    assert await in_thread(run, "users", "add", "Ann", "--role", "editor", typed=f"{PASSWORD}\n") == (
        0,
        "ann may log in, as editor\n",
        "",
    )
    (user,) = (await rows(tmp_path, "ann")).users
    assert (user.name, user.role) == ("ann", "editor")
    assert PASSWORD not in user.password
    assert is_right(PASSWORD, user.password)
    code, said, _ = await in_thread(run, "users", "password", "ann", "--generate")
    assert code == 0
    changed = await rows(tmp_path, "ann")
    assert is_right(said.splitlines()[0], changed.users[0].password)
    assert (await in_thread(run, "users", "role", "ann", "viewer"))[0] == 0
    assert (await in_thread(run, "users", "list"))[1].split()[:2] == ["ann", "viewer"]
    assert (await in_thread(run, "users", "remove", "ann"))[0] == 0
    assert await rows(tmp_path) == ([], [], [])


async def test_a_new_password_ends_all_sessions(run: Run, tmp_path: Path) -> None:
    """Whoever knew the old one is out."""
    await in_thread(run, "users", "add", "ann", typed=PASSWORD)
    assert len((await rows(tmp_path, "ann")).sessions) == 1
    await in_thread(run, "users", "password", "ann", typed="another password\n")
    assert (await rows(tmp_path)).sessions == []


@pytest.mark.parametrize(
    ("words", "typed", "wrong"),
    [
        (("users", "add", "ann"), "short\n", "at least 10"),
        (("users", "add", "ann"), "", "at least 10"),
        (("users", "add", "Ann Smith"), PASSWORD, "letters a-z"),
        (("users", "add", "../x"), PASSWORD, "letters a-z"),
        (("tokens", "add", "ci", "--days", "-1"), "", "--days"),
    ],
)
async def test_what_cannot_be_is_said_in_a_line(run: Run, words: tuple[str, ...], typed: str, wrong: str) -> None:
    """And nothing was done."""
    code, out, error = await in_thread(run, *words, typed=typed)
    assert (code, out) == (2, "")
    assert wrong in error
    assert error.count("\n") == 1


async def test_what_is_not_there_is_told(run: Run) -> None:
    """A script can see it by the exit code."""
    for words in (("users", "remove"), ("users", "role"), ("tokens", "revoke")):
        code, out, error = await in_thread(run, *words, "nobody", *(["viewer"] if "role" in words else []))
        assert (code, out) == (1, "")
        assert "nothing of this name" in error


async def test_a_name_is_given_once(run: Run) -> None:
    """Nobody loses a password or a token by a second `add`."""
    await in_thread(run, "users", "add", "ann", typed=PASSWORD)
    await in_thread(run, "tokens", "add", "ci")
    assert "already" in (await in_thread(run, "users", "add", "ann", typed=PASSWORD))[2]
    assert "already" in (await in_thread(run, "tokens", "add", "ci"))[2]


async def test_a_token_is_shown_once_and_kept_as_a_digest(run: Run, tmp_path: Path) -> None:
    """Its end is a year away unless said otherwise; the output is the token alone, so that a script can take it."""
    code, out, _ = await in_thread(run, "tokens", "add", "grafana")
    secret = out.strip()
    (token,) = (await rows(tmp_path)).tokens
    assert (code, token.name, token.role, token.digest) == (0, "grafana", "viewer", digest_of_token(secret))
    assert abs(token.ends_s - time.time() - 365 * 86_400) < 600
    assert secret not in (await in_thread(run, "tokens", "list"))[1]
    assert (await in_thread(run, "tokens", "revoke", "grafana"))[0] == 0
    assert (await rows(tmp_path)).tokens == []


def test_a_reader_who_has_enough_is_no_error(run: Run, tmp_path: Path) -> None:
    """As `head` when it has its line: no traceback."""
    run("users", "add", "ann", typed=PASSWORD)
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwatch", "users", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "MODELWATCH_DATA_DIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), error) == (0, b"")
