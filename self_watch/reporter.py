"""The report of this process, written into the database every few seconds, and its last one at the end.

A component of every role that has a database; the first to be started after it, so that the last report is complete.
"""

from __future__ import annotations

import asyncio

import structlog

from self_watch.own_report import OwnReport
from storage.process_reports import ProcessReports
from telemetry import ModelWatchError

log = structlog.get_logger(__name__)


class Reporter:
    """Component."""

    def __init__(self, own: OwnReport, reports: ProcessReports, interval_s: float) -> None:
        self._own = own
        self._reports = reports
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to report."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="report of this process")

    async def stop(self) -> None:
        """Write the last report."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            await self._note(has_ended=True)

    async def _run(self) -> None:
        while True:
            await self._note()
            await asyncio.sleep(self._interval_s)

    async def _note(self, *, has_ended: bool = False) -> None:
        try:
            await self._reports.put(await self._own.make(has_ended=has_ended))
        except ModelWatchError as error:
            log.debug("report not noted", reason=str(error))
        except Exception:
            log.exception("report not noted")
