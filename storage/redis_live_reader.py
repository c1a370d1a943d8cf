"""The reading end of the live feed over Redis: mirrors the stream into this process's window.

What `complete_since_s` may claim: every point committed by anybody with a later start is in the window. Entries hold
points that were over when they were added, so whatever is missing from before an entry, or from before a reset, began
no later than that entry's second. Hence the window is complete from the second after

- the first entry that was read from the beginning of the stream (what was trimmed away came before it),
- every reset, by Redis's clock or the writer's, whichever is later,
- the start of the Redis server (it may have come up without its last entries).

While there is no connection, nothing can be claimed. Clocks of all machines are taken to agree within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from storage.live_codec import decode_points
from storage.live_window import LiveWindow
from storage.redis_stream import POINTS_FIELD, RESET_FIELD, START, EntryId, describe, redis_client
from storage.settings import StorageSettings
from storage.tasks import end_task
from telemetry import Counters, NowNs

log = structlog.get_logger(__name__)

_NS_PER_S = 1_000_000_000
_ENTRIES_PER_READ = 32
_CHECK_INTERVAL_S = 5.0

Entry = tuple[EntryId, Mapping[bytes, bytes]]


class RedisLiveReader:
    """Follows the stream from `start` to `stop`; made anew for each run."""

    def __init__(
        self, settings: StorageSettings, url: str, window: LiveWindow, counters: Counters, now_ns: NowNs
    ) -> None:
        self._settings = settings
        self._url = url
        self._window = window
        self._counters = counters
        self._now_ns = now_ns
        self._position = START
        self._since_s = 0
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, timeout_s: float) -> bool:
        """Begin to follow; return whether the window is up to date, which is waited for at most `timeout_s`."""
        self._task = asyncio.create_task(self._run(), name="live-feed-reader")
        try:
            async with asyncio.timeout(timeout_s):
                await self._caught_up.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            await end_task(self._task)
        self._window.restart(None)

    async def _run(self) -> None:
        pause_s = self._settings.redis_retry_s
        while True:
            client = redis_client(self._url, self._settings.redis_read_timeout_s)
            try:
                await self._follow(client)
            except Exception as error:  # of whatever kind: the view must come back by itself
                if self._caught_up.is_set():
                    log.warning("live view interrupted", reason=describe(error))
                    pause_s = self._settings.redis_retry_s
            finally:
                self._caught_up.clear()
                self._window.restart(None)
                await client.aclose()
            self._counters.add("live_feed_failures", end="follow")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._settings.redis_retry_max_s)

    async def _follow(self, client: Redis) -> None:
        await self._synchronise(client)
        checked = time.monotonic()
        block_ms = max(1, round(self._settings.redis_read_timeout_s * 500))
        while True:
            if time.monotonic() - checked > _CHECK_INTERVAL_S:
                if await self._has_lost_its_place(client):
                    await self._synchronise(client)
                checked = time.monotonic()
            entries = await self._read(client, block_ms)
            if not entries:
                checked = 0.0  # a stream that was emptied is as silent as one without traffic
            await self._take(entries)

    async def _synchronise(self, client: Redis) -> None:
        """Read everything there is, from where we were or from the beginning, then say since when it is complete."""
        started_s = await self._server_started_s(client)
        if self._position == START or await self._has_lost_its_place(client):
            self._window.clear()
            self._position, self._since_s = START, 0
            if not await client.xlen(self._settings.redis_stream):
                self._since_s = self._now_ns() // _NS_PER_S + 1
        self._since_s = max(self._since_s, started_s + 1)
        self._window.restart(None)
        while entries := await self._read(client, None):
            await self._take(entries)
        self._window.restart(self._since_s)
        self._caught_up.set()
        log.info("live view complete", since_s=self._window.complete_since_s, points=self._window.point_count)

    async def _server_started_s(self, client: Redis) -> int:
        """Return a Unix second by which this Redis had started; now, if it does not tell."""
        try:
            info = await client.info("server")
            # Both numbers are whole seconds, so the start may lie up to a second later than their difference.
            return int(info["server_time_usec"]) // 1_000_000 - int(info["uptime_in_seconds"]) + 1
        except (ResponseError, KeyError):
            return self._now_ns() // _NS_PER_S

    async def _has_lost_its_place(self, client: Redis) -> bool:
        """Tell whether entries after our position may be gone: the stream was emptied, replaced, or trimmed past it."""
        if self._position == START:
            return False
        name = self._settings.redis_stream
        first: Any = await client.xrange(name, count=1)
        last: Any = await client.xrevrange(name, count=1)
        if not first or not last:
            return True
        return not EntryId.of(first[0][0]) <= self._position <= EntryId.of(last[0][0])

    async def _read(self, client: Redis, block_ms: int | None) -> list[Entry]:
        replies: Any = await client.xread(
            {self._settings.redis_stream: str(self._position)}, count=_ENTRIES_PER_READ, block=block_ms
        )
        return [(EntryId.of(raw_id), fields) for _name, entries in replies or () for raw_id, fields in entries]

    async def _take(self, entries: list[Entry]) -> None:
        for entry_id, fields in entries:
            if self._position == START:
                self._miss_until(entry_id.unix_s)
            self._position = entry_id
            try:
                self._apply(entry_id, fields)
            except ValueError as error:
                log.warning("an entry of the live feed cannot be read", entry=str(entry_id), reason=str(error))
                self._counters.add("live_feed_failures", end="follow")
                self._miss_until(entry_id.unix_s)
            await asyncio.sleep(0)  # decoding a long stream must not hold up the process

    def _apply(self, entry_id: EntryId, fields: Mapping[bytes, bytes]) -> None:
        if (reset := fields.get(RESET_FIELD)) is not None:
            self._miss_until(max(entry_id.unix_s, int(reset)))
        elif (points := fields.get(POINTS_FIELD)) is not None:
            self._window.add(decode_points(points), self._now_ns() // _NS_PER_S)
        else:
            raise ValueError("neither points nor a reset")

    def _miss_until(self, second: int) -> None:
        """Note that points which began up to this second may be missing."""
        self._since_s = max(self._since_s, second + 1)
        if self._caught_up.is_set():
            self._window.restart(self._since_s)
