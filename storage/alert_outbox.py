"""The outbox of alerts: what was decided to be told, until every channel has taken it, and what became of it.

Rows are made by the transaction that decides (`alert_rounds.py`); the holder of the lease claims and settles them here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from storage.alert_rounds import POST, OutboxRow, renew
from storage.database import Database

TEST_PREFIX: Final = "test-"
"""Begins the ids of what tests a channel; that waits for nothing which is tried again later."""


class Trouble(NamedTuple):
    """Why notifications of a channel wait, or the latest was not delivered; empty if nothing is known of that."""

    waiting: str
    failed: str


class ChannelCount(NamedTuple):
    """How the notifications of a channel stand; the times are 0 if there is none."""

    channel: str
    waiting: int
    last_sent_ms: int
    last_failed_ms: int


_COLUMNS: Final = (
    "SELECT notification_id, channel, created_ms, due_ms, attempts, status, detail, finished_ms, document "
    "FROM alert_outbox"
)
_DUE: Final = (
    f"{_COLUMNS} AS waiting WHERE status = 'waiting' AND due_ms <= :now_ms{{}} AND "
    f"(notification_id LIKE '{TEST_PREFIX}%' OR NOT EXISTS ("
    "SELECT 1 FROM alert_outbox AS earlier WHERE earlier.channel = waiting.channel AND earlier.status = 'waiting' "
    "AND earlier.due_ms > :now_ms AND (earlier.created_ms < waiting.created_ms OR "
    "(earlier.created_ms = waiting.created_ms AND earlier.notification_id < waiting.notification_id)))) "
    "ORDER BY created_ms, notification_id LIMIT :limit"
)
_FIND: Final = text(f"{_COLUMNS} WHERE notification_id = :notification_id AND channel = :channel")
_CLAIM: Final = text(
    "UPDATE alert_outbox SET attempts = attempts + 1, due_ms = :due_ms "
    "WHERE notification_id = :notification_id AND channel = :channel AND status = 'waiting' AND attempts = :attempts"
)
_SETTLE: Final = text(
    "UPDATE alert_outbox SET status = :status, detail = :detail, due_ms = :due_ms, finished_ms = :finished_ms "
    "WHERE notification_id = :notification_id AND channel = :channel AND status = 'waiting'"
)
_PUT_BACK: Final = text(
    "UPDATE alert_outbox SET due_ms = due_ms - :by_ms, "
    "created_ms = CASE WHEN created_ms > :now_ms THEN created_ms - :by_ms ELSE created_ms END "
    "WHERE status = 'waiting' AND due_ms > :now_ms"
)
_LATEST: Final = (
    f"{_COLUMNS} WHERE (created_ms, notification_id, channel) < (:before_ms, :before_id, :before_channel){{}} "
    "ORDER BY created_ms DESC, notification_id DESC, channel DESC LIMIT :limit"
)
_TROUBLE: Final = text(
    "SELECT detail FROM alert_outbox WHERE channel = :channel AND status = :status AND detail <> '' "
    "ORDER BY created_ms DESC LIMIT 1"
)
_COUNTS: Final = text(
    "SELECT channel, SUM(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END), "
    "MAX(CASE WHEN status = 'sent' THEN finished_ms ELSE 0 END), "
    "MAX(CASE WHEN status = 'failed' THEN finished_ms ELSE 0 END) FROM alert_outbox GROUP BY channel ORDER BY channel"
)


class AlertOutbox:
    """The outbox in a database. Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now_ms: int, limit: int, without: Collection[str] = ()) -> list[OutboxRow]:
        """Return what is to be sent by now, in the order in which it was made; nothing of the channels in `without`.

        What waits for a later time holds back all that was made after it for the same channel, so that nobody reads
        that an alert is over before they read that there was one.
        """
        names = {f"channel_{number}": channel for number, channel in enumerate(without)}
        others = f" AND channel NOT IN ({', '.join(f':{name}' for name in names)})" if names else ""
        statement, values = text(_DUE.format(others)), {"now_ms": now_ms, "limit": limit, **names}
        return await self._database.read(
            lambda connection: [OutboxRow(*row) for row in connection.execute(statement, values)]
        )

    async def claim(self, holder: str, fence: int, rows: Sequence[OutboxRow], due_ms: int) -> list[OutboxRow]:
        """Note an attempt, before it is made; without word of how it ended, the rows are due again at `due_ms`.

        Returns those that were still there as they were read. Raises `LeaseLostError`.
        """

        def write(connection: Connection) -> list[OutboxRow]:
            renew(connection, holder, fence)
            return [row for row in rows if connection.execute(_CLAIM, {**_key(row), "due_ms": due_ms}).rowcount == 1]

        return await self._database.write(write)

    async def settle(self, rows: Sequence[OutboxRow]) -> None:
        """Note how an attempt ended, as the rows say. True whoever holds the lease by now, so it needs none."""
        values = [
            {
                **_key(row),
                "status": row.status,
                "detail": row.detail,
                "due_ms": row.due_ms,
                "finished_ms": row.finished_ms,
            }
            for row in rows
        ]
        await self._database.write(lambda connection: connection.execute(_SETTLE, values) and None)

    async def put_back(self, holder: str, fence: int, now_ms: int, by_ms: int) -> None:
        """Let what waits wait no longer than before, as the clock was put back by so much. Raises `LeaseLostError`."""

        def write(connection: Connection) -> None:
            renew(connection, holder, fence)
            connection.execute(_PUT_BACK, {"now_ms": now_ms, "by_ms": by_ms})

        await self._database.write(write)

    async def post(self, row: OutboxRow) -> None:
        """Put something into the outbox that no change of a state is told by, such as a test of a channel."""
        await self._database.write(lambda connection: connection.execute(POST, row._asdict()) and None)

    async def find(self, notification_id: str, channel: str) -> OutboxRow | None:
        """Return one row, if it is there."""
        values = {"notification_id": notification_id, "channel": channel}
        return await self._database.read(
            lambda connection: next((OutboxRow(*row) for row in connection.execute(_FIND, values)), None)
        )

    async def latest(
        self, limit: int, *, before: tuple[int, str, str] | None = None, channel: str | None = None
    ) -> list[OutboxRow]:
        """Return rows, latest first: before the one made at a time, with its id and channel, or from the last on."""
        where, values = (" AND channel = :channel", {"channel": channel}) if channel is not None else ("", {})
        statement = text(_LATEST.format(where))
        before_ms, before_id, before_channel = before or (2**62, "", "")
        place = {"before_ms": before_ms, "before_id": before_id, "before_channel": before_channel}
        asked = {**place, "limit": limit, **values}
        return await self._database.read(
            lambda connection: [OutboxRow(*row) for row in connection.execute(statement, asked)]
        )

    async def counts(self) -> list[ChannelCount]:
        """Return how the notifications of each channel stand."""
        return await self._database.read(lambda connection: [ChannelCount(*row) for row in connection.execute(_COUNTS)])

    async def trouble(self, channel: str) -> Trouble:
        """Return what went wrong with a channel of late."""

        def read(connection: Connection) -> Trouble:
            found = [
                connection.scalar(_TROUBLE, {"channel": channel, "status": status}) for status in ("waiting", "failed")
            ]
            return Trouble(*[detail or "" for detail in found])

        return await self._database.read(read)


def _key(row: OutboxRow) -> dict[str, str | int]:
    return {"notification_id": row.notification_id, "channel": row.channel, "attempts": row.attempts}
