"""The base path: taken off what comes in, put before where answers lead, and nothing else is touched."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from api.base_path import BasePath
from api.web_server import WebServer
from tests.api.conftest import Served


async def _tell(request: Request) -> Response:
    return JSONResponse({"path": request.scope["path"], "raw": (request.scope["raw_path"] or b"").decode()})


async def _lead(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], 303)


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.scope["path"])
    await websocket.close()


def make_app() -> BasePath:
    routes = [Route("/lead", _lead), WebSocketRoute("/ws", _echo), Route("/{path:path}", _tell)]
    return BasePath(Starlette(routes=routes), "/tools/mw")


async def ask(path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app()), base_url="http://mw.test") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/tools/mw/", "/"),
        ("/tools/mw/alerts", "/alerts"),
        ("/tools/mw/tools/mw/x", "/tools/mw/x"),
        ("/tools/mw/a%2Fb", "/a/b"),
        ("/alerts", "/alerts"),
        ("/tools/mwx/alerts", "/tools/mwx/alerts"),
        ("/tools", "/tools"),
    ],
)
async def test_it_is_taken_off_once_and_only_whole(asked: str, seen: str) -> None:
    """A path that only begins alike is another one; what has none is seen as it is."""
    found = (await ask(asked)).json()
    assert found["path"] == seen
    assert httpx.URL(f"http://mw.test{found['raw']}").path == seen


@pytest.mark.parametrize(
    ("to", "location"),
    [("/login?next=/a", "/tools/mw/login?next=/a"), ("https://other.example/", "https://other.example/")],
)
async def test_ways_of_ours_lead_below_it(to: str, location: str) -> None:
    """Those to other hosts are left alone."""
    answer = await ask(f"/tools/mw/lead?to={quote(to, safe='')}")
    assert answer.headers["location"] == location


async def test_without_its_slash_it_leads_to_itself() -> None:
    """So that links within a page are right, with the query."""
    answer = await ask("/tools/mw?range=1h")
    assert (answer.status_code, answer.headers["location"]) == (308, "/tools/mw/?range=1h")


async def test_websockets_come_through() -> None:
    """Below it, and without it."""
    server = WebServer(make_app(), "127.0.0.1", 0, "MODELWATCH_API__PORT")
    await server.start()
    for path in ("/tools/mw/ws", "/ws"):
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as socket:
            assert await socket.recv() == "/ws"
    await server.stop()


async def test_a_slash_too_many_is_another_path(served: Served) -> None:
    """It is not led to an address that a proxy in front knows nothing of."""
    async with served.client() as client:
        assert (await client.get("/healthz/")).status_code == 404
