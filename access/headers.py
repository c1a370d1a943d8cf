"""Headers that keep browsers from doing more with an answer than show it.

Wrapped around everything, the guard included; what only pages need is theirs to add.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from access.client import client_of, is_loopback_host
from access.settings import Network

_EVERYWHERE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`, with which a form of our own would say that it comes from nowhere.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_ON_DATA: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_ON_ASSETS: Final = {"Cache-Control": "no-cache"}
_ASSETS: Final = ("/assets/", "/_dash-component-suites/")


class SecurityHeaders:
    """ASGI middleware that adds each header which an answer does not have yet."""

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network] = (), hsts_max_age_s: int = 0) -> None:
        self._app = app
        self._hsts = f"max-age={hsts_max_age_s}" if hsts_max_age_s else ""
        self._trusted = tuple(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = {**_EVERYWHERE, **(_ON_ASSETS if scope["path"].startswith(_ASSETS) else _ON_DATA)}
        client = client_of(scope, self._trusted)
        if client.is_secure and self._hsts:
            wanted["Strict-Transport-Security"] = self._hsts
        if client.is_secure or is_loopback_host(client.host):
            wanted["Cross-Origin-Opener-Policy"] = "same-origin"  # elsewhere browsers complain about it

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
