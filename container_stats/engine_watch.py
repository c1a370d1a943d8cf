"""Watches all containers of an engine over any number of connections to it.

Asked by the sampler. Engines come and go; what is known of containers outlives a lost connection, but nothing is told
of them while nobody can be asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import structlog

from container_stats.container_table import ContainerTable
from container_stats.engine_address import EngineAddress
from container_stats.engine_client import Engine, EngineClient, EngineError
from container_stats.engine_session import FIRST_PAUSE_S, EngineSession
from container_stats.readings import Subject
from container_stats.settings import ContainerSettings
from telemetry import Counters, StartError


class EngineWatch:
    """`run` until cancelled; `subjects` at any time. `find` is asked before each attempt where the engine is."""

    def __init__(
        self,
        settings: ContainerSettings,
        find: Callable[[], EngineAddress | None],
        connect: Callable[[EngineAddress], EngineClient],
        counters: Counters,
        own_host_name: str,
    ) -> None:
        self._settings = settings
        self._find = find
        self._connect = connect
        self._counters = counters
        self._own_host_name = own_host_name
        self._table = ContainerTable(settings.max_containers, settings.stopped_for_s, counters)
        self._engine: Engine | None = None
        self._was_connected = False
        self._said = ""
        self.connected = asyncio.Event()
        """Set while the engine answers."""

    @property
    def is_connected(self) -> bool:
        """Whether the engine answers, so that what is known of its containers is true now."""
        return self._engine is not None

    @property
    def count(self) -> int:
        """How many containers are watched."""
        return len(self._table) if self._engine else 0

    @property
    def unwatched(self) -> int:
        """How many containers there are beyond the limit."""
        return self._table.unwatched

    async def run(self) -> None:
        """Watch until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            if await self._find_and_watch():
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._settings.engine_retry_max_s)

    def subjects(self, now_unix_nano: int) -> Iterator[Subject]:
        """Yield what there is to send now of all containers; nothing while the engine does not answer."""
        engine = self._engine
        if engine is not None:
            host_name = self._settings.host_name or engine.host_name or self._own_host_name
            yield from self._table.subjects(host_name, engine.runtime, time.monotonic(), now_unix_nano)

    async def _find_and_watch(self) -> bool:
        try:
            address = self._find()
        except StartError as error:  # such as a DOCKER_HOST that only the engine's own client understands
            self._say("containers are not watched", reason=str(error))
            return False
        if address is None:
            self._say("there is no container engine, containers are not watched: see docs/containers.md")
            return False
        return await self._watch(address)

    async def _watch(self, address: EngineAddress) -> bool:
        """Watch until the connection is lost; tell whether there was one."""
        client, had_engine = self._connect(address), False
        try:
            engine = await client.connect()
            session = EngineSession(client, self._table, self._settings, time.monotonic)
            await session.run(lambda: self._take_engine(engine))
        except* EngineError as group:
            self._say("containers are not watched", reason=_first_message(group))
        finally:
            had_engine, self._engine = self._engine is not None, None
            self.connected.clear()
            await client.close()
        return had_engine

    def _take_engine(self, engine: Engine) -> None:
        if self._engine is not None:
            return
        self._engine = engine
        self.connected.set()
        if self._was_connected:
            self._counters.add("container_stats_engine_reconnects", 1)
        self._was_connected = True
        self._say("containers are watched", engine=f"{engine.runtime} {engine.version}", api=engine.api)

    def _say(self, event: str, **details: str) -> None:
        """Log what is new: an engine that stays away is not told of again and again."""
        said = f"{event} {details}"
        if said != self._said:
            self._said = said
            structlog.get_logger(__name__).info(event, **details)


def _first_message(group: BaseExceptionGroup[EngineError]) -> str:
    first = group.exceptions[0]
    return _first_message(first) if isinstance(first, BaseExceptionGroup) else str(first)
