"""How fast the OTLP receiver takes requests: both transports, 512 typical spans each, with and without gzip.

The receiver runs in this process under uvloop, as in production, in front of a consumer that keeps nothing; one client
process sends ready-made bytes over eight connections. Beside the rates stands what matters for
sizing: spans per second of the receiver's own CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import uvloop

from benchmarks._requests import SPANS_PER_REQUEST, typical
from otlp_receiver.component import OtlpReceiver, build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters

CONCURRENCY = 8
SECONDS = 2.0

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_HEAD = (
    "POST /v1/traces HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/x-protobuf\r\n{}content-length: {}\r\n\r\n"
)


class _DroppingConsumer:
    async def consume(self, batch: Batch) -> None:
        pass


def run(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Return rows of `{"name", "value", "unit"}`."""
    return uvloop.run(_run(seconds))


async def _run(seconds: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for transport in ("grpc", "http"):
        for encoding in ("plain", "gzip"):
            rows += await _measure(transport, encoding, seconds)
    return rows


async def _measure(transport: str, encoding: str, seconds: float) -> list[dict[str, Any]]:
    # The client first: gRPC complains of processes that are made while its threads run.
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.receiver", transport, encoding, str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    async with _started() as receiver:
        port = receiver.grpc_port if transport == "grpc" else receiver.http_port
        client.stdin.write(f"{port}\n".encode())
        await client.stdout.readline()  # it is warm
        cpu_s = time.process_time()
        client.stdin.write(b"\n")
        requests, elapsed_s = map(float, (await client.stdout.readline()).split())
        cpu_s = time.process_time() - cpu_s
        await client.wait()
    name = f"receiver_{transport}_{encoding}"
    spans = requests * SPANS_PER_REQUEST
    return [
        {"name": f"{name}_requests", "value": round(requests / elapsed_s), "unit": "requests/s"},
        {"name": f"{name}_spans", "value": round(spans / elapsed_s), "unit": "spans/s"},
        {"name": f"{name}_spans_per_cpu", "value": round(spans / cpu_s), "unit": "spans/CPU s"},
    ]


@asynccontextmanager
async def _started() -> AsyncIterator[OtlpReceiver]:
    receiver = build(ReceiverSettings(grpc_port=0, http_port=0), _DroppingConsumer(), Counters())
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def _send(transport: str, encoding: str, seconds: float) -> None:
    """Be the client: read the port, warm up, say so, wait for a line, send for `seconds`, print what came of it."""
    body = typical(0, time.time_ns()).body
    is_gzip = encoding == "gzip"
    lane = _grpc_lane if transport == "grpc" else _http_lane
    port = int(await asyncio.to_thread(sys.stdin.readline))
    until = [time.perf_counter() + 0.5]
    await asyncio.gather(*(lane(port, body, is_gzip, until) for _ in range(CONCURRENCY)))
    print("warm", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.perf_counter()
    until[0] = started + seconds
    counts = await asyncio.gather(*(lane(port, body, is_gzip, until) for _ in range(CONCURRENCY)))
    print(sum(counts), time.perf_counter() - started, flush=True)


async def _grpc_lane(port: int, body: bytes, is_gzip: bool, until: list[float]) -> int:
    count = 0
    compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options, compression=compression) as channel:
        call = channel.unary_unary(_EXPORT)  # type: ignore[call-arg]  # the stubs lack defaults
        while time.perf_counter() < until[0]:
            await call(body)
            count += 1
    return count


async def _http_lane(port: int, body: bytes, is_gzip: bool, until: list[float]) -> int:
    count = 0
    sent = gzip.compress(body) if is_gzip else body
    request = _HEAD.format("content-encoding: gzip\r\n" if is_gzip else "", len(sent)).encode() + sent
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until[0]:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        count += 1
    writer.close()
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("transport")
    parser.add_argument("encoding")
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    uvloop.run(_send(arguments.transport, arguments.encoding, arguments.seconds))
