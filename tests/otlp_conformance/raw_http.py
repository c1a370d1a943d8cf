"""HTTP/1.1 over a bare socket: what is sent is exactly what the test wrote, what comes back is all that is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class HttpReply:
    """A whole response; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")


class HttpConnection:
    """One connection to loopback. Use it as a context manager; requests can be sent before answers are read."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> HttpConnection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass  # the other end may have gone first

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a request whose body has a `Content-Length`."""
        await self.write(_head(method, path, {"content-length": str(len(body)), **headers}) + body)

    async def send_chunked(self, method: str, path: str, headers: Mapping[str, str], chunks: Iterable[bytes]) -> None:
        """Send a request whose body has no length, as the JavaScript exporters do."""
        await self.write(_head(method, path, {"transfer-encoding": "chunked", **headers}))
        for chunk in chunks:
            await self.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await self.write(b"0\r\n\r\n")

    async def receive(self) -> HttpReply:
        """Read one response. Raises `IncompleteReadError` if the server hangs up instead."""
        async with asyncio.timeout(TIMEOUT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            version, status, _ = first.split(" ", 2)
            assert version == "HTTP/1.1"
            pairs = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in lines]
            headers = dict(pairs)
            assert len(headers) == len(pairs), f"a header is repeated: {pairs}"
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
            return HttpReply(int(status), headers, body)

    async def read_to_the_end(self) -> bytes:
        """Return what comes until the server ends the connection."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._reader.read()
        except ConnectionResetError:
            return b""


async def exchange(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> HttpReply:
    """Send one request on a connection of its own and return the response."""
    async with HttpConnection(port) as connection:
        await connection.send(method, path, headers or {}, body)
        return await connection.receive()


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
