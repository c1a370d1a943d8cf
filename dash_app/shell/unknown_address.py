"""What a browser is shown at an address that nothing is at: a small page with the ways on, in place of JSON.

An ASGI middleware around the app; the paths of the API and whoever does not ask for HTML keep their answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dash_app.shared.names import visible
from dash_app.shell.page import Page

_API: Final = "/api"
_LONGEST: Final = 200
_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "vary": "accept",
}
_DOCUMENT: Final = """<!DOCTYPE html>
<html lang="en" data-mantine-color-scheme="dark">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Not found · ModelWatch</title>
    <link rel="icon" type="image/svg+xml" href="{base}/assets/logo.svg">
    <script src="{base}/assets/color-scheme.js"></script>
    <link rel="stylesheet" href="{base}/assets/theme.css">
    <link rel="stylesheet" href="{base}/assets/account.css">
  </head>
  <body>
    <main class="unknown-address">
      <h1>There is no page at {path}</h1>
      <nav aria-label="Pages">{links}</nav>
    </main>
  </body>
</html>"""


class UnknownAddress:
    """Puts the page in the place of a 404 that a navigation got; its links lead to `pages` below `base_path`."""

    def __init__(self, app: ASGIApp, pages: Sequence[Page], base_path: str) -> None:
        self._app = app
        self._base_path = base_path
        self._links = " ".join(f'<a href="{base_path}{page.path}">{escape(page.title)}</a>' for page in pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_navigation(scope):
            await self._app(scope, receive, send)
            return

        is_unknown = False

        async def send_readable(message: Message) -> None:
            nonlocal is_unknown
            if message["type"] == "http.response.start" and message["status"] == 404:
                is_unknown = True
                await self._answer(scope["path"])(scope, receive, send)
            elif not is_unknown:
                await send(message)

        await self._app(scope, receive, send_readable)

    def _answer(self, path: str) -> HTMLResponse:
        shown = path if len(path) <= _LONGEST else f"{path[: _LONGEST - 1]}…"
        text = _DOCUMENT.format(base=self._base_path, path=escape(visible(shown)), links=self._links)
        return HTMLResponse(text, 404, _HEADERS)


def _is_navigation(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or f"{scope['path']}/".startswith(f"{_API}/"):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")
