"""`modelwatch users` and `modelwatch tokens`: who may come in, for whoever keeps ModelWatch.

Works on the database itself; every dashboard knows of a change within seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TextIO, TypeVar

from access.passwords import hashed, mistake_in
from access.secret import digest_of_token, new_token
from modelwatch.assembled import build_history
from modelwatch.settings import Settings
from storage.access_store import AccessStore, TokenRow, UserRow
from storage.component import build_access_store
from telemetry import RetryableError, StartError

EXIT_NOT_DONE: Final = 1
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_DAY_S: Final = 86_400

Result = TypeVar("Result")


def run_users(settings: Settings, options: argparse.Namespace, out: TextIO | None = None) -> int:
    """Do what the options say; return the process's exit code. Raises `StartError`."""
    out = out or sys.stdout
    if options.action == "list":
        for user in _with_store(settings, lambda store: store.rows()).users:
            print(f"{user.name:32} {user.role:8} since {_day(user.created_s)}", file=out)
        return 0
    name = _name(options.name)
    if options.action == "remove":
        return _told(_with_store(settings, lambda store: store.remove_user(name)), f"{name} is removed", out)
    if options.action == "role":
        return _told(
            _with_store(settings, lambda store: store.set_role(name, options.role)), f"{name} is {options.role}", out
        )
    password = _new_password(name, out, is_generated=options.generate)
    kept = hashed(password)
    if options.action == "password":
        is_done = _with_store(settings, lambda store: store.set_password(name, kept))
        return _told(is_done, f"the password of {name} is changed, all sessions have ended", out)
    row = UserRow(name, options.role, kept, int(time.time()))
    if not _with_store(settings, lambda store: store.add_user(row)):
        raise StartError(f"there is a user {name} already: see `modelwatch users password` and `role`")
    print(f"{name} may log in, as {options.role}", file=out)
    return 0


def run_tokens(settings: Settings, options: argparse.Namespace, out: TextIO | None = None) -> int:
    """Do what the options say; return the process's exit code. Raises `StartError`."""
    out = out or sys.stdout
    if options.action == "list":
        for token in _with_store(settings, lambda store: store.rows()).tokens:
            used = _day(token.seen_s) if token.seen_s else "never"
            ends = _day(token.ends_s) if token.ends_s else "never"
            print(f"{token.name:32} {token.role:8} ends {ends:10} last used {used}", file=out)
        return 0
    name = _name(options.name)
    if options.action == "revoke":
        return _told(_with_store(settings, lambda store: store.remove_token(name)), f"{name} is revoked", out)
    if not 0 <= options.days <= 36_500:
        raise StartError("--days is from 0, for a token that never ends, to 36500")
    secret, now_s = new_token(), int(time.time())
    ends_s = now_s + options.days * _DAY_S if options.days else 0
    row = TokenRow(name, digest_of_token(secret) or "", options.role, now_s, ends_s, 0)
    if not _with_store(settings, lambda store: store.add_token(row)):
        raise StartError(f"there is a token {name} already: revoke it, or take another name")
    print(secret, file=out)
    print("modelwatch: this is shown once; send it as `Authorization: Bearer ...`", file=sys.stderr)
    return 0


def _told(is_done: bool, text: str, out: TextIO) -> int:
    print(text if is_done else "modelwatch: there is nothing of this name", file=out if is_done else sys.stderr)
    return 0 if is_done else EXIT_NOT_DONE


def _name(text: str) -> str:
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise StartError(
            "a name has up to 64 of the letters a-z, digits and . _ @ -, and begins with a letter or digit"
        )
    return name


def _new_password(name: str, out: TextIO, *, is_generated: bool) -> str:
    """Return a password from the keyboard, from standard input, or made here; never from the arguments."""
    if is_generated:
        password = secrets.token_urlsafe(15)
        print(password, file=out)
        return password
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password of {name}: ")
        if password != getpass.getpass("Once more: "):
            raise StartError("these were two different passwords")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if mistake := mistake_in(password):
        raise StartError(f"{mistake}; --generate makes one")
    return password


def _with_store(settings: Settings, work: Callable[[AccessStore], Awaitable[Result]]) -> Result:
    async def do() -> Result:
        history = build_history(settings)
        await history.start()
        try:
            return await work(build_access_store(history))
        except RetryableError as error:
            raise StartError(f"{error}: see to the database, or set MODELWATCH_DATABASE_URL") from error
        finally:
            await history.stop()

    return asyncio.run(do())


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d")
