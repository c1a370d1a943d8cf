"""Passwords: what is kept of them, and the slow check, in few threads so that logins cannot starve the server.

scrypt of the standard library with the parameters that OWASP's Password Storage Cheat Sheet gives for 32 MB: N = 2^15,
r = 8, p = 3. They stand beside each hash, so that later ones may be harder.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from telemetry import RetryableError

SHORTEST: Final = 10
LONGEST: Final = 1_000
_LOG_N, _R, _P = 15, 8, 3
_MAX_MEMORY_BYTES: Final = 256 * 1024 * 1024
_RETRY_AFTER_S: Final = 2.0


class TooManyLoginsError(RetryableError):
    """More logins wait already than may."""


def mistake_in(password: str) -> str:
    """Return what is wrong with a new password, empty if nothing is."""
    if len(password) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    return f"a password has at most {LONGEST} characters" if len(password) > LONGEST else ""


def hashed(password: str) -> str:
    """Return what is kept of a password; takes a third of a second."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _LOG_N, _R, _P)
    return f"scrypt${_LOG_N}${_R}${_P}${_text(salt)}${_text(digest)}"


def is_right(password: str, kept: str) -> bool:
    """Tell whether it is the password that `kept` was made of; takes as long as `hashed`."""
    try:
        kind, log_n, r, p, salt, digest = kept.split("$")
        wanted = base64.b64decode(digest)
        found = _scrypt(password, base64.b64decode(salt), int(log_n), int(r), int(p))
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(found, wanted)


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    # The same letters may be typed as different code points on different keyboards.
    secret = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MAX_MEMORY_BYTES, dklen=32)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


class PasswordChecker:
    """Checks passwords in threads of its own, `waiting` at once at most. `close` ends the threads."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._most = threads + waiting
        self._under_way = 0
        self._size = threads
        self._threads: ThreadPoolExecutor | None = None
        self._nobodys = f"scrypt${_LOG_N}${_R}${_P}${_text(bytes(16))}${_text(bytes(32))}"

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Tell whether it is the password; takes as long for a user who is not there, `None`.

        Raises `TooManyLoginsError`.
        """
        if self._under_way >= self._most:
            raise TooManyLoginsError("too many logins at once", retry_after_s=_RETRY_AFTER_S)
        self._under_way += 1
        self._threads = self._threads or ThreadPoolExecutor(self._size, thread_name_prefix="password")
        try:
            work = asyncio.get_running_loop().run_in_executor(
                self._threads, is_right, password[:LONGEST], kept or self._nobodys
            )
            # A client that goes away frees no thread, so its place is not free either.
            work.add_done_callback(self._ended)
        except BaseException:
            self._under_way -= 1
            raise
        return await asyncio.shield(work) and kept is not None and len(password) <= LONGEST

    def _ended(self, work: asyncio.Future[bool]) -> None:
        self._under_way -= 1
        if not work.cancelled():
            work.exception()

    def close(self) -> None:
        """Wait for what is under way, a moment, and end the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
