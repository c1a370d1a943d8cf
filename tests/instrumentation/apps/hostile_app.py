"""A FastAPI application behind Starlette's middleware that fails in ways that are hard to record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

HUGE_CHARS = 300_000

inner = FastAPI()


class UnprintableError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


@inner.middleware("http")
async def passing(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


async def _broken() -> AsyncIterator[bytes]:
    yield b"some"
    await asyncio.sleep(0)
    raise ValueError("lost the thread")


@inner.get("/stream/broken")
async def broken_stream() -> StreamingResponse:
    return StreamingResponse(_broken())


@inner.get("/unprintable")
async def unprintable() -> None:
    raise UnprintableError


@inner.get("/huge")
async def huge() -> None:
    raise ValueError("x" * HUGE_CHARS)


@inner.get("/items/{item_id}")
async def item(item_id: str) -> str:
    return item_id


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what begins with /silence by nothing at all, and cancel what begins with /cancelled."""
    if scope["type"] == "http" and scope["path"] == "/silence":
        return
    if scope["type"] == "http" and scope["path"] == "/cancelled":
        raise asyncio.CancelledError
    await inner(scope, receive, send)
