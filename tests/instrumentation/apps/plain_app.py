"""An ASGI application without a framework: answers with its process id, streams, or raises, by path."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["path"] == "/broken":
        raise ValueError("not a number")
    status = 404 if scope["path"] == "/missing" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    if scope["path"] == "/stream/broken":
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise ValueError("lost the thread")
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
