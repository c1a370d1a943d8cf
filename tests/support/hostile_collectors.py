"""Addresses at which no collector takes spans, each for a reason of its own; real sockets, real processes' ills."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.support.ports import free_port

UNKNOWN_HOST = "collector.invalid"
"""A name that never resolves (RFC 6761)."""


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Take connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as connections:
        server.settimeout(0.1)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                try:
                    connections.enter_context(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """Answer every HTTP request with 401."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def slow(pause_s: float) -> Iterator[str]:
    """Answer OK over gRPC, each time after a pause."""

    class Service(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            time.sleep(pause_s)
            return ExportTraceServiceResponse()

    with _serving(Service()) as url:
        yield url


@contextlib.contextmanager
def narrow(max_bytes: int) -> Iterator[str]:
    """Take small requests over gRPC, as every collector does, and no others."""

    class Service(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            return ExportTraceServiceResponse()

    with _serving(Service(), max_bytes) as url:
        yield url


@contextlib.contextmanager
def _serving(service: TraceServiceServicer, max_bytes: int = 4_194_304) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", max_bytes)])
    port = server.add_insecure_port("127.0.0.1:0")
    add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def absent() -> Iterator[str]:
    """Name a port that nobody listens on."""
    yield f"http://127.0.0.1:{free_port()}"


@contextlib.contextmanager
def unknown() -> Iterator[str]:
    """Name a host that does not exist."""
    yield f"http://{UNKNOWN_HOST}:4317"


@contextlib.contextmanager
def speaking_plainly(url: str) -> Iterator[str]:
    """Name a collector without TLS as if it had it."""
    yield url.replace("http://", "https://")
