"""What all processes together had counted and held, every ten seconds: the course of the pipeline.

Documents of `query/pipeline/`, which this module keeps and does not read. Fine for two days, thinned out for a month.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import text

from storage.database import Database

STEP_S: Final = 10
THINNED_STEP_S: Final = 300
_FINE_FOR_S: Final = 2 * 86_400
_KEPT_FOR_S: Final = 31 * 86_400

_PUT: Final = text(
    "INSERT INTO pipeline_course (start_s, document) VALUES (:start_s, :document) ON CONFLICT (start_s) DO NOTHING"
)
_READ: Final = text(
    "SELECT start_s, document FROM pipeline_course WHERE start_s IN (SELECT max(start_s) FROM pipeline_course "
    "WHERE start_s >= :start_s AND start_s < :end_s GROUP BY start_s / :step_s) ORDER BY start_s"
)
_READ_LAST: Final = text(
    "SELECT start_s, document FROM pipeline_course WHERE start_s = "
    "(SELECT max(start_s) FROM pipeline_course WHERE start_s <= :at_s AND start_s > :since_s)"
)
_THIN: Final = text(
    "DELETE FROM pipeline_course WHERE start_s < :gone_s OR (start_s < :thinned_s AND start_s % :step_s <> 0)"
)


class Point(NamedTuple):
    """What was noted for the `STEP_S` seconds from `start_s` on, as it was at some time within them."""

    start_s: int
    document: str


class PipelineCourse:
    """Everything raises `StorageUnavailableError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, now_s: int, document: str) -> None:
        """Keep the document for the step that is running, unless somebody has done so."""
        values = {"start_s": now_s - now_s % STEP_S, "document": document}
        await self._database.write(lambda connection: connection.execute(_PUT, values) and None)

    async def read(self, start_s: int, end_s: int, step_s: int) -> Sequence[Point]:
        """Return what was noted in [start_s, end_s), the latest of each `step_s` seconds, in time order."""
        values = {"start_s": start_s, "end_s": end_s, "step_s": max(step_s, STEP_S)}
        return await self._database.read(lambda connection: [Point(*row) for row in connection.execute(_READ, values)])

    async def last(self, at_s: int, within_s: int) -> Point | None:
        """Return what was noted last up to `at_s`, but less than `within_s` before it."""
        values = {"at_s": at_s, "since_s": at_s - within_s}
        found = await self._database.read(lambda connection: connection.execute(_READ_LAST, values).first())
        return None if found is None else Point(*found)

    async def thin(self, now_s: int) -> None:
        """Delete what is too old, and of what is old all but one point in five minutes."""
        values = {"gone_s": now_s - _KEPT_FOR_S, "thinned_s": now_s - _FINE_FOR_S, "step_s": THINNED_STEP_S}
        await self._database.write(lambda connection: connection.execute(_THIN, values) and None)
