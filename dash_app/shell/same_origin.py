"""Keeps foreign web pages from doing anything here in the name of somebody who visits them.

An ASGI middleware around the app: what the pages ask and change goes to one path of Dash's, and a browser says for
which page it sends a request. The API has the same rule for its own routes.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from access.client import is_foreign

_PATH: Final = "/_dash-update-component"


class SameOrigin:
    """Answers 403 to callbacks that a browser sends for a page of another origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _PATH and _asks_for_another(Headers(scope=scope)):
            answer = PlainTextResponse("a page of another origin may not do anything here", 403)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _asks_for_another(headers: Headers) -> bool:
    return is_foreign(headers, headers.get("host", ""))
