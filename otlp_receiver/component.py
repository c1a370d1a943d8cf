"""The OTLP receiver as a component: both servers around one intake.

Where telemetry enters ModelWatch; what it takes goes to the consumer that it was built with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from pydantic import SecretStr

from otlp_receiver.credentials import Credentials, require_closed
from otlp_receiver.grpc_server import GrpcServer
from otlp_receiver.http_server import HttpServer
from otlp_receiver.intake import Intake
from otlp_receiver.key_file import KEYS_FILE_SETTING, parse_keys
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.tls import certificates_of
from otlp_receiver.watched_files import WatchedFiles
from telemetry import Consumer, Counters, NowNs


def build(
    settings: ReceiverSettings,
    consumer: Consumer,
    counters: Counters,
    ingest_keys: Sequence[SecretStr] = (),
    now_ns: NowNs = time.time_ns,
    *,
    share_ports: bool = False,
    ingest_keys_file: Path | None = None,
) -> OtlpReceiver:
    """Return a receiver that hands batches to `consumer`.

    `share_ports` lets several receivers, each in a process of its own, listen on the same ports. The keys in
    `ingest_keys_file` count beside `ingest_keys`, and are read again while it runs.

    Raises `StartError` if a key is empty, or if anybody on the network could send without one: closed by default.
    """
    credentials = Credentials(ingest_keys, expects_more=ingest_keys_file is not None)
    require_closed(settings, has_keys=credentials.asks_for_key)
    return OtlpReceiver(settings, consumer, counters, credentials, now_ns, share_ports, ingest_keys_file)


class OtlpReceiver:
    """OTLP/gRPC and OTLP/HTTP on two ports. A `telemetry.Component`."""

    def __init__(
        self,
        settings: ReceiverSettings,
        consumer: Consumer,
        counters: Counters,
        credentials: Credentials,
        now_ns: NowNs,
        share_ports: bool,
        ingest_keys_file: Path | None,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._counters = counters
        self._credentials = credentials
        self._now_ns = now_ns
        self._share_ports = share_ports
        self._ingest_keys_file = ingest_keys_file
        self._running: _Running | None = None

    @property
    def grpc_port(self) -> int:
        """The port that OTLP/gRPC is served on. Raises `RuntimeError` unless started."""
        return self._started().grpc_port

    @property
    def http_port(self) -> int:
        """The port that OTLP/HTTP is served on. Raises `RuntimeError` unless started."""
        return self._started().http_port

    async def start(self) -> None:
        """Return when both ports are served.

        Raises `StartError` if one cannot be had, or if a file of keys or certificates is of no use; then neither is
        served.
        """
        if self._running is not None:
            return
        intake = Intake(self._settings, self._consumer, self._counters, self._credentials, self._now_ns)
        running = _Running(intake)
        try:
            await self._start(running)
        except BaseException:
            await running.stop(grace_s=0)
            raise
        self._running = running
        structlog.get_logger(__name__).info(
            "receiver listens",
            host=self._settings.host,
            grpc_port=running.grpc_port,
            http_port=running.http_port,
            is_tls=self._settings.tls_cert_file is not None,
        )

    async def stop(self) -> None:
        """Refuse what is new, finish what is in flight within `stop_grace_s` plus about two seconds, and close."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop(self._settings.stop_grace_s)

    async def _start(self, running: _Running) -> None:
        settings, share_ports = self._settings, self._share_ports
        if self._ingest_keys_file is not None:
            await running.watch(_watched_keys(self._ingest_keys_file, self._credentials))
        certificates = certificates_of(settings)
        if certificates is not None:
            await running.watch(WatchedFiles(certificates.files, certificates.take_up))
        http_server = HttpServer(
            settings,
            running.intake,
            self._counters,
            ssl_context=certificates.http_context() if certificates else None,
            share_ports=share_ports,
        )
        running.http_port = await running.serve(http_server)
        grpc_server = GrpcServer(
            settings,
            running.intake,
            server_credentials=certificates.grpc_credentials() if certificates else None,
            share_ports=share_ports,
        )
        running.grpc_port = await running.serve(grpc_server)

    def _started(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the receiver is not started")
        return self._running


class _Running:
    """What exists between a start and a stop."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.grpc_port = self.http_port = 0
        self._watched: list[WatchedFiles] = []
        self._servers: list[GrpcServer | HttpServer] = []

    async def watch(self, files: WatchedFiles) -> None:
        self._watched.append(files)
        await files.start()

    async def serve(self, server: GrpcServer | HttpServer) -> int:
        self._servers.append(server)
        await server.start()
        return server.port

    async def stop(self, grace_s: float) -> None:
        await self.intake.drain(grace_s)
        await asyncio.gather(*(server.stop() for server in self._servers))
        await self.intake.close()
        for files in self._watched:
            await files.stop()


def _watched_keys(path: Path, credentials: Credentials) -> WatchedFiles:
    return WatchedFiles({KEYS_FILE_SETTING: path}, lambda contents: credentials.renew(parse_keys(path, contents[0])))
