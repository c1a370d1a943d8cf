"""A small, real OTLP collector for traces, over gRPC and over HTTP, that keeps what it receives."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Event:
    """A span's event."""

    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Received:
    """A span as it arrived, with its resource and scope flattened into it."""

    resource: dict[str, Any]
    scope: str
    name: str
    kind: str
    trace_id: str
    status: str
    duration_s: float
    attributes: dict[str, Any]
    events: list[Event] = field(default_factory=list)

    @property
    def route(self) -> str | None:
        return self.attributes.get("http.route")

    @property
    def status_code(self) -> int | None:
        return self.attributes.get("http.response.status_code")


class Sink(TraceServiceServicer):
    """Keeps what it receives, over gRPC and over HTTP."""

    def __init__(self, grpc_url: str, http_url: str) -> None:
        self.urls = {"grpc": grpc_url, "http/protobuf": http_url}
        self._spans: list[Received] = []
        self._lock = threading.Lock()

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        with self._lock:
            self._spans += _received(request)
        return ExportTraceServiceResponse()

    def spans(self, service: str) -> list[Received]:
        """Return what a service has sent so far."""
        with self._lock:
            return [span for span in self._spans if span.resource["service.name"] == service]


def _received(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for of_resource in request.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Received(
                    resource=resource,
                    scope=of_scope.scope.name,
                    name=span.name,
                    kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    status={0: "UNSET", 1: "OK", 2: "ERROR"}[span.status.code],
                    duration_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    attributes=_attributes(span.attributes),
                    events=[Event(event.name, _attributes(event.attributes)) for event in span.events],
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return getattr(pair.value, kind) if kind else None


def _http_handler(sink_of: list[Sink]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = sink_of[0].Export(ExportTraceServiceRequest.FromString(body), None).SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    return Handler


@contextlib.contextmanager
def running_sink(grpc_port: int = 0, http_port: int = 0) -> Iterator[Sink]:
    """Receive until the block ends; `urls` has the address for each value of OTEL_EXPORTER_OTLP_PROTOCOL."""
    sinks: list[Sink] = []
    http_server = ThreadingHTTPServer(("127.0.0.1", http_port), _http_handler(sinks))
    http_server.daemon_threads = True
    grpc_server = grpc.server(ThreadPoolExecutor(2))
    grpc_port = grpc_server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    sinks.append(Sink(f"http://127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_server.server_port}"))
    add_TraceServiceServicer_to_server(sinks[0], grpc_server)  # type: ignore[no-untyped-call]
    thread = threading.Thread(target=http_server.serve_forever, args=(0.05,))
    thread.start()
    grpc_server.start()
    try:
        yield sinks[0]
    finally:
        grpc_server.stop(None).wait()
        http_server.shutdown()
        thread.join()
        http_server.server_close()
