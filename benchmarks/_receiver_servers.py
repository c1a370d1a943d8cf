"""Processes that serve OTLP: the receiver, and servers of the same two libraries that do as little as can be.

`bare` answers without a look at what was sent; `parsing` undoes the compression and parses with the generated classes,
as servers made from the schema do. `serving` starts one for a benchmark; each is a process of its own, so that its CPU
time and its memory are its own too.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import psutil
import structlog
import uvicorn
import uvloop

from otlp_receiver.component import build
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import ROUTES
from telemetry import Batch, Counters

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
END_S = 10


@dataclass(frozen=True)
class Served:
    """A running server and where it listens."""

    ports: dict[str, int]
    process: asyncio.subprocess.Process

    async def cpu_s(self) -> float:
        """Return the CPU time that it has taken, by its own clock, which is finer than that of others."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return float(await self.process.stdout.readline())

    def resident_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


@asynccontextmanager
async def serving(kind: str) -> AsyncIterator[Served]:
    """Run a server of this kind, and end it with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._receiver_servers", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().split()
        ports = dict(zip(("grpc", "http"), map(int, line), strict=True))
        yield Served(ports, process)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


class _DroppingConsumer:
    async def consume(self, batch: Batch) -> None:
        pass


async def _serve_ours() -> None:
    receiver = build(ReceiverSettings(grpc_port=0, http_port=0), _DroppingConsumer(), Counters())
    await receiver.start()
    await _until_told(receiver.grpc_port, receiver.http_port)
    await receiver.stop()


async def _serve_little(*, parses: bool) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
    for route in ROUTES:
        service, method = route.grpc_method.strip("/").split("/")
        deserializer = route.request_class.FromString if parses else None
        handler = grpc.unary_unary_rpc_method_handler(_answer, request_deserializer=deserializer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    http = _HttpServer(_App(parses=parses))
    await _until_told(grpc_port, await http.start())
    await http.stop()
    await server.stop(1)


async def _answer(message: Any, context: Any) -> bytes:
    return b""


class _App:
    """A raw ASGI application that reads a body to its end and answers as the receiver does."""

    def __init__(self, *, parses: bool) -> None:
        self._parses = parses
        self._classes = {route.http_path: route.request_class for route in ROUTES}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        chunks = []
        has_more = True
        while has_more:
            message = await receive()
            chunks.append(message.get("body", b""))
            has_more = message.get("more_body", False)
        body = b"".join(chunks)
        if self._parses:
            is_gzip = (b"content-encoding", b"gzip") in scope["headers"]
            self._classes[scope["path"]].FromString(gzip.decompress(body) if is_gzip else body)
        headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class _HttpServer(uvicorn.Server):
    """uvicorn with the receiver's choices, in this loop."""

    def __init__(self, app: _App) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                port=0,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )

    async def start(self) -> int:
        self._serving = asyncio.create_task(self._serve())
        while not self.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        self.should_exit = True
        await self._serving


async def _until_told(*ports: int) -> None:
    """Say where it listens, and then the CPU time whenever asked, until nobody can ask any more."""
    print(*ports, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(_serve_ours() if sys.argv[1] == "ours" else _serve_little(parses=sys.argv[1] == "parsing"))
