"""The paths of the pages: each begins with the one document, and with headers that keep everything on this machine.

An ASGI middleware around the app; it touches only the paths of the pages, not the API. What the page is going to ask is
begun to be answered while the browser still loads it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.status import HTTP_200_OK
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Prepare = Callable[[str, str], Awaitable[None]]

_MOST_PREPARED_AT_ONCE: Final = 2


def content_security_policy(script_hashes: Sequence[str]) -> str:
    """Return the policy: everything from here, the inline scripts with these hashes, no `eval`.

    Inline styles must be allowed: Plotly and AG Grid write their style sheets into the page.
    """
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class PageDocuments:
    """Answers `paths` with the document at "/", in which the browser shows the page that belongs to the path.

    The policy and its kin say what the browser may load and run. `prepare` is called with the path and the search of a
    document that was sent to somebody who may have it; it must not raise.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], policy: str, prepare: Prepare) -> None:
        self._app = app
        self._paths = paths
        self._prepare = prepare
        self._prepared = 0
        self._headers = {
            "content-security-policy": policy,
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return

        is_sent = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_sent
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
                is_sent = message["status"] == HTTP_200_OK and scope["method"] == "GET"
            await send(message)

        await self._app({**scope, "path": "/", "raw_path": b"/"}, receive, send_with_headers)
        if is_sent and self._prepared < _MOST_PREPARED_AT_ONCE:
            self._prepared += 1
            try:
                await self._prepare(scope["path"], scope["query_string"].decode("latin-1"))
            finally:
                self._prepared -= 1
