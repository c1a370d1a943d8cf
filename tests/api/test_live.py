"""`WS /api/v1/live` of a running ModelWatch: the documents of the routes, whenever they change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = 'モデル "x" & co'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with embedded_system(tmp_path_factory.mktemp("live")) as running:
        await send(running, "shop", 4)
        await send(running, HOSTILE, 1)
        yield running


async def send(system: System, service: str, count: int) -> None:
    body = trace_request(server_spans(count, end_ns=time.time_ns() - 10**9), resource(service)).SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    url = f"http://127.0.0.1:{system.http_port}/v1/traces"

    async def is_taken() -> bool:
        async with httpx.AsyncClient(timeout=20) as client:
            return (await client.post(url, content=body, headers=headers)).status_code == 200

    await eventually(is_taken, timeout_s=30, interval_s=0.5, what="the spans are taken")


def live(system: System, **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{system.web_port}/api/v1/live", open_timeout=30, **options)


async def hear(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(socket.recv(), 30)))


async def hear_calls(socket: ClientConnection, wish_id: str, calls: int) -> dict[str, Any]:
    """Return the first answer to a subscription in which this many calls are counted."""
    while True:
        heard = await hear(socket)
        if heard["id"] == wish_id and heard["document"]["total"]["calls"] == calls:
            return heard


async def test_the_document_is_that_of_the_route(system: System) -> None:
    """Of a window that is over, so that both speak of the same."""
    path = f"/api/v1/services?window=1h&end={int(time.time()) + 1}"
    async with live(system) as socket:
        await socket.send(json.dumps({"subscribe": path, "id": "all"}))
        heard = await hear(socket)
    async with httpx.AsyncClient() as client:
        told = (await client.get(f"{system.url}{path}")).json()
    assert (heard["id"], heard["status"]) == ("all", 200)
    assert heard["document"]["items"] == told["items"]
    assert heard["document"].keys() == told.keys()


async def test_what_comes_is_heard_without_asking(system: System) -> None:
    """A service that is called anew is told of again, and a name in any letters can be asked for as it is."""
    async with live(system) as socket:
        await socket.send(
            json.dumps({"subscribe": f"/api/v1/services?window=1h&service={HOSTILE.replace('&', '%26')}", "id": "x"})
        )
        before = await hear(socket)
        calls = before["document"]["total"]["calls"]
        await send(system, HOSTILE, 3)
        assert (await hear_calls(socket, "x", calls + 3))["document"]["items"][0]["service"] == HOSTILE


async def test_one_question_of_many_is_asked_once(system: System) -> None:
    """Ten clients with the same question share one producer, which ends with the last of them."""

    async def questions() -> float:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"{system.url}/metrics")).text
        return float(
            next(line for line in text.splitlines() if line.startswith("modelwatch_live_questions ")).split()[1]
        )

    sockets = [await live(system) for _ in range(10)]
    try:
        for socket in sockets:
            await socket.send(json.dumps({"subscribe": "/api/v1/alerts"}))
        for socket in sockets:
            assert (await hear(socket))["id"] == "/api/v1/alerts"
        assert await questions() == 1
    finally:
        for socket in sockets:
            await socket.close()
    await eventually(lambda: _is_zero(questions), what="nobody asks any more")


async def _is_zero(read: Any) -> bool:
    return bool(await read() == 0)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("no json", "Invalid JSON"),
        ('{"subscribe": "/api/v1/services", "unsubscribe": "a"}', "either subscribe or unsubscribe"),
        ('{"subscribe": "/readyz"}', "begins with /api/v1/"),
        ('{"subscribe": "http://example.com/api/v1/services"}', "begins with /api/v1/"),
        ('{"subscribe": "/api/v1/live"}', "the WebSocket itself"),
        ('{"subscribe": "/api/v1/services", "interval_s": 0.01}', "greater than or equal to 1"),
    ],
)
async def test_a_mistake_is_said_and_ends_nothing(system: System, said: str, answer: str) -> None:
    """The connection goes on, and takes the next message."""
    async with live(system) as socket:
        await socket.send(said)
        assert answer in (await hear(socket))["error"]
        await socket.send(json.dumps({"subscribe": "/api/v1/services", "id": "next"}))
        assert (await hear(socket))["id"] == "next"


async def test_a_question_at_fault_is_answered_once(system: System) -> None:
    """With the problem of the route and its status; then it is no subscription any more."""
    async with live(system) as socket:
        await socket.send(json.dumps({"subscribe": "/api/v1/red?step=soon", "id": "bad"}))
        heard = await hear(socket)
        assert (heard["status"], heard["document"]["errors"][0]["parameter"]) == (422, "step")
        await socket.send(json.dumps({"subscribe": "/api/v1/nothing", "id": "gone"}))
        assert (await hear(socket))["status"] == 404


async def test_a_subscription_can_be_left(system: System) -> None:
    """And what is subscribed to under an id that is taken takes its place."""
    async with live(system) as socket:
        await socket.send(json.dumps({"subscribe": "/api/v1/services?window=1h", "id": "a"}))
        assert "total" in (await hear(socket))["document"]
        await socket.send(json.dumps({"subscribe": "/api/v1/silences", "id": "a"}))
        while "total" in (heard := await hear(socket))["document"]:
            pass
        assert heard["document"] == {"items": [], "next_cursor": None}
        await socket.send(json.dumps({"unsubscribe": "a"}))
        await send(system, "shop", 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 2.5)


async def test_subscriptions_and_messages_are_bounded(system: System) -> None:
    """A twenty-first subscription is refused in words, a message of 5 kB ends the connection."""
    async with live(system) as socket:
        for number in range(21):
            await socket.send(json.dumps({"subscribe": "/api/v1/silences", "id": str(number)}))
        heard = [await hear(socket) for _ in range(21)]
        assert sum("a connection may have 20" in one.get("error", "") for one in heard) == 1
        await socket.send("x" * 5_000)
        with pytest.raises(ConnectionClosed) as closed:
            await _hear_all(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def _hear_all(socket: ClientConnection) -> None:
    while True:
        await hear(socket)


async def test_a_page_of_another_origin_is_refused(system: System) -> None:
    """A browser says where the page is from; others than ours may not look."""
    with pytest.raises(InvalidStatus) as refused:
        await live(system, origin="http://evil.example")
    assert refused.value.response.status_code == 403
