"""Cross-origin requests: which web pages may send OTLP/HTTP (Fetch standard, section "CORS protocol").

Around `http_app` if the settings list any origin. The key stays what lets a request in; this only tells browsers which
pages may send one, and hear the answer. Cookies and client certificates are never allowed along.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from otlp_receiver.http_app import Message, Receive, Scope, Send
from otlp_receiver.settings import ReceiverSettings

_SENT_HEADERS: Final = ("authorization", "content-encoding", "content-type", "x-modelwatch-key")
_MAX_AGE_S: Final = 600

_Headers = list[tuple[bytes, bytes]]
_App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Cors:
    """Answers preflights, which carry no key, and marks the answers to all other requests, errors included."""

    def __init__(self, app: _App, settings: ReceiverSettings) -> None:
        self._app = app
        self._origins = frozenset(settings.cors_allowed_origins)
        self._preflight: _Headers = [
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", ", ".join((*_SENT_HEADERS, *settings.cors_allowed_headers)).encode()),
            (b"access-control-max-age", str(_MAX_AGE_S).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        requested = dict(scope["headers"])
        origin = requested.get(b"origin", b"").decode("latin-1").lower()
        marks = self._marks(origin)
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in requested:
            headers = marks + self._preflight if self._is_allowed(origin) else marks
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body"})
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        await self._app(scope, receive, send_marked)

    def _is_allowed(self, origin: str) -> bool:
        return "*" in self._origins or origin in self._origins

    def _marks(self, origin: str) -> _Headers:
        if "*" in self._origins:
            marks = [(b"access-control-allow-origin", b"*")]
        elif origin in self._origins:
            marks = [(b"access-control-allow-origin", origin.encode()), (b"vary", b"origin")]
        else:
            return [(b"vary", b"origin")]
        return [*marks, (b"access-control-expose-headers", b"retry-after")]
