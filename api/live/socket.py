"""The WebSocket of `/api/v1/live`: what a client may say, and what it hears.

A client says `{"subscribe": "/api/v1/services?window=5m", "id": "a", "interval_s": 1}` and `{"unsubscribe": "a"}`; it
hears `{"id": "a", "status": 200, "document": {...}}`, where the document is that of the route.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from pydantic import BaseModel, Field, ValidationError, model_validator
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.live.feed import Feed, Listener, Picture, Question
from api.settings import ApiSettings
from telemetry import Counters

PATH: Final = "/api/v1/live"
_ALLOWED: Final = "/api/v1/"
_RECHECK_S: Final = 5.0
_POLICY_VIOLATION: Final = 1008
_TOO_BIG: Final = 1009
_LONGEST: Final = 4_096
_IN_QUERY: Final = "=&%+,:;/?@!$'()*~"
"""What has a meaning there; a letter that is none of ASCII is written as it has to be."""

Id = Annotated[str, Field(min_length=1, max_length=100)]


class Wish(BaseModel, extra="forbid"):
    """What a client says: one of the two."""

    subscribe: str | None = Field(None, max_length=2_000)
    unsubscribe: Id | None = None
    id: Id | None = None
    interval_s: float = Field(1.0, ge=1, le=3_600)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Wish:
        if (self.subscribe is None) == (self.unsubscribe is None):
            raise ValueError("say either subscribe or unsubscribe")
        return self

    def question(self) -> Question:
        """Return what is subscribed to. Raises `ValueError`."""
        parts = urlsplit(self.subscribe or "")
        if parts.scheme or parts.netloc or not parts.path.startswith(_ALLOWED) or not parts.path.isascii():
            raise ValueError(f"subscribe: give a path that begins with {_ALLOWED}, such as /api/v1/services?window=5m")
        if parts.path == PATH:
            raise ValueError("subscribe: this is the path of the WebSocket itself")
        return Question(parts.path, quote(parts.query, safe=_IN_QUERY), self.interval_s)


def add_live(app: FastAPI, settings: ApiSettings, counters: Counters) -> None:
    """Add the WebSocket to the app, whose own routes answer its questions; routes may be added afterwards."""
    # Past the middlewares, as whoever is connected has been let in already, and answers go through none of them twice.
    routes = ExceptionMiddleware(AsyncExitStackMiddleware(app.router), handlers=app.exception_handlers)
    live = Live(Feed(routes), settings, counters)
    app.router.routes.append(WebSocketRoute(PATH, live.serve))


class Live:
    """Serves the connections."""

    def __init__(self, feed: Feed, settings: ApiSettings, counters: Counters) -> None:
        self._feed = feed
        self._settings = settings
        self._open = 0
        self._counters = counters
        self._is_counted = False

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection until it ends. The guard in front has looked at origin, session and token."""
        self._count()
        if self._open >= self._settings.live_max_connections:
            self._counters.add("live_refused_connections")
            await websocket.send_denial_response(PlainTextResponse("too many are connected", 503))
            return
        self._open += 1
        try:
            await websocket.accept()
            await _Connection(websocket, self._feed, self._settings.live_max_subscriptions).run()
        finally:
            self._open -= 1

    def _count(self) -> None:
        """Show the figures from the first connection on; most never see one."""
        if not self._is_counted:
            self._is_counted = True
            self._counters.declare("live_refused_connections")
            self._counters.observe("live_connections", lambda: self._open)
            self._counters.observe("live_questions", lambda: self._feed.questions)


class _Connection:
    """One client: its subscriptions, and of each the latest answer that it has not been sent."""

    def __init__(self, websocket: WebSocket, feed: Feed, most: int) -> None:
        self._websocket = websocket
        self._feed = feed
        self._most = most
        self._subscriptions: dict[str, tuple[Question, Listener]] = {}
        self._unsent: dict[str, Picture] = {}
        self._is_something_unsent = asyncio.Event()

    async def run(self) -> None:
        tasks = [asyncio.create_task(one()) for one in (self._listen, self._tell, self._watch)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for wish_id in tuple(self._subscriptions):
                await self._unsubscribe(wish_id)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | RuntimeError):
                raise result

    async def _listen(self) -> None:
        while True:
            text = await self._websocket.receive_text()
            if len(text) > _LONGEST:
                await self._websocket.close(_TOO_BIG, "a message may have 4096 letters")
                return
            try:
                await self._obey(Wish.model_validate_json(text))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"])
                await self._object(f"{place}: {first['msg']}" if place else str(first["msg"]))
            except ValueError as error:
                await self._object(str(error))

    async def _obey(self, wish: Wish) -> None:
        if wish.unsubscribe is not None:
            await self._unsubscribe(wish.unsubscribe)
            return
        question, wish_id = wish.question(), wish.id or wish.subscribe or ""
        await self._unsubscribe(wish_id)
        if len(self._subscriptions) >= self._most:
            raise ValueError(f"subscribe: a connection may have {self._most} subscriptions")

        def listener(picture: Picture) -> None:
            self._unsent[wish_id] = picture
            self._is_something_unsent.set()

        self._subscriptions[wish_id] = question, listener
        self._feed.listen(question, listener)

    async def _unsubscribe(self, wish_id: str) -> None:
        if wish_id in self._subscriptions:
            await self._feed.leave(*self._subscriptions.pop(wish_id))
            self._unsent.pop(wish_id, None)

    async def _tell(self) -> None:
        while True:
            await self._is_something_unsent.wait()
            self._is_something_unsent.clear()
            while self._unsent:
                wish_id = next(iter(self._unsent))
                picture = self._unsent.pop(wish_id)
                # Who reads slowly gets the latest of each when they are ready, and nothing piles up here.
                await self._websocket.send_text(
                    f'{{"id":{json.dumps(wish_id)},"status":{picture.status},"document":{picture.document.decode()}}}'
                )
                if picture.is_final:
                    await self._unsubscribe(wish_id)

    async def _watch(self) -> None:
        identity = getattr(self._websocket.state, "user", None)
        while identity is None or identity.is_current():  # noqa: ASYNC110  # nobody tells when a session ends
            await asyncio.sleep(_RECHECK_S)
        await self._websocket.close(_POLICY_VIOLATION, "signed out")

    async def _object(self, words: str) -> None:
        if self._websocket.client_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await self._websocket.send_text(json.dumps({"error": words}))
