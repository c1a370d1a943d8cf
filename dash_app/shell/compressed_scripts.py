"""Scripts and styles in a quarter of their bytes: compressed once, and kept for everybody who opens a page.

An ASGI middleware around the app; it touches only the files of Dash and of the pages, which are the same for all.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.status import HTTP_200_OK
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FOLDERS: Final = ("/_dash-component-suites/", "/assets/")
_KINDS: Final = ("text/javascript", "application/javascript", "text/css", "application/json", "image/svg+xml")
_LEVEL: Final = 6
_WORTH_COMPRESSING_BYTES: Final = 1_024
_MOST_KEPT: Final = 256
"""More files than there are, at three megabytes in all."""

_Key = tuple[str, str, str]


class CompressedScripts:
    """Compresses the files of `_FOLDERS` for browsers that take it; what the app answers otherwise goes through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[_Key, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_asked_for(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_worthwhile(message):
                start = message
            elif start is None or message["type"] != "http.response.body":
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    await self._send(scope["path"], start, b"".join(parts), send)

        # Without the extensions of the server, of which one would send a file past this.
        await self._app({**scope, "extensions": {}}, receive, send_compressed)

    async def _send(self, path: str, start: Message, body: bytes, send: Send) -> None:
        headers = MutableHeaders(raw=start["headers"])
        # A file that was changed has another of these.
        key = (path, headers.get("etag", ""), headers.get("content-length", ""))
        compressed = self._kept.get(key)
        if compressed is None:
            compressed = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
            if len(self._kept) < _MOST_KEPT:
                self._kept[key] = compressed
        headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(compressed))
        headers.add_vary_header("accept-encoding")
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": compressed})


def _is_asked_for(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"].startswith(_FOLDERS)
        and "gzip" in Headers(scope=scope).get("accept-encoding", "")
    )


def _is_worthwhile(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == HTTP_200_OK
        and headers.get("content-type", "").startswith(_KINDS)
        and "content-encoding" not in headers
        and int(headers.get("content-length", _WORTH_COMPRESSING_BYTES)) >= _WORTH_COMPRESSING_BYTES
    )
