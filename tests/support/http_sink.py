"""A real HTTP server for notifications: keeps what is posted, answers what it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return an HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", *[f"{name}: {value}" for name, value in (headers or {}).items()]]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Posted(NamedTuple):
    """A request: its first line, headers in lower case, body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpSink:
    """Listens on a free port of loopback. `answers` are given first, one a request; then `OK`."""

    tls: ssl.SSLContext | None = None
    answers: list[bytes] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    is_mute: bool = False
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> HttpSink:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test over
        finally:
            writer.close()
            self._open.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.posted.append(Posted(head[0], headers, body))
        if self.is_mute:
            await asyncio.Event().wait()
        writer.write(self.answers.pop(0) if self.answers else OK)
        await writer.drain()
