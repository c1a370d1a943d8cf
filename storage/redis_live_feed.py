"""The live feed over Redis: this process's end of one stream that all writers share.

Distributed ModelWatch uses it; processors write, dashboards and APIs read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog

from storage.live_window import LiveWindow
from storage.redis_live_reader import RedisLiveReader
from storage.redis_live_writer import RedisLiveWriter
from storage.settings import StorageSettings
from telemetry import Counters, NowNs, RedPoint

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000


class RedisLiveFeed:
    """Implements `storage.ports.LiveFeed` over Redis. Without Redis it runs, with a window that covers nothing.

    `is_mirrored=False` leaves the reading end out.
    """

    def __init__(
        self,
        settings: StorageSettings,
        url: str,
        counters: Counters,
        *,
        is_mirrored: bool = True,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._url = url
        self._counters = counters
        self._is_mirrored = is_mirrored
        self._now_ns = now_ns
        self._window = LiveWindow(settings.live_window_s, settings.live_max_points)
        self._writer = RedisLiveWriter(settings, url, counters, now_ns)
        self._reader: RedisLiveReader | None = None

    @property
    def window(self) -> LiveWindow:
        """See `storage.ports.LiveFeed.window`."""
        return self._window

    def use(self, settings: StorageSettings) -> None:
        """See `storage.ports.LiveFeed.use`."""
        self._window.resize(settings.live_window_s, settings.live_max_points, self._now_ns() // _NS_PER_S)
        self._writer.window_s = settings.live_window_s

    async def start(self) -> None:
        """Connect if Redis is there, otherwise go on trying. Raises `StartError` for an address that makes no sense."""
        await self._writer.start()
        if not self._is_mirrored or self._reader is not None:
            return
        self._reader = RedisLiveReader(self._settings, self._url, self._window, self._counters, self._now_ns)
        if not await self._reader.start(self._settings.redis_read_timeout_s):
            log.warning("Redis does not answer; the live view comes when it does")

    async def stop(self) -> None:
        """Disconnect both ends."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()
        await self._writer.stop()

    async def publish(self, points: Sequence[RedPoint]) -> None:
        """See `storage.ports.LiveFeed.publish`. Returns within `redis_publish_timeout_s`, whatever Redis does."""
        await self._writer.publish(points)

    async def reset(self) -> None:
        """See `storage.ports.LiveFeed.reset`."""
        await self._writer.reset()
