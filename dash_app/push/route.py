"""The path of the WebSockets of open pages: who may connect, and how many at once.

Mounted by `component.py` beside Dash's own paths.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from dash_app.push.connection import Connection, MayConnect
from dash_app.push.feed import Feed
from dash_app.settings import DashSettings
from dash_app.shell.answering import Answering, Asked, Document
from telemetry import Counters, NowNs
from telemetry.counters import CounterName

PATH: Final = "/_push"
_COUNTED: Final[tuple[CounterName, ...]] = (
    "pages_pushed_answers",
    "pages_sent_updates",
    "pages_sent_bytes",
    "pages_skipped_updates",
)


async def everybody(websocket: WebSocket) -> bool:
    """Let in whoever the guard let in, for as long as their session goes on."""
    identity = getattr(websocket.state, "user", None)
    return identity is None or bool(identity.is_current())


class PushRoute:
    """Serves the WebSockets; `may_connect` is asked at the start of each, and again while it is in use."""

    def __init__(
        self,
        answering: Answering,
        settings: DashSettings,
        counters: Counters,
        now_ns: NowNs,
        may_connect: MayConnect = everybody,
    ) -> None:
        self._answering = answering
        self._settings = settings
        self._counters = counters
        self._may_connect = may_connect
        self._feed = Feed(self._answer, now_ns)
        self._open = 0
        counters.declare("pages_refused_connections", reason=("access", "number"))
        for name in _COUNTED:
            counters.declare(name)
        counters.observe("pages_connections", lambda: self._open)
        counters.observe("pages_questions", lambda: self._feed.questions)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one WebSocket until it ends."""
        if not await self._may_connect(websocket):
            await self._refuse(websocket, 403, "access", "not allowed")
        elif self._open >= self._settings.max_connections:
            await self._refuse(websocket, 503, "number", "too many pages are connected; this one can ask by HTTP")
        else:
            self._open += 1
            try:
                await websocket.accept()
                parts = (self._feed, self._answering, self._settings, self._counters, self._may_connect)
                await Connection(websocket, *parts).run()
            finally:
                self._open -= 1

    async def _answer(self, asked: Asked) -> Document:
        self._counters.add("pages_pushed_answers")
        return await self._answering.answer(asked)

    async def _refuse(self, websocket: WebSocket, status: int, reason: str, words: str) -> None:
        self._counters.add("pages_refused_connections", reason=reason)
        await websocket.send_denial_response(PlainTextResponse(words, status))
