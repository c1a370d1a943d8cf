"""A client for one small server: requests at a fixed pace, or as many as it takes; keeps every latency.

It waits actively for the moment of each request, because a sleeping process wakes up later than what is measured here.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

_END = b"\r\n\r\n"


class Connection:
    """One keep-alive connection with one request at a time, of answers that have a Content-Length."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, path: str) -> None:
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: benchmark\r\n\r\n".encode())

    def is_answered(self) -> bool:
        """Take what has arrived; tell whether the answer is complete, and refuse any that is not 200."""
        self._received += self.socket.recv(65536)
        head, found, body = self._received.partition(_END)
        if not found:
            return False
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the application answered {head[:40]!r}")
        self._received = b""
        return True


def at_pace(port: int, paths: Iterator[str], per_s: float, seconds: float) -> list[float]:
    """Ask at a steady pace; return seconds from when each request was due to its answer: a stall counts fully."""
    connection, latencies = Connection(port), []
    began = time.perf_counter()
    for number in range(int(per_s * seconds)):
        due = began + number / per_s
        if (wait_s := due - time.perf_counter() - 0.0005) > 0:
            time.sleep(wait_s)
        while time.perf_counter() < due:
            pass
        connection.send(next(paths))
        while not connection.is_answered():
            pass
        latencies.append(time.perf_counter() - due)
    connection.socket.close()
    return latencies


def flat_out(port: int, paths: Iterator[str], connections: int, seconds: float) -> float:
    """Keep every connection busy; return the requests that were answered in a second."""
    answered, deadline = 0, time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(paths))
        while time.perf_counter() < deadline:
            for key, _ in selector.select(1):
                if key.data.is_answered():
                    answered += 1
                    key.data.send(next(paths))
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return answered / seconds
