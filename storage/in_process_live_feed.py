"""The live feed of a single process: the window itself, filled directly.

Embedded ModelWatch uses it, where the one process commits everything there is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from storage.live_window import LiveWindow
from storage.sanitising import clean_points
from storage.settings import StorageSettings
from telemetry import Counters, NowNs, RedPoint

_NS_PER_S = 1_000_000_000


class InProcessLiveFeed:
    """Implements `storage.ports.LiveFeed` without any server."""

    def __init__(self, settings: StorageSettings, counters: Counters, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._counters = counters
        self._now_ns = now_ns
        self._window = LiveWindow(settings.live_window_s, settings.live_max_points)

    @property
    def window(self) -> LiveWindow:
        """See `storage.ports.LiveFeed.window`."""
        return self._window

    def use(self, settings: StorageSettings) -> None:
        """See `storage.ports.LiveFeed.use`."""
        self._window.resize(settings.live_window_s, settings.live_max_points, self._now_ns() // _NS_PER_S)

    async def start(self) -> None:
        """Begin empty: whatever is committed from the next second on will be here."""
        self._window.clear()
        self._window.restart(self._next_second())

    async def stop(self) -> None:
        """Say that nothing more will come."""
        self._window.restart(None)

    async def publish(self, points: Sequence[RedPoint]) -> None:
        """See `storage.ports.LiveFeed.publish`."""
        self._window.add(clean_points(points, self._settings.max_field_chars), self._now_ns() // _NS_PER_S)

    async def reset(self) -> None:
        """See `storage.ports.LiveFeed.reset`."""
        self._window.restart(self._next_second())
        self._counters.add("live_feed_resets")

    def _next_second(self) -> int:
        return self._now_ns() // _NS_PER_S + 1
