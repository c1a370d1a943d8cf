"""Coming in with name and password, and going out again.

Called by the login page; what a wrong name and a wrong password are told is the same, and takes as long.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

import structlog

from access.directory import Directory
from access.passwords import PasswordChecker
from access.secret import digest_of_session, new_session
from access.settings import AccessSettings
from access.throttle import Throttle
from storage.access_store import SessionRow
from telemetry import Counters

log = structlog.get_logger(__name__)

WRONG: Final = "This name and this password do not belong together."


class Attempt(NamedTuple):
    """How a login ended: with the secret of a session, or with what to say, and in how many seconds to try again."""

    secret: str = ""
    message: str = ""
    retry_after_s: int = 0


class Logins:
    """Opens and ends sessions."""

    def __init__(
        self,
        settings: AccessSettings,
        directory: Directory,
        checker: PasswordChecker,
        throttle: Throttle,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._checker = checker
        self._throttle = throttle
        self._counters = counters
        for name in ("access_logins", "access_failed_logins", "access_throttled_logins"):
            counters.declare(name)

    async def log_in(self, name: str, password: str, address: str, before: str = "") -> Attempt:
        """Begin a session that nobody had before; the one that the browser came with, `before`, ends.

        Raises `TooManyLoginsError` and `StorageUnavailableError`.
        """
        name = name.strip().lower()[:100]
        place = _place(address)
        wait_s = self._throttle.take(name, place)
        if wait_s:
            self._counters.add("access_throttled_logins")
            log.warning("login refused: too many attempts", user=name, address=address)
            return Attempt(message=f"Too many attempts. Try again in {_words(wait_s)}.", retry_after_s=int(wait_s))
        user = self._directory.user(name)
        if not await self._checker.is_right(password, user.password if user else None) or user is None:
            self._counters.add("access_failed_logins")
            log.warning("login failed", user=name, address=address)
            return Attempt(message=WRONG)
        secret, now_s = new_session(), self._directory.now_s
        row = SessionRow(digest_of_session(secret) or "", user.name, now_s, now_s)
        most = self._settings.sessions_per_user
        if not await self._directory.change(lambda store: store.add_session(row, user.password, most)):
            return Attempt(message=WRONG)  # the password was changed, or the user removed, in this very moment
        self._throttle.give_back(name, place)
        self._counters.add("access_logins")
        log.info("logged in", user=user.name, address=address)
        await self.log_out(before)
        return Attempt(secret)

    async def log_out(self, secret: str) -> None:
        """End a session, if there is one of this secret. Raises `StorageUnavailableError`."""
        digest = digest_of_session(secret)
        if digest is not None and await self._directory.change(lambda store: store.end_session(digest)):
            log.info("logged out", session=digest[:8])


def _place(address: str) -> str:
    """Return what attempts are counted by: one IPv6 network, of which everybody has as many addresses as they like."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _words(seconds: float) -> str:
    return f"{int(seconds)} seconds" if seconds < 120 else f"{round(seconds / 60)} minutes"
