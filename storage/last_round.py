"""When SQLite was last tended, kept in the database: by it a clock that jumps far ahead is doubted for a day.

Asked by `clock.py` where there is no second clock to compare with. Most machines get their time from the network within
minutes, but what is deleted meanwhile for its age is lost. A machine that really was off for so long loses nothing by
waiting for another day.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert, select

from storage.database import Database
from storage.ports import StorageUnavailableError
from storage.schema import last_round
from storage.settings import StorageSettings
from telemetry import NowNs

_NS_PER_S: Final = 1_000_000_000
_NOTED_EVERY_S: Final = 3_600
_DOUBTED_FOR_S: Final = 86_400


class DoubtfulClockError(StorageUnavailableError):
    """This machine's clock is not one to delete by."""


class LastRound:
    """Compares the clock with what it was when the last round of deleting began, in this process or one before it."""

    def __init__(self, settings: StorageSettings, database: Database, now_ns: NowNs) -> None:
        self._max_jump_s = settings.max_clock_jump_s
        self._database = database
        self._now_ns = now_ns

    async def check(self) -> None:
        """Return when the clock may be believed, which is then that of the last round.

        Raises `DoubtfulClockError` when not, `StorageUnavailableError` without answer.
        """
        now_s = self._now_ns() // _NS_PER_S
        found = await self._database.read(_read)
        seen_s, doubted_from_s = (now_s - _NOTED_EVERY_S, 0) if found is None else found
        if now_s <= seen_s + self._max_jump_s or 0 <= now_s - _DOUBTED_FOR_S - doubted_from_s < self._max_jump_s:
            if not seen_s <= now_s < seen_s + _NOTED_EVERY_S or doubted_from_s:
                await self._database.write(lambda connection: _note(connection, now_s, 0))
            return
        if not doubted_from_s <= now_s < doubted_from_s + _DOUBTED_FOR_S:
            await self._database.write(lambda connection: _note(connection, seen_s, now_s))
        raise DoubtfulClockError(
            f"this machine's clock is {(now_s - seen_s) / 86_400:.0f} days ahead of when the history was last tended: "
            "put it right if it is wrong, it will be believed after a day"
        )


def _read(connection: Connection) -> tuple[int, int] | None:
    found = connection.execute(select(last_round.c.seen_s, last_round.c.doubted_from_s)).first()
    return None if found is None else (found.seen_s, found.doubted_from_s)


def _note(connection: Connection, seen_s: int, doubted_from_s: int) -> None:
    connection.execute(delete(last_round))
    connection.execute(insert(last_round).values(seen_s=seen_s, doubted_from_s=doubted_from_s))
