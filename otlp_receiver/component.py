"""The OTLP receiver as a component: both servers around one intake.

Where telemetry enters ModelWatch; what it takes goes to the consumer that it was built with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog
from pydantic import SecretStr

from otlp_receiver.credentials import Credentials
from otlp_receiver.grpc_server import GrpcServer
from otlp_receiver.http_server import HttpServer
from otlp_receiver.intake import Intake
from otlp_receiver.listening import is_loopback
from otlp_receiver.settings import ReceiverSettings
from telemetry import Consumer, Counters, NowNs, StartError


def build(
    settings: ReceiverSettings,
    consumer: Consumer,
    counters: Counters,
    ingest_keys: Sequence[SecretStr] = (),
    now_ns: NowNs = time.time_ns,
) -> OtlpReceiver:
    """Return a receiver that hands batches to `consumer`.

    Raises `StartError` if a key is empty, or if it would listen off loopback without any: closed by default.
    """
    credentials = Credentials(ingest_keys)
    if not credentials.has_keys and not is_loopback(settings.host):
        raise StartError(
            f"the receiver would listen on {settings.host} to anybody: set MODELWATCH_INGEST_KEYS, "
            "or MODELWATCH_RECEIVER__HOST to 127.0.0.1"
        )
    return OtlpReceiver(settings, consumer, counters, credentials, now_ns)


class OtlpReceiver:
    """OTLP/gRPC and OTLP/HTTP on two ports. A `telemetry.Component`."""

    def __init__(
        self,
        settings: ReceiverSettings,
        consumer: Consumer,
        counters: Counters,
        credentials: Credentials,
        now_ns: NowNs,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._counters = counters
        self._credentials = credentials
        self._now_ns = now_ns
        self._running: _Running | None = None

    @property
    def grpc_port(self) -> int:
        """The port that OTLP/gRPC is served on. Raises `RuntimeError` unless started."""
        return self._started().grpc_server.port

    @property
    def http_port(self) -> int:
        """The port that OTLP/HTTP is served on. Raises `RuntimeError` unless started."""
        return self._started().http_server.port

    async def start(self) -> None:
        """Return when both ports are served. Raises `StartError` if one cannot be had; then neither is."""
        if self._running is not None:
            return
        intake = Intake(self._settings, self._consumer, self._counters, self._credentials, self._now_ns)
        running = _Running(intake, GrpcServer(self._settings, intake), HttpServer(self._settings, intake))
        try:
            await running.http_server.start()
            await running.grpc_server.start()
        except BaseException:
            await running.stop(grace_s=0)
            raise
        self._running = running
        structlog.get_logger(__name__).info(
            "receiver listens", host=self._settings.host, grpc_port=self.grpc_port, http_port=self.http_port
        )

    async def stop(self) -> None:
        """Refuse what is new, finish what is in flight within `stop_grace_s` plus about two seconds, and close."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop(self._settings.stop_grace_s)

    def _started(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the receiver is not started")
        return self._running


class _Running:
    """What exists between a start and a stop."""

    def __init__(self, intake: Intake, grpc_server: GrpcServer, http_server: HttpServer) -> None:
        self.intake = intake
        self.grpc_server = grpc_server
        self.http_server = http_server

    async def stop(self, grace_s: float) -> None:
        await self.intake.drain(grace_s)
        await asyncio.gather(self.grpc_server.stop(), self.http_server.stop())
        self.intake.close()
