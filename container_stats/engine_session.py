"""One connection to the engine: its list, its events, and a stats stream for each container that runs.

Made by the engine watch, fills the table of containers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from container_stats.container_info import ContainerInfo, info_of
from container_stats.container_table import ContainerTable
from container_stats.engine_client import EngineClient, EngineError, NotFoundError
from container_stats.engine_events import event_of
from container_stats.settings import ContainerSettings
from container_stats.watched_container import WatchedContainer

FIRST_PAUSE_S: Final = 0.5
STREAM_IDLE_S: Final = 30.0
"""A stream that is silent for so long, although a frame is due every second, is opened anew."""

_SETTLE_S: Final = 0.05
"""Events come in bursts, such as kill, die and stop; one inspection answers for all of them."""


class EngineSession:
    """`run` once; an error in any part but the streams ends the whole."""

    def __init__(
        self, client: EngineClient, table: ContainerTable, settings: ContainerSettings, now_s: Callable[[], float]
    ) -> None:
        self._client = client
        self._table = table
        self._settings = settings
        self._now_s = now_s
        self._tasks = asyncio.TaskGroup()
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._due: set[str] = set()
        self._is_due = asyncio.Event()
        self._hears_events = asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Fill the table until the connection is lost; `on_ready` is called whenever all containers are in it.

        Raises a group of `EngineError`.
        """
        async with self._tasks as tasks:
            tasks.create_task(self._follow_events(), name="container events")
            tasks.create_task(self._reconcile(on_ready), name="container list")

    async def _follow_events(self) -> None:
        async with self._client.events() as lines:
            self._hears_events.set()
            async for line in lines:
                event = event_of(line)
                if event is None:
                    continue
                if event.is_oom:
                    self._table.take_oom(event.container_id, self._now_s())
                self._look_at(event.container_id)
        raise EngineError("the engine closed the stream of its events")

    async def _reconcile(self, on_ready: Callable[[], None]) -> None:
        await self._hears_events.wait()  # so that nothing is missed between the list and the first event
        while True:
            await self._list()
            await self._inspect_due()
            on_ready()
            try:
                async with asyncio.timeout(self._settings.reconcile_interval_s):
                    while True:
                        await self._is_due.wait()
                        await asyncio.sleep(_SETTLE_S)
                        await self._inspect_due()
            except TimeoutError:
                continue

    async def _list(self) -> None:
        """Find out which containers there are, and look at those that are not as they were."""
        listed = {entry["Id"]: entry for entry in await self._client.list_containers()}
        self._table.keep_only(set(listed))
        for container_id, entry in listed.items():
            info, state = self._table.info(container_id), str(entry.get("State") or "").lower()
            if info is None:
                has_changed = state == "running" or not self._table.is_long_stopped(container_id)
            else:
                is_followed = not info.has_processes or container_id in self._streams
                has_changed = (
                    state != info.state or f"/{info.name}" not in (entry.get("Names") or ()) or not is_followed
                )
            if has_changed:
                self._look_at(container_id)

    def _look_at(self, container_id: str) -> None:
        self._due.add(container_id)
        self._is_due.set()

    async def _inspect_due(self) -> None:
        self._is_due.clear()
        while self._due:
            container_id = next(iter(self._due))
            try:
                inspected = await self._client.inspect(container_id)  # due until it is answered, should time run out
                info = info_of(inspected, self._settings.container_labels)
            except NotFoundError:
                self._table.remove(container_id)
                self._end_stream(container_id)
            except ValueError as error:
                raise EngineError(str(error)) from error
            else:
                self._follow(info, self._table.take_info(info, self._now_s()))
            self._due.discard(container_id)

    def _follow(self, info: ContainerInfo, container: WatchedContainer | None) -> None:
        stream = self._streams.get(info.id)
        if container is None or not info.has_processes:
            self._end_stream(info.id)
        elif stream is None:
            name = f"stats of {info.name}"
            self._streams[info.id] = self._tasks.create_task(self._read_stats(info.id, container), name=name)

    def _end_stream(self, container_id: str) -> None:
        """End the stream: of a stopped container the engine would send empty frames for ever."""
        stream = self._streams.pop(container_id, None)
        if stream is not None:
            stream.cancel()

    async def _read_stats(self, container_id: str, container: WatchedContainer) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with self._client.stats(container_id, STREAM_IDLE_S) as lines:
                    async for line in lines:
                        container.take_frame(line, self._now_s())
                        pause_s = FIRST_PAUSE_S
            except EngineError as error:
                structlog.get_logger(__name__).debug("a stats stream broke", reason=str(error))
            self._look_at(container_id)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._settings.engine_retry_max_s)
