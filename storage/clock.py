"""Whether this machine's clock agrees with the database's, which all processes share.

Asked by `upkeep.py` before anything is deleted for its age, and by whoever wants to know whether a role is ready. A
clock that is far ahead would take everything for too old.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import Connection

from storage.database import Database
from storage.last_round import DoubtfulClockError, LastRound
from storage.settings import StorageSettings
from telemetry import Counters, NowNs

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000


class DatabaseClock:
    """The database's clock beside ours. SQLite has none of its own: there ours is right unless it jumps far ahead."""

    def __init__(self, settings: StorageSettings, database: Database, counters: Counters, now_ns: NowNs) -> None:
        self._settings = settings
        self._database = database
        self._now_ns = now_ns
        self._counters = counters
        self._last_round = LastRound(settings, database, now_ns)
        self._skew_s = 0.0
        counters.declare("storage_clock_doubts")
        if database.dialect.is_remote:
            counters.observe("storage_clock_skew_s", lambda: self._skew_s)

    async def check(self) -> None:
        """Return when the clocks agree, or nearly so. Raises `StorageUnavailableError` when not, or without answer."""
        if not self._database.dialect.is_remote:
            return
        before_ns = self._now_ns()
        theirs_s = await self._database.read(_clock)
        after_ns = self._now_ns()
        # Somewhere between question and answer: a slow answer must not look like a wrong clock.
        ahead_s, behind_s = before_ns / _NS_PER_S - theirs_s, theirs_s - after_ns / _NS_PER_S
        self._skew_s = max(0.0, ahead_s) - max(0.0, behind_s)
        if abs(self._skew_s) > self._settings.max_clock_skew_s:
            where = "ahead of" if self._skew_s > 0 else "behind"
            raise DoubtfulClockError(
                f"this machine's clock is {abs(self._skew_s):.0f} s {where} that of {self._database.dialect.name}: "
                "put right whichever is wrong"
            )

    async def is_right(self) -> bool:
        """Tell whether the clock is good enough to delete by; log and count it when it is not.

        Raises `StorageUnavailableError` without answer.
        """
        try:
            await self.check()
            if not self._database.dialect.is_remote:
                await self._last_round.check()
        except DoubtfulClockError as error:
            self._counters.add("storage_clock_doubts")
            log.error("nothing is deleted for its age", reason=str(error))
            return False
        return True


def _clock(connection: Connection) -> float:
    return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar() or 0)
