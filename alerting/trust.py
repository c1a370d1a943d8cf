"""Whether the data can be trusted now: processors that are behind make every service look better than it is.

Asked by the evaluator before each round. While it says no, states stay as they are: nothing fires, nothing resolves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from alerting.settings import AlertingSettings
from storage.ingest_progress import IngestProgress, Progress


class Pipeline:
    """What is known of the processors, from what they note in the database."""

    def __init__(
        self, settings: AlertingSettings, progress: IngestProgress, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._monotonic_s = monotonic_s
        self._seen: dict[int, tuple[int, float]] = {}
        self.lag_s = 0.0
        """How far behind the slowest processor is that is alive; at least how long none has been."""

    def use(self, settings: AlertingSettings) -> None:
        """Trust data that is as late as these settings say from now on."""
        self._settings = settings

    async def trouble(self) -> str:
        """Return why the data cannot be trusted, in words for people; nothing if it can.

        Raises `StorageUnavailableError`.
        """
        return self.judge(await self._progress.read())

    def judge(self, rows: list[Progress]) -> str:
        """Return the same, by what the processors said last."""
        now = self._monotonic_s()
        seen = {row.writer: (row.beat, now) for row in rows}
        for writer, (beat, _) in seen.items():
            if writer in self._seen and self._seen[writer][0] == beat:
                seen[writer] = self._seen[writer]
        self._seen = seen
        silent_s = {writer: now - seen for writer, (_, seen) in self._seen.items()}
        alive = [row for row in rows if silent_s[row.writer] < self._settings.silent_processor_s]
        if not alive:
            self.lag_s = min(silent_s.values(), default=0.0)
            return (
                f"no processor has given a sign for {self.lag_s:.0f} s" if rows else "no processor has given a sign yet"
            )
        worst = max(alive, key=lambda row: row.lag_ms)
        self.lag_s = worst.lag_ms / 1_000
        if self.lag_s > self._settings.max_lag_s:
            return f"a processor is {self.lag_s:.0f} s behind"
        cut_off = [row.trouble for row in alive if row.trouble]
        return cut_off[0] if len(cut_off) == len(alive) else ""
