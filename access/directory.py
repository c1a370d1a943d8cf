"""A copy of all users, sessions and tokens in memory, so that checking a request asks no database.

Between the guard and `storage/access_store.py`. Read anew every few seconds, and after each change of our own; while
the database does not answer, what was read last counts a little longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeVar

import structlog

from access.settings import AccessSettings
from storage.access_store import AccessRows, AccessStore, SessionRow, TokenRow, UserRow
from telemetry import Counters, ModelWatchError, NowNs, RetryableError

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000
_TIDY_EVERY_S: Final = 60.0
_UNKNOWN_AGAIN_AFTER_S: Final = 0.5
"""What nobody knows makes the database be asked no more often than this, however many such requests come."""

Result = TypeVar("Result")


class UnknownAccessError(RetryableError):
    """The database has not answered for so long that nobody can be told from anybody else."""


class _Copy(NamedTuple):
    users: Mapping[str, UserRow]
    sessions: Mapping[str, SessionRow]
    tokens: Mapping[str, TokenRow]
    read_s: float


class Directory:
    """Who there is. `start` reads it for the first time; everything else is answered from what was read."""

    def __init__(
        self,
        settings: AccessSettings,
        store: AccessStore,
        counters: Counters,
        now_ns: NowNs = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._now_ns = now_ns
        self._monotonic_s = monotonic_s
        self._copy = _Copy({}, {}, {}, -float("inf"))
        self._seen: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._tidied_s = -float("inf")
        counters.observe("access_sessions", lambda: len(self._copy.sessions))

    async def start(self) -> None:
        """Return when all is known. Raises `StorageUnavailableError`."""
        if self._task is None:
            await self.refresh()
            self._task = asyncio.create_task(self._keep_fresh(), name="who may come in")

    async def stop(self) -> None:
        """Note what was used lately, and read no more. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._tidy()

    @property
    def now_s(self) -> int:
        """The Unix second."""
        return self._now_ns() // _NS_PER_S

    def has_credentials(self) -> bool:
        """Tell whether anybody could log in, or any program come with a token."""
        return bool(self._copy.users or self._copy.tokens)

    def user(self, name: str) -> UserRow | None:
        """Return the user of this name. Raises `UnknownAccessError`."""
        return self._known().users.get(name)

    def session(self, digest: str) -> tuple[SessionRow, UserRow] | None:
        """Return a session that has not ended, with its user. Raises `UnknownAccessError`."""
        copy = self._known()
        session = copy.sessions.get(digest)
        user = None if session is None else copy.users.get(session.user_name)
        if session is None or user is None:
            return None
        now_s, seen_s = self.now_s, max(session.seen_s, self._seen[0].get(digest, 0))
        is_over = now_s - session.created_s >= self._settings.session_lifetime_s
        is_idle = now_s - seen_s >= self._settings.session_idle_s
        return None if is_over or is_idle else (session, user)

    def token(self, digest: str) -> TokenRow | None:
        """Return a token that has not ended. Raises `UnknownAccessError`."""
        token = self._known().tokens.get(digest)
        return None if token is None or (token.ends_s and token.ends_s <= self.now_s) else token

    def see_session(self, digest: str) -> None:
        """Note that a session is used now."""
        self._seen[0][digest] = self.now_s

    def see_token(self, digest: str) -> None:
        """Note that a token is used now."""
        self._seen[1][digest] = self.now_s

    async def refresh_for_unknown(self) -> None:
        """Read anew for somebody who is not known yet, unless that was done a moment ago."""
        if self._monotonic_s() - self._copy.read_s < _UNKNOWN_AGAIN_AFTER_S:
            return
        try:
            await self.refresh(_UNKNOWN_AGAIN_AFTER_S)
        except ModelWatchError as error:
            log.warning("sessions not read", error=str(error))

    async def refresh(self, unless_younger_s: float = 0.0) -> None:
        """Read everything. Raises `StorageUnavailableError`."""
        async with self._lock:
            if self._monotonic_s() - self._copy.read_s >= unless_younger_s:
                await self._read()

    async def change(self, work: Callable[[AccessStore], Awaitable[Result]]) -> Result:
        """Change something and read anew, so that it counts at once. Raises `StorageUnavailableError`."""
        async with self._lock:
            result = await work(self._store)
            try:
                await self._read()
            except BaseException:
                # What was read before the change is wrong now, and nobody may come in by it.
                self._copy = self._copy._replace(sessions={})
                raise
            return result

    async def _read(self) -> None:
        began_s = self._monotonic_s()
        self._copy = _copy_of(await self._store.rows(), began_s)

    def _known(self) -> _Copy:
        if self._monotonic_s() - self._copy.read_s > self._settings.refresh_interval_s + self._settings.outage_grace_s:
            raise UnknownAccessError("the database does not answer, so nobody can be let in", retry_after_s=2.0)
        return self._copy

    async def _keep_fresh(self) -> None:
        is_well = True
        while True:
            await asyncio.sleep(self._settings.refresh_interval_s)
            try:
                await self.refresh()
                if self._monotonic_s() - self._tidied_s >= _TIDY_EVERY_S:
                    await self._tidy()
                is_well = True
            except ModelWatchError as error:
                if is_well:
                    log.warning("users and sessions not read", error=str(error))
                is_well = False
            except Exception:
                log.exception("users and sessions not read")

    async def _tidy(self) -> None:
        """Write down what was used, delete what is over. What cannot be written is noted again with the next use."""
        self._tidied_s = self._monotonic_s()
        (sessions, tokens), self._seen = self._seen, ({}, {})
        now_s = self.now_s
        try:
            await self._store.tidy(
                sessions, tokens, now_s - self._settings.session_lifetime_s, now_s - self._settings.session_idle_s
            )
        except ModelWatchError as error:
            # Newer notes may have come meanwhile.
            self._seen = ({**sessions, **self._seen[0]}, {**tokens, **self._seen[1]})
            log.warning("use of sessions not written down", error=str(error))


def _copy_of(rows: AccessRows, read_s: float) -> _Copy:
    return _Copy(
        {row.name: row for row in rows.users},
        {row.digest: row for row in rows.sessions},
        {row.digest: row for row in rows.tokens},
        read_s,
    )
