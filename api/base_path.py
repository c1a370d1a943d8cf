"""The path below which everything is seen from outside, where a reverse proxy shares one host name among programs.

An ASGI middleware around everything else, so that nothing within knows of it but what writes addresses for browsers.
Paths without it are answered too: a proxy may take it away, and health checks on this machine need none.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BasePath:
    """Takes `base_path`, such as "/modelwatch", off the paths of requests and puts it before where answers lead."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == self._base_path:
            query = scope["query_string"].decode("latin-1")
            place = f"{self._base_path}/{'?' + query if query else ''}"
            await RedirectResponse(place, 308)(scope, receive, send)
            return

        async def send_with_base(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                place = headers.get("location", "")
                if place.startswith("/"):
                    headers["location"] = self._base_path + place
            await send(message)

        await self._app(self._within(scope), receive, send_with_base)

    def _within(self, scope: Scope) -> Scope:
        base = self._base_path
        path: str = scope["path"]
        if not path.startswith(f"{base}/"):
            return scope
        raw = scope.get("raw_path")
        plain = {"raw_path": raw[len(base) :]} if raw and raw.startswith(base.encode()) else {"raw_path": None}
        return {**scope, "path": path[len(base) :], **plain}
