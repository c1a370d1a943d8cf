"""Keeps foreign web pages from doing anything here in the name of somebody who visits them.

An ASGI middleware around the app: what the pages ask and change goes to one path of Dash's, and a browser says for
which page it sends a request. The API has the same rule for its own routes.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_OWN: Final = frozenset({"same-origin", "none"})
_PATH: Final = "/_dash-update-component"


class SameOrigin:
    """Answers 403 to callbacks that a browser sends for a page of another origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _PATH and is_foreign(Headers(scope=scope)):
            answer = PlainTextResponse("a page of another origin may not do anything here", 403)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_foreign(headers: Headers) -> bool:
    """Tell whether a browser says that another origin's page sends this; others than browsers say nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN:
        return True
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")
