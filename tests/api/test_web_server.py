"""uvicorn as a component: it starts when it says so, stops in bounded time, and explains itself."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from api.web_server import WebServer
from telemetry import StartError
from tests.support.ports import free_port

SETTING = "MODELWATCH_API__PORT"


def make_app() -> Starlette:
    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    async def endless(request: Request) -> Response:
        async def body() -> Any:
            while True:
                yield b"x"
                await asyncio.sleep(0.05)

        return StreamingResponse(body())

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return Starlette(routes=[Route("/", hello), Route("/endless", endless), WebSocketRoute("/ws", echo)])


async def get(port: int, path: str = "/") -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}{path}")).text


async def test_it_starts_and_stops_and_starts_and_stops() -> None:
    """Ready when start returns, gone when stop does, as often as wanted, and twice is once."""
    port = free_port()
    server = WebServer(make_app(), "127.0.0.1", port, SETTING)
    for _ in range(2):
        await server.start()
        await server.start()
        assert await get(port) == "hello"
        await server.stop()
        await server.stop()
        with pytest.raises(httpx.ConnectError):
            await get(port)


async def test_port_zero_takes_a_free_port_and_tells_which() -> None:
    """`.port` is the port that was bound."""
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING)
    await server.start()
    try:
        assert server.port > 0
        assert await get(server.port) == "hello"
    finally:
        await server.stop()


async def test_a_taken_port_is_one_line_that_names_port_and_setting() -> None:
    """And the port's owner is not disturbed."""
    first = WebServer(make_app(), "127.0.0.1", 0, SETTING)
    await first.start()
    try:
        second = WebServer(make_app(), "127.0.0.1", first.port, SETTING)
        with pytest.raises(StartError) as caught:
            await second.start()
        assert str(caught.value) == f"port {first.port} is taken: set MODELWATCH_API__PORT"
        assert await get(first.port) == "hello"
    finally:
        await first.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test"])
async def test_an_address_off_loopback_is_refused_without_consent(host: str) -> None:
    """There is no login, so that only this machine may ask."""
    with pytest.raises(StartError) as caught:
        await WebServer(make_app(), host, 0, SETTING).start()
    assert str(caught.value) == (
        f"{host} is not loopback and there is no login: set MODELWATCH_API__HOST=127.0.0.1, or "
        "MODELWATCH_API__ALLOW_UNAUTHENTICATED=true if something in front checks who comes in"
    )


async def test_an_address_off_loopback_is_taken_with_consent() -> None:
    """`allow_unauthenticated` is the consent."""
    server = WebServer(make_app(), "0.0.0.0", 0, SETTING, allow_unauthenticated=True)
    await server.start()
    try:
        assert await get(server.port) == "hello"
    finally:
        await server.stop()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
async def test_every_loopback_address_is_taken(host: str) -> None:
    """IPv6 included, where the machine has it."""
    if host == "::1" and not _has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback")
    server = WebServer(make_app(), host, 0, SETTING)
    await server.start()
    await server.stop()


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_an_address_that_cannot_be_had_names_the_setting() -> None:
    """An address of another machine, and a name that is none."""
    for host, words in (("192.0.2.1", "cannot listen on 192.0.2.1:"), ("no.such.host.invalid", "is no address")):
        with pytest.raises(StartError, match=words) as caught:
            await WebServer(make_app(), host, 0, SETTING, allow_unauthenticated=True).start()
        assert "MODELWATCH_API__HOST" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_an_app_that_does_not_start_is_a_start_error_and_frees_the_port() -> None:
    """A failing lifespan ends the start, not the process."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    port = free_port()
    with pytest.raises(StartError, match="did not start"):
        await WebServer(broken, "127.0.0.1", port, SETTING).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


async def test_the_apps_lifespan_runs_around_the_serving() -> None:
    """Started before the first request, shut down after the last, each time."""
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        while True:
            kind = (await receive())["type"]
            events.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    server = WebServer(app, "127.0.0.1", 0, SETTING)
    for _ in range(2):
        await server.start()
        await server.stop()
    assert events == ["lifespan.startup", "lifespan.shutdown"] * 2


async def test_signal_handlers_stay_those_of_the_process() -> None:
    """Whoever runs the process decides what SIGTERM and Ctrl-C mean."""
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING)
    await server.start()
    during = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    await server.stop()
    assert before == during


async def test_an_idle_connection_does_not_hold_up_the_stop() -> None:
    """Keep-alive connections are closed at once."""
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING)
    await server.start()
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/")
        began = time.monotonic()
        await server.stop()
    assert time.monotonic() - began < 1.5


async def test_an_open_websocket_is_told_and_closed() -> None:
    """A page's WebSocket ends with the code for a restart, well within the grace."""
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING)
    await server.start()
    async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"
        began = time.monotonic()
        await server.stop()
        await websocket.wait_closed()
        assert websocket.close_code == 1012
    assert time.monotonic() - began < 2.5


async def test_a_client_that_never_lets_go_is_cut_off_after_the_grace() -> None:
    """Neither an endless answer nor a WebSocket that answers no close keeps the process from ending."""
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING, shutdown_s=1)
    await server.start()
    endless = await open_stream(server.port, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    silent = await open_stream(server.port, upgrade)
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 4
    for reader, writer in (endless, silent):
        # The server's end of the connection is closed, one way or the other.
        try:
            await asyncio.wait_for(reader.read(), 2)
        except ConnectionError:
            pass
        writer.close()


async def open_stream(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    assert await reader.read(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
    return reader, writer
