"""FastAPI within a plain ASGI function, as hand-written dispatchers and many third-party middlewares do it."""

from __future__ import annotations

from fastapi_app import app as inner
from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await inner(scope, receive, send)
