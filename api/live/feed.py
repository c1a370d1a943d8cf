"""Asks each question once a beat, however many connections wait for its answer.

A question is the path of a GET route with its parameters; its answer is what that route says, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

import structlog
from starlette.types import ASGIApp, Message, Scope

_log = structlog.get_logger(__name__)

_UNANSWERED: Final = (
    b'{"title":"Internal Server Error","status":500,"detail":"the question could not be answered","errors":[]}'
)


class Question(NamedTuple):
    """What is asked, such as `/api/v1/services` with `window=5m`, and how many seconds lie between two askings."""

    path: str
    query: str
    interval_s: float


class Picture(NamedTuple):
    """An answer: the status and the JSON document of the route."""

    status: int
    document: bytes

    @property
    def is_final(self) -> bool:
        """Whether asking again makes no sense, since the question itself is at fault."""
        return 400 <= self.status < 500


Listener = Callable[[Picture], None]


@dataclass
class _Producer:
    listeners: set[Listener] = field(default_factory=set)
    picture: Picture | None = None
    task: asyncio.Task[None] | None = None


class Feed:
    """Keeps one task for each question that somebody waits for; `app` answers the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._producers: dict[Question, _Producer] = {}

    @property
    def questions(self) -> int:
        """How many different questions are asked now."""
        return len(self._producers)

    def listen(self, question: Question, listener: Listener) -> None:
        """Tell `listener` the answer, at once if there is one, and again whenever it is another."""
        producer = self._producers.setdefault(question, _Producer())
        producer.listeners.add(listener)
        if producer.task is None:
            producer.task = asyncio.create_task(self._produce(question, producer))
        elif producer.picture is not None:
            listener(producer.picture)

    async def leave(self, question: Question, listener: Listener) -> None:
        """Tell `listener` nothing more; nothing is asked that nobody waits for."""
        producer = self._producers.get(question)
        if producer is None:
            return
        producer.listeners.discard(listener)
        if not producer.listeners:
            del self._producers[question]
            if producer.task is not None:
                producer.task.cancel()
                with suppress(asyncio.CancelledError):
                    await producer.task

    async def _produce(self, question: Question, producer: _Producer) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            picture = await self._ask(question)
            if picture != producer.picture:
                producer.picture = picture
                for listener in tuple(producer.listeners):
                    listener(picture)
            # A question that takes long is asked less often, so that it never takes more than half of the time.
            took_s = clock() - began_s
            await asyncio.sleep(max(question.interval_s - took_s, took_s))

    async def _ask(self, question: Question) -> Picture:
        status, parts = 500, list[bytes]()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        try:
            await self._app(_scope_of(question), receive, send)
        except Exception as error:
            _log.warning("a live question was not answered", path=question.path, exc_info=error)
            return Picture(500, _UNANSWERED)
        return Picture(status, b"".join(parts))


def _scope_of(question: Question) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(question.path),
        "raw_path": question.path.encode(),
        "root_path": "",
        "query_string": question.query.encode(),
        "headers": [],
        "client": None,
        "server": None,
        "state": {},
    }
