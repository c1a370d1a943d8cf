"""What instrumentation adds to a request: CPU time in process, then latency, CPU and memory under a real server.

One FastAPI application with 30 routes is called in process first, without a server, so that what differs is the tracing
alone. The set-ups take turns in one run and the best round of each counts, because other work on the machine can only
slow a round down; every span is encoded as OTLP, in the export thread, and then dropped. What follows is in
`_instrumented`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import _instrumented
from benchmarks._watched_app import ROUTES, make

if TYPE_CHECKING:
    from fastapi import FastAPI

ROUNDS = 5
REQUESTS = 1200
SILENT = {"tracing": False, "metrics": False, "logs": False}


def run() -> list[dict[str, Any]]:
    """Measure in a process of its own, because the global tracer provider stays; return rows of name, value, unit."""
    environment = os.environ | {"OTEL_SEMCONV_STABILITY_OPT_IN": "http", "OTEL_METRICS_EXPORTER": "none"}
    command = [sys.executable, "-m", "benchmarks.instrumentation"]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    in_process: list[dict[str, Any]] = json.loads(answer.stdout)
    return in_process + _instrumented.measure()


def _set_up_sdk() -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from modelwatch_instrumentation.encoding import SpanEncoder
    from modelwatch_instrumentation.export import BoundedSpanProcessor
    from modelwatch_instrumentation.starlette import StarletteInstrumentor

    class EncodingExporter(SpanExporter):
        """Encodes spans with the encoder of the set-up that they are of."""

        encoder = SpanEncoder()

        def export(self, spans: Any) -> SpanExportResult:
            if StarletteInstrumentor().is_instrumented_by_opentelemetry:
                self.encoder.encode(spans)
            else:
                encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedSpanProcessor(EncodingExporter(), max_export_batch_size=64))
    trace.set_tracer_provider(provider)


@contextmanager
def _bare() -> Iterator[FastAPI]:
    yield make(SILENT)


@contextmanager
def _native() -> Iterator[FastAPI]:
    yield make()


@contextmanager
def _contrib(*exclude_spans: str) -> Iterator[FastAPI]:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = make()
    FastAPIInstrumentor.instrument_app(app, exclude_spans=list(exclude_spans))  # type: ignore[arg-type]
    yield app


@contextmanager
def _ours() -> Iterator[FastAPI]:
    from modelwatch_instrumentation.starlette import StarletteInstrumentor

    StarletteInstrumentor().instrument()
    yield make()
    StarletteInstrumentor().uninstrument()


SET_UPS: dict[str, Callable[[], Any]] = {
    "bare": _bare,
    "FastAPI's own telemetry": _native,
    "contrib instrumentor": _contrib,
    "contrib, server spans only": partial(_contrib, "send", "receive"),
    "modelwatch-instrumentation": _ours,
}


def _scope(index: int) -> dict[str, Any]:
    path = f"/model-{index % ROUTES}/{index}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"benchmark")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def _request_us(app: FastAPI) -> float:
    """Return the mean CPU time of a request in microseconds, the encoding of its spans in the other thread included.

    CPU time and not the clock's, because the machine may have other work.
    """
    from opentelemetry import trace

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"the application answered {message['status']}")

    await app(_scope(0), receive, send)
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    started = time.process_time()
    for index in range(REQUESTS):
        await app(_scope(index), receive, send)
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    return (time.process_time() - started) / REQUESTS * 1e6


def measure() -> list[dict[str, Any]]:
    """Return each set-up's best time, and what it adds to the bare application's best."""
    _set_up_sdk()
    rounds: dict[str, list[float]] = {name: [] for name in SET_UPS}
    for _ in range(ROUNDS):
        for name, set_up in SET_UPS.items():
            with set_up() as app:
                rounds[name].append(asyncio.run(_request_us(app)))
    best = {name: min(times) for name, times in rounds.items()}
    requests = [_row(f"one request, {name}", us) for name, us in best.items()]
    return requests + [_row(f"added by {name}", us - best["bare"]) for name, us in best.items() if name != "bare"]


def _row(name: str, us: float) -> dict[str, Any]:
    return {"name": name, "value": round(us, 1), "unit": "µs of CPU"}


if __name__ == "__main__":
    print(json.dumps(measure()))
