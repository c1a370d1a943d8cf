"""Both ports at the level of bytes: whatever is written, what comes back until the receiver hangs up or has answered.

For tests of what no client library would send.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping

EXCHANGE_S = 10.0
"""The bound for an answer or a closed connection, once the sender has closed its side."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA, PING, RST_STREAM, GOAWAY = 4, 1, 0, 6, 3, 7
_END_STREAM, _END_HEADERS = 1, 4


async def exchange(port: int, data: bytes) -> bytes:
    """Write, close this side, and return all that comes back until the other side is closed too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(EXCHANGE_S):
            writer.write(data)
            writer.write_eof()
            while chunk := await reader.read(65536):
                answer += chunk
    except TimeoutError:
        raise
    except OSError:
        pass  # hung up on in the middle of what was written
    finally:
        writer.transport.abort()
    return answer


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the HTTP/1.1 responses that `answer` is made of, each of which must be whole."""
    found = []
    while answer:
        head, separator, rest = answer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert separator, f"no whole response: {answer!r}"
        version, status, _ = first.split(b" ", 2)
        assert version == b"HTTP/1.1"
        lengths = [line for line in lines if line.lower().startswith(b"content-length:")]
        size = int(lengths[0].partition(b":")[2]) if lengths else 0
        assert len(rest) >= size or int(status) == 100, "a response is cut short"
        found.append(int(status))
        answer = rest[size:]
    return found


def grpc_frames(method: str, message: bytes, *, is_compressed: bool, metadata: Mapping[bytes, bytes]) -> bytes:
    """Return a whole call in HTTP/2 frames (RFC 9113), headers written out in full (RFC 7541)."""
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": method.encode(),
        b":authority": b"receiver",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        **metadata,
    }
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers.items())
    data = bytes([is_compressed]) + struct.pack(">I", len(message)) + message
    largest = 16384
    chunks = [data[at : at + largest] for at in range(0, len(data), largest)]
    frames = [frame(DATA, _END_STREAM if chunk is chunks[-1] else 0, 1, chunk) for chunk in chunks]
    return PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, _END_HEADERS, 1, block) + b"".join(frames)


async def grpc_status(port: int, frames: bytes) -> int | None:
    """Write the frames of one call and return its status, or `None` if the connection or the stream ends without."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(EXCHANGE_S):
            writer.write(frames)
            while True:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                _, name, rest = payload.partition(_text(b"grpc-status"))
                if head[3] == HEADERS and name:
                    return int(rest[1 : 1 + rest[0]])
                if head[3] in (RST_STREAM, GOAWAY):
                    return None
    except TimeoutError:
        raise
    except (OSError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.transport.abort()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return one frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    left, size = len(text) - 127, b"\x7f"
    while left > 0x7F:
        size += bytes([left & 0x7F | 0x80])
        left >>= 7
    return size + bytes([left]) + text
