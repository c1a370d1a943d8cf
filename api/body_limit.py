"""A bound on what a request may bring along: what the API takes is small, and nobody may fill the memory through it.

Wrapped around the whole app; pages send more than rules do, but not this much.
"""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem

MAX_BODY_BYTES: Final = 2_000_000
_REFUSAL: Final = f"a request may bring {MAX_BODY_BYTES} bytes at most"


class BodyLimit:
    """ASGI middleware that has a longer body answered with 413, whether its length was told beforehand or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > MAX_BODY_BYTES:
            await problem(413, _REFUSAL)(scope, receive, send)
            return
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, _REFUSAL)
            return message

        await self._app(scope, receive_some, send)
