"""The container statistics as a component: what watches, what samples and what sends.

Beside the way of the requests: a source of OTLP metrics like any other client, which hands them to a `Consumer`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from container_stats.engine_address import EngineAddress, find_engine
from container_stats.engine_client import EngineClient, EngineTls, ssl_context_of
from container_stats.engine_watch import EngineWatch
from container_stats.instance_client import InstanceClient
from container_stats.otlp_client import OtlpClient, headers_of
from container_stats.outbox import Outbox
from container_stats.own_container import OwnContainer, own_container_id
from container_stats.process_watch import ProcessWatch
from container_stats.sampler import Sampler
from container_stats.settings import ContainerSettings
from container_stats.watched_process import FindWatched, WatchedProcess
from telemetry import Consumer, Counters, StartError

FLUSH_S: Final = 2.0
RESTART_PAUSE_S: Final = 5.0


def build(
    settings: ContainerSettings,
    counters: Counters,
    *,
    consumer: Consumer | None = None,
    docker_host: str = "",
    find_watched: FindWatched | None = None,
) -> ContainerStats:
    """Return a component that hands metrics to `consumer`; without one it sends them to the settings' endpoint.

    `docker_host` is what `DOCKER_HOST` says. Without `find_watched` the API that the settings name is asked.
    Raises `StartError` if an address is of no use.
    """
    if consumer is None and not settings.endpoint:
        raise StartError("nobody takes what is measured: set MODELWATCH_CONTAINERS__ENDPOINT")
    return ContainerStats(settings, counters, consumer, docker_host, find_watched)


class ContainerStats:
    """A `telemetry.Component`. It starts at once, whether or not there is an engine or an endpoint answers."""

    def __init__(
        self,
        settings: ContainerSettings,
        counters: Counters,
        consumer: Consumer | None,
        docker_host: str,
        find_watched: FindWatched | None,
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._consumer = consumer
        self._find_watched = find_watched
        self._tls = EngineTls(settings.engine_ca_file, settings.engine_cert_file, settings.engine_key_file)
        self._docker_host = docker_host
        if settings.engine:
            self._find_engine()  # so that a mistaken setting is told at the start; DOCKER_HOST is none of ours
        if self._tls.is_set:
            ssl_context_of(self._tls)
        self._running: _Running | None = None
        counters.observe("container_stats_containers", lambda: self._figure(lambda now: now.engine.count))
        counters.observe("container_stats_unwatched_containers", lambda: self._figure(lambda now: now.engine.unwatched))
        counters.observe("container_stats_processes", lambda: self._figure(lambda now: now.processes.count))
        counters.observe("container_stats_engine_connected", lambda: self._figure(lambda now: now.engine.is_connected))
        counters.observe("container_stats_waiting_bytes", lambda: self._figure(lambda now: now.outbox.waiting_bytes))

    async def start(self) -> None:
        """Begin to watch. Raises `StartError` if certificates are of no use."""
        if self._running is None:
            self._running = self._make()
            self._running.begin()

    async def stop(self) -> None:
        """Stop watching, and send what waits within two seconds."""
        running, self._running = self._running, None
        if running is not None:
            await running.end()

    @property
    def endpoint(self) -> str:
        """Where metrics are sent; empty if they are handed to a consumer in this process."""
        return "" if self._consumer else self._settings.endpoint

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with them, keys included: not for logs."""
        return headers_of(self._settings.headers.get_secret_value())

    async def check(self) -> None:
        """Raise `RetryableError` if what is measured is not taken."""
        if self._running is not None:
            self._running.outbox.check()

    def _make(self) -> _Running:
        settings = self._settings
        host_name = settings.host_name or socket.gethostname()
        container_id = own_container_id()
        client = None if self._consumer else self._otlp_client()
        instances = self._instance_client()
        found = self._find_watched or (instances.find if instances else None)
        find_watched = found if found and settings.watch_services else _find_nothing
        consumer = self._consumer or client
        assert consumer is not None
        engine = EngineWatch(settings, self._find_engine, self._engine_client, self._counters, host_name)
        processes = ProcessWatch(settings, host_name, container_id)
        own = OwnContainer(container_id if settings.own_cgroup else None, host_name)
        outbox = Outbox(consumer, settings.max_buffer_bytes, self._counters)
        sampler = Sampler(settings.interval_s, engine, processes, own, find_watched, outbox, self._counters)
        return _Running(engine, processes, outbox, sampler, [one for one in (client, instances) if one is not None])

    def _find_engine(self) -> EngineAddress | None:
        return find_engine(self._settings.engine, self._docker_host, is_tls=self._tls.is_set)

    def _engine_client(self, address: EngineAddress) -> EngineClient:
        return EngineClient(address, self._settings.engine_timeout_s, self._settings.max_containers, self._tls)

    def _otlp_client(self) -> OtlpClient:
        settings = self._settings
        return OtlpClient(
            settings.endpoint,
            self.headers,
            settings.send_timeout_s,
            self._counters,
            ca_file=settings.ca_file,
            cert_file=settings.client_cert_file,
            key_file=settings.client_key_file,
        )

    def _instance_client(self) -> InstanceClient | None:
        settings = self._settings
        if self._find_watched is not None or not settings.instances_url or not settings.watch_services:
            return None
        return InstanceClient(
            settings.instances_url,
            settings.instances_token.get_secret_value(),
            ca_file=settings.ca_file,
            cert_file=settings.client_cert_file,
            key_file=settings.client_key_file,
        )

    def _figure(self, read: Callable[[_Running], float]) -> float:
        return float(read(self._running)) if self._running is not None else 0.0


class _Running:
    """What exists between a start and a stop."""

    def __init__(
        self,
        engine: EngineWatch,
        processes: ProcessWatch,
        outbox: Outbox,
        sampler: Sampler,
        clients: Sequence[OtlpClient | InstanceClient],
    ) -> None:
        self.engine = engine
        self.processes = processes
        self.outbox = outbox
        self._sampler = sampler
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        for name, run in (
            ("engine watch", self.engine.run),
            ("container sampler", self._sampler.run),
            ("container outbox", self.outbox.run),
        ):
            self._tasks.append(asyncio.create_task(_keep_running(name, run), name=name))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.outbox.flush(FLUSH_S)
        for client in self._clients:
            await client.close()


async def _keep_running(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run for ever: what nobody thought of is logged, and is no reason to watch nothing until a restart."""
    while True:
        try:
            await run()
        except Exception:
            structlog.get_logger(__name__).exception("begins anew after an error", part=name)
        await asyncio.sleep(RESTART_PAUSE_S)


async def _find_nothing() -> Sequence[WatchedProcess]:
    return ()
