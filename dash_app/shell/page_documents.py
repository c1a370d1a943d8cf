"""The paths of the pages: each begins with the one document, and with headers that keep everything on this machine.

An ASGI middleware around the app; it touches only the paths of the pages, not the API.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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

    The policy and its kin say what the browser may load and run.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], policy: str) -> None:
        self._app = app
        self._paths = paths
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

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app({**scope, "path": "/", "raw_path": b"/"}, receive, send_with_headers)
