"""Ten times more than the next stage takes: quick refusals, bounded waiting, bounded memory, and a quick recovery."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest

from telemetry import Signal
from telemetry.batch import batch_id_of
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import EXPORT_TRACES
from tests.support.slow_receiver import REFUSALS_PER_BATCH
from tests.support.waiting import eventually

SENDERS, IN_FLIGHT = 50, 25
REFUSALS = 900
"""With those refused the load ends; a ninth as many requests were taken by then."""
ENOUGH_S = 10.0
"""What SDKs wait; some hundred requests are answered while an accepted one waits for its turn."""
MIB = 1024 * 1024


@dataclass
class SlowReceiver:
    process: Process
    grpc_port: int
    http_port: int

    def hurry(self) -> None:
        """Let its consumer take everything from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def report(self) -> dict[str, Any]:
        """Let it end, and return what it says of itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        out, _ = await asyncio.wait_for(self.process.communicate(), 20)
        report: dict[str, Any] = json.loads(out)
        return report


@pytest.fixture
async def slow_receiver() -> AsyncIterator[SlowReceiver]:
    settings = {"grpc_port": 0, "http_port": 0, "max_in_flight_requests": IN_FLIGHT}
    command = [sys.executable, "-m", "tests.support.slow_receiver", json.dumps(settings)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        ports = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        yield SlowReceiver(process, **ports)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(frozen=True)
class Heard:
    """One request, what it was answered, and when."""

    body: bytes
    is_accepted: bool
    has_hint: bool
    took_s: float


class HttpLine:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, body: bytes) -> tuple[bool, bool]:
        """Return whether the request was accepted, and if not, whether the refusal says when to try again."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        assert answer.startswith((b"http/1.1 200", b"http/1.1 503")), answer
        return answer.startswith(b"http/1.1 200"), b"\r\nretry-after: 1\r\n" in answer

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class GrpcLine:
    """One connection of its own."""

    def __init__(self, port: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._export = self._channel.unary_unary(EXPORT_TRACES)

    async def send(self, body: bytes) -> tuple[bool, bool]:
        try:
            await self._export(body, timeout=30)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False, "google.rpc.retryinfo-bin" in dict(error.trailing_metadata())
        return True, False

    async def close(self) -> None:
        await self._channel.close()


def line_of(transport: str, receiver: SlowReceiver) -> HttpLine | GrpcLine:
    return GrpcLine(receiver.grpc_port) if transport == "grpc" else HttpLine(receiver.http_port)


def body_of(number: int) -> bytes:
    """Return a request of about 2 KiB that no other is equal to."""
    return trace_request(server_spans(10, end_ns=10**18 + number)).SerializeToString()


class Load:
    """Many senders at once, each sending the next request as soon as it has heard about the last."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._numbers = itertools.count()

    @property
    def refused(self) -> list[Heard]:
        return [one for one in self.heard if not one.is_accepted]

    @property
    def accepted(self) -> list[Heard]:
        return [one for one in self.heard if one.is_accepted]

    async def send(self, line: HttpLine | GrpcLine) -> bool:
        """Send one request; return whether it was accepted."""
        body = body_of(next(self._numbers))
        began = time.monotonic()
        is_accepted, has_hint = await line.send(body)
        self.heard.append(Heard(body, is_accepted, has_hint, time.monotonic() - began))
        return is_accepted

    async def keep_sending(self, line: HttpLine | GrpcLine) -> None:
        """Send until enough were refused, with a short pause after each refusal."""
        while len(self.refused) < REFUSALS:
            if not await self.send(line):
                await asyncio.sleep(0.02)


async def peak_rss(process: psutil.Process, while_running: asyncio.Future[Any]) -> int:
    peak = 0
    while not while_running.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.wait({while_running}, timeout=0.05)
    return peak


async def test_ten_times_too_much_is_refused_quickly_and_soon_over(slow_receiver: SlowReceiver, transport: str) -> None:
    """Every request is answered; exactly those accepted are stored, once; the rest is refused with a hint, and counted.

    Accepted ones wait a bounded time, the process grows by less than 64 MiB, and right after it requests pass again.
    """
    lines = [line_of(transport, slow_receiver) for _ in range(SENDERS)]
    for line in lines:
        await line.send(b"")
    process, load = psutil.Process(slow_receiver.process.pid), Load()
    before = process.memory_info().rss
    sending = asyncio.gather(*(load.keep_sending(line) for line in lines))
    measuring = asyncio.create_task(peak_rss(process, sending))
    await eventually(lambda: len(load.refused) >= REFUSALS, timeout_s=60)
    taken_by_then = len(load.accepted)
    slow_receiver.hurry()
    await sending
    grown = await measuring - before
    await eventually(lambda: load.send(lines[0]), timeout_s=5)
    for _ in range(20):
        assert await load.send(lines[0]), "it has recovered"
    for line in lines:
        await line.close()
    report = await slow_receiver.report()

    assert 0 < taken_by_then <= len(load.refused) / REFUSALS_PER_BATCH
    assert all(one.has_hint for one in load.refused)
    assert report["refused_requests"] == len(load.refused)
    accepted_ids = [batch_id_of(Signal.TRACES, one.body).hex() for one in load.accepted]
    assert sorted(accepted_ids) == sorted(report["batch_ids"])
    assert max(one.took_s for one in load.accepted) < ENOUGH_S
    assert sum(one.took_s for one in load.refused) / len(load.refused) < 1.0
    assert grown < 64 * MIB
