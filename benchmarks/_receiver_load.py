"""A process that sends ready-made requests to a receiver and measures what it hears: `sending` is its handle.

Every call names the transport, the port and what is sent; all of them are bounded in count and in time.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import uvloop

from benchmarks._receiver_requests import Request, request_of
from tests.support.frames import grpc_frames

LANES = 8
WARM_UP_S = 0.1
ANSWER_S = 20

Answer = dict[str, Any]
Send = Callable[[], Awaitable[None]]


@asynccontextmanager
async def sending() -> AsyncIterator[Callable[..., Awaitable[Answer]]]:
    """Start the process; what is yielded takes a command with its arguments and returns its answer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._receiver_load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    async def command(name: str, **arguments: Any) -> Answer:
        stdin.write(json.dumps({"name": name, **arguments}).encode() + b"\n")
        line = await stdout.readline()
        if not line:
            raise RuntimeError(f"the sending process ended while it did `{name}`")
        answer: Answer = json.loads(line)
        return answer

    try:
        yield command
    finally:
        stdin.close()
        await process.wait()


async def _closed(transport: str, port: int, what: str, seconds: float) -> Answer:
    """Send over `LANES` connections, on each the next request when the last is answered."""
    request = request_of(what)
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(_connection(transport, port, request)) for _ in range(LANES)]
        await asyncio.gather(*(_repeat(send, time.perf_counter() + WARM_UP_S) for send in lanes))
        await _told_to_go()
        began = time.perf_counter()
        counts = await asyncio.gather(*(_repeat(send, began + seconds) for send in lanes))
        elapsed_s = time.perf_counter() - began
    return {"requests": sum(counts), "items": sum(counts) * request.items, "elapsed_s": elapsed_s}


async def _repeat(send: Send, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await send()
        count += 1
    return count


async def _paced(transport: str, port: int, what: str, per_s: float, seconds: float) -> Answer:
    """Send at a steady pace whatever comes back; return the latencies in seconds, from when a request was due."""
    request = request_of(what)
    latencies_s: list[float] = []
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(_connection(transport, port, request)) for _ in range(LANES * 4)]
        free = asyncio.Queue[Send]()
        for lane in lanes:
            await lane()
            free.put_nowait(lane)

        async def send(due: float) -> None:
            lane = await free.get()
            await lane()
            latencies_s.append(time.perf_counter() - due)
            free.put_nowait(lane)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(math.ceil(per_s * seconds)):
                due = began + number / per_s
                await asyncio.sleep(due - time.perf_counter())
                tasks.create_task(send(due))
    latencies_s.sort()
    return {"p50_s": latencies_s[len(latencies_s) // 2], "p99_s": latencies_s[len(latencies_s) * 99 // 100]}


async def _held(transport: str, port: int, what: str, connections: int) -> Answer:
    """Open connections, send one request over each, and keep them until told."""
    request = request_of(what)
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            send = await stack.enter_async_context(_bare_connection(transport, port, request))
            await send()
        await _told_to_go()
    return {}


async def _told_to_go() -> None:
    """Say that everything is prepared, and wait for whatever is said next."""
    print("{}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def _connection(transport: str, port: int, request: Request) -> Any:
    return _grpc_connection(port, request) if transport == "grpc" else _http_connection(port, request)


@asynccontextmanager
async def _grpc_connection(port: int, request: Request) -> AsyncIterator[Send]:
    compression = grpc.Compression.Gzip if request.is_gzip else grpc.Compression.NoCompression
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options, compression=compression) as channel:
        call = channel.unary_unary(request.grpc_method)  # type: ignore[call-arg]  # the stubs lack defaults

        async def send() -> None:
            await call(request.body, timeout=ANSWER_S)

        yield send


@asynccontextmanager
async def _http_connection(port: int, request: Request) -> AsyncIterator[Send]:
    body = gzip.compress(request.body) if request.is_gzip else request.body
    lines = [f"POST {request.http_path} HTTP/1.1", "host: receiver", f"content-type: {request.content_type}"]
    lines += [f"content-length: {len(body)}", *(["content-encoding: gzip"] if request.is_gzip else [])]
    sent = "\r\n".join([*lines, "\r\n"]).encode() + body
    answer_bytes = b"{}" if request.content_type == "application/json" else b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        writer.write(sent)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n" + answer_bytes), ANSWER_S)
        assert answer.startswith(b"HTTP/1.1 200"), answer

    yield send
    writer.close()


def _bare_connection(transport: str, port: int, request: Request) -> Any:
    return _bare_grpc_connection(port, request) if transport == "grpc" else _http_connection(port, request)


@asynccontextmanager
async def _bare_grpc_connection(port: int, request: Request) -> AsyncIterator[Send]:
    """A connection that takes hardly any memory here, for a single call."""
    frames = grpc_frames(request.grpc_method, request.body, is_compressed=False, metadata={})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        writer.write(frames)
        while b"grpc-status" not in await asyncio.wait_for(reader.read(65536), ANSWER_S):
            pass

    yield send
    writer.close()


async def _main() -> None:
    commands = {"closed": _closed, "paced": _paced, "held": _held}
    while line := await asyncio.to_thread(sys.stdin.readline):
        arguments = json.loads(line)
        print(json.dumps(await commands[arguments.pop("name")](**arguments)), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
