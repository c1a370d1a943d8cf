"""The writing end of the live feed over Redis: never raises, never holds up the processor, owns up to what it lost.

Whatever could not be written is owed as a reset: the stream says that points are missing as soon as it can be written
again. Until then a mending task probes Redis with growing pauses, and publishing returns at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from storage.live_codec import encode_points
from storage.redis_stream import POINTS_FIELD, RESET_FIELD, describe, redis_client
from storage.sanitising import clean_points
from storage.settings import StorageSettings
from storage.tasks import end_task
from telemetry import Counters, NowNs, RedPoint

log = structlog.get_logger(__name__)

_NS_PER_S = 1_000_000_000
_KEPT_BEYOND_WINDOW_S = 60
_PROBE_TIMEOUT_S = 1.0


class RedisLiveWriter:
    """Adds entries to the stream, between `start` and `stop`.

    `_owed` counts the losses, `_settled` those that a reset in the stream has told of.
    """

    def __init__(self, settings: StorageSettings, url: str, counters: Counters, now_ns: NowNs) -> None:
        self._settings = settings
        self.window_s = settings.live_window_s
        self._url = url
        self._counters = counters
        self._now_ns = now_ns
        self._client: Redis | None = None
        self._lock = asyncio.Lock()
        self._connections = 0
        self._owed = 0
        self._settled = 0
        self._mender: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Prepare; connects at the first publishing."""
        if self._client is None:
            self._connections = 0
            self._client = redis_client(self._url, self._settings.redis_publish_timeout_s, self._note_connection)

    async def stop(self) -> None:
        """Stop mending, try a last time to write what is owed, and disconnect."""
        mender, self._mender = self._mender, None
        if mender is not None:
            await end_task(mender)
        client = self._client
        if client is None:
            return
        try:
            async with asyncio.timeout(self._settings.redis_publish_timeout_s), self._lock:
                await self._settle(client, None)
        except Exception as error:
            log.warning("a reset of the live feed stays unwritten", reason=describe(error))
        self._client = None
        await client.aclose()

    async def publish(self, points: Sequence[RedPoint]) -> None:
        """Add points to the stream, or note that they are missing from it."""
        oldest_s = self._now_ns() // _NS_PER_S - self.window_s
        recent = [point for point in points if point.start_s >= oldest_s]
        if recent:
            await self._attempt(recent)

    async def reset(self) -> None:
        """Add a reset to the stream, now or as soon as possible."""
        self._owed += 1
        await self._attempt(None)

    async def _attempt(self, points: Sequence[RedPoint] | None) -> None:
        client, is_written = self._client, False
        try:
            if client is None or self._mender is not None:
                return
            async with asyncio.timeout(self._settings.redis_publish_timeout_s), self._lock:
                entry = None if points is None else encode_points(clean_points(points, self._settings.max_field_chars))
                await self._write(client, entry)
                is_written = True
        except Exception as error:  # of whatever kind: the history has the points, and the processor must go on
            log.warning("live feed interrupted", reason=describe(error))
        finally:
            if not is_written:
                self._lose(points)
        if client is not None and self._owed > self._settled and self._mender is None:
            self._mender = asyncio.create_task(self._mend(client), name="live-feed-mender")

    def _lose(self, points: Sequence[RedPoint] | None) -> None:
        if points is not None:
            self._owed += 1
            self._counters.add("live_feed_failures", end="publish")

    def _note_connection(self) -> None:
        # A connection that had to be made anew may lead to a Redis that was started anew, without its last entries.
        self._connections += 1
        if self._connections > 1:
            self._owed += 1

    async def _write(self, client: Redis, entry: bytes | None) -> None:
        if entry is not None and self._owed == self._settled:
            if await self._append(client, {POINTS_FIELD: entry}):
                entry = None
            else:
                self._owed += 1  # the stream is gone, and with it what readers have not read yet
        await self._settle(client, entry)

    async def _settle(self, client: Redis, entry: bytes | None) -> None:
        """Write the reset that is owed, and the entry after it."""
        owed = self._owed
        if owed == self._settled:
            return
        reset = {RESET_FIELD: str(self._now_ns() // _NS_PER_S).encode()}
        await self._append(client, reset, *([{POINTS_FIELD: entry}] if entry is not None else []), is_start=True)
        self._settled = owed
        self._counters.add("live_feed_resets")

    async def _append(self, client: Redis, *entries: Mapping[bytes, bytes], is_start: bool = False) -> bool:
        """Add the entries in one transaction and trim; without `is_start` only to a stream that exists."""
        oldest_s = self._now_ns() // _NS_PER_S - self.window_s - _KEPT_BEYOND_WINDOW_S
        name = self._settings.redis_stream
        async with client.pipeline(transaction=True) as pipeline:
            for entry in entries:
                fields: dict[Any, Any] = dict(entry)
                pipeline.xadd(name, fields, nomkstream=not is_start, minid=f"{oldest_s * 1_000}-0")
            pipeline.xtrim(name, maxlen=self._settings.redis_max_entries, approximate=True)
            first_id, *_ = await pipeline.execute()
        return first_id is not None

    async def _mend(self, client: Redis) -> None:
        """Try until the stream tells of all that was lost."""
        pause_s = self._settings.redis_retry_s
        while self._owed > self._settled:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._settings.redis_retry_max_s)
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT_S), self._lock:
                    # A connection whose answer was given up on must not be used again.
                    await client.connection_pool.disconnect()
                    await client.ping()
                    await self._settle(client, None)
            except Exception as error:
                log.debug("Redis does not answer yet", reason=describe(error))
        self._mender = None
        log.info("live feed restored")
